"""``python -m dal_regression``: the program ``dal``."""

import sys

from ._program import main

if __name__ == "__main__":
    sys.exit(main())
