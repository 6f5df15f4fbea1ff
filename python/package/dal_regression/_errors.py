"""The exceptions: one small hierarchy below `DalError`."""

from __future__ import annotations

from ._core import DalError, FolderError, InternalError, OracleFailure, TrainingError

__all__ = [
    "DalError",
    "FolderError",
    "InputError",
    "InternalError",
    "NeedsModelError",
    "OracleFailure",
    "PointFailedError",
    "TrainingError",
]


class InputError(DalError, ValueError):
    """An argument makes no sense; the message says which, and what would."""


class NeedsModelError(InputError):
    """The method needs more of the model than predictions, or picks no points of a pool."""


class PointFailedError(Exception):
    """Raise it in a campaign's function: this point has no answer, and is never asked for again."""
