"""Arguments as plain values: whole numbers, and settings as JSON; what cannot be one is refused by name."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import numpy as np

from ._errors import InputError

# The largest number that the compiled part takes.
_MOST = 2**64 - 1


def whole(value: Any, name: str, least: int = 1) -> int:
    """The argument as a whole number, Python's own or NumPy's."""
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise InputError(f"{name}={number!r}: a whole number from {least} is wanted")
    if number > _MOST:
        raise InputError(f"{name}={number}: at most {_MOST}")
    return int(number)


def whole_or_none(value: Any, name: str, least: int = 1) -> int | None:
    """The same; None stays."""
    return None if value is None else whole(value, name, least)


def positive(value: Any, name: str) -> float:
    """The argument as a finite number above zero."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise InputError(f"{name}={value!r}: a finite number above zero is wanted")
    return number


def to_json(value: Any, name: str) -> str:
    """The argument as JSON; scalars and arrays of NumPy and paths as the plain values that they are."""
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.floating):
        return float(value)
    if isinstance(value, (np.integer, np.bool_, np.str_)):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{value!r} ({type(value).__name__}) is no number, text, list or dictionary of these")
