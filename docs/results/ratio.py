#!/usr/bin/env python3
"""Paired ratio of two methods from exported tables, by seed: geometric mean and 95 % t interval of the logarithm.

python3 docs/results/ratio.py TABLES... PROBLEM METHOD@RATIO METHOD@RATIO [--last N | --entries N]

The ratio is that of the areas under the test MSE (trapezoid over all entries), with --entries N over the first N alone,
with --last N of the means of the last N. Methods without a pool (random, sobol, lhs) have no @RATIO. As in

python3 docs/results/ratio.py docs/results/evidence/a sine gsxy@32 qbc-diversity@32 --last 5
"""
import csv
import gzip
import math
import sys
from pathlib import Path


def rows(folder, name):
    with gzip.open(Path(folder) / f"{name}.csv.gz", "rt", newline="") as file:
        yield from csv.DictReader(file)


def t_quantile(p, freedom):
    """By bisection on the distribution, which is integrated by Simpson's rule."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    def above_middle(t, n=2000):
        weights = (4 if i % 2 else 2 for i in range(1, n))
        ends = 1 + (1 + t * t / freedom) ** (-(freedom + 1) / 2)
        inner = (w * (1 + (t * i / n) ** 2 / freedom) ** (-(freedom + 1) / 2) for i, w in enumerate(weights, 1))
        return scale * t / (3 * n) * (ends + sum(inner))

    low, high = 0.0, 700.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if above_middle(middle) < p - 0.5 else (low, middle)
    return high


def main(words):
    options = {"--last": 0, "--entries": 0}
    for option in options:
        if option in words:
            at = words.index(option)
            options[option] = int(words[at + 1])
            del words[at : at + 2]
    if len(words) < 4:
        sys.exit(__doc__)
    *folders, problem, one, other = words

    def figure(curve):
        if options["--last"]:
            return sum(curve[-options["--last"] :])
        curve = curve[: options["--entries"] or None]
        return sum(curve) - (curve[0] + curve[-1]) / 2

    found = {one: {}, other: {}}
    for folder in folders:
        curves = {}
        for entry in rows(folder, "entries"):
            curves.setdefault(entry["run"], []).append(float(entry["mse"]))
        for run in rows(folder, "runs"):
            ratio = "" if run["pool_ratio"] == "1" else f"@{run['pool_ratio']}"
            name = run["strategy"] + ratio
            if run["status"] == "done" and run["problem"] == problem and name in found:
                found[name][int(run["seed"])] = figure(curves[run["run"]])
    seeds = sorted(found[one].keys() & found[other].keys())
    if len(seeds) < 2:
        sys.exit(f"{len(seeds)} seeds of {problem} have both {one} and {other}")
    logs = [math.log(found[one][seed] / found[other][seed]) for seed in seeds]
    mean = sum(logs) / len(logs)
    error = math.sqrt(sum((v - mean) ** 2 for v in logs) / (len(logs) - 1) / len(logs))
    half = t_quantile(0.975, len(logs) - 1) * error
    low, middle, high = (math.exp(mean + k * half) for k in (-1, 0, 1))
    print(f"{problem}: {one} / {other} = {middle:.3f} ({low:.3f} to {high:.3f}), {len(seeds)} seeds")


if __name__ == "__main__":
    main(sys.argv[1:])
