"""Writes more.json: NumPy's and SciPy's values for the metrics, scores and estimates of dal-eval that scipy.json lacks.

Everything is written from the definitions, by plain loops, integration or enumeration; no formula is shared with the
crate.
"""

import itertools
import json
import pathlib

import numpy as np
import scipy
from scipy import integrate, stats


def uncertainty_cases(rng):
    """Closed forms against SciPy's density and a numerical integral of the CRPS."""
    for n, k in ((4, 1), (6, 3), (1, 2)):
        mean, truth = rng.normal(size=(n, k)), rng.normal(size=(n, k))
        variance = rng.gamma(2.0, 0.3, size=(n, k))
        if n == 6:
            variance[2] = variance[4]  # ties in disagreement
        scales = rng.uniform(0.5, 3.0, size=k)
        sd = np.sqrt(variance)
        nll = -stats.norm.logpdf(truth / scales, mean / scales, sd / scales)
        crps = np.zeros((n, k))
        for i, j in itertools.product(range(n), range(k)):
            m, s, y = mean[i, j] / scales[j], sd[i, j] / scales[j], truth[i, j] / scales[j]
            low = integrate.quad(lambda x: stats.norm.cdf(x, m, s) ** 2, -np.inf, y, epsabs=1e-12)[0]
            high = integrate.quad(lambda x: stats.norm.sf(x, m, s) ** 2, y, np.inf, epsabs=1e-12)[0]
            crps[i, j] = low + high
        low, high = stats.norm.interval(0.9, mean, sd)
        rho = None
        if n > 1:
            rho = float(
                stats.spearmanr(
                    np.mean(variance / scales**2, axis=1), np.mean(np.abs(truth - mean) / scales, axis=1)
                ).statistic
            )
        yield {
            "mean": mean.tolist(),
            "variance": variance.tolist(),
            "truth": truth.tolist(),
            "scales": scales.tolist(),
            "nll": float(nll.mean()),
            "crps": float(crps.mean()),
            "coverage_90": float(np.mean((truth >= low) & (truth <= high))),
            "rank_correlation": rho,
        }


def output_cases(rng):
    for n, k in ((3, 1), (20, 2), (40, 4)):
        scale = 10.0 ** rng.uniform(-4, 4, size=k)
        truth = rng.normal(size=(n, k)) * scale + 5 * scale
        predicted = truth + rng.normal(size=(n, k)) * scale * 0.4
        error = np.abs(predicted - truth)
        sd = truth.std(axis=0)
        relative = error / sd
        yield {
            "predicted": predicted.tolist(),
            "truth": truth.tolist(),
            "sd": sd.tolist(),
            "rmse": np.sqrt(np.mean(error**2, axis=0)).tolist(),
            "r2": [
                1 - np.sum((predicted[:, j] - truth[:, j]) ** 2) / np.sum((truth[:, j] - truth[:, j].mean()) ** 2)
                for j in range(k)
            ],
            "mae": error.mean(axis=0).tolist(),
            "p95_abs": np.quantile(error, 0.95, axis=0).tolist(),
            "max_abs": error.max(axis=0).tolist(),
            "pooled_mse": float(np.mean(relative**2)),
            "pooled_mae": float(relative.mean()),
            "pooled_p95": float(np.quantile(relative, 0.95)),
            "pooled_max": float(relative.max()),
        }


def curve_cases(rng):
    """Three seeds of a method and of Random; np.trapezoid for areas."""
    for entries in (6, 21, 51):
        t = np.arange(entries)
        random = np.exp(-0.05 * t + 0.2 * rng.normal(size=(3, entries)))
        method = random * np.exp(-0.1 + 0.2 * rng.normal(size=(3, entries)))
        method[:, 0] = random[:, 0]
        labels = 80 + 40 * t
        target = max(np.sort(run)[4] for run in np.concatenate([random, method]))

        def needed(run):
            return np.mean(labels[run <= 1.0001 * target][:5])

        per_seed = {
            "nauc-mse": [np.trapezoid(m) / np.trapezoid(r) for m, r in zip(method, random)],
            "nauc-mse-from-1": [np.trapezoid(m[1:]) / np.trapezoid(r[1:]) for m, r in zip(method, random)],
            "nauc-mse-from-3": [np.trapezoid(m[3:]) / np.trapezoid(r[3:]) for m, r in zip(method, random)],
            "mean-ratio": [stats.gmean(m[1:] / r[1:]) for m, r in zip(method, random)],
            "final-ratio": [stats.gmean(m[-5:] / r[-5:]) for m, r in zip(method, random)],
            "labels-needed": [needed(m) / needed(r) for m, r in zip(method, random)],
        }
        metrics = {}
        for name, ratios in per_seed.items():
            interval = stats.ttest_1samp(np.log(ratios), 0.0).confidence_interval(0.95)
            metrics[name] = {
                "ratios": [float(r) for r in ratios],
                "value": float(stats.gmean(ratios)),
                "lower": float(np.exp(interval.low)),
                "upper": float(np.exp(interval.high)),
            }
        pairs = [needed(m) / needed(r) for m in method for r in random]
        weights = np.ones(entries)
        weights[[0, -1]] = 0.5
        yield {
            "method": method.tolist(),
            "random": random.tolist(),
            "n_labelled": labels.tolist(),
            "target": float(target),
            "metrics": metrics,
            "quartiles": np.quantile(pairs, [0.25, 0.5, 0.75]).tolist(),
            "share_1": [float(weights[0] * r[0] / np.trapezoid(r)) for r in random],
            "share_3": [float(np.sum(weights[:3] * r[:3]) / np.trapezoid(r)) for r in random],
        }


def max_t_cases(rng):
    """Step-down over every joint sign pattern of two problems, cells of three methods, some lacking seeds (null)."""

    def score(d):
        """Wallace's normal score of the t statistic."""
        df = len(d) - 1
        t = np.mean(d) / (np.std(d, ddof=1) / np.sqrt(len(d)))
        return np.sign(t) * np.sqrt(df * np.log1p(t * t / df)) * (8 * df + 1) / (8 * df + 3)

    for shift in (0.0, 0.8):
        blocks = []
        for n_seeds, n_cells in ((5, 3), (4, 2)):
            shared = rng.normal(size=n_seeds)
            block = [rng.normal(shift, 1.0, n_seeds) - 0.5 * shared for _ in range(n_cells)]
            block = [[float(v) for v in cell] for cell in block]
            block[0][1] = None
            blocks.append(block)
        cells = [(b, c) for b, block in enumerate(blocks) for c in range(len(block))]
        patterns = list(itertools.product(*(itertools.product((1, -1), repeat=len(b[0])) for b in blocks)))

        def scores(pattern):
            out = []
            for b, c in cells:
                out.append(score([s * v for s, v in zip(pattern[b], blocks[b][c]) if v is not None]))
            return np.array(out)

        table = np.array([scores(p) for p in patterns])
        p_values = {}
        for name, sign in (("greater", 1.0), ("less", -1.0)):
            observed = sign * table[0]
            order = np.argsort(-observed)
            adjusted = np.zeros(len(cells))
            running = 0.0
            for i, cell in enumerate(order):
                largest = (sign * table[:, order[i:]]).max(axis=1)
                running = max(running, np.mean(largest >= observed[cell] - 1e-9))
                adjusted[cell] = running
            p_values[name] = adjusted.tolist()
        yield {"blocks": blocks, **p_values}


def lure_cases(rng):
    """The estimator as a weighted mean of single-step estimates.

    Step m estimates the mean loss by ((losses drawn before) + L_m / q_m) / N; the estimates are averaged with the
    weights c_m = N (N - M) / ((N - m)(N - m + 1)), an identity of the paper in which no v_m appears.
    """
    for n, m in ((12, 4), (40, 10), (7, 6)):
        weights = rng.gamma(0.7, size=n) + 0.05
        losses = rng.gamma(0.5, size=n)
        left, picks, q = list(range(n)), [], []
        for _ in range(m):
            p = weights[left] / weights[left].sum()
            i = int(rng.choice(len(left), p=p))
            q.append(float(p[i]))
            picks.append(left.pop(i))
        drawn = losses[picks]
        singles = [(drawn[k] / q[k] + drawn[:k].sum()) / n for k in range(m)]
        c = np.array([n * (n - m) / ((n - k - 1) * (n - k)) for k in range(m)])
        yield {
            "weights": weights.tolist(),
            "picks": picks,
            "q": q,
            "n": n,
            "losses": drawn.tolist(),
            "estimate": float(np.mean(c * singles)),
        }


def main():
    rng = np.random.default_rng(18)
    out = {
        "scipy": scipy.__version__,
        "numpy": np.__version__,
        "uncertainty": list(uncertainty_cases(rng)),
        "outputs": list(output_cases(rng)),
        "curves": list(curve_cases(rng)),
        "max_t": list(max_t_cases(rng)),
        "lure": list(lure_cases(rng)),
    }
    path = pathlib.Path(__file__).with_name("more.json")
    path.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
