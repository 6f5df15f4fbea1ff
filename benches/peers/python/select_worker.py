"""`dal.select` on the data of `../select`: a contender of `run.py` beside those there."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "select"))
import measure  # noqa: E402

import dal_regression as dal  # noqa: E402

if __name__ == "__main__":
    args = measure.arguments(__doc__)
    lx, ly, px, members = measure.load(args)
    committee = None if args.strategy == "gsx" else members
    measure.report(
        args,
        lambda: dal.select(args.strategy, lx, ly, px, committee, n=args.picks).tolist(),
        {"dal-regression": dal.__version__},
    )
