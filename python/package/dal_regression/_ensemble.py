"""Ensembles of small networks as an estimator of scikit-learn's kind, with or without scikit-learn."""

from __future__ import annotations

import json
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _core
from ._arrays import Floats, array, matrix
from ._errors import FolderError, InputError
from ._files import write_whole
from ._plain import to_json, whole, whole_or_none

log = logging.getLogger("dal_regression")

if TYPE_CHECKING:

    class _Base:
        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **params: Any) -> Any: ...
        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float: ...

    HAS_SKLEARN = False
else:
    try:
        from sklearn.base import BaseEstimator, RegressorMixin

        class _Base(RegressorMixin, BaseEstimator):
            pass

        HAS_SKLEARN = True
    except ImportError:
        import inspect

        class _Base:
            def get_params(self, deep=True):
                names = list(inspect.signature(type(self).__init__).parameters)[1:]
                return {name: getattr(self, name) for name in names}

            def set_params(self, **params):
                known = self.get_params()
                for name, value in params.items():
                    if name not in known:
                        raise InputError(f"{type(self).__name__} has no parameter {name!r}; it has: {', '.join(known)}")
                    setattr(self, name, value)
                return self

            def score(self, X, y, sample_weight=None):
                y = np.asarray(y, dtype=np.float64)
                error, spread = y - self.predict(X), y - np.average(y, axis=0, weights=sample_weight)
                sums = [np.average(part**2, axis=0, weights=sample_weight) for part in (error, spread)]
                return float(np.mean(1 - sums[0] / sums[1]))

        HAS_SKLEARN = False


class _Members(int):
    """The number of members, which is called as a method for what each of them predicts."""

    _of: EnsembleRegressor

    def __call__(self, X: Any) -> Floats:
        """What each member predicts at points X (n, d): shape (members, n), or (members, n, J) of several outputs."""
        return self._of._members_at(X)

    def __reduce__(self) -> Any:
        return int, (int(self),)


class EnsembleRegressor(_Base):
    """An ensemble of independently trained networks, full-batch Adam, on the processor.

    Parameters
    ----------
    hidden : sequence of int, optional
        Width of each hidden layer. By default the network is chosen: from 30 samples on by cross-validation among those
        that suit their number, as in a campaign; for fewer two layers of 32.
    members : int
        Networks.
    epochs, learning_rate, weight_decay : optional
        Of each training; by default what belongs to the network (500 epochs).
    batch_norm : bool, optional
        Whether a BatchNorm follows each hidden layer.
    on_collapse : {"restart", "keep"}, optional
        What becomes of a network that ends with a loss above half the variance of `y`: it is trained anew from other
        initial weights, at most five times (the default), or kept as it is. Those left are told by a warning.
    scale_inputs, scale_outputs : bool
        Whether columns are brought to mean 0 and deviation 1 before the networks learn them. Predictions are in the
        units of `y` all the same.
    threads : int, optional
        Threads that train; one for each processor by default. They change nothing but the time.
    random_state : int, RandomState or None
        What the initial weights come from; None means 0: nothing is drawn at random without being asked for.

    Attributes
    ----------
    n_features_in_ : int
    n_outputs_ : int
    model_ : dict
        The network that was trained.
    collapsed_ : array of bool, shape (members,)
        Which networks predict little more than the mean of `y`: their final loss is above half its variance.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 24).reshape(-1, 1)
    >>> model = EnsembleRegressor(members=3).fit(X, X[:, 0] ** 2)
    >>> mean, sd = model.predict(X, return_std=True)
    >>> mean.shape, bool(abs(mean - X[:, 0] ** 2).max() < 0.1)
    ((24,), True)
    """

    def __init__(
        self,
        hidden: Any = None,
        members: int = 10,
        epochs: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        batch_norm: bool | None = None,
        scale_inputs: bool = True,
        scale_outputs: bool = True,
        threads: int | None = None,
        random_state: Any = None,
        on_collapse: str | None = None,
    ) -> None:
        self.hidden = hidden
        self.members = members
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_norm = batch_norm
        self.scale_inputs = scale_inputs
        self.scale_outputs = scale_outputs
        self.threads = threads
        self.random_state = random_state
        self.on_collapse = on_collapse

    # `members` is both a parameter, the number, and a method, what they predict. The parameter lies in the instance's
    # dictionary, where scikit-learn looks for it; a property comes before that.
    @property
    def members(self) -> Any:
        """The number of members; called with points X (n, d), what each of them predicts, shape (members, n[, J])."""
        value = self.__dict__["members"]
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            return value
        number = _Members(value)
        number._of = self
        return number

    @members.setter
    def members(self, value: Any) -> None:
        self.__dict__["members"] = value

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name."""
        params = super().get_params(deep)
        params["members"] = self.__dict__["members"]
        return params

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> EnsembleRegressor:
        """Train on points X (n, d) and answers y (n,) or (n, J). Ctrl-C ends it and leaves an earlier fit as it was."""
        points, known, names = self._checked(X, y)
        model = self._train(points, known.reshape(len(known), -1), None, None, known.ndim == 1, names)
        self._take(model)
        again = sum(restarts > 0 for _, restarts in model.endings() or [])
        seconds = model.training_seconds
        log.info("%d networks trained in %.3g s%s", model.n_members, seconds, f", {again} of them anew" if again else "")
        tell_collapsed(model, self.on_collapse)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predictions at points X (n, d), in the units of y, shape (n,) or (n, J).

        With `return_std` also how much the members disagree: their standard deviation, of the same shape. It is no
        error bar.
        """
        points = self._checked_points(X)
        if not return_std:
            return self._shaped(self._model.mean(points))
        mean, sd = self._model.moments(points)
        return self._shaped(mean), self._shaped(sd)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write networks, scaling and parameters to a file (safetensors, with a digest that `load` checks)."""
        self._check_fitted()
        write_whole(path, self._model.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> EnsembleRegressor:
        """Read what `save` wrote; a damaged file is refused."""
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise FolderError(f"{path}: cannot be read: {error}") from error
        try:
            model = _core.Ensemble.from_bytes(content)
        except InputError as error:
            raise FolderError(f"{path}: {error}") from error
        note = json.loads(json.loads(model.provenance())["notes"]["dal_regression"])
        regressor = cls(**note["estimator"]["params"])
        regressor._take(model)
        return regressor

    def _take(self, model: _core.Ensemble) -> None:
        note = json.loads(json.loads(model.provenance())["notes"]["dal_regression"])
        self._model = model
        self._flat = bool(note["estimator"]["flat"])
        self.model_ = note["model"]
        self.n_features_in_ = model.n_inputs
        self.n_outputs_ = model.n_outputs
        self.collapsed_ = collapsed(model)
        if note["estimator"]["names"] is not None:
            self.feature_names_in_ = np.array(note["estimator"]["names"], dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _train(
        self,
        X: Floats,
        y: Floats,
        method: str | None,
        settings: dict[str, Any] | None,
        flat: bool = False,
        names: list[str] | None = None,
    ) -> _core.Ensemble:
        overlay = {
            "hidden": None if self.hidden is None else [int(width) for width in self.hidden],
            "members": whole(self.__dict__["members"], "members"),
            "epochs": whole_or_none(self.epochs, "epochs"),
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "batch_norm": self.batch_norm,
            "on_collapse": self.on_collapse,
        }
        if self.on_collapse not in (None, "restart", "keep"):
            raise InputError(f"on_collapse={self.on_collapse!r}: \"restart\" or \"keep\" is wanted")
        params = {name: _plain(value) for name, value in self.get_params(deep=False).items()}
        return _core.Ensemble.train(
            X,
            y,
            to_json({key: value for key, value in overlay.items() if value is not None}, "the network"),
            to_json({"flat": flat, "names": names, "params": params}, "parameters"),
            self.hidden is not None,
            bool(self.scale_inputs),
            bool(self.scale_outputs),
            whole_or_none(self.threads, "threads"),
            _seed(self.random_state),
            method,
            None if settings is None else to_json(settings, "settings"),
        )

    def _checked(self, X: Any, y: Any) -> tuple[Floats, Floats, list[str] | None]:
        if HAS_SKLEARN:
            from sklearn.utils.validation import validate_data

            X, y = _on_host(X, "X"), _on_host(y, "y")
            X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
            names = getattr(self, "feature_names_in_", None)
            return X, np.asarray(y, dtype=np.float64), None if names is None else [str(name) for name in names]
        points, known = matrix(X, "X"), array(y, "y")
        if known.ndim not in (1, 2) or len(known) != len(points):
            raise InputError(f"X has {len(points)} rows, y has shape {known.shape}; each point needs a row in both")
        if not np.isfinite(points).all() or not np.isfinite(known).all():
            raise InputError("X and y: hold NaN or infinity; take those rows out")
        return points, known, None

    def _check_fitted(self) -> None:
        if hasattr(self, "_model"):
            return
        if HAS_SKLEARN:
            from sklearn.exceptions import NotFittedError

            raise NotFittedError("this EnsembleRegressor has learned nothing yet; call fit first")
        raise InputError("this EnsembleRegressor has learned nothing yet; call fit first")

    def _checked_points(self, X: Any) -> Floats:
        self._check_fitted()
        if HAS_SKLEARN:
            from sklearn.utils.validation import validate_data

            points: Floats = validate_data(self, _on_host(X, "X"), reset=False, dtype=np.float64)
            return points
        return matrix(X, "X")

    def _members_at(self, X: Any) -> Floats:
        points = self._checked_points(X)
        found = self._model.members(points)
        return found[:, :, 0] if self._flat else found

    def _shaped(self, values: Floats) -> Floats:
        return values[:, 0] if self._flat else values


def collapsed(model: _core.Ensemble) -> npt.NDArray[np.bool_]:
    """Of each network whether it predicts little more than the mean of its labels."""
    ends = model.endings() or [(False, 0)] * model.n_members
    return np.array([dead for dead, _ in ends])


def tell_collapsed(model: _core.Ensemble, on_collapse: str | None, stacklevel: int = 3) -> None:
    """A warning where networks have learned nothing: their predictions are numbers like all others."""
    dead = collapsed(model)
    if not dead.any():
        return
    again = "" if on_collapse == "keep" else " although they were trained anew"
    warnings.warn(
        f"{dead.sum()} of {len(dead)} networks predict little more than the mean of y{again} (final loss above half its "
        "variance); more epochs, batch_norm=True or fewer layers may help",
        stacklevel=stacklevel,
    )


def _on_host(value: Any, name: str) -> Any:
    # A tensor of a device is refused by name; everything else is scikit-learn's to check.
    is_tensor = hasattr(value, "__dlpack_device__") and not isinstance(value, np.ndarray)
    return array(value, name) if is_tensor else value


def _seed(random_state: Any) -> int:
    if random_state is None:
        return 0
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        if random_state < 0:
            raise InputError(f"random_state={random_state}: a whole number from 0 is wanted")
        return int(random_state)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    raise InputError(f"random_state={random_state!r}: a whole number, a RandomState or None is wanted")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(part) for part in value]
    return None
