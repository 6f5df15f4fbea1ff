# Written by `cargo xtask python` from the catalogue of strategies: change it there.

from typing import Literal

from ._query import CommitteeMethod, DesignMethod, ModelMethod, PoolMethod

__all__ = [
    "BaitFP",
    "BaitMembers",
    "Bald",
    "Bmdal",
    "ClusterVariance",
    "DensityAwareCoreSet",
    "ExpectedModelOutputChange",
    "GreedySamplingX",
    "GreedySamplingXY",
    "GreedySamplingY",
    "KmeansppTp",
    "LatinHypercube",
    "LcmdMembers",
    "LcmdTp",
    "LearningLoss",
    "MaxdetMembers",
    "MaxdetP",
    "MaxdistTp",
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

class RandomSampling(PoolMethod):
    stream: int
    def __init__(
        self,
        *,
        stream: int = 0,
        random_state: int = 0,
    ) -> None: ...

class GreedySamplingX(PoolMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...

class GreedySamplingY(CommitteeMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...

class GreedySamplingXY(CommitteeMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...

class QueryByCommittee(CommitteeMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...

class QueryByCommitteeDiversity(CommitteeMethod):
    scaling: Literal["minmax", "raw"]
    def __init__(
        self,
        *,
        scaling: Literal["minmax", "raw"] = "minmax",
        random_state: int = 0,
    ) -> None: ...

class QueryByCommitteeDiversityDensity(CommitteeMethod):
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

class Bald(ModelMethod):
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

class ExpectedModelOutputChange(ModelMethod):
    n_parameters: float | str | None
    def __init__(
        self,
        *,
        n_parameters: float | str | None = None,
        random_state: int = 0,
    ) -> None: ...

class LearningLoss(ModelMethod):
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

class DensityAwareCoreSet(PoolMethod):
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

class ClusterVariance(CommitteeMethod):
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

class PowerQueryByCommittee(CommitteeMethod):
    beta: float
    uniform_share: float
    def __init__(
        self,
        *,
        beta: float = 1.0,
        uniform_share: float = 0.25,
        random_state: int = 0,
    ) -> None: ...

class PowerQueryByCommitteeDiversity(CommitteeMethod):
    beta: float
    uniform_share: float
    def __init__(
        self,
        *,
        beta: float = 1.0,
        uniform_share: float = 0.25,
        random_state: int = 0,
    ) -> None: ...

class PowerBald(ModelMethod):
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

class PowerExpectedModelOutputChange(ModelMethod):
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

class PowerLearningLoss(ModelMethod):
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

class Sobol(DesignMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...

class LatinHypercube(DesignMethod):
    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None: ...

class LcmdTp(ModelMethod):
    features: Literal["gradient", "last-layer"]
    columns: int
    directions: int
    def __init__(
        self,
        *,
        features: Literal["gradient", "last-layer"] = "gradient",
        columns: int = 512,
        directions: int = 2,
        random_state: int = 0,
    ) -> None: ...

class MaxdistTp(ModelMethod):
    features: Literal["gradient", "last-layer"]
    columns: int
    directions: int
    def __init__(
        self,
        *,
        features: Literal["gradient", "last-layer"] = "gradient",
        columns: int = 512,
        directions: int = 2,
        random_state: int = 0,
    ) -> None: ...

class KmeansppTp(ModelMethod):
    features: Literal["gradient", "last-layer"]
    columns: int
    directions: int
    def __init__(
        self,
        *,
        features: Literal["gradient", "last-layer"] = "gradient",
        columns: int = 512,
        directions: int = 2,
        random_state: int = 0,
    ) -> None: ...

class MaxdetP(ModelMethod):
    features: Literal["gradient", "last-layer"]
    columns: int
    directions: int
    def __init__(
        self,
        *,
        features: Literal["gradient", "last-layer"] = "gradient",
        columns: int = 512,
        directions: int = 2,
        random_state: int = 0,
    ) -> None: ...

class BaitFP(ModelMethod):
    features: Literal["gradient", "last-layer"]
    columns: int
    directions: int
    target: Literal["pool+labelled", "domain"]
    criterion: Literal["variance", "epig"]
    def __init__(
        self,
        *,
        features: Literal["gradient", "last-layer"] = "gradient",
        columns: int = 512,
        directions: int = 2,
        target: Literal["pool+labelled", "domain"] = "pool+labelled",
        criterion: Literal["variance", "epig"] = "variance",
        random_state: int = 0,
    ) -> None: ...

class LcmdMembers(CommitteeMethod):
    columns: float | str | None
    def __init__(
        self,
        *,
        columns: float | str | None = None,
        random_state: int = 0,
    ) -> None: ...

class MaxdetMembers(CommitteeMethod):
    columns: float | str | None
    def __init__(
        self,
        *,
        columns: float | str | None = None,
        random_state: int = 0,
    ) -> None: ...

class BaitMembers(CommitteeMethod):
    columns: float | str | None
    criterion: Literal["variance", "epig"]
    def __init__(
        self,
        *,
        columns: float | str | None = None,
        criterion: Literal["variance", "epig"] = "variance",
        random_state: int = 0,
    ) -> None: ...

class Bmdal(ModelMethod):
    selection: Literal["lcmd", "maxdist", "kmeanspp", "maxdet", "bait"]
    features: Literal["gradient", "last-layer", "members"]
    transform: Literal["centres", "posterior"]
    columns: float | str | None
    directions: int
    target: Literal["pool+labelled", "domain"]
    criterion: Literal["variance", "epig"]
    def __init__(
        self,
        *,
        selection: Literal["lcmd", "maxdist", "kmeanspp", "maxdet", "bait"] = "lcmd",
        features: Literal["gradient", "last-layer", "members"] = "gradient",
        transform: Literal["centres", "posterior"] = "centres",
        columns: float | str | None = None,
        directions: int = 2,
        target: Literal["pool+labelled", "domain"] = "pool+labelled",
        criterion: Literal["variance", "epig"] = "variance",
        random_state: int = 0,
    ) -> None: ...
