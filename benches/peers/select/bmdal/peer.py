"""bmdal-reg: k-center on the inputs themselves (the rule of gsx), and batch methods on given features.

On inputs `maxdist` with the labelled points as first centres. On features (pf.npy, lf.npy) the linear kernel; sigma is
1e-3, the square root of our noise.
"""

import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import bmdal_reg  # noqa: E402
import measure  # noqa: E402
import torch  # noqa: E402
from bmdal_reg.bmdal.algorithms import select_batch  # noqa: E402
from bmdal_reg.bmdal.feature_data import TensorFeatureData  # noqa: E402

SIGMA = 1e-3
POSTERIOR = [("train", [SIGMA, None])]
# Strategy → selection method, transforms, further options.
METHODS = {
    "gsx": ("maxdist", [], {}),
    "lcmd-tp": ("lcmd", [], {}),
    "lcmd-p": ("lcmd", POSTERIOR, {"sel_with_train": False}),
    "maxdist-tp": ("maxdist", [], {}),
    "maxdist-p": ("maxdist", POSTERIOR, {"sel_with_train": False}),
    "maxdet-p": ("maxdet", POSTERIOR, {"maxdet_sigma": SIGMA}),
    "bait-f-p": ("bait", POSTERIOR, {"bait_sigma": SIGMA}),
}

if __name__ == "__main__":
    args = measure.arguments(__doc__)
    method, transforms, options = METHODS[args.strategy]
    torch.set_num_threads(1)
    if args.strategy == "gsx":
        lx, _, px, _ = measure.load(args)
    else:
        lx, px = measure.load_features(args)
    train, pool = torch.from_numpy(lx), torch.from_numpy(px)

    def choose():
        data = {"train": TensorFeatureData(train), "pool": TensorFeatureData(pool)}
        with contextlib.redirect_stdout(sys.stderr):
            picks, _ = select_batch(
                batch_size=args.picks,
                models=[None],
                data=data,
                y_train=None,
                base_kernel="linear",
                kernel_transforms=transforms,
                selection_method=method,
                allow_float64=True,
                verbosity=0,
                **options,
            )
        return picks.tolist()

    measure.report(args, choose, {"bmdal-reg": bmdal_reg.__version__, "torch": torch.__version__})
