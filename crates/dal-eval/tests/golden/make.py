"""Writes scipy.json: SciPy's values for the statistics of dal-eval. Needs the versions in requirements.txt."""

import json
import pathlib

import numpy as np
import scipy
from scipy import stats

SIDES = {"less": "less", "greater": "greater", "two-sided": "two-sided"}


def wilcoxon_cases(rng):
    """Differences without ties, with ties, with zeros; n up to 30."""
    for n in (1, 2, 5, 6, 8, 10, 13, 20, 30):
        yield "continuous", rng.normal(-0.3, 1.0, n)
    for n in (5, 8, 12):
        yield "ties", rng.integers(1, 4, n) * rng.choice([-1.0, 1.0], n)
        yield "zeros", np.concatenate([[0.0, 0.0], rng.normal(0.2, 1.0, n)])
        yield "ties and zeros", np.concatenate([[0.0], rng.integers(1, 4, n) * rng.choice([-1.0, 1.0], n)])


def wilcoxon_p(d, side):
    """SciPy's exact p; where ties or zeros rule its closed form out, the exact permutation distribution."""
    if len(np.unique(np.abs(d))) == len(d) and not np.any(d == 0):
        return stats.wilcoxon(d, alternative=side, method="exact").pvalue
    used = d[d != 0]
    method = stats.PermutationMethod(n_resamples=np.inf)
    return stats.wilcoxon(used, alternative=side, method=method).pvalue


def main():
    rng = np.random.default_rng(20230200098)
    out = {"scipy": scipy.__version__, "numpy": np.__version__}

    out["wilcoxon"] = []
    for kind, d in wilcoxon_cases(rng):
        for side in SIDES:
            out["wilcoxon"].append(
                {"kind": kind, "differences": d.tolist(), "alternative": side, "p": float(wilcoxon_p(d, side))}
            )
    d = rng.normal(0.05, 1.0, 240)
    for side in SIDES:
        p = stats.wilcoxon(d, alternative=side, method="asymptotic", correction=False).pvalue
        out["wilcoxon"].append({"kind": "large", "differences": d.tolist(), "alternative": side, "p": float(p)})

    out["sign_flip"] = []
    for n in (2, 5, 8, 12):
        d = rng.normal(0.4, 1.0, n)
        for side in SIDES:
            test = stats.permutation_test(
                (d,), np.mean, permutation_type="samples", alternative=side, n_resamples=np.inf, vectorized=True
            )
            out["sign_flip"].append({"differences": d.tolist(), "alternative": side, "p": float(test.pvalue)})

    out["t_quantile"] = [
        {"p": p, "df": df, "t": float(stats.t.ppf(p, df))}
        for p in (0.6, 0.9, 0.95, 0.975, 0.995, 1 - 0.05 / 96)
        for df in (1, 2, 3.7, 7, 9, 29, 300)
    ]

    out["t_interval"] = []
    for n in (2, 5, 10, 40):
        values = rng.normal(-0.1, 0.2, n)
        for level in (0.9, 0.95):
            interval = stats.ttest_1samp(values, 0.0).confidence_interval(level)
            out["t_interval"].append(
                {"values": values.tolist(), "level": level, "lower": float(interval.low), "upper": float(interval.high)}
            )

    out["spearman"] = []
    for n in (3, 10, 50):
        a, b = rng.normal(size=n), rng.normal(size=n)
        out["spearman"].append({"a": a.tolist(), "b": b.tolist(), "rho": float(stats.spearmanr(a, b).statistic)})
        a, b = rng.integers(0, 4, n + 2).astype(float), rng.integers(0, 4, n + 2).astype(float)
        out["spearman"].append({"a": a.tolist(), "b": b.tolist(), "rho": float(stats.spearmanr(a, b).statistic)})

    out["ranks"] = []
    for n in (1, 4, 20):
        values = rng.integers(0, 5, n).astype(float)
        out["ranks"].append({"values": values.tolist(), "ranks": stats.rankdata(values).tolist()})

    out["quantile"] = []
    for n in (1, 2, 7, 40):
        values = rng.normal(size=n)
        for q in (0.0, 0.25, 0.5, 0.95, 1.0):
            out["quantile"].append({"values": values.tolist(), "q": q, "value": float(np.quantile(values, q))})

    out["geometric_mean"] = []
    for n in (1, 5, 30):
        values = np.exp(rng.normal(size=n))
        out["geometric_mean"].append({"values": values.tolist(), "value": float(stats.gmean(values))})

    path = pathlib.Path(__file__).with_name("scipy.json")
    path.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
