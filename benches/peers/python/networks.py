"""Errors of the networks that a campaign's ladder has, or had, over formulas and built-in problems: a Markdown table.

The package `dal-regression` is needed (`cargo xtask wheel`), and for the last row scikit-learn:

    python benches/peers/python/networks.py [--seeds 2]

The error is the RMSE over 500 uniform points over the outputs' standard deviations there, the root mean square over
outputs and seeds; five members, 500 epochs, uniform labels.
"""

import argparse
import warnings

import dal_regression as dal
import numpy as np

NETWORKS = {
    "2 × 16, rate 1e-2, decay 1e-5": ((16, 16), 1e-2, 1e-5, False),
    "2 × 32, rate 1e-2, decay 1e-5": ((32, 32), 1e-2, 1e-5, False),
    "2 × 64, rate 5e-3, decay 1e-5": ((64, 64), 5e-3, 1e-5, False),
    "3 × 64, rate 1e-2, decay 1e-3": ((64, 64, 64), 1e-2, 1e-3, False),
    "3 × 64, BatchNorm, rate 5e-3, decay 1e-5": ((64, 64, 64), 5e-3, 1e-5, True),
    "3 × 128, BatchNorm, rate 3e-3, decay 1e-5": ((128, 128, 128), 3e-3, 1e-5, True),
    "3 × 200, rate 3e-3, decay 3e-3": ((200, 200, 200), 3e-3, 3e-3, False),
    "3 × 256, BatchNorm, rate 2e-3, decay 1e-5": ((256, 256, 256), 2e-3, 1e-5, True),
}
SIZES = (80, 300)


def smooth(x):
    first = np.sin(3 * x[:, 0]) * x[:, 1] + x[:, 2] ** 2 + x[:, 3] * x[:, 4] / 2 + x[:, 5] / 10
    return np.column_stack([first, np.exp(x[:, 0] / 2) + x[:, 1] * x[:, 5] - x[:, 2] * x[:, 3]])


def borehole(x):
    low = np.array([0.05, 100, 63070, 990, 63.1, 700, 1120, 9855])
    high = np.array([0.15, 50000, 115600, 1110, 116, 820, 1680, 12045])
    well, radius, upper, head, lower, other_head, length, conductivity = (low + (high - low) * (x + 1) / 2).T
    log = np.log(radius / well)
    leak = 2 * length * upper / (log * well**2 * conductivity)
    return (2 * np.pi * upper * (head - other_head) / (log * (1 + leak + upper / lower)))[:, None]


def friedman(x):
    x = (x + 1) / 2
    wave = 10 * np.sin(np.pi * x[:, 0] * x[:, 1])
    return (wave + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4])[:, None]


def beam(x):
    length, width, height = 1 + x[:, 0] / 2, 0.05 + 0.02 * x[:, 1], 0.1 + 0.04 * x[:, 2]
    modulus, force = 150 + 50 * x[:, 3], 1 + x[:, 4] / 2
    inertia = width * height**3 / 12
    bending = force * length * height / 2 / inertia
    return np.column_stack([np.log(force * length**3 / (3 * modulus * inertia)), bending / 1e4])


def subjects():
    """Name, function on the unit box, number of inputs."""
    yield from (("smooth", smooth, 6), ("borehole", borehole, 8), ("Friedman", friedman, 10), ("beam", beam, 5))
    for name in ("hydro", "foil", "robo", "bessel"):
        problem = dal.problem(name)
        yield name, lambda x, problem=problem: np.asarray(problem.label(x)).reshape(len(x), -1), problem.n_columns


def gaussian_process(x, y, at):
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    kernel = ConstantKernel() * Matern(np.ones(x.shape[1]), nu=2.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [GaussianProcessRegressor(kernel, normalize_y=True, alpha=1e-6).fit(x, column) for column in y.T]
        return np.column_stack([fit.predict(at) for fit in fits])


def network(settings):
    hidden, rate, decay, norm = settings

    def predict(x, y, at, seed):
        words = dict(hidden=hidden, learning_rate=rate, weight_decay=decay, batch_norm=norm)
        model = dal.EnsembleRegressor(members=5, random_state=seed, threads=1, **words).fit(x, y)
        return np.asarray(model.predict(at)).reshape(len(at), -1)

    return predict


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    seeds = range(parser.parse_args().seeds)
    rows = {name: network(settings) for name, settings in NETWORKS.items()}
    rows["Gaussian process, Matérn 5/2"] = lambda x, y, at, seed: gaussian_process(x, y, at)
    columns, cells = [], {name: [] for name in rows}
    for subject, function, n_inputs in subjects():
        for n in SIZES:
            columns.append(f"{subject}, {n}")
            squares = {name: [] for name in rows}
            for seed in seeds:
                rng = np.random.default_rng(seed)
                x, at = rng.uniform(-1, 1, (n, n_inputs)), rng.uniform(-1, 1, (500, n_inputs))
                y, truth = function(x), function(at)
                for name, predict in rows.items():
                    error = (predict(x, y, at, seed) - truth) / truth.std(axis=0)
                    squares[name].append(np.mean(error**2))
            for name in rows:
                cells[name].append(np.sqrt(np.mean(squares[name])))
    print("| network | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for name in rows:
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in cells[name]) + " |")


if __name__ == "__main__":
    main()
