"""Tables in and out: pandas where it is installed, else dictionaries of arrays."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ._errors import InputError

# What a spreadsheet would run as a formula begins with one of these.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(columns: dict[str, list[Any]]) -> Any:
    """A DataFrame, or a dictionary of arrays without pandas. Missing values of numbers are NaN."""
    arrays = {name: column(values) for name, values in columns.items()}
    try:
        import pandas as pd
    except ImportError:
        return arrays
    return pd.DataFrame(arrays)


def column(values: list[Any]) -> Any:
    """Values of one kind: booleans, whole numbers, numbers with NaN for none, or objects."""
    kinds = {type(value) for value in values}
    if kinds <= {bool} and values:
        return np.array(values, dtype=bool)
    if kinds == {int}:
        return np.array(values, dtype=np.int64)
    if kinds <= {int, float, type(None)}:
        return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    return np.array(values, dtype=object)


def from_csv(lines: Iterable[str], readers: Mapping[str, Callable[[str], Any]]) -> Any:
    """A table of CSV with a header. The columns that have a reader are read by it; of the others empty cells are
    missing, and numbers are numbers."""
    header, *rows = csv.reader(lines)
    return table({name: [readers.get(name, _value)(row[i]) for row in rows] for i, name in enumerate(header)})


def level(cell: str) -> str:
    """The name of a level as a campaign's table has it: what would begin a formula has an apostrophe in front."""
    begins_formula = cell[:1] == "'" and cell.lstrip("'").startswith(FORMULA)
    return cell[1:] if begins_formula else cell


def _value(text: str) -> Any:
    if text == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def to_csv(points: Any, name: str) -> str:
    """A table as CSV with a header; numbers in the shortest form that reads back the same, NaN and None as nothing."""
    if isinstance(points, list) and all(isinstance(point, dict) for point in points):
        keys = list(dict.fromkeys(key for point in points for key in point))
        given = [[point.get(key) for point in points] for key in keys]
    elif isinstance(points, dict) or hasattr(points, "columns"):
        keys = list(points if isinstance(points, dict) else points.columns)
        given = [points[key] for key in keys]
    else:
        raise InputError(f"{name}: a DataFrame, a dict of arrays or a list of dicts is wanted")
    names = [str(key) for key in keys]
    twice = [key for key in dict.fromkeys(names) if names.count(key) > 1]
    if twice:
        raise InputError(f"{name}: several columns are called {', '.join(twice)}")
    columns = [_cells(values, f"{name}: the column {key}") for key, values in zip(names, given)]
    if len({len(values) for values in columns}) > 1:
        sizes = ", ".join(f"{key} {len(values)}" for key, values in zip(names, columns))
        raise InputError(f"{name}: columns differ in length: {sizes}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in zip(*columns):
        writer.writerow([_text(value) for value in row])
    return text.getvalue()


def _cells(values: Any, what: str) -> list[Any]:
    # Not by way of an array: of a list with a text in it NumPy makes texts of all, of NaN `nan`.
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise InputError(f"{what} is {values!r}; a value for each row is wanted")
    found = values.tolist() if hasattr(values, "tolist") else list(values)
    several = (list, tuple, dict)
    if not isinstance(found, list) or any(isinstance(cell, several) or getattr(cell, "ndim", 0) for cell in found):
        raise InputError(f"{what} holds no single values, one for each row")
    return found


def _text(value: Any) -> str:
    if isinstance(value, np.floating):
        value = float(value)
    elif callable(getattr(value, "item", None)):
        value = value.item()
    # pandas says in its own words what is missing.
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return str(value)
