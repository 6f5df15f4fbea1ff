"""Arguments as arrays of float64; what cannot be one is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import InputError

Floats = npt.NDArray[np.float64]

# Devices of the DLPack protocol whose memory the processor can read.
_HOST = {1, 3, 11}


def array(value: Any, name: str) -> Floats:
    """The argument as float64, not copied where it is such an array already."""
    if not isinstance(value, np.ndarray) and hasattr(value, "__dlpack_device__"):
        kind, index = value.__dlpack_device__()
        if int(kind) not in _HOST:
            device = getattr(value, "device", f"{kind}:{index}")
            raise InputError(f"{name}: lies on the device {device}; bring it to the processor first (X.cpu())")
        if not hasattr(value, "__array__"):
            value = np.from_dlpack(value)
    try:
        found = np.asarray(value)
        if found.dtype.kind == "c":
            raise InputError(f"{name}: holds complex numbers; real ones are wanted")
        return np.asarray(found, dtype=np.float64)
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name}: cannot be read as an array of numbers: {error}") from error


def matrix(value: Any, name: str) -> Floats:
    """Points, shape (n, d)."""
    found = array(value, name)
    if found.ndim != 2:
        raise InputError(
            f"{name}: has shape {found.shape}; a matrix (points, inputs) is wanted"
            + ("; of one input: X.reshape(-1, 1)" if found.ndim == 1 else "")
        )
    return np.ascontiguousarray(found)


def answers(value: Any, name: str) -> Floats:
    """Answers, shape (n, outputs); of one output (n,) will do."""
    found = array(value, name)
    if found.ndim == 1:
        found = found.reshape(-1, 1)
    if found.ndim != 2:
        raise InputError(f"{name}: has shape {found.shape}; (points,) or (points, outputs) is wanted")
    return np.ascontiguousarray(found)


def has_nan(known: Floats) -> npt.NDArray[np.bool_]:
    """Of each row whether it holds a NaN; column by column, because rows are short."""
    if known.shape[1] > 16:
        found: npt.NDArray[np.bool_] = np.isnan(known).any(axis=1)
        return found
    found = np.zeros(len(known), dtype=np.bool_)
    for column in known.T:
        found |= np.isnan(column)
    return found


def committee(value: Any, points: Floats, name: str) -> Floats:
    """The members' predictions at points, shape (members, points, outputs).

    Predictions themselves, (members, points) or with outputs; an object with ``members(X)``; or fitted estimators with
    ``predict(X)``.
    """
    if callable(getattr(value, "members", None)):
        value = value.members(points)
    elif callable(getattr(value, "predict", None)):
        estimators = getattr(value, "estimators_", None)
        if estimators is None:
            raise InputError(f"{name}: is one estimator; give a list of fitted ones, or their predictions")
        value = [np.asarray(one.predict(points)) for one in np.ravel(np.asarray(estimators, dtype=object))]
    elif isinstance(value, Sequence) and len(value) > 0 and all(callable(getattr(v, "predict", None)) for v in value):
        value = [np.asarray(one.predict(points)) for one in value]
    found = array(value, name)
    if found.ndim == 2:
        found = found[:, :, np.newaxis]
    if found.ndim != 3:
        raise InputError(f"{name}: has shape {found.shape}; (members, points) or (members, points, outputs) is wanted")
    return np.ascontiguousarray(found)
