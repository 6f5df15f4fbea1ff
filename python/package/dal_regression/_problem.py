"""Problems: built-in ones and problem files of one's own."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from . import _core
from ._arrays import Floats, array, matrix
from ._errors import InputError
from ._plain import to_json, whole


def problems() -> list[dict[str, Any]]:
    """The cards of the built-in problems."""
    cards: list[dict[str, Any]] = json.loads(_core.problems())
    return cards


def problem(name: str | os.PathLike[str], **settings: Any) -> Problem:
    """A built-in problem by its id, or that of a problem file (docs/problems.md).

    Examples
    --------
    >>> stack = problem("stack")
    >>> stack.label(stack.sample(3)).shape
    (3, 201)
    """
    return Problem(name, **settings)


class Problem:
    """A problem ready to be sampled and labelled.

    Points have two forms: rows of the unit box, an array of shape (n, columns) within [-1, 1], and physical values, one
    for each input in its own unit.
    """

    def __init__(self, name: str | os.PathLike[str], **settings: Any) -> None:
        self._given = (os.fspath(name), settings)
        self._core = _core.Problem(os.fspath(name), to_json(settings, "settings"))
        self._described: dict[str, Any] = json.loads(self._core.describe())

    def __repr__(self) -> str:
        n_inputs, n_outputs = len(self.inputs), len(self.outputs)
        return f"<problem {self._described['variant']}: {n_inputs} inputs, {n_outputs} outputs>"

    def __reduce__(self) -> Any:
        # Made again where it is unpickled, from the same words.
        return _again, self._given

    @property
    def id(self) -> str:
        """The id, or the name that a problem file gives itself."""
        return str(self._described["id"])

    @property
    def title(self) -> str | None:
        """What it is, in a few words."""
        title: str | None = self._described["title"]
        return title

    @property
    def card(self) -> dict[str, Any] | None:
        """Everything about a built-in problem; a user's has none."""
        card: dict[str, Any] | None = self._described["card"]
        return card

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Name, unit and range of each input."""
        return list(self._described["inputs"])

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """Name and unit of each output."""
        return list(self._described["outputs"])

    @property
    def n_columns(self) -> int:
        """Columns of a point of the unit box: one for a number, one for each level."""
        return int(self._described["n_columns"])

    @property
    def candidates(self) -> Floats | None:
        """The only points that can be labelled, shape (n, columns), where the problem is a table."""
        return self._core.candidates()

    def sample(self, n: int, seed: int = 0) -> Floats:
        """Points of the unit box, drawn uniformly, shape (n, columns)."""
        return self._core.sample(whole(n, "n", least=0), whole(seed, "seed", least=0))

    def label(self, X: Any, errors: str = "raise") -> Floats:
        """Answers at points of the unit box.

        The program of a problem file is called for every point, each time: its answers are not kept, and those that
        the program ``dal``, and `Campaign.run` without a function, keep beside the file are not looked at.

        Parameters
        ----------
        X : array of shape (n, columns)
            Points within [-1, 1].
        errors : {"raise", "nan"}
            What is done with points that have no answer.

        Returns
        -------
        array of shape (n, outputs)
            In the outputs' units.
        """
        if errors not in ("raise", "nan"):
            raise InputError(f"errors={errors!r}: raise or nan is wanted")
        y, failures = self._core.label(matrix(X, "X"))
        if failures and errors == "raise":
            row, kind, words = failures[0]
            raise _core.OracleFailure(
                f"{len(failures)} of {len(y)} points have no answer; the first, row {row}: {kind}: {words} "
                f'(errors="nan" keeps the others)'
            )
        return y

    def to_physical(self, X: Any) -> list[dict[str, Any]]:
        """Physical values of points of the unit box, a dictionary by input for each."""
        names = [column["name"] for column in self.inputs]
        return [dict(zip(names, values)) for values in self._core.to_physical(matrix(X, "X"))]

    def to_unit(self, points: Any) -> Floats:
        """Points of the unit box of physical values.

        Parameters
        ----------
        points : DataFrame, dict of arrays, list of dicts, or array of shape (n, inputs)
            Columns by name, in any order; an array has them in the order of `inputs`.

        Returns
        -------
        array of shape (n, columns)
        """
        names = [column["name"] for column in self.inputs]
        return self._core.to_unit(rows_of(points, names))


def _again(name: str, settings: dict[str, Any]) -> Problem:
    return Problem(name, **settings)


def rows_of(points: Any, names: list[str]) -> list[list[Any]]:
    """Values of points in the order of these columns."""
    if isinstance(points, list) and points and isinstance(points[0], dict):
        missing = [name for name in names if any(name not in point for point in points)]
        if missing:
            raise InputError(f"points lack {', '.join(missing)}")
        return [[point[name] for name in names] for point in points]
    if isinstance(points, dict) or hasattr(points, "columns"):
        missing = [name for name in names if name not in points]
        if missing:
            raise InputError(f"points lack the columns {', '.join(missing)}")
        return [list(row) for row in zip(*(np.asarray(points[name]).tolist() for name in names))]
    rows: list[list[Any]] = array(points, "points").tolist()
    return rows
