"""Writes the two notebooks from the cells below, without outputs: `python make.py`."""

from __future__ import annotations

from pathlib import Path

import nbformat

CAMPAIGN = [
    (
        "md",
        "# A campaign\nTwo inputs, one output, and a simulator that is a Python function. Every answer is on disk "
        "before it is used; the folder is the command line's, too (`dal status`, `dal predict`).",
    ),
    (
        "py",
        """import tempfile
from pathlib import Path

import dal_regression as dal

folder = Path(tempfile.mkdtemp())
(folder / "beam.toml").write_text('''
name = "beam"
[[inputs]]
name = "length"
unit = "m"
low = 1
high = 4
[[inputs]]
name = "load"
unit = "kN"
low = 0
high = 10
[[outputs]]
name = "deflection"
unit = "mm"
''')


def simulate(point):
    return point["load"] * point["length"] ** 3 / 25


campaign = dal.Campaign(folder / "beam", problem=folder / "beam.toml", initial=15, batch=5, seed=1)
campaign.run(simulate, budget=40, workers=2)""",
    ),
    ("py", "campaign.points().tail()"),
    (
        "py",
        """checks = [{"length": 2.0, "load": 5.0}, {"length": 3.5, "load": 9.0}]
predicted = campaign.predict(checks)
predicted["true"] = [simulate(point) for point in checks]
predicted""",
    ),
    ("py", 'campaign.status()["errors"][-1]'),
]

COMPARING = [
    (
        "md",
        "# Comparing query methods on a model of one's own\nThe model is scikit-learn's: five forests are the "
        "committee. The problem is the built-in `hydro`; its labels are plain arrays.",
    ),
    (
        "py",
        """import numpy as np
from sklearn.ensemble import RandomForestRegressor

import dal_regression as dal

problem = dal.problem("hydro")
pool, test = problem.sample(400, seed=0), problem.sample(400, seed=1)
labels, truth = problem.label(pool)[:, 0], problem.label(test)[:, 0]


def forests(X, y):
    return [RandomForestRegressor(n_estimators=10, random_state=k).fit(X, y) for k in range(5)]


def curve(method):
    known = list(range(30))
    errors = []
    for _ in range(4):
        committee = forests(pool[known], labels[known])
        errors.append(np.mean((np.mean([one.predict(test) for one in committee], axis=0) - truth) ** 2))
        rest = np.setdiff1d(np.arange(len(pool)), known)
        picked = dal.select(method, pool[known], labels[known], pool[rest], committee, n=20)
        known += rest[picked].tolist()
    return errors


{method: curve(method) for method in ("random", "gsx", "qbc", "qbc-diversity")}""",
    ),
]


NOTEBOOKS = {"campaign.ipynb": CAMPAIGN, "comparing.ipynb": COMPARING}


def text(name: str) -> str:
    """What the file of this name holds."""
    notebook = nbformat.v4.new_notebook()
    for kind, source in NOTEBOOKS[name]:
        make = nbformat.v4.new_markdown_cell if kind == "md" else nbformat.v4.new_code_cell
        cell = make(source)
        cell["id"] = f"cell-{len(notebook.cells)}"
        notebook.cells.append(cell)
    return str(nbformat.writes(notebook)) + "\n"


if __name__ == "__main__":
    for name in NOTEBOOKS:
        Path(__file__).with_name(name).write_text(text(name), encoding="utf-8")
