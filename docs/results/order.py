#!/usr/bin/env python3
"""Kendall's tau of the methods' order on a problem between two folders of exported tables, over some of the methods.

python3 docs/results/order.py TABLES OTHER_TABLES PROBLEM [METHOD...]

A method's figure is its mean ln nAUC over the pool ratios and the seeds that both folders have; METHODs are left out.
`dal report --compare` says the same of all methods, with a bootstrap interval. Beside tau: its mean between halves of
the seeds, one half from each folder and both from one. Where these are alike no change of order is seen beyond noise.

python3 docs/results/order.py docs/results/evidence/a docs/results/evidence/b hydro emoc learning-loss bald \
    "bald?learning_rate=0.001&rate=0.01"
"""
import math
import sys
from itertools import combinations

from ratio import area, curves


def logs(folder, problem):
    """ln nAUC by method and seed, a mean over pool ratios."""
    areas = {
        method: {seed: area(curve) for seed, curve in of.items()}
        for method, of in curves(folder, problem, None).items()
    }
    random, cells = areas.pop("random"), {}
    for method, of in areas.items():
        of_seeds = {seed: math.log(of[seed] / random[seed]) for seed in of.keys() & random.keys()}
        cells.setdefault(method.partition("@")[0], []).append(of_seeds)
    seeds = {method: set.intersection(*map(set, of)) for method, of in cells.items()}
    return {m: {s: sum(cell[s] for cell in of) / len(of) for s in seeds[m]} for m, of in cells.items()}


def tau(one, other):
    """Kendall's tau b."""
    signs = lambda values: [(a > b) - (a < b) for a, b in combinations(values, 2)]
    x, y = signs(one), signs(other)
    return sum(a * b for a, b in zip(x, y)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def main(words):
    if len(words) < 3:
        sys.exit(__doc__)
    folder, other_folder, problem, *without = words
    one, other = logs(folder, problem), logs(other_folder, problem)
    unknown = [method for method in without if method not in one]
    if unknown:
        sys.exit(f"{folder} has no {unknown[0]} on {problem}; there are: {', '.join(sorted(one))}")
    methods = sorted(one.keys() & other.keys() - set(without))
    seeds = sorted(set.intersection(*(set(of[m]) for of in (one, other) for m in methods)))
    means = lambda of, chosen: [sum(of[m][s] for s in chosen) / len(chosen) for m in methods]
    halves = {"across": [], "in the first": [], "in the second": []}
    for half in combinations(seeds, len(seeds) // 2):
        rest = [seed for seed in seeds if seed not in half]
        halves["across"].append(tau(means(one, half), means(other, rest)))
        halves["in the first"].append(tau(means(one, half), means(one, rest)))
        halves["in the second"].append(tau(means(other, half), means(other, rest)))
    of_halves = ", ".join(f"{sum(found) / len(found):.2f} {where}" for where, found in halves.items())
    print(
        f"{problem}: tau {tau(means(one, seeds), means(other, seeds)):.2f} of {len(methods)} methods, "
        f"{len(seeds)} seeds; of halves of the seeds {of_halves}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
