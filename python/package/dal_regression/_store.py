"""Stores of benchmark runs as tables."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ._errors import FolderError
from ._tables import from_csv


def read_store(folder: str | os.PathLike[str], which: str = "entries") -> Any:
    """A table of a store of runs, as ``dal bench export`` writes it.

    Parameters
    ----------
    folder : path
        A store (``dal bench run --store``), or a folder that one was exported to as CSV, compressed or not.
    which : str
        The table: its file's name without the ending. ``entries`` has a row for each model and its errors.

    Returns
    -------
    DataFrame, or a dict of arrays without pandas
    """
    root = Path(folder)
    if not root.is_dir():
        raise FolderError(f"{root}: is no folder; `dal bench run SWEEP --store {root}` makes a store")
    if (root / "schema.json").is_file():
        return _read(root, which)
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "tables"
        words = ["bench", "export", str(root), "--out", str(out), "--format", "csv"]
        done = subprocess.run([sys.executable, "-m", "dal_regression", *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise FolderError(done.stderr.strip().removeprefix("error: "))
        return _read(out, which)


def _read(root: Path, which: str) -> Any:
    for ending, open_text in ((".csv", open), (".csv.gz", gzip.open)):
        path = root / (which + ending)
        if path.is_file():
            with open_text(path, "rt", newline="", encoding="utf-8") as file:
                return from_csv(file)
    known = ", ".join(sorted(file.name.split(".")[0] for file in root.glob("*.csv*")))
    raise FolderError(f"{root}: there is no table {which!r}; there are: {known}")
