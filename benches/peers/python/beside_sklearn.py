"""`EnsembleRegressor` and ten full-batch MLPRegressors in turns; prints rows of the table that `run.py` writes."""

import argparse
import statistics
import time
import warnings

from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

import dal_regression as dal

# Hidden layers of the published networks of these problems.
NETWORKS = {"sine": [20] * 9, "hydro": [50] * 6, "foil": [200] * 4}


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--points", type=int, nargs="+", default=[480])
    args = parser.parse_args()
    for name, hidden in NETWORKS.items():
        problem = dal.problem(name)
        for n in args.points:
            X = problem.sample(n, seed=1)
            y = problem.label(X)[:, 0]

            def ours():
                words = {"members": 10, "epochs": args.epochs, "learning_rate": 1e-3, "weight_decay": 0.0}
                words |= {"batch_norm": False, "threads": args.threads, "scale_inputs": False, "scale_outputs": False}
                dal.EnsembleRegressor(hidden=hidden, **words).fit(X, y)

            def theirs():
                words = {"batch_size": n, "max_iter": args.epochs, "n_iter_no_change": args.epochs, "tol": 0.0}
                words |= {"alpha": 0.0, "learning_rate_init": 1e-3, "shuffle": False}
                for member in range(10):
                    MLPRegressor(hidden_layer_sizes=hidden, random_state=member, **words).fit(X, y)

            with warnings.catch_warnings(), threadpool_limits(args.threads):
                # It says that it did not converge, which it was told not to.
                warnings.simplefilter("ignore")
                times = [(seconds(ours), seconds(theirs)) for _ in range(args.rounds + 1)][1:]
            ours_s, theirs_s = (statistics.median(column) for column in zip(*times))
            print(
                f"| {name} | {n} | {args.threads} | {args.epochs} | {ours_s:.4g} | {theirs_s:.4g} "
                f"| {theirs_s / ours_s:.1f} |"
            )


if __name__ == "__main__":
    main()
