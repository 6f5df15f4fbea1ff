"""The query methods as classes, one for each strategy; they are called as scikit-activeml's."""

# Written by `cargo xtask python` from the catalogue of strategies: change it there.

from __future__ import annotations

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
    """Uniform without replacement.

    Formula: uniform over the pool, without replacement, from the strategy's stream.
    Source: baseline.

    Parameters
    ----------
    stream : int
        number of the stream; another one makes a control that has to come out equal; a whole number
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "random"
    _settings = ("stream",)

    def __init__(
        self,
        *,
        stream: int = 0,
        random_state: int = 0,
    ) -> None:
        self.stream = stream
        self.random_state = random_state


class GreedySamplingX(PoolMethod):
    """Greedy sampling in the inputs.

    Formula: greedy, max of min over L and picks of |x* - x|.
    Source: Wu, Lin, Huang, Information Sciences 474 (2019).

    Parameters
    ----------
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "gsx"
    _settings = ()

    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None:
        self.random_state = random_state


class GreedySamplingY(CommitteeMethod):
    """Greedy sampling in the outputs.

    Formula: greedy, max of min over L and picks of |f(x*) - y|.
    Source: Wu, Lin, Huang, Information Sciences 474 (2019).

    Parameters
    ----------
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "gsy"
    _settings = ()

    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None:
        self.random_state = random_state


class GreedySamplingXY(CommitteeMethod):
    """Greedy sampling in inputs and outputs (iGS).

    Formula: greedy, max of min over pairs of L and picks of |x* - x| |f(x*) - y|.
    Source: Wu, Lin, Huang, Information Sciences 474 (2019).

    Parameters
    ----------
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "gsxy"
    _settings = ()

    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None:
        self.random_state = random_state


class QueryByCommittee(CommitteeMethod):
    """Query by committee.

    Formula: the n largest variances over members (divided by M), mean over outputs.
    Source: Seung, Opper, Sompolinsky, COLT 1992; Burbidge, Rowland, King, IDEAL 2007.

    Parameters
    ----------
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "qbc"
    _settings = ()

    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None:
        self.random_state = random_state


class QueryByCommitteeDiversity(CommitteeMethod):
    """Committee variance and distance.

    Formula: greedy, u/2 + g/2: variance rescaled over the pool, distance to L and picks rescaled at every pick.
    Source: Ren et al., arXiv 2302.00098 and 2201.12632.

    Parameters
    ----------
    scaling : Literal["minmax", "raw"]
        how the terms are brought to one scale; minmax: to [0, 1]; raw: added as they are
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "qbc-diversity"
    _settings = ("scaling",)

    def __init__(
        self,
        *,
        scaling: Literal["minmax", "raw"] = "minmax",
        random_state: int = 0,
    ) -> None:
        self.scaling = scaling
        self.random_state = random_state


class QueryByCommitteeDiversityDensity(CommitteeMethod):
    """Committee variance, distance and density.

    Formula: greedy, (u + g + q)/3: q the mean cosine similarity to the 10 most similar other pool points.
    Source: Ren et al., arXiv 2302.00098 and 2201.12632.

    Parameters
    ----------
    density : Literal["similarity", "distance"]
        what the density term measures; distance: one less the similarity
    n_neighbours : int
        most similar other pool points that count; a whole number from 1
    scaling : Literal["minmax", "raw"]
        how the terms are brought to one scale; minmax: to [0, 1]; raw: added as they are
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "qbc-diversity-density"
    _settings = ("density", "n_neighbours", "scaling")

    def __init__(
        self,
        *,
        density: Literal["similarity", "distance"] = "similarity",
        n_neighbours: int = 10,
        scaling: Literal["minmax", "raw"] = "minmax",
        random_state: int = 0,
    ) -> None:
        self.density = density
        self.n_neighbours = n_neighbours
        self.scaling = scaling
        self.random_state = random_state


class Bald(ModelMethod):
    """Variance of a dropout network.

    Formula: the n largest variances over stochastic passes of a separate dropout network, mean over outputs.
    Source: Gal, Ghahramani, ICML 2016; Ren et al., arXiv 2302.00098.

    Parameters
    ----------
    rate : float
        probability that a unit is dropped; between 0 and 1
    n_passes : int
        stochastic passes; a whole number from 2
    width_factor : float | str
        width of the dropout network beside a member's; sqrt-members, members or a positive number
    epochs : float | str | None
        epochs of the dropout network, if not those of the evaluated model; a whole number from 1
    learning_rate : float | str | None
        Adam's rate of the dropout network, if not that of the evaluated model; a positive number
    batch_norm : float | str
        whether the dropout network keeps the evaluated model's BatchNorm; true or false
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "bald"
    _settings = ("rate", "n_passes", "width_factor", "epochs", "learning_rate", "batch_norm")

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
    ) -> None:
        self.rate = rate
        self.n_passes = n_passes
        self.width_factor = width_factor
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_norm = batch_norm
        self.random_state = random_state


class ExpectedModelOutputChange(ModelMethod):
    """Expected model output change.

    Formula: the n largest (1/|L0|) sum over x in L0 and j of |mean over m of grad f_mj(x) . grad l_m(x')|.
    Source: Käding et al., BMVC 2018; Ren et al., arXiv 2302.00098.

    Parameters
    ----------
    n_parameters : float | str | None
        parameters in a random subset, all where absent; a whole number from 1
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "emoc"
    _settings = ("n_parameters",)

    def __init__(
        self,
        *,
        n_parameters: float | str | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_parameters = n_parameters
        self.random_state = random_state


class LearningLoss(ModelMethod):
    """Learned loss.

    Formula: the n largest predicted losses, mean over the members' heads.
    Source: Yoo, Kweon, CVPR 2019; Ren et al., arXiv 2302.00098.

    Parameters
    ----------
    n_layers : int
        hidden layers that feed the head; a whole number from 1
    width : int
        units per fed layer; a whole number from 1
    weight : float
        weight of the ranking loss; a positive number
    margin : float
        margin of the ranking loss; a positive number
    joint_share : float
        share of the epochs during which the ranking loss reaches the network; a number from 0 to 1
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "learning-loss"
    _settings = ("n_layers", "width", "weight", "margin", "joint_share")

    def __init__(
        self,
        *,
        n_layers: int = 3,
        width: int = 10,
        weight: float = 0.001,
        margin: float = 1.0,
        joint_share: float = 0.6,
        random_state: int = 0,
    ) -> None:
        self.n_layers = n_layers
        self.width = width
        self.weight = weight
        self.margin = margin
        self.joint_share = joint_share
        self.random_state = random_state


class DensityAwareCoreSet(PoolMethod):
    """Density-aware core-set.

    Formula: density groups by natural breaks, sparse ones with more of the batch, each covered greedily.
    Source: after Kim, Shin, KDD 2022.

    Parameters
    ----------
    density : Literal["mean-squared-distance", "k-over-distance"]
        how dense the pool is around a point; mean-squared-distance: the mean over the neighbours, negated;
        k-over-distance: their number over the sum of distances
    n_neighbours : int
        nearest other pool points that count; a whole number from 1
    n_groups : int
        density groups; a whole number from 1
    temperature : float
        of the softmax over groups; a positive number
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "dacs"
    _settings = ("density", "n_neighbours", "n_groups", "temperature")

    def __init__(
        self,
        *,
        density: Literal["mean-squared-distance", "k-over-distance"] = "mean-squared-distance",
        n_neighbours: int = 10,
        n_groups: int = 4,
        temperature: float = 0.25,
        random_state: int = 0,
    ) -> None:
        self.density = density
        self.n_neighbours = n_neighbours
        self.n_groups = n_groups
        self.temperature = temperature
        self.random_state = random_state


class ClusterVariance(CommitteeMethod):
    """Committee variance spread over clusters.

    Formula: average linkage cut at n/2 clusters, smallest first, in turn the largest variance left in each.
    Source: after Citovsky et al., NeurIPS 2021.

    Parameters
    ----------
    n_clusters : float | str | None
        clusters, half the batch where absent; a whole number from 1
    prefilter : float | str | None
        only this many times the batch, the largest variances, are eligible; all where absent; a whole number from 1
    max_matrix_bytes : int
        largest distance matrix that is tried; a whole number of bytes
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "cluster-variance"
    _settings = ("n_clusters", "prefilter", "max_matrix_bytes")

    def __init__(
        self,
        *,
        n_clusters: float | str | None = None,
        prefilter: float | str | None = None,
        max_matrix_bytes: int = 1073741824,
        random_state: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.prefilter = prefilter
        self.max_matrix_bytes = max_matrix_bytes
        self.random_state = random_state


class PowerQueryByCommittee(CommitteeMethod):
    """Drawn by committee variance.

    Formula: n draws without replacement, w = (1 - e) s^b / sum s^b + e/N, s the committee's variance as in qbc.
    Source: Kirsch et al., TMLR 2023 (arXiv 2106.12059); uniform share: this project's.

    Parameters
    ----------
    beta : float
        power of the score that the draw is in proportion to; 0 draws uniformly; a number from 0
    uniform_share : float
        share of the draw that is uniform, so that no point is out of reach; above 0, at most 1
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "power-qbc"
    _settings = ("beta", "uniform_share")

    def __init__(
        self,
        *,
        beta: float = 1.0,
        uniform_share: float = 0.25,
        random_state: int = 0,
    ) -> None:
        self.beta = beta
        self.uniform_share = uniform_share
        self.random_state = random_state


class PowerQueryByCommitteeDiversity(CommitteeMethod):
    """Drawn by committee variance times distance.

    Formula: n draws, each w = (1 - e) (s g)^b / sum (s g)^b + e/R over the R points left, g the distance to L and
    picks.
    Source: Kirsch et al., TMLR 2023 (arXiv 2106.12059); uniform share: this project's.

    Parameters
    ----------
    beta : float
        power of the score that the draw is in proportion to; 0 draws uniformly; a number from 0
    uniform_share : float
        share of the draw that is uniform, so that no point is out of reach; above 0, at most 1
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "power-qbc-diversity"
    _settings = ("beta", "uniform_share")

    def __init__(
        self,
        *,
        beta: float = 1.0,
        uniform_share: float = 0.25,
        random_state: int = 0,
    ) -> None:
        self.beta = beta
        self.uniform_share = uniform_share
        self.random_state = random_state


class PowerBald(ModelMethod):
    """Drawn by the variance of a dropout network.

    Formula: as power-qbc, s the variance over stochastic passes as in bald.
    Source: Kirsch et al., TMLR 2023 (arXiv 2106.12059); uniform share: this project's.

    Parameters
    ----------
    beta : float
        power of the score that the draw is in proportion to; 0 draws uniformly; a number from 0
    uniform_share : float
        share of the draw that is uniform, so that no point is out of reach; above 0, at most 1
    rate : float
        probability that a unit is dropped; between 0 and 1
    n_passes : int
        stochastic passes; a whole number from 2
    width_factor : float | str
        width of the dropout network beside a member's; sqrt-members, members or a positive number
    epochs : float | str | None
        epochs of the dropout network, if not those of the evaluated model; a whole number from 1
    learning_rate : float | str | None
        Adam's rate of the dropout network, if not that of the evaluated model; a positive number
    batch_norm : float | str
        whether the dropout network keeps the evaluated model's BatchNorm; true or false
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "power-bald"
    _settings = ("beta", "uniform_share", "rate", "n_passes", "width_factor", "epochs", "learning_rate", "batch_norm")

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
    ) -> None:
        self.beta = beta
        self.uniform_share = uniform_share
        self.rate = rate
        self.n_passes = n_passes
        self.width_factor = width_factor
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_norm = batch_norm
        self.random_state = random_state


class PowerExpectedModelOutputChange(ModelMethod):
    """Drawn by expected model output change.

    Formula: as power-qbc, s the change as in emoc.
    Source: Kirsch et al., TMLR 2023 (arXiv 2106.12059); uniform share: this project's.

    Parameters
    ----------
    beta : float
        power of the score that the draw is in proportion to; 0 draws uniformly; a number from 0
    uniform_share : float
        share of the draw that is uniform, so that no point is out of reach; above 0, at most 1
    n_parameters : float | str | None
        parameters in a random subset, all where absent; a whole number from 1
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "power-emoc"
    _settings = ("beta", "uniform_share", "n_parameters")

    def __init__(
        self,
        *,
        beta: float = 1.0,
        uniform_share: float = 0.25,
        n_parameters: float | str | None = None,
        random_state: int = 0,
    ) -> None:
        self.beta = beta
        self.uniform_share = uniform_share
        self.n_parameters = n_parameters
        self.random_state = random_state


class PowerLearningLoss(ModelMethod):
    """Drawn by learned loss.

    Formula: as power-qbc, s the predicted loss as in learning-loss less its least value over the pool.
    Source: Kirsch et al., TMLR 2023 (arXiv 2106.12059); uniform share: this project's.

    Parameters
    ----------
    beta : float
        power of the score that the draw is in proportion to; 0 draws uniformly; a number from 0
    uniform_share : float
        share of the draw that is uniform, so that no point is out of reach; above 0, at most 1
    n_layers : int
        hidden layers that feed the head; a whole number from 1
    width : int
        units per fed layer; a whole number from 1
    weight : float
        weight of the ranking loss; a positive number
    margin : float
        margin of the ranking loss; a positive number
    joint_share : float
        share of the epochs during which the ranking loss reaches the network; a number from 0 to 1
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "power-learning-loss"
    _settings = ("beta", "uniform_share", "n_layers", "width", "weight", "margin", "joint_share")

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
    ) -> None:
        self.beta = beta
        self.uniform_share = uniform_share
        self.n_layers = n_layers
        self.width = width
        self.weight = weight
        self.margin = margin
        self.joint_share = joint_share
        self.random_state = random_state


class Sobol(DesignMethod):
    """Scrambled Sobol points, going on.

    Formula: the next n points of one scrambled Sobol sequence a run; of a list, the nearest candidates left.
    Source: Sobol 1967, Joe and Kuo 2008, Burley 2020; a passive design.

    Parameters
    ----------
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "sobol"
    _settings = ()

    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None:
        self.random_state = random_state


class LatinHypercube(DesignMethod):
    """Latin hypercube, extended.

    Formula: n points in strata that L leaves free, |L| + n strata an input; of a list, the nearest candidates left.
    Source: McKay, Beckman, Conover 1979; extended as Wang 2003; a passive design.

    Parameters
    ----------
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "lhs"
    _settings = ()

    def __init__(
        self,
        *,
        random_state: int = 0,
    ) -> None:
        self.random_state = random_state


class LcmdTp(ModelMethod):
    """Largest cluster maximum distance of gradients.

    Formula: greedy, max d in the cluster of max sum d, d = min over L and picks of |g* - g|^2, g sketched
    gradients.
    Source: Holzmüller et al., JMLR 24 (2023), arXiv 2203.09410.

    Parameters
    ----------
    features : Literal["gradient", "last-layer"]
        where features come from; gradient: gradients by every parameter, sketched; last-layer: the input of the last
        linear layer
    columns : int
        features of a point at most; a random sketch where there would be more; a whole number from 1 to 16384
    directions : int
        combinations of outputs with random signs that stand for more outputs than that; a whole number from 1 to 1024
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "lcmd-tp"
    _settings = ("features", "columns", "directions")

    def __init__(
        self,
        *,
        features: Literal["gradient", "last-layer"] = "gradient",
        columns: int = 512,
        directions: int = 2,
        random_state: int = 0,
    ) -> None:
        self.features = features
        self.columns = columns
        self.directions = directions
        self.random_state = random_state


class MaxdistTp(ModelMethod):
    """Covering of gradients.

    Formula: greedy, max of min over L and picks of |g* - g|, g sketched gradients.
    Source: Holzmüller et al., JMLR 24 (2023), arXiv 2203.09410.

    Parameters
    ----------
    features : Literal["gradient", "last-layer"]
        where features come from; gradient: gradients by every parameter, sketched; last-layer: the input of the last
        linear layer
    columns : int
        features of a point at most; a random sketch where there would be more; a whole number from 1 to 16384
    directions : int
        combinations of outputs with random signs that stand for more outputs than that; a whole number from 1 to 1024
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "maxdist-tp"
    _settings = ("features", "columns", "directions")

    def __init__(
        self,
        *,
        features: Literal["gradient", "last-layer"] = "gradient",
        columns: int = 512,
        directions: int = 2,
        random_state: int = 0,
    ) -> None:
        self.features = features
        self.columns = columns
        self.directions = directions
        self.random_state = random_state


class KmeansppTp(ModelMethod):
    """k-means++ of gradients.

    Formula: n draws in proportion to min over L and picks of |g* - g|^2, g sketched gradients.
    Source: Holzmüller et al., JMLR 24 (2023), arXiv 2203.09410.

    Parameters
    ----------
    features : Literal["gradient", "last-layer"]
        where features come from; gradient: gradients by every parameter, sketched; last-layer: the input of the last
        linear layer
    columns : int
        features of a point at most; a random sketch where there would be more; a whole number from 1 to 16384
    directions : int
        combinations of outputs with random signs that stand for more outputs than that; a whole number from 1 to 1024
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "kmeanspp-tp"
    _settings = ("features", "columns", "directions")

    def __init__(
        self,
        *,
        features: Literal["gradient", "last-layer"] = "gradient",
        columns: int = 512,
        directions: int = 2,
        random_state: int = 0,
    ) -> None:
        self.features = features
        self.columns = columns
        self.directions = directions
        self.random_state = random_state


class MaxdetP(ModelMethod):
    """Largest determinant of the gradients' posterior covariance.

    Formula: greedy, max of k(x, x) given L and picks, k = g . g', noise 1e-6.
    Source: Holzmüller et al., JMLR 24 (2023), arXiv 2203.09410.

    Parameters
    ----------
    features : Literal["gradient", "last-layer"]
        where features come from; gradient: gradients by every parameter, sketched; last-layer: the input of the last
        linear layer
    columns : int
        features of a point at most; a random sketch where there would be more; a whole number from 1 to 16384
    directions : int
        combinations of outputs with random signs that stand for more outputs than that; a whole number from 1 to 1024
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "maxdet-p"
    _settings = ("features", "columns", "directions")

    def __init__(
        self,
        *,
        features: Literal["gradient", "last-layer"] = "gradient",
        columns: int = 512,
        directions: int = 2,
        random_state: int = 0,
    ) -> None:
        self.features = features
        self.columns = columns
        self.directions = directions
        self.random_state = random_state


class BaitFP(ModelMethod):
    """Least posterior variance over pool and labelled points.

    Formula: greedy, max of sum over t of k(x, t)^2 / (k(x, x) + 1e-6) given L and picks, k = g . g'; epig: of mean
    over t of -ln(1 - k(x, t)^2 / ((k(x, x) + 1e-6)(k(t, t) + 1e-6)))/2.
    Source: Ash et al., NeurIPS 2021; Holzmüller et al., JMLR 24 (2023); epig: Bickford Smith et al., AISTATS 2023.

    Parameters
    ----------
    features : Literal["gradient", "last-layer"]
        where features come from; gradient: gradients by every parameter, sketched; last-layer: the input of the last
        linear layer
    columns : int
        features of a point at most; a random sketch where there would be more; a whole number from 1 to 16384
    directions : int
        combinations of outputs with random signs that stand for more outputs than that; a whole number from 1 to 1024
    target : Literal["pool+labelled", "domain"]
        where predictions are to be good (bait); pool+labelled: at pool and labelled points; domain: at 4096 fresh
        points of the domain
    criterion : Literal["variance", "epig"]
        what is brought down there (bait); variance: the sum of variances; epig: the mean entropy of single predictions
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "bait-f-p"
    _settings = ("features", "columns", "directions", "target", "criterion")

    def __init__(
        self,
        *,
        features: Literal["gradient", "last-layer"] = "gradient",
        columns: int = 512,
        directions: int = 2,
        target: Literal["pool+labelled", "domain"] = "pool+labelled",
        criterion: Literal["variance", "epig"] = "variance",
        random_state: int = 0,
    ) -> None:
        self.features = features
        self.columns = columns
        self.directions = directions
        self.target = target
        self.criterion = criterion
        self.random_state = random_state


class LcmdMembers(CommitteeMethod):
    """Largest cluster maximum distance of members' deviations.

    Formula: as lcmd-tp on (f_m - mean f)/sqrt(M - 1), L as one point of no deviation.
    Source: Kirsch, TMLR 2023, arXiv 2302.08981; Holzmüller et al., JMLR 24 (2023).

    Parameters
    ----------
    columns : float | str | None
        features of a point at most; left out, all members x outputs up to 134 million in the pool, then 512; a whole
        number from 1 to 16384
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "lcmd-members"
    _settings = ("columns",)

    def __init__(
        self,
        *,
        columns: float | str | None = None,
        random_state: int = 0,
    ) -> None:
        self.columns = columns
        self.random_state = random_state


class MaxdetMembers(CommitteeMethod):
    """Largest determinant of the members' covariance.

    Formula: greedy, max of k(x, x) given picks, k the members' covariance; by lcmd beyond its rank (M - 1) outputs.
    Source: Kirsch, TMLR 2023, arXiv 2302.08981; Holzmüller et al., JMLR 24 (2023).

    Parameters
    ----------
    columns : float | str | None
        features of a point at most; left out, all members x outputs up to 134 million in the pool, then 512; a whole
        number from 1 to 16384
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "maxdet-members"
    _settings = ("columns",)

    def __init__(
        self,
        *,
        columns: float | str | None = None,
        random_state: int = 0,
    ) -> None:
        self.columns = columns
        self.random_state = random_state


class BaitMembers(CommitteeMethod):
    """Least variance over the pool by the members' covariance.

    Formula: greedy, max of sum over t of k(x, t)^2 / (k(x, x) + 1e-6) given picks, k the members' covariance; by
    lcmd beyond its rank; epig: as bait-f-p's.
    Source: Kirsch, TMLR 2023, arXiv 2302.08981; Ash et al., NeurIPS 2021; epig: Bickford Smith et al., AISTATS
    2023.

    Parameters
    ----------
    columns : float | str | None
        features of a point at most; left out, all members x outputs up to 134 million in the pool, then 512; a whole
        number from 1 to 16384
    criterion : Literal["variance", "epig"]
        what is brought down there (bait); variance: the sum of variances; epig: the mean entropy of single predictions
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "bait-members"
    _settings = ("columns", "criterion")

    def __init__(
        self,
        *,
        columns: float | str | None = None,
        criterion: Literal["variance", "epig"] = "variance",
        random_state: int = 0,
    ) -> None:
        self.columns = columns
        self.criterion = criterion
        self.random_state = random_state


class Bmdal(ModelMethod):
    """Any selection on any features.

    Formula: features, what L makes of them, and a selection as set; lcmd-tp by default.
    Source: Holzmüller et al., JMLR 24 (2023), arXiv 2203.09410.

    Parameters
    ----------
    selection : Literal["lcmd", "maxdist", "kmeanspp", "maxdet", "bait"]
        how points are chosen; lcmd: largest cluster maximum distance; maxdist: maximum distance; kmeanspp: drawn in
        proportion to the squared distance; maxdet: largest determinant of the covariance; bait: least variance over a
        target
    features : Literal["gradient", "last-layer", "members"]
        where features come from; gradient: gradients by every parameter, sketched; last-layer: the input of the last
        linear layer; members: the members' predictions less their mean
    transform : Literal["centres", "posterior"]
        what is made of the labelled points; centres: distances count from them; posterior: the covariance given them
    columns : float | str | None
        features of a point at most; left out, 512 of networks, and of members as in lcmd-members; a whole number from 1
        to 16384
    directions : int
        combinations of outputs with random signs that stand for more outputs than that; a whole number from 1 to 1024
    target : Literal["pool+labelled", "domain"]
        where predictions are to be good (bait); pool+labelled: at pool and labelled points; domain: at 4096 fresh
        points of the domain
    criterion : Literal["variance", "epig"]
        what is brought down there (bait); variance: the sum of variances; epig: the mean entropy of single predictions
    random_state : int
        Seed of what is drawn at random.
    """

    _method = "bmdal"
    _settings = ("selection", "features", "transform", "columns", "directions", "target", "criterion")

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
    ) -> None:
        self.selection = selection
        self.features = features
        self.transform = transform
        self.columns = columns
        self.directions = directions
        self.target = target
        self.criterion = criterion
        self.random_state = random_state
