"""Trains `EnsembleRegressor` on command and says how long it took: a contender of `run.py` beside those of `../train`.

    python train_worker.py --widths 1,20,20,1 --points 80 --data DIR --members 10 --threads 1 ...

Reads lines `run E` from standard input, fits E epochs from the beginning, and prints JSON with the seconds of the whole
call: checks, copies and buffers are in it. Initial weights are its own, which does not change the work.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np

import dal_regression as dal


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", required=True)
    parser.add_argument("--points", type=int, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    args = parser.parse_args()
    widths = [int(width) for width in args.widths.split(",")]

    def read(name, columns):
        return np.fromfile(args.data / f"{name}.f32", "<f4").reshape(args.points, columns).astype(np.float64)

    X, y = read("x", widths[0]), read("y", widths[-1])
    for line in sys.stdin:
        model = dal.EnsembleRegressor(
            hidden=widths[1:-1],
            members=args.members,
            epochs=int(line.split()[1]),
            learning_rate=1e-3,
            weight_decay=args.weight_decay,
            batch_norm=True,
            scale_inputs=False,
            scale_outputs=False,
            threads=args.threads,
        )
        start, before = time.perf_counter(), time.process_time()
        model.fit(X, y)
        seconds, processor = time.perf_counter() - start, time.process_time() - before
        answer = {"seconds": seconds, "processor_seconds": processor, "losses": []}
        # The engine's own share of the same call.
        answer["engine_seconds"] = model._model.training_seconds
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
