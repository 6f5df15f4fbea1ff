"""`EnsembleRegressor` and ten full-batch MLPRegressors in turns; prints the seconds of each as JSON for `run.py`.

With two threads scikit-learn trains both ways, one network after the other on two threads of the BLAS, and on two
processes with one thread each, which are there before the clock starts."""

import argparse
import json
import time
import warnings

from joblib import Parallel, delayed
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

import dal_regression as dal

# Hidden layers of the published networks of these problems.
NETWORKS = {"sine": [20] * 9, "hydro": [50] * 6, "foil": [200] * 4}
MEMBERS = 10
RATE = 1e-3


def fit(member, hidden, epochs, threads, X, y):
    """One network of scikit-learn that does as ours do: full batches, Adam, no decay, all epochs."""
    words = {"batch_size": len(X), "max_iter": epochs, "n_iter_no_change": epochs + 1, "tol": 0.0, "alpha": 0.0}
    words |= {"learning_rate_init": RATE, "shuffle": False, "random_state": member}
    with warnings.catch_warnings(), threadpool_limits(threads):
        # It says that it did not converge, which it was told not to.
        warnings.simplefilter("ignore")
        model = MLPRegressor(hidden_layer_sizes=hidden, **words).fit(X, y)
    assert model.n_iter_ == epochs, f"scikit-learn trained {model.n_iter_} epochs instead of {epochs}"


def ours(hidden, epochs, threads, X, y):
    words = {"members": MEMBERS, "epochs": epochs, "learning_rate": RATE, "weight_decay": 0.0, "batch_norm": False}
    words |= {"threads": threads, "scale_inputs": False, "scale_outputs": False, "on_collapse": "keep"}
    with warnings.catch_warnings():
        # Without BatchNorm networks of nine layers do not learn, in either library; ours says so and would try again.
        warnings.simplefilter("ignore")
        dal.EnsembleRegressor(hidden=hidden, **words).fit(X, y)


def contenders(hidden, threads, pool, X, y):
    """Name → a training of so many epochs."""
    found = {
        "EnsembleRegressor": lambda epochs: ours(hidden, epochs, threads, X, y),
        "one after the other": lambda epochs: [fit(m, hidden, epochs, threads, X, y) for m in range(MEMBERS)],
    }
    if threads > 1:
        found["two processes"] = lambda epochs: pool(
            delayed(fit)(m, hidden, epochs, 1, X, y) for m in range(MEMBERS)
        )
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--points", type=int, nargs="+", default=[80, 480])
    args = parser.parse_args()
    cells = []
    with Parallel(n_jobs=2) as pool:
        for name, hidden in NETWORKS.items():
            problem = dal.problem(name)
            for n in args.points:
                X = problem.sample(n, seed=1)
                everyone = contenders(hidden, args.threads, pool, X, problem.label(X)[:, 0])
                seconds = {who: [] for who in everyone}
                for train in everyone.values():
                    train(2)
                for _ in range(args.rounds):
                    for who, train in everyone.items():
                        start = time.perf_counter()
                        train(args.epochs)
                        seconds[who].append(time.perf_counter() - start)
                cells.append(
                    {"network": name, "points": n, "threads": args.threads, "epochs": args.epochs, "seconds": seconds}
                )
    print(json.dumps(cells))


if __name__ == "__main__":
    main()
