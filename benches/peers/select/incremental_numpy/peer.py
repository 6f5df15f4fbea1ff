"""Greedy selection as a careful NumPy user writes it: each point's least distance is kept and lowered by every new
centre.

Two ways to take the first look at all labelled points, `--variant`:

- `differences`: one labelled point after another, coordinate by coordinate, into buffers that stay in cache;
- `products`: blocks of |l|² − 2 x·l through BLAS; the nearest labelled point found so is measured again as differences.

Picks always update by differences. Nothing but NumPy; one thread (the driver sets the library's variables).
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import measure  # noqa: E402
import numpy as np  # noqa: E402

COLUMN_BLOCK = 8192  # pool points at a time: a few columns of them fit the second-level cache
PRODUCT_BLOCK = 256  # pool points at a time against all labelled points


class Squared:
    """Squared distances of a block of points, held by columns, to one centre after another, without allocating."""

    def __init__(self, columns, rows):
        self.columns = columns
        self.total = np.empty(rows)
        self.part = np.empty(rows)

    def to(self, centre):
        np.subtract(self.columns[0], centre[0], out=self.total)
        np.multiply(self.total, self.total, out=self.total)
        for column, c in zip(self.columns[1:], centre[1:]):
            np.subtract(column, c, out=self.part)
            np.multiply(self.part, self.part, out=self.part)
            np.add(self.total, self.part, out=self.total)
        return self.total


def first_look_differences(spaces, n_labelled, least):
    """Lowers `least` (squared distance, or the product over spaces) by every labelled point."""
    for start in range(0, len(least), COLUMN_BLOCK):
        block = least[start : start + COLUMN_BLOCK]
        squared = [Squared(columns[:, start : start + COLUMN_BLOCK], len(block)) for _, columns, _ in spaces]
        for j in range(n_labelled):
            gap = squared[0].to(spaces[0][2][j])
            for s, (_, _, labelled) in zip(squared[1:], spaces[1:]):
                np.multiply(gap, s.to(labelled[j]), out=gap)
            np.minimum(block, gap, out=block)


def first_look_products(spaces, n_labelled, least):
    buffers = [np.empty((PRODUCT_BLOCK, n_labelled)) for _ in spaces]
    turned = [np.ascontiguousarray(-2.0 * labelled.T) for _, _, labelled in spaces]
    norms = [(labelled**2).sum(axis=1) for _, _, labelled in spaces]
    for start in range(0, len(least), PRODUCT_BLOCK):
        stop = min(start + PRODUCT_BLOCK, len(least))
        approximate = None
        for (points, _, _), buffer, t, norm in zip(spaces, buffers, turned, norms):
            gap = np.matmul(points[start:stop], t, out=buffer[: stop - start])
            gap += norm
            if len(spaces) > 1:
                gap += (points[start:stop] ** 2).sum(axis=1)[:, None]
                np.maximum(gap, 0.0, out=gap)
            approximate = gap if approximate is None else np.multiply(approximate, gap, out=approximate)
        nearest = approximate.argmin(axis=1)
        exact = np.ones(stop - start)
        for points, _, labelled in spaces:
            exact *= ((points[start:stop] - labelled[nearest]) ** 2).sum(axis=1)
        least[start:stop] = exact


def greedy(spaces, n_labelled, n, first_look, score=None):
    """Picks n rows. `spaces`: (points, their columns, labelled points) of x, of y, or of both."""
    n_pool = len(spaces[0][0])
    least = np.full(n_pool, np.inf)
    first_look(spaces, n_labelled, least)
    squared = [Squared(columns, n_pool) for _, columns, _ in spaces]
    picks = []
    for _ in range(n):
        pick = int(score(least, picks).argmax()) if score else int(least.argmax())
        picks.append(pick)
        gap = squared[0].to(spaces[0][0][pick])
        for s, (points, _, _) in zip(squared[1:], spaces[1:]):
            np.multiply(gap, s.to(points[pick]), out=gap)
        np.minimum(least, gap, out=least)
        if not score:
            least[picks] = -1.0
    return picks


def space(points, labelled):
    return points, np.ascontiguousarray(points.T), labelled


def gsx(lx, ly, px, members, n, first_look):
    return greedy([space(px, lx)], len(lx), n, first_look)


def gsxy(lx, ly, px, members, n, first_look):
    return greedy([space(px, lx), space(members.mean(axis=0), ly)], len(lx), n, first_look)


def qbc_diversity(lx, ly, px, members, n, first_look):
    u = members.var(axis=0).mean(axis=1)
    u -= u.min()
    if u.max() > 0.0:
        u /= u.max()
    gaps = np.empty(len(px))

    def score(least, picks):
        np.sqrt(least, out=gaps)
        gaps[picks] = np.inf
        low = gaps.min()
        gaps[picks] = low
        high = gaps.max()
        np.subtract(gaps, low, out=gaps)
        if high > low:
            np.divide(gaps, high - low, out=gaps)
        np.add(gaps, u, out=gaps)
        gaps[picks] = -1.0
        return gaps

    return greedy([space(px, lx)], len(lx), n, first_look, score)


RULES = {"gsx": gsx, "gsxy": gsxy, "qbc-diversity": qbc_diversity}
FIRST_LOOKS = {"differences": first_look_differences, "products": first_look_products}

if __name__ == "__main__":
    args = measure.arguments(__doc__)
    data = measure.load(args)
    rule, first_look = RULES[args.strategy], FIRST_LOOKS[args.variant]
    measure.report(args, lambda: rule(*data, args.picks, first_look), {})
