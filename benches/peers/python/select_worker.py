"""`dal.select`, or `query` of a class of `dal.query`, on the data of `../select`: contenders of `run.py` beside those
there. The first word says which of them."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "select"))
import measure  # noqa: E402
import numpy as np  # noqa: E402

import dal_regression as dal  # noqa: E402

CLASSES = {
    "gsx": dal.query.GreedySamplingX,
    "gsxy": dal.query.GreedySamplingXY,
    "qbc-diversity": dal.query.QueryByCommitteeDiversity,
}

if __name__ == "__main__":
    how = sys.argv.pop(1)
    args = measure.arguments(__doc__)
    lx, ly, px, members = measure.load(args)
    committee = None if args.strategy == "gsx" else members
    # As scikit-activeml is called: all samples, those without an answer NaN.
    X, y = np.vstack([lx, px]), np.vstack([ly, np.full((len(px), ly.shape[1]), np.nan)])

    def select():
        return dal.select(args.strategy, lx, ly, px, committee, n=args.picks)

    def query():
        given = {} if committee is None else {"committee": committee}
        return CLASSES[args.strategy]().query(X, y, batch_size=args.picks, **given) - len(lx)

    choose = {"select": select, "query": query}[how]
    measure.report(args, choose, {"dal-regression": dal.__version__})
