import sys

import egobox as egx
import numpy as np
from ask import ask, read, write

INPUTS = ["base", "angle_1", "angle_2", "angle_3"]
RANGES = [[-1.0, 1.0], [-np.pi / 2, np.pi / 2], [-np.pi / 2, np.pi / 2], [-np.pi / 2, np.pi / 2]]
seed = int(sys.argv[1])

x = egx.lhs(RANGES, 200, seed=seed)
y = np.array(ask(["dal", "label", "robo", "--input", "-"], INPUTS, x))
write("labels.csv", ["y0", "y1"], y)

models = [egx.Gpx.builder(RANGES, seed=seed).fit(x, y[:, k]) for k in range(2)]
wanted = np.array(read(sys.argv[2], INPUTS), dtype=float)
write("predictions.csv", ["y0", "y1"], np.column_stack([m.predict(wanted) for m in models]))
