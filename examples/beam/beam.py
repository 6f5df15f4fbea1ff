"""A cantilever that tapers to its tip: deflection and largest stress under a load at the tip, or why there is none.

Points come as CSV on standard input, one line each under a header; answers go to standard output, each as soon as it is
known. Python's standard library is enough.
"""

import csv
import math
import sys

# Young's modulus in Pa, yield stress in Pa.
MATERIALS = {"steel": (210e9, 355e6), "aluminium": (70e9, 240e6), "oak": (11e9, 60e6)}
SLICES = 400


def beam(length, load, taper, height, layers, material):
    """Euler and Bernoulli's beam, integrated from the wall to the tip; the width is a third of the height at the
    wall."""
    modulus, limit = MATERIALS[material]
    dx = length / SLICES
    slope = deflection = largest = 0.0
    for k in range(SLICES):
        x = (k + 0.5) * dx
        here = height * (1.0 - (1.0 - taper) * x / length)
        # Layers that are not glued share the load: each bends for itself.
        inertia = layers * (height / 3.0) * (here / layers) ** 3 / 12.0
        moment = load * (length - x)
        slope += moment / (modulus * inertia) * dx
        deflection += slope * dx
        largest = max(largest, moment * here / layers / 2.0 / inertia)
    if largest > limit:
        raise ArithmeticError(f"it yields: {largest / 1e6:.0f} MPa of {limit / 1e6:.0f}")
    if deflection > length / 10.0:
        raise ArithmeticError("it bends too far for small angles")
    return 1000.0 * deflection, largest / 1e6


def main():
    print("deflection,stress", flush=True)
    for row in csv.DictReader(sys.stdin):
        number = {name: float(row[name]) for name in ("length", "load", "taper", "height")}
        try:
            deflection, stress = beam(layers=int(row["layers"]), material=row["material"], **number)
            print(f"{deflection!r},{stress!r}", flush=True)
        except ArithmeticError as error:
            print(f'"error: {error}",', flush=True)


if __name__ == "__main__":
    main()
