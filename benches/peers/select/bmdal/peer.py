"""bmdal-reg's k-center (`maxdist`, labelled points as first centres) on the inputs themselves: the rule of gsx."""

import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import bmdal_reg  # noqa: E402
import measure  # noqa: E402
import torch  # noqa: E402
from bmdal_reg.bmdal.algorithms import select_batch  # noqa: E402
from bmdal_reg.bmdal.feature_data import TensorFeatureData  # noqa: E402

if __name__ == "__main__":
    args = measure.arguments(__doc__)
    assert args.strategy == "gsx"
    torch.set_num_threads(1)
    lx, _, px, _ = measure.load(args)
    train, pool = torch.from_numpy(lx), torch.from_numpy(px)

    def gsx():
        data = {"train": TensorFeatureData(train), "pool": TensorFeatureData(pool)}
        with contextlib.redirect_stdout(sys.stderr):
            picks, _ = select_batch(
                batch_size=args.picks,
                models=[None],
                data=data,
                y_train=None,
                base_kernel="linear",
                kernel_transforms=[],
                selection_method="maxdist",
                verbosity=0,
            )
        return picks.tolist()

    measure.report(args, gsx, {"bmdal-reg": bmdal_reg.__version__, "torch": torch.__version__})
