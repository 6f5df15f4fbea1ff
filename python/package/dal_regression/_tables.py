"""Tables in and out: pandas where it is installed, else dictionaries of arrays."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ._errors import InputError


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


def from_csv(lines: Iterable[str]) -> Any:
    """A table of CSV with a header; empty cells are missing, numbers are numbers."""
    header, *rows = csv.reader(lines)
    return table({name: [_value(row[i]) for row in rows] for i, name in enumerate(header)})


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
        names = list(dict.fromkeys(key for point in points for key in point))
        columns = [[point.get(key) for point in points] for key in names]
    elif isinstance(points, dict) or hasattr(points, "columns"):
        names = [str(key) for key in (points if isinstance(points, dict) else points.columns)]
        columns = [np.asarray(points[key]).tolist() for key in (points if isinstance(points, dict) else points.columns)]
    else:
        raise InputError(f"{name}: a DataFrame, a dict of arrays or a list of dicts is wanted")
    if len({len(values) for values in columns}) > 1:
        sizes = ", ".join(f"{key} {len(values)}" for key, values in zip(names, columns))
        raise InputError(f"{name}: columns differ in length: {sizes}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in zip(*columns):
        writer.writerow(["" if _is_missing(value) else _text(value) for value in row])
    return text.getvalue()


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType"


def _text(value: Any) -> str:
    return repr(float(value)) if isinstance(value, float) else str(value)
