import sys

import egobox as egx
import numpy as np
from ask import ask, read, write

INPUTS = ["length", "load", "taper", "height", "layers", "material"]
MATERIALS = ["steel", "aluminium", "oak"]
SPECS = [
    egx.XSpec(egx.XType.FLOAT, [0.5, 3.0]),
    egx.XSpec(egx.XType.FLOAT, [np.log(10.0), np.log(2000.0)]),
    egx.XSpec(egx.XType.FLOAT, [0.4, 1.0]),
    egx.XSpec(egx.XType.FLOAT, [0.06, 0.2]),
    egx.XSpec(egx.XType.INT, [1, 4]),
    egx.XSpec(egx.XType.ENUM, tags=MATERIALS),
]
seed = int(sys.argv[1])

x = egx.lhs(SPECS, 200, seed=seed)
points = [[a, np.exp(b), c, d, int(e), MATERIALS[int(f)]] for a, b, c, d, e, f in x]
y = np.array(ask(["python3", "beam.py"], INPUTS, points))
write("labels.csv", ["deflection", "stress"], y)


def encode(points):
    """A column for each material: `Gpx.builder` with `XType.ENUM` panics in `fit` (egobox 1.0.0)."""
    return np.array(
        [
            [float(a), np.log(float(b)), float(c), float(d), float(e), *(f == m for m in MATERIALS)]
            for a, b, c, d, e, f in points
        ]
    )


answered = np.isfinite(y).all(axis=1)
x, y = encode(points)[answered], np.log(y[answered])
models = [egx.Gpx.builder(seed=seed).fit(x, y[:, k]) for k in range(2)]

wanted = encode(read(sys.argv[2], INPUTS))
write("predictions.csv", ["deflection", "stress"], np.exp(np.column_stack([m.predict(wanted) for m in models])))
