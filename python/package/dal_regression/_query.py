"""What the classes of `dal_regression.query` share."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from ._arrays import Floats, answers, committee, has_nan, matrix
from ._errors import InputError, NeedsModelError
from ._plain import to_json, whole
from ._select import choose


_DOC = """Choose samples to label next.

        Parameters
        ----------
        X : array of shape (n, d)
            All samples. Distances are taken on the columns as they are.
        y : array of shape (n,) or (n, J)
            Their answers; NaN is unlabelled.{given}
        candidates : None, indices into X, or points of shape (N, d)
            What may be picked; by default every unlabelled sample.
        batch_size : int
            How many.
        return_utilities : bool
            Whether scores come too.

        Returns
        -------
        array of int64, shape (batch_size,)
            Indices into X, or into the candidates where those are points, in the order of the picks.
        array, shape (batch_size, n)
            With `return_utilities`: in the first row the score of every candidate before the first pick, then that of
            each pick at its moment; NaN elsewhere.
        """

_COMMITTEE = """
        committee : array, object or list
            Predictions at the candidates, shape (M, N) or (M, N, J), in the units of y; an object with
            ``members(X)``; or fitted estimators."""

_REGRESSOR = """
        regressor : EnsembleRegressor, optional
            What is trained on the labelled samples, as the method needs it; by default one without arguments."""


class QueryMethod:
    """A query method with its settings; `query` chooses among unlabelled samples."""

    _method: str
    _settings: tuple[str, ...] = ()
    random_state: int

    def __repr__(self) -> str:
        words = [f"{key}={getattr(self, key)!r}" for key in (*self._settings, "random_state")]
        return f"{type(self).__name__}({', '.join(words)})"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name."""
        return {key: getattr(self, key) for key in (*self._settings, "random_state")}

    def set_params(self, **params: Any) -> QueryMethod:
        """Set settings by name."""
        for key, value in params.items():
            if key not in (*self._settings, "random_state"):
                known = ", ".join((*self._settings, "random_state"))
                raise InputError(f"{type(self).__name__} has no setting {key!r}; it has: {known}")
            setattr(self, key, value)
        return self

    def _query(
        self,
        X: Any,
        y: Any,
        candidates: Any,
        batch_size: int,
        return_utilities: bool,
        members: Any = None,
        regressor: Any = None,
        trains: bool = False,
    ) -> Any:
        points, known = matrix(X, "X"), answers(y, "y")
        if len(points) != len(known):
            raise InputError(f"X has {len(points)} rows, y has {len(known)}; unlabelled samples are NaN in y")
        is_labelled = ~has_nan(known)
        rows, pool, n_all = _candidates(points, is_labelled, candidates)
        batch_size = whole(batch_size, "batch_size")
        settings = {key: getattr(self, key) for key in self._settings}
        seed = whole(self.random_state, "random_state", least=0)
        X_labelled, y_labelled = points[is_labelled], known[is_labelled]
        if trains:
            from ._ensemble import EnsembleRegressor, tell_collapsed

            if regressor is None:
                regressor = EnsembleRegressor()
            model = regressor._train(X_labelled, y_labelled, self._method, settings)
            tell_collapsed(model, regressor.on_collapse, 4)
            words = to_json(settings, "settings")
            chosen = model.select(self._method, words, pool, X_labelled, y_labelled, batch_size, seed)
        else:
            given = None if members is None else committee(members, pool, "committee")
            chosen = choose(self._method, settings, X_labelled, y_labelled, pool, given, batch_size, seed)
        picked: npt.NDArray[np.int64] = chosen["picked"]
        indices = picked if rows is None else rows[picked]
        if not return_utilities:
            return indices
        return indices, _utilities(chosen, picked, rows, len(pool), n_all)


class PoolMethod(QueryMethod):
    """A method that asks no model."""

    @overload
    def query(
        self, X: Any, y: Any, candidates: Any = None, batch_size: int = 1, return_utilities: Literal[False] = False
    ) -> npt.NDArray[np.int64]: ...
    @overload
    def query(
        self, X: Any, y: Any, candidates: Any = None, batch_size: int = 1, *, return_utilities: Literal[True]
    ) -> tuple[npt.NDArray[np.int64], Floats]: ...
    def query(self, X: Any, y: Any, candidates: Any = None, batch_size: int = 1, return_utilities: bool = False) -> Any:
        return self._query(X, y, candidates, batch_size, return_utilities)

    query.__doc__ = _DOC.format(given="")


class CommitteeMethod(QueryMethod):
    """A method that asks what the members of a committee predict."""

    @overload
    def query(
        self,
        X: Any,
        y: Any,
        committee: Any,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: Literal[False] = False,
    ) -> npt.NDArray[np.int64]: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        committee: Any,
        candidates: Any = None,
        batch_size: int = 1,
        *,
        return_utilities: Literal[True],
    ) -> tuple[npt.NDArray[np.int64], Floats]: ...
    def query(
        self,
        X: Any,
        y: Any,
        committee: Any,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> Any:
        return self._query(X, y, candidates, batch_size, return_utilities, members=committee)

    query.__doc__ = _DOC.format(given=_COMMITTEE)


class ModelMethod(QueryMethod):
    """A method that looks into a network, which is trained for it."""

    @overload
    def query(
        self,
        X: Any,
        y: Any,
        regressor: Any = None,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: Literal[False] = False,
    ) -> npt.NDArray[np.int64]: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        regressor: Any = None,
        candidates: Any = None,
        batch_size: int = 1,
        *,
        return_utilities: Literal[True],
    ) -> tuple[npt.NDArray[np.int64], Floats]: ...
    def query(
        self,
        X: Any,
        y: Any,
        regressor: Any = None,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> Any:
        return self._query(X, y, candidates, batch_size, return_utilities, regressor=regressor, trains=True)

    query.__doc__ = _DOC.format(given=_REGRESSOR)


class DesignMethod(PoolMethod):
    """A method that makes points of its own: `query` refuses."""

    def _query(self, *_: Any, **__: Any) -> Any:
        raise NeedsModelError(f"{self._method}: makes points of its own and picks none of a pool; use it in a campaign")


def _candidates(
    points: Floats, is_labelled: npt.NDArray[np.bool_], candidates: Any
) -> tuple[npt.NDArray[np.int64] | None, Floats, int]:
    """Rows of X that may be picked and their points; no rows where candidates are points of their own."""
    if candidates is None:
        rows = np.flatnonzero(~is_labelled)
        if len(rows) == 0:
            raise InputError("every sample is labelled: unlabelled ones are NaN in y")
        return rows, points.take(rows, axis=0), len(points)
    found = np.asarray(candidates)
    if found.ndim == 1 and found.dtype.kind in "iu":
        if len(found) == 0 or found.min() < 0 or found.max() >= len(points):
            raise InputError(f"candidates: indices from 0 to {len(points) - 1} are wanted")
        if len(np.unique(found)) != len(found):
            raise InputError("candidates: an index is given twice")
        rows = found.astype(np.int64)
        return rows, points.take(rows, axis=0), len(points)
    pool = matrix(candidates, "candidates")
    return None, pool, len(pool)


def _utilities(
    chosen: dict[str, Any],
    picked: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64] | None,
    n_pool: int,
    n_all: int,
) -> Floats:
    """Scores, shape (batch, samples): of all candidates before the first pick, then of each pick at its moment."""
    scores = np.full((len(picked), n_pool), np.nan)
    if chosen["picked_scores"] is not None:
        scores[np.arange(len(picked)), picked] = chosen["picked_scores"]
    if chosen["scores"] is not None and len(picked) > 0:
        scores[0] = chosen["scores"]
    if rows is None:
        return scores
    utilities = np.full((len(picked), n_all), np.nan)
    utilities[:, rows] = scores
    return utilities
