import sys

import egobox as egx
import numpy as np
from ask import ask, read, write

INPUTS = [
    "longitudinal_position",
    "prismatic_coefficient",
    "length_displacement_ratio",
    "beam_draught_ratio",
    "length_beam_ratio",
    "froude_number",
]
RANGES = [[-5.0, 0.0], [0.53, 0.6], [4.34, 5.14], [2.81, 5.35], [2.73, 3.64], [0.125, 0.45]]
seed = int(sys.argv[1])

x = egx.lhs(RANGES, 200, seed=seed)
y = np.array(ask(["dal", "label", "hydro", "--input", "-"], INPUTS, x))
write("labels.csv", ["y0"], y)

model = egx.Gpx.builder(RANGES, seed=seed).fit(x, y[:, 0])
wanted = np.array(read(sys.argv[2], INPUTS), dtype=float)
write("predictions.csv", ["y0"], [[value] for value in model.predict(wanted)])
