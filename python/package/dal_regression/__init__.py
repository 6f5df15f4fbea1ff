"""Deep active learning for regression: query methods, fast ensembles of networks, campaigns.

=========================  =========================================================================
`select`                   which pool points to label next, as one function
`query`                    the same as classes with scikit-activeml's ``query``
`EnsembleRegressor`        ensembles of small networks, trained fast on the processor (scikit-learn's API)
`Campaign`                 a campaign in a folder: ask, tell, run, predict; the program ``dal`` goes on with it
`problem`, `problems`      built-in problems, and problem files of one's own
`read_store`               the tables of a store of benchmark runs
=========================  =========================================================================

Examples
--------
>>> import numpy as np, dal_regression as dal
>>> pool = np.linspace(-1, 1, 9).reshape(-1, 1)
>>> dal.select("gsx", [[0.0]], [[0.0]], pool, n=2)
array([0, 8])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import query
from ._campaign import Campaign
from ._core import RESULTS_REVISION, __version__
from ._errors import (
    DalError,
    FolderError,
    InputError,
    InternalError,
    NeedsModelError,
    OracleFailure,
    PointFailedError,
    TrainingError,
)
from ._problem import Problem, problem, problems
from ._select import select, strategies
from ._store import read_store

if TYPE_CHECKING:
    from ._ensemble import EnsembleRegressor

__all__ = [
    "Campaign",
    "DalError",
    "EnsembleRegressor",
    "FolderError",
    "InputError",
    "InternalError",
    "NeedsModelError",
    "OracleFailure",
    "PointFailedError",
    "Problem",
    "RESULTS_REVISION",
    "TrainingError",
    "__version__",
    "problem",
    "problems",
    "query",
    "read_store",
    "select",
    "strategies",
]


def __getattr__(name: str) -> object:
    # scikit-learn, where it is installed, takes a second to import: only this class needs it.
    if name == "EnsembleRegressor":
        from ._ensemble import EnsembleRegressor

        return EnsembleRegressor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
