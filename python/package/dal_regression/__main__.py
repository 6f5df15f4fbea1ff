"""``python -m dal_regression``: the program ``dal``."""

import sys

from ._program import main

sys.exit(main())
