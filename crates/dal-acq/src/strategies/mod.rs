//! The strategies, one file each, and their catalogue.

mod bald;
mod cluster_variance;
mod dacs;
mod emoc;
mod gsx;
mod gsxy;
mod gsy;
mod learning_loss;
mod qbc;
mod qbc_diversity;
mod qbc_diversity_density;
mod random;

pub use bald::{Bald, NamedWidth, Width};
pub use cluster_variance::ClusterVariance;
pub use dacs::{Dacs, NeighbourDensity};
pub use emoc::Emoc;
pub use gsx::Gsx;
pub use gsxy::Gsxy;
pub use gsy::Gsy;
pub use learning_loss::LearningLoss;
pub use qbc::Qbc;
pub use qbc_diversity::{QbcDiversity, Scaling};
pub use qbc_diversity_density::{CosineDensity, QbcDiversityDensity};
pub use random::Random;

use crate::build::build;
use crate::card::{Card, Invariance, PickScore, SettingCard};

/// A setting whose check always passes.
fn no_check<T>(_: &T) -> Result<(), (&'static str, String)> {
    Ok(())
}

const SCALING: SettingCard = SettingCard {
    key: "scaling",
    help: "how the terms are brought to one scale",
    values: "minmax (to [0, 1]) or raw (added as they are)",
};

const WU: &str = "Wu, Lin, Huang, Information Sciences 474 (2019)";

/// Every strategy, in the order in which tables list them.
pub(crate) static CATALOGUE: &[Card] = &[
    Card {
        id: Random::ID,
        title: "Uniform without replacement",
        formula: "uniform over the pool, without replacement, from the strategy's stream",
        cost: "O(N)",
        source: "baseline",
        pick_score: PickScore::None,
        invariances: &[],
        settings: &[],
        build: |card, given| build(card, given, no_check::<Random>),
    },
    Card {
        id: Gsx::ID,
        title: "Greedy sampling in the inputs",
        formula: "greedy, max of min over L and picks of |x* - x|",
        cost: "O(N |L| d)",
        source: WU,
        pick_score: PickScore::Distance,
        invariances: &[
            Invariance::PoolOrder,
            Invariance::AxisFlips,
            Invariance::Rotations,
            Invariance::InputCovering,
            Invariance::SkipsCopies,
        ],
        settings: &[],
        build: |card, given| build(card, given, no_check::<Gsx>),
    },
    Card {
        id: Gsy::ID,
        title: "Greedy sampling in the outputs",
        formula: "greedy, max of min over L and picks of |f(x*) - y|",
        cost: "O(N |L| n_outputs)",
        source: WU,
        pick_score: PickScore::Distance,
        invariances: &[Invariance::PoolOrder, Invariance::OutputScale, Invariance::OutputCovering],
        settings: &[],
        build: |card, given| build(card, given, no_check::<Gsy>),
    },
    Card {
        id: Gsxy::ID,
        title: "Greedy sampling in inputs and outputs (iGS)",
        formula: "greedy, max of min over pairs of L and picks of |x* - x| |f(x*) - y|",
        cost: "O(N |L| (d + n_outputs))",
        source: WU,
        pick_score: PickScore::Distance,
        invariances: &[Invariance::PoolOrder, Invariance::AxisFlips, Invariance::Rotations, Invariance::OutputScale],
        settings: &[],
        build: |card, given| build(card, given, no_check::<Gsxy>),
    },
    Card {
        id: Qbc::ID,
        title: "Query by committee",
        formula: "the n largest variances over members (divided by M), mean over outputs",
        cost: "O(N)",
        source: "Seung, Opper, Sompolinsky, COLT 1992; Burbidge, Rowland, King, IDEAL 2007",
        pick_score: PickScore::Variance,
        invariances: &[Invariance::PoolOrder, Invariance::MemberShift, Invariance::MemberScale],
        settings: &[],
        build: |card, given| build(card, given, no_check::<Qbc>),
    },
    Card {
        id: QbcDiversity::ID,
        title: "Committee variance and distance",
        formula: "greedy, u/2 + g/2: variance rescaled over the pool, distance to L and picks rescaled at every pick",
        cost: "O(N |L| d + n N d)",
        source: "Ren et al., arXiv 2302.00098 and 2201.12632",
        pick_score: PickScore::Combined,
        invariances: &[
            Invariance::PoolOrder,
            Invariance::AxisFlips,
            Invariance::Rotations,
            Invariance::MemberShift,
            Invariance::MemberScale,
        ],
        settings: &[SCALING],
        build: |card, given| build(card, given, no_check::<QbcDiversity>),
    },
    Card {
        id: QbcDiversityDensity::ID,
        title: "Committee variance, distance and density",
        formula: "greedy, (u + g + q)/3: q the mean cosine similarity to the 10 most similar other pool points",
        cost: "O(N |L| d + n N d) and a search of nearest neighbours",
        source: "Ren et al., arXiv 2302.00098 and 2201.12632",
        pick_score: PickScore::Combined,
        invariances: &[
            Invariance::PoolOrder,
            Invariance::AxisFlips,
            Invariance::Rotations,
            Invariance::MemberShift,
            Invariance::MemberScale,
        ],
        settings: &[
            SettingCard {
                key: "density",
                help: "what the density term measures",
                values: "similarity or distance (one less the similarity)",
            },
            SettingCard {
                key: "n_neighbours",
                help: "most similar other pool points that count",
                values: "a whole number from 1",
            },
            SCALING,
        ],
        build: |card, given| build(card, given, QbcDiversityDensity::check),
    },
    Card {
        id: Bald::ID,
        title: "Variance of a dropout network",
        formula: "the n largest variances over stochastic passes of a separate dropout network, mean over outputs",
        cost: "O(N) beyond the passes",
        source: "Gal, Ghahramani, ICML 2016; Ren et al., arXiv 2302.00098",
        pick_score: PickScore::Variance,
        // Masks belong to rows of the pool, so its order matters.
        invariances: &[],
        settings: &[
            SettingCard { key: "rate", help: "probability that a unit is dropped", values: "between 0 and 1" },
            SettingCard { key: "n_passes", help: "stochastic passes", values: "a whole number from 2" },
            SettingCard {
                key: "width_factor",
                help: "width of the dropout network beside a member's",
                values: "sqrt-members, members or a positive number",
            },
        ],
        build: |card, given| build(card, given, Bald::check),
    },
    Card {
        id: Emoc::ID,
        title: "Expected model output change",
        formula: "the n largest (1/|L0|) sum over x in L0 and j of |mean over m of grad f_mj(x) . grad l_m(x')|",
        cost: "N |L0| products of gradients a member and output",
        source: "Käding et al., BMVC 2018; Ren et al., arXiv 2302.00098",
        pick_score: PickScore::Combined,
        invariances: &[Invariance::PoolOrder],
        settings: &[SettingCard {
            key: "n_parameters",
            help: "parameters in a random subset, all where absent",
            values: "a whole number from 1",
        }],
        build: |card, given| build(card, given, Emoc::check),
    },
    Card {
        id: LearningLoss::ID,
        title: "Learned loss",
        formula: "the n largest predicted losses, mean over the members' heads",
        cost: "O(N) beyond the predictions",
        source: "Yoo, Kweon, CVPR 2019; Ren et al., arXiv 2302.00098",
        pick_score: PickScore::Combined,
        invariances: &[Invariance::PoolOrder],
        settings: &[
            SettingCard { key: "n_layers", help: "hidden layers that feed the head", values: "a whole number from 1" },
            SettingCard { key: "width", help: "units per fed layer", values: "a whole number from 1" },
            SettingCard { key: "weight", help: "weight of the ranking loss", values: "a positive number" },
            SettingCard { key: "margin", help: "margin of the ranking loss", values: "a positive number" },
            SettingCard {
                key: "joint_epochs",
                help: "epochs during which the ranking loss reaches the network",
                values: "a whole number",
            },
        ],
        build: |card, given| build(card, given, LearningLoss::check),
    },
    Card {
        id: Dacs::ID,
        title: "Density-aware core-set",
        formula: "density groups by natural breaks, sparse ones with more of the batch, each covered greedily",
        cost: "a search of nearest neighbours and O(N |L| d)",
        source: "after Kim, Shin, KDD 2022",
        pick_score: PickScore::Distance,
        invariances: &[Invariance::PoolOrder, Invariance::AxisFlips, Invariance::Rotations],
        settings: &[
            SettingCard {
                key: "density",
                help: "how dense the pool is around a point",
                values: "mean-squared-distance or k-over-distance",
            },
            SettingCard {
                key: "n_neighbours",
                help: "nearest other pool points that count",
                values: "a whole number from 1",
            },
            SettingCard { key: "n_groups", help: "density groups", values: "a whole number from 1" },
            SettingCard { key: "temperature", help: "of the softmax over groups", values: "a positive number" },
        ],
        build: |card, given| build(card, given, Dacs::check),
    },
    Card {
        id: ClusterVariance::ID,
        title: "Committee variance spread over clusters",
        formula: "average linkage cut at n/2 clusters, smallest first, in turn the largest variance left in each",
        cost: "O(N^2) time, 2 N (N - 1) bytes",
        source: "after Citovsky et al., NeurIPS 2021",
        pick_score: PickScore::Variance,
        // Clusters of equal size go by their lowest index, so the pool's order matters there.
        invariances: &[Invariance::AxisFlips, Invariance::Rotations, Invariance::MemberShift, Invariance::MemberScale],
        settings: &[
            SettingCard {
                key: "n_clusters",
                help: "clusters, half the batch where absent",
                values: "a whole number from 1",
            },
            SettingCard {
                key: "prefilter",
                help: "only this many times the batch, the largest variances, are eligible; all where absent",
                values: "a whole number from 1",
            },
            SettingCard {
                key: "max_matrix_bytes",
                help: "largest distance matrix that is tried",
                values: "a whole number of bytes",
            },
        ],
        build: |card, given| build(card, given, ClusterVariance::check),
    },
];
