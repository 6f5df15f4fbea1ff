"""Which pool points to label next: the query methods as one function."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from ._arrays import Floats, answers, committee, has_nan, matrix
from ._errors import InputError
from ._plain import to_json, whole

log = logging.getLogger("dal_regression")


def strategies() -> list[dict[str, Any]]:
    """The cards of all query methods: id, title, formula, source, needs, settings."""
    cards: list[dict[str, Any]] = json.loads(_core.strategies())
    return cards


def labelled(X: Any, y: Any) -> tuple[Floats | None, Floats | None]:
    """The labelled points with their answers; a row whose answer holds NaN is unlabelled and left out."""
    points = None if X is None else matrix(X, "X_labelled")
    if y is None:
        return points, None
    known = answers(y, "y")
    if points is not None and len(points) != len(known):
        raise InputError(f"X_labelled has {len(points)} rows, y has {len(known)}; each point needs a row in both")
    kept = ~has_nan(known)
    if kept.all():
        return points, known
    return (None if points is None else points[kept]), known[kept]


def choose(
    method: str,
    settings: dict[str, Any],
    X: Floats | None,
    y: Floats | None,
    pool: Floats,
    members: Floats | None,
    n: int,
    seed: int,
) -> dict[str, Any]:
    """The selection on checked arrays; an empty labelled set counts as none."""
    if X is not None and len(X) == 0:
        X = None
    if y is not None and len(y) == 0:
        y = None
    n, seed = whole(n, "n", least=0), whole(seed, "seed", least=0)
    chosen = _core.select(method, to_json(settings, "settings"), pool, X, y, members, n, seed)
    for note in chosen["notes"]:
        log.info("%s: %s", method, note)
    return chosen


def select(
    method: str,
    X_labelled: Any,
    y: Any,
    X_pool: Any,
    members: Any = None,
    n: int = 40,
    seed: int = 0,
    **settings: Any,
) -> npt.NDArray[np.int64]:
    """Choose pool points to label next; the picks are those of ``dal select``.

    Parameters
    ----------
    method : str
        A method's id: see `strategies`, or ``dal strategies``.
    X_labelled : array of shape (m, d) or None
        Labelled points. Distances are taken on the columns as they are: scale inputs alike before.
    y : array of shape (m,) or (m, J) or None
        Their answers; a row with NaN is unlabelled.
    X_pool : array of shape (N, d)
        The points to choose from, in the same columns.
    members : optional
        The committee: predictions at the pool, shape (M, N) or (M, N, J), in the units of `y`; an object with
        ``members(X)``, such as a fitted `EnsembleRegressor`; or a list of fitted estimators.
    n : int
        How many.
    seed : int
        Of methods that draw at random.
    **settings
        The method's own settings.

    Returns
    -------
    array of int64, shape (n,)
        Rows of the pool in the order in which they were picked.

    Examples
    --------
    >>> import numpy as np
    >>> select("gsx", [[0.0]], [[0.0]], np.linspace(-1, 1, 9).reshape(-1, 1), n=2)
    array([0, 8])
    """
    pool = matrix(X_pool, "X_pool")
    points, known = labelled(X_labelled, y)
    given = None if members is None else committee(members, pool, "members")
    picked: npt.NDArray[np.int64] = choose(method, settings, points, known, pool, given, n, seed)["picked"]
    return picked
