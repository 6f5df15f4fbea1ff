"""Stores of benchmark runs as tables."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ._errors import FolderError
from ._tables import from_csv


def read_store(folder: str | os.PathLike[str], which: str = "steps") -> Any:
    """A table of a store of runs, as ``dal bench export`` writes it.

    Parameters
    ----------
    folder : path
        A store (``dal bench run --store``), or a folder that one was exported to as CSV.
    which : str
        The table: its file's name without the ending.

    Returns
    -------
    DataFrame, or a dict of arrays without pandas
    """
    root = Path(folder)
    if not root.is_dir():
        raise FolderError(f"{root}: is no folder; `dal bench run SWEEP --store {root}` makes a store")
    if (root / f"{which}.csv").is_file():
        return _read(root, which)
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "tables"
        words = ["bench", "export", str(root), "--out", str(out), "--format", "csv"]
        done = subprocess.run([sys.executable, "-m", "dal_regression", *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise FolderError(done.stderr.strip().removeprefix("error: "))
        return _read(out, which)


def _read(root: Path, which: str) -> Any:
    path = root / f"{which}.csv"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in root.glob("*.csv")))
        raise FolderError(f"{root}: there is no table {which!r}; there are: {known}")
    with path.open(newline="", encoding="utf-8") as file:
        return from_csv(file)
