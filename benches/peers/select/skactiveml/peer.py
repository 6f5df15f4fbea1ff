"""scikit-activeml's greedy sampling: GSx, and GSi (Wu's iGS) with predictions that are given, which takes one
output."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import measure  # noqa: E402
import numpy as np  # noqa: E402
import skactiveml  # noqa: E402
import sklearn  # noqa: E402
from skactiveml.base import SkactivemlRegressor  # noqa: E402
from skactiveml.pool import GreedySamplingTarget, GreedySamplingX  # noqa: E402


class Given(SkactivemlRegressor):
    """Answers with predictions of the pool that were made elsewhere; the strategy asks for the whole pool at once."""

    def __init__(self, predictions, missing_label=np.nan, random_state=None):
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.predictions = predictions

    def fit(self, X, y, sample_weight=None):
        return self

    def predict(self, X):
        assert len(X) == len(self.predictions)
        return self.predictions


if __name__ == "__main__":
    args = measure.arguments(__doc__)
    lx, ly, px, members = measure.load(args)
    assert args.outputs == 1 or args.strategy == "gsx", "GSi takes one output"
    x = np.vstack([lx, px])
    y = np.concatenate([ly[:, 0], np.full(len(px), np.nan)])

    def gsx():
        return GreedySamplingX(random_state=0).query(x, y, batch_size=args.picks) - len(lx)

    def gsxy():
        given = Given(members.mean(axis=0)[:, 0])
        strategy = GreedySamplingTarget(method="GSi", random_state=0)
        return strategy.query(x, y, given, fit_reg=False, batch_size=args.picks) - len(lx)

    select = {"gsx": gsx, "gsxy": gsxy}[args.strategy]
    measure.report(args, select, {"scikit-activeml": skactiveml.__version__, "scikit-learn": sklearn.__version__})
