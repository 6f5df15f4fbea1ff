#!/usr/bin/env python3
"""Paired ratio of two figures from exported tables, by seed: geometric mean and 95 % t interval of the logarithm.

python3 docs/results/ratio.py TABLES... PROBLEM FIGURE FIGURE [--end N | --last N | --entries N]

FIGURE is [TABLES:]METHOD[@RATIO][/METHOD[@RATIO]][#N]: a method's curve of test MSE, or how it stands to another method
of the same tables; with #N over the first N entries alone. Methods without a pool (random, sobol, lhs) have no @RATIO.
TABLES: is for two folders that hold the same methods under different settings. Of each curve the area is taken
(trapezoid), with --entries N over the first N entries of both figures; with --end N the geometric mean of the last N
errors, which is the page's reading of where a method ends; with --last N their mean. Beside the ratio stands the
skewness of the logarithms over the seeds (third moment over the cubed standard deviation, uncorrected). With '*' as the
first FIGURE there is a line for every method of TABLES but the second, and one for all. As in

python3 docs/results/ratio.py docs/results/evidence/a sine gsxy@32 qbc-diversity@32 --end 5
python3 docs/results/ratio.py hydro docs/results/evidence/b:qbc@32/random docs/results/evidence/a:qbc@32/random
python3 docs/results/ratio.py docs/results/evidence/b bessel '*' random
"""
import csv
import gzip
import math
import sys
from pathlib import Path


def rows(folder, name):
    with gzip.open(Path(folder) / f"{name}.csv.gz", "rt", newline="") as file:
        yield from csv.DictReader(file)


def curves(folder, problem, first, known={}):
    """Errors by method and seed of the finished runs of a problem, of the first so many entries."""
    if (folder, problem) not in known:
        errors = {}
        for entry in rows(folder, "entries"):
            errors.setdefault(entry["run"], []).append(float(entry["mse"]))
        found = known[folder, problem] = {}
        for run in rows(folder, "runs"):
            if run["status"] == "done" and run["problem"] == problem:
                ratio = "" if run["pool_ratio"] == "1" else f"@{run['pool_ratio']}"
                found.setdefault(run["strategy"] + ratio, {})[int(run["seed"])] = errors[run["run"]]
    of_methods = known[folder, problem].items()
    return {method: {seed: curve[:first] for seed, curve in of.items()} for method, of in of_methods}


def area(curve):
    """By the trapezoid rule, a step apart."""
    return sum(curve) - (curve[0] + curve[-1]) / 2


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
    options = {"--end": 0, "--last": 0, "--entries": 0}
    for option in options:
        if option in words:
            at = words.index(option)
            options[option] = int(words[at + 1])
            del words[at : at + 2]
    if len(words) < 3:
        sys.exit(__doc__)
    *folders, problem, one, other = words

    def figure(curve):
        if options["--end"]:
            last = curve[-options["--end"] :]
            return math.exp(sum(map(math.log, last)) / len(last))
        if options["--last"]:
            return sum(curve[-options["--last"] :])
        return area(curve[: options["--entries"] or None])

    def by_seed(asked):
        folder, found, method = asked.rpartition(":")
        method, _, first = method.partition("#")
        where = [folder] if found else folders
        method, over, base = method.partition("/")
        values = {}
        for folder in where:
            known = curves(folder, problem, int(first) if first else None)
            bases = known.get(base, {})
            for seed, curve in known.get(method, {}).items():
                if not over:
                    values[seed] = figure(curve)
                elif seed in bases:
                    values[seed] = figure(curve) / figure(bases[seed])
        return values

    def compare(one, other):
        """Prints the ratio; its skewness."""
        one_by_seed, other_by_seed = by_seed(one), by_seed(other)
        seeds = sorted(one_by_seed.keys() & other_by_seed.keys())
        if len(seeds) < 2:
            sys.exit(f"{len(seeds)} seeds of {problem} have both {one} and {other}")
        logs = [math.log(one_by_seed[seed] / other_by_seed[seed]) for seed in seeds]
        mean = sum(logs) / len(logs)
        squares = sum((v - mean) ** 2 for v in logs)
        half = t_quantile(0.975, len(logs) - 1) * math.sqrt(squares / (len(logs) - 1) / len(logs))
        low, middle, high = (math.exp(mean + k * half) for k in (-1, 0, 1))
        cubed = (squares / len(logs)) ** 1.5
        skewness = sum((v - mean) ** 3 for v in logs) / len(logs) / cubed if cubed > 0 else 0.0
        found = f"{middle:.3f} ({low:.3f} to {high:.3f}), {len(seeds)} seeds, skewness {skewness:.2f}"
        print(f"{problem}: {one} to {other} = {found}")
        return skewness

    if one != "*":
        compare(one, other)
        return
    methods = sorted({method for folder in folders for method in curves(folder, problem, None)} - {other})
    skewed = [compare(method, other) for method in methods]
    beyond = [sum(side * skewness > 1 for skewness in skewed) for side in (1, -1)]
    print(
        f"{problem}: {len(skewed)} methods, mean skewness {sum(skewed) / len(skewed):.2f}, "
        f"{beyond[0]} above 1 and {beyond[1]} below -1"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
