//! What the family and its named members say of themselves.

use super::rule::{BaitFP, BaitMembers, Bmdal, KmeansppTp, LcmdMembers, LcmdTp, MaxdetMembers, MaxdetP, MaxdistTp};
use crate::build::build;
use crate::card::{Card, Choice, Invariance, Labels, PickScore, SettingCard, SettingValues};

const SOURCE: &str = "Holzmüller et al., JMLR 24 (2023), arXiv 2203.09410";
const BAIT_SOURCE: &str =
    "Ash et al., NeurIPS 2021; Holzmüller et al., JMLR 24 (2023); epig: Bickford Smith et al., AISTATS 2023";
const BAIT_MEMBERS_SOURCE: &str =
    "Kirsch, TMLR 2023, arXiv 2302.08981; Ash et al., NeurIPS 2021; epig: Bickford Smith et al., AISTATS 2023";
const MEMBERS_SOURCE: &str = "Kirsch, TMLR 2023, arXiv 2302.08981; Holzmüller et al., JMLR 24 (2023)";

const GRADIENT: Choice = Choice { value: "gradient", meaning: "gradients by every parameter, sketched" };
const LAST_LAYER: Choice = Choice { value: "last-layer", meaning: "the input of the last linear layer" };
const FEATURES: SettingCard = SettingCard {
    key: "features",
    help: "where features come from",
    values: SettingValues::OneOf(&[GRADIENT, LAST_LAYER]),
};
const COLUMNS: SettingCard = SettingCard {
    key: "columns",
    help: "features of a point at most; a random sketch where there would be more",
    values: SettingValues::Described("a whole number from 1 to 16384"),
};
const MEMBERS_COLUMNS: SettingCard = SettingCard {
    key: "columns",
    help: "features of a point at most; left out, all members x outputs up to 134 million in the pool, then 512",
    values: SettingValues::Described("a whole number from 1 to 16384"),
};
const FAMILY_COLUMNS: SettingCard = SettingCard {
    key: "columns",
    help: "features of a point at most; left out, 512 of networks, and of members as in lcmd-members",
    values: SettingValues::Described("a whole number from 1 to 16384"),
};
const DIRECTIONS: SettingCard = SettingCard {
    key: "directions",
    help: "combinations of outputs with random signs that stand for more outputs than that",
    values: SettingValues::Described("a whole number from 1 to 1024"),
};
const TARGET: SettingCard = SettingCard {
    key: "target",
    help: "where predictions are to be good (bait)",
    values: SettingValues::OneOf(&[
        Choice { value: "pool+labelled", meaning: "at pool and labelled points" },
        Choice { value: "domain", meaning: "at 4096 fresh points of the domain" },
    ]),
};
const CRITERION: SettingCard = SettingCard {
    key: "criterion",
    help: "what is brought down there (bait)",
    values: SettingValues::OneOf(&[
        Choice { value: "variance", meaning: "the sum of variances" },
        Choice { value: "epig", meaning: "the mean entropy of single predictions" },
    ]),
};
const NETWORK: [SettingCard; 3] = [FEATURES, COLUMNS, DIRECTIONS];

/// `lcmd-tp`.
pub(in crate::strategies) static LCMD_TP: Card = Card {
    id: "lcmd-tp",
    title: "Largest cluster maximum distance of gradients",
    formula: "greedy, max d in the cluster of max sum d, d = min over L and picks of |g* - g|^2, g sketched gradients",
    cost: "O(N |L| p + n N p), p = 512 columns",
    source: SOURCE,
    pick_score: PickScore::Distance,
    labels: Labels::Inputs,
    invariances: &[Invariance::PoolOrder, Invariance::SkipsCopies],
    settings: &NETWORK,
    build: |card, given| build(card, given, LcmdTp::check),
};

/// `maxdist-tp`.
pub(in crate::strategies) static MAXDIST_TP: Card = Card {
    id: "maxdist-tp",
    title: "Covering of gradients",
    formula: "greedy, max of min over L and picks of |g* - g|, g sketched gradients",
    cost: "O(N |L| p + n N p), p = 512 columns",
    source: SOURCE,
    pick_score: PickScore::Distance,
    labels: Labels::Inputs,
    invariances: &[Invariance::PoolOrder, Invariance::SkipsCopies],
    settings: &NETWORK,
    build: |card, given| build(card, given, MaxdistTp::check),
};

/// `kmeanspp-tp`.
pub(in crate::strategies) static KMEANSPP_TP: Card = Card {
    id: "kmeanspp-tp",
    title: "k-means++ of gradients",
    formula: "n draws in proportion to min over L and picks of |g* - g|^2, g sketched gradients",
    cost: "O(N |L| p + n N p), p = 512 columns",
    source: SOURCE,
    pick_score: PickScore::Distance,
    labels: Labels::Inputs,
    // A draw follows the pool's order.
    invariances: &[Invariance::SkipsCopies],
    settings: &NETWORK,
    build: |card, given| build(card, given, KmeansppTp::check),
};

/// `maxdet-p`.
pub(in crate::strategies) static MAXDET_P: Card = Card {
    id: "maxdet-p",
    title: "Largest determinant of the gradients' posterior covariance",
    formula: "greedy, max of k(x, x) given L and picks, k = g . g', noise 1e-6",
    cost: "O((N + |L|) p^2 + n N p), p = 512 columns",
    source: SOURCE,
    pick_score: PickScore::Variance,
    labels: Labels::Inputs,
    invariances: &[Invariance::PoolOrder],
    settings: &NETWORK,
    build: |card, given| build(card, given, MaxdetP::check),
};

/// `bait-f-p`.
pub(in crate::strategies) static BAIT_F_P: Card = Card {
    id: "bait-f-p",
    title: "Least posterior variance over pool and labelled points",
    formula: "greedy, max of sum over t of k(x, t)^2 / (k(x, x) + 1e-6) given L and picks, k = g . g'; epig: of mean \
              over t of -ln(1 - k(x, t)^2 / ((k(x, x) + 1e-6)(k(t, t) + 1e-6)))/2",
    cost: "O((N + |L|) p^2 + n N p), p = 512 columns; epig O(n N T)",
    source: BAIT_SOURCE,
    pick_score: PickScore::Combined,
    labels: Labels::Inputs,
    invariances: &[Invariance::PoolOrder],
    settings: &[FEATURES, COLUMNS, DIRECTIONS, TARGET, CRITERION],
    build: |card, given| build(card, given, BaitFP::check),
};

/// `lcmd-members`.
pub(in crate::strategies) static LCMD_MEMBERS: Card = Card {
    id: "lcmd-members",
    title: "Largest cluster maximum distance of members' deviations",
    formula: "as lcmd-tp on (f_m - mean f)/sqrt(M - 1), L as one point of no deviation",
    cost: "O(n N p), p = members x outputs",
    source: MEMBERS_SOURCE,
    pick_score: PickScore::Distance,
    labels: Labels::None,
    invariances: &[Invariance::PoolOrder, Invariance::MemberScale],
    settings: &[MEMBERS_COLUMNS],
    build: |card, given| build(card, given, LcmdMembers::check),
};

/// `maxdet-members`.
pub(in crate::strategies) static MAXDET_MEMBERS: Card = Card {
    id: "maxdet-members",
    title: "Largest determinant of the members' covariance",
    formula: "greedy, max of k(x, x) given picks, k the members' covariance; by lcmd beyond its rank (M - 1) outputs",
    cost: "O(n N p), p = members x outputs",
    source: MEMBERS_SOURCE,
    pick_score: PickScore::Variance,
    labels: Labels::None,
    invariances: &[Invariance::PoolOrder, Invariance::MemberScale],
    settings: &[MEMBERS_COLUMNS],
    build: |card, given| build(card, given, MaxdetMembers::check),
};

/// `bait-members`.
pub(in crate::strategies) static BAIT_MEMBERS: Card = Card {
    id: "bait-members",
    title: "Least variance over the pool by the members' covariance",
    formula: "greedy, max of sum over t of k(x, t)^2 / (k(x, x) + 1e-6) given picks, k the members' covariance; by \
              lcmd beyond its rank; epig: as bait-f-p's",
    cost: "O(N p^2 + n N p), p = members x outputs; epig O(n N T)",
    source: BAIT_MEMBERS_SOURCE,
    pick_score: PickScore::Combined,
    labels: Labels::None,
    invariances: &[Invariance::PoolOrder, Invariance::MemberScale],
    settings: &[MEMBERS_COLUMNS, CRITERION],
    build: |card, given| build(card, given, BaitMembers::check),
};

/// `bmdal`.
pub(in crate::strategies) static BMDAL: Card = Card {
    id: "bmdal",
    title: "Any selection on any features",
    formula: "features, what L makes of them, and a selection as set; lcmd-tp by default",
    cost: "as the named combinations",
    source: SOURCE,
    pick_score: PickScore::Combined,
    labels: Labels::Inputs,
    invariances: &[],
    settings: &[
        SettingCard {
            key: "selection",
            help: "how points are chosen",
            values: SettingValues::OneOf(&[
                Choice { value: "lcmd", meaning: "largest cluster maximum distance" },
                Choice { value: "maxdist", meaning: "maximum distance" },
                Choice { value: "kmeanspp", meaning: "drawn in proportion to the squared distance" },
                Choice { value: "maxdet", meaning: "largest determinant of the covariance" },
                Choice { value: "bait", meaning: "least variance over a target" },
            ]),
        },
        SettingCard {
            key: "features",
            help: "where features come from",
            values: SettingValues::OneOf(&[
                GRADIENT,
                LAST_LAYER,
                Choice { value: "members", meaning: "the members' predictions less their mean" },
            ]),
        },
        SettingCard {
            key: "transform",
            help: "what is made of the labelled points",
            values: SettingValues::OneOf(&[
                Choice { value: "centres", meaning: "distances count from them" },
                Choice { value: "posterior", meaning: "the covariance given them" },
            ]),
        },
        FAMILY_COLUMNS,
        DIRECTIONS,
        TARGET,
        CRITERION,
    ],
    build: |card, given| build(card, given, Bmdal::check),
};
