# Written by `cargo xtask python` from the catalogue of strategies: change it there.

from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from ._query import QueryMethod

__all__ = [
    "Bald",
    "ClusterVariance",
    "DensityAwareCoreSet",
    "ExpectedModelOutputChange",
    "GreedySamplingX",
    "GreedySamplingXY",
    "GreedySamplingY",
    "LatinHypercube",
    "LearningLoss",
    "PowerBald",
    "PowerExpectedModelOutputChange",
    "PowerLearningLoss",
    "PowerQueryByCommittee",
    "PowerQueryByCommitteeDiversity",
    "QueryByCommittee",
    "QueryByCommitteeDiversity",
    "QueryByCommitteeDiversityDensity",
    "RandomSampling",
    "Sobol",
]

class RandomSampling(QueryMethod):
    stream: int
    def __init__(
        self,
        *,
        stream: int = 0,
        random_state: int = 0,
    ) -> None: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: Literal[False] = False,
    ) -> npt.NDArray[np.int64]: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        candidates: Any = None,
        batch_size: int = 1,
        *,
        return_utilities: Literal[True],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class GreedySamplingX(QueryMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: Literal[False] = False,
    ) -> npt.NDArray[np.int64]: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        candidates: Any = None,
        batch_size: int = 1,
        *,
        return_utilities: Literal[True],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class GreedySamplingY(QueryMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class GreedySamplingXY(QueryMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class QueryByCommittee(QueryMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class QueryByCommitteeDiversity(QueryMethod):
    scaling: Literal["minmax", "raw"]
    def __init__(
        self,
        *,
        scaling: Literal["minmax", "raw"] = "minmax",
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class QueryByCommitteeDiversityDensity(QueryMethod):
    density: Literal["similarity", "distance"]
    n_neighbours: int
    scaling: Literal["minmax", "raw"]
    def __init__(
        self,
        *,
        density: Literal["similarity", "distance"] = "similarity",
        n_neighbours: int = 10,
        scaling: Literal["minmax", "raw"] = "minmax",
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class Bald(QueryMethod):
    rate: float
    n_passes: int
    width_factor: float | str
    epochs: float | str | None
    learning_rate: float | str | None
    batch_norm: float | str
    def __init__(
        self,
        *,
        rate: float = 0.5,
        n_passes: int = 25,
        width_factor: float | str = "sqrt-members",
        epochs: float | str | None = None,
        learning_rate: float | str | None = None,
        batch_norm: float | str = "false",
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class ExpectedModelOutputChange(QueryMethod):
    n_parameters: float | str | None
    def __init__(
        self,
        *,
        n_parameters: float | str | None = None,
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class LearningLoss(QueryMethod):
    n_layers: int
    width: int
    weight: float
    margin: float
    joint_share: float
    def __init__(
        self,
        *,
        n_layers: int = 3,
        width: int = 10,
        weight: float = 0.001,
        margin: float = 1.0,
        joint_share: float = 0.6,
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class DensityAwareCoreSet(QueryMethod):
    density: Literal["mean-squared-distance", "k-over-distance"]
    n_neighbours: int
    n_groups: int
    temperature: float
    def __init__(
        self,
        *,
        density: Literal["mean-squared-distance", "k-over-distance"] = "mean-squared-distance",
        n_neighbours: int = 10,
        n_groups: int = 4,
        temperature: float = 0.25,
        random_state: int = 0,
    ) -> None: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: Literal[False] = False,
    ) -> npt.NDArray[np.int64]: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        candidates: Any = None,
        batch_size: int = 1,
        *,
        return_utilities: Literal[True],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class ClusterVariance(QueryMethod):
    n_clusters: float | str | None
    prefilter: float | str | None
    max_matrix_bytes: int
    def __init__(
        self,
        *,
        n_clusters: float | str | None = None,
        prefilter: float | str | None = None,
        max_matrix_bytes: int = 1073741824,
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class PowerQueryByCommittee(QueryMethod):
    beta: float
    uniform_share: float
    def __init__(
        self,
        *,
        beta: float = 1.0,
        uniform_share: float = 0.25,
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class PowerQueryByCommitteeDiversity(QueryMethod):
    beta: float
    uniform_share: float
    def __init__(
        self,
        *,
        beta: float = 1.0,
        uniform_share: float = 0.25,
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class PowerBald(QueryMethod):
    beta: float
    uniform_share: float
    rate: float
    n_passes: int
    width_factor: float | str
    epochs: float | str | None
    learning_rate: float | str | None
    batch_norm: float | str
    def __init__(
        self,
        *,
        beta: float = 1.0,
        uniform_share: float = 0.25,
        rate: float = 0.5,
        n_passes: int = 25,
        width_factor: float | str = "sqrt-members",
        epochs: float | str | None = None,
        learning_rate: float | str | None = None,
        batch_norm: float | str = "false",
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class PowerExpectedModelOutputChange(QueryMethod):
    beta: float
    uniform_share: float
    n_parameters: float | str | None
    def __init__(
        self,
        *,
        beta: float = 1.0,
        uniform_share: float = 0.25,
        n_parameters: float | str | None = None,
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class PowerLearningLoss(QueryMethod):
    beta: float
    uniform_share: float
    n_layers: int
    width: int
    weight: float
    margin: float
    joint_share: float
    def __init__(
        self,
        *,
        beta: float = 1.0,
        uniform_share: float = 0.25,
        n_layers: int = 3,
        width: int = 10,
        weight: float = 0.001,
        margin: float = 1.0,
        joint_share: float = 0.6,
        random_state: int = 0,
    ) -> None: ...
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
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class Sobol(QueryMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: Literal[False] = False,
    ) -> npt.NDArray[np.int64]: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        candidates: Any = None,
        batch_size: int = 1,
        *,
        return_utilities: Literal[True],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

class LatinHypercube(QueryMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: Literal[False] = False,
    ) -> npt.NDArray[np.int64]: ...
    @overload
    def query(
        self,
        X: Any,
        y: Any,
        candidates: Any = None,
        batch_size: int = 1,
        *,
        return_utilities: Literal[True],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...
