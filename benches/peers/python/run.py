"""The Python package against what its users pick today, side by side in one process: training against ten full-batch
MLPRegressors of scikit-learn, queries against scikit-activeml, and what Python adds to the engine.

    python run.py [--threads 1] [--repeats 3] [--quick]

The environment needs the wheel, scikit-learn and scikit-activeml. Prints a table, with the processor's name.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from pathlib import Path

import numpy as np

import dal_regression as dal

# Network and labels of the training table; epochs are the same on both sides.
NETWORKS = {"sine": ([20] * 9, 480), "hydro": ([50] * 6, 480), "foil": ([200] * 4, 480)}


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def best(work, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def training(threads: int, epochs: int, repeats: int) -> list[tuple[str, float, float]]:
    from sklearn.neural_network import MLPRegressor
    from threadpoolctl import threadpool_limits

    rows = []
    for name, (hidden, n) in NETWORKS.items():
        problem = dal.problem(name)
        X = problem.sample(n, seed=1)
        y = problem.label(X)
        y = y[:, 0] if y.shape[1] == 1 else y
        words = {"hidden": hidden, "members": 10, "epochs": epochs, "learning_rate": 1e-3, "batch_norm": False}
        ours = best(lambda: dal.EnsembleRegressor(**words, threads=threads, scale_inputs=False).fit(X, y), repeats)

        def peer() -> None:
            for member in range(10):
                MLPRegressor(
                    hidden, batch_size=n, max_iter=epochs, n_iter_no_change=epochs, tol=0.0, alpha=0.0,
                    learning_rate_init=1e-3, random_state=member,
                ).fit(X, y)

        with warnings.catch_warnings(), threadpool_limits(threads):
            warnings.simplefilter("ignore")
            theirs = best(peer, repeats)
        rows.append((f"training {name}", ours, theirs))
    return rows


def queries(n_pool: int, repeats: int) -> list[tuple[str, float, float]]:
    from skactiveml.pool import GreedySamplingX as Theirs

    from dal_regression.query import GreedySamplingX

    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (1000 + n_pool, 10))
    y = np.concatenate([rng.normal(size=1000), np.full(n_pool, np.nan)])
    ours = best(lambda: GreedySamplingX().query(X, y, batch_size=40), repeats)
    theirs = best(lambda: Theirs(random_state=0).query(X, y, batch_size=40), 1)
    return [(f"gsx, {n_pool} candidates", ours, theirs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few epochs and candidates: does it run?")
    args = parser.parse_args()
    epochs, n_pool = (5, 200) if args.quick else (100, 10_000)
    rows = training(args.threads, epochs, args.repeats) + queries(n_pool, args.repeats)
    print(f"{processor()}, {args.threads} thread(s), {epochs} epochs\n")
    print("| work | ours, s | theirs, s | theirs / ours |\n|---|---|---|---|")
    for name, ours, theirs in rows:
        print(f"| {name} | {ours:.4f} | {theirs:.4f} | {theirs / ours:.1f} |")


if __name__ == "__main__":
    main()
