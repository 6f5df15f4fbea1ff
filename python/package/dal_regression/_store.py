"""Stores of benchmark runs as tables."""

from __future__ import annotations

import csv
import gzip
import json
import logging
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._errors import FolderError
from ._program import complaint
from ._tables import FORMULA, table

log = logging.getLogger("dal_regression")


def read_store(folder: str | os.PathLike[str], which: str = "entries") -> Any:
    """A table of a store of runs, as ``dal bench export`` writes it.

    Parameters
    ----------
    folder : path
        A store (``dal bench run --store``), or a folder that one was exported to as CSV, compressed or not. What of a
        store cannot be read is left out, and told by a warning of the logger ``dal_regression``.
    which : str
        The table: its file's name without the ending. ``entries`` has a row for each model and its errors.

    Returns
    -------
    DataFrame, or a dict of arrays without pandas
        Columns are of the kinds that ``schema.json`` says: text is text (an empty one, too), truth is `bool`, JSON is
        its text. Missing numbers are NaN; other missing values are None, or what a DataFrame has for it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FolderError(f"{root}: is no folder; `dal bench run SWEEP --store {root}` makes a store")
    if (root / "schema.json").is_file():
        return _read(root, which, root)
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "tables"
        words = ["bench", "export", str(root), "--out", str(out), "--format", "csv"]
        done = subprocess.run([sys.executable, "-m", "dal_regression", *words], capture_output=True, text=True)
        # 1 says that something of the store could not be read: everything else was written.
        if done.returncode not in (0, 1) or not (out / "schema.json").is_file():
            raise FolderError(complaint(done.stderr))
        if done.stderr.strip():
            log.log(logging.WARNING if done.returncode else logging.INFO, "%s: %s", root, done.stderr.strip())
        return _read(out, which, root)


def _read(root: Path, which: str, store: Path) -> Any:
    try:
        schema = json.loads((root / "schema.json").read_text(encoding="utf-8"))
        known = {str(listed["file"]): listed for listed in schema["tables"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{root / 'schema.json'}: describes no tables: {error}") from error
    for ending, open_text in ((".csv", open), (".csv.gz", gzip.open)):
        listed = known.get(which + ending)
        if listed is None:
            continue
        path = root / listed["file"]
        try:
            with open_text(path, "rt", newline="", encoding="utf-8") as file:
                header, *rows = csv.reader(file)
        except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
            raise FolderError(f"{path}: cannot be read: {error}") from error
        return _table(path, listed, header, rows)
    names = ", ".join(sorted(name.split(".")[0] for name in known))
    parquet = "; those in Parquet are for pandas.read_parquet" if any(".csv" not in name for name in known) else ""
    raise FolderError(f"{store}: there is no table {which!r}; there are: {names}{parquet}")


def _table(path: Path, listed: dict[str, Any], header: list[str], rows: list[list[str]]) -> Any:
    columns = listed["columns"]
    if [_text(cell) for cell in header] != [column["name"] for column in columns] or len(rows) != listed["rows"]:
        raise FolderError(f"{path}: has other columns or rows than schema.json says; export the store again")
    values: dict[str, list[Any]] = {}
    for i, column in enumerate(columns):
        read = _READERS.get(column["kind"], _text)
        try:
            values[column["name"]] = [read(row[i]) for row in rows]
        except (ValueError, KeyError, IndexError) as error:
            raise FolderError(f"{path}: the column {column['name']} ({column['kind']}): {error!r}") from error
    return table(values)


def _text(cell: str) -> str:
    # What a spreadsheet would run as a formula, and a text that begins with an apostrophe, has one in front.
    is_guarded = cell.startswith("'") and cell[1:].startswith(("'", *FORMULA))
    return cell[1:] if is_guarded else cell


_READERS: dict[str, Callable[[str], Any]] = {
    "text": _text,
    "integer": lambda cell: int(cell) if cell else None,
    "real": lambda cell: float(cell) if cell else None,
    "boolean": lambda cell: {"true": True, "false": False, "": None}[cell],
    "json": lambda cell: cell or None,
}
