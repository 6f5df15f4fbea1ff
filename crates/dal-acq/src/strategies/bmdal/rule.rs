//! The family and its named members: settings, needs, and the way from a step to a proposal.

use dal_core::{Needs, Proposal, SeedPath, Step, StrategyError};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::bait::bait;
use super::centres::{ByDistance, Nearest};
use super::points::{Points, Wanted};
use super::variance::{Chosen, epig, maxdet};
use crate::rule::{check_scores, pool_strategy};

/// Where features come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Gradients by every parameter, sketched.
    #[default]
    Gradient,
    /// The input of the last linear layer, and a constant.
    LastLayer,
    /// The members' predictions less their mean.
    Members,
}

/// Where features of a network come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkFeatures {
    /// Gradients by every parameter, sketched.
    #[default]
    Gradient,
    /// The input of the last linear layer, and a constant.
    LastLayer,
}

impl From<NetworkFeatures> for Source {
    fn from(features: NetworkFeatures) -> Self {
        match features {
            NetworkFeatures::Gradient => Self::Gradient,
            NetworkFeatures::LastLayer => Self::LastLayer,
        }
    }
}

/// What is made of the labelled points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// They are centres that distances count from (in the literature "TP").
    #[default]
    Centres,
    /// Features are whitened by them: the covariance that a Gaussian process has given them ("P").
    Posterior,
}

/// How points are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// Largest cluster maximum distance.
    #[default]
    Lcmd,
    /// Maximum distance.
    Maxdist,
    /// Drawn in proportion to the squared distance.
    Kmeanspp,
    /// The largest determinant of the picks' covariance.
    Maxdet,
    /// The least variance over a target.
    Bait,
}

/// Where predictions are to be good, for `bait`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// At pool and labelled points.
    #[default]
    #[serde(rename = "pool+labelled")]
    PoolLabelled,
    /// At 4 096 fresh points of the domain.
    #[serde(rename = "domain")]
    Domain,
}

/// What `bait` brings down there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    /// The variance.
    #[default]
    Variance,
    /// The entropy of a single prediction (expected predictive information gain).
    Epig,
}

/// A batch of pool points by a selection on features φ whose inner products are a kernel of the model.
///
/// Features are scaled to a mean squared norm of 1 over the labelled set (members': over the pool). With `transform =
/// posterior`, `φ ← σ A^(−1/2) φ`, `A = Φ_Lᵀ Φ_L + σ² I`, σ² = 1e-6; then no labelled point is a centre. With d(x) the
/// squared distance to the nearest centre (labelled points, where `centres`, and picks; the squared norm where there is
/// none), v(x) and k(x, t) variance and covariance given picks and labelled points:
///
/// | selection | each pick |
/// |---|---|
/// | `lcmd` | the greatest d in the cluster (points of one nearest centre) of the greatest sum of d |
/// | `maxdist` | the greatest d |
/// | `kmeanspp` | drawn in proportion to d |
/// | `maxdet` | the greatest v |
/// | `bait`, `variance` | the greatest `Σ_t k(x, t)² / (v(x) + σ²)` over targets t |
/// | `bait`, `epig` | the greatest mean over t of `−½ ln(1 − k(x, t)² / ((v(x) + σ²)(v(t) + σ²)))` |
///
/// Labelled centres and the posterior are one for `maxdet` and `bait`: either conditions on the labelled points.
/// Features of members are deviations `(f_m − f̄) / √(M − 1)` over all outputs, of rank ≤ (M − 1) · outputs; their
/// covariance is that after training already, so labelled points count as points of no deviation, and the model is not
/// asked there. Where the rank is used up, `maxdet` and `bait` go on by `lcmd` and leave a note. `epig` holds 24
/// million covariances and takes evenly spaced targets where there are more.
///
/// Shapes: pool (N, d), p columns. Needs gradient features, or a committee. Cost O((N + |L|) p²) before the first pick
/// (O(N |L| p) for centres) and O(N p) a pick, O(N T) with `epig`; 8 bytes for each of N · p features.
///
/// Source: D. Holzmüller et al., A framework and benchmark for deep batch active learning for regression, JMLR 24
/// (2023), arXiv 2203.09410; J. Ash et al., Gone fishing, NeurIPS 2021 (`bait`); F. Bickford Smith et al., AISTATS 2023
/// (`epig`); A. Kirsch, TMLR 2023, arXiv 2302.08981 (members).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bmdal {
    /// How points are chosen.
    pub selection: Selection,
    /// Where features come from.
    pub features: Source,
    /// What is made of the labelled points.
    pub transform: Transform,
    /// Columns of the features at most, from 1: a random sketch where there would be more. `None`: 512; members' are
    /// not sketched unless pool points times members times outputs exceed 134 million, then to 512.
    pub columns: Option<usize>,
    /// Combinations of outputs with random signs that stand for more outputs than that, from 1; gradients only.
    pub directions: usize,
    /// Where predictions are to be good; `bait` only.
    pub target: Target,
    /// What is brought down there; `bait` only.
    pub criterion: Criterion,
}

impl Default for Bmdal {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            features: Source::default(),
            transform: Transform::default(),
            columns: None,
            directions: 2,
            target: Target::default(),
            criterion: Criterion::default(),
        }
    }
}

impl Bmdal {
    fn requires(&self) -> Needs {
        match self.features {
            Source::Gradient | Source::LastLayer => Needs { features: true, ..Needs::default() },
            Source::Members => Needs { committee: true, ..Needs::default() },
        }
    }

    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.columns.is_some_and(|columns| !(1..=16_384).contains(&columns)) {
            return Err(("columns", "a whole number from 1 to 16384 is wanted".into()));
        }
        if !(1..=1024).contains(&self.directions) {
            return Err(("directions", "a whole number from 1 to 1024 is wanted".into()));
        }
        Ok(())
    }

    /// Where the variance is to fall, which `bait` alone asks.
    fn target(&self) -> Target {
        if self.selection == Selection::Bait { self.target } else { Target::PoolLabelled }
    }

    fn choose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        let Self { selection, features, columns, directions, .. } = *self;
        let target = self.target();
        let mut points = Points::ask(step, &Wanted { source: features, columns, directions, target }, seeds)?;
        let tell_apart = features != Source::Members || points.pool.iter().any(|&v| v != 0.0);
        if !tell_apart {
            let then = if selection == Selection::Kmeanspp { "are drawn evenly" } else { "follow the pool's order" };
            step.note(format!("the members agree everywhere, so picks {then}"));
        }
        let by_distance = match selection {
            Selection::Lcmd => Some(ByDistance::LargestCluster),
            Selection::Maxdist => Some(ByDistance::Farthest),
            Selection::Kmeanspp => Some(ByDistance::Drawn),
            Selection::Maxdet | Selection::Bait => None,
        };
        // Labelled centres and the posterior are one for the others.
        if by_distance.is_none() || self.transform == Transform::Posterior {
            points.transform(Transform::Posterior)?;
        }
        step.check_stop()?;
        if let Some(rule) = by_distance {
            let proposal = self.by_distance(rule, &points, n, seeds)?;
            return step.check_stop().map(|()| proposal);
        }
        let on_domain = target == Target::Domain;
        let chosen = match (selection, self.criterion) {
            (Selection::Bait, Criterion::Variance) => bait(&points, on_domain, n),
            (Selection::Bait, Criterion::Epig) => epig(&points, on_domain, n),
            _ => maxdet(&points, n),
        };
        step.check_stop()?;
        check_scores(&chosen.scores)?;
        if chosen.n_own < n && tell_apart {
            let (n_own, others) = (chosen.n_own, n - chosen.n_own);
            step.note(format!(
                "the features tell no more after {n_own} picks; the other {others} are by largest cluster maximum \
                 distance"
            ));
        }
        Ok(noted(step, chosen))
    }

    fn by_distance(
        &self,
        rule: ByDistance,
        points: &Points,
        n: usize,
        seeds: &SeedPath,
    ) -> Result<Proposal, StrategyError> {
        let nearest = match self.transform {
            Transform::Centres => Nearest::to(points.pool.view(), points.centres().view()),
            Transform::Posterior => Nearest::none(points.pool.view()),
        };
        check_scores(&nearest.squared)?;
        let scores = Some(nearest.squared.iter().map(|squared| squared.sqrt()).collect());
        let mut rng = seeds.purpose("draws").rng();
        let mut uniform = || (rng.random::<u64>() >> 11) as f64 / (1_u64 << 53) as f64;
        let (picked, distances) = nearest.pick(rule, n, &points.stop, &mut uniform);
        Ok(Proposal { scores, picked_scores: Some(distances.into()), ..Proposal::picked(picked) })
    }
}

fn noted(step: &Step<'_>, chosen: Chosen) -> Proposal {
    let Chosen { picked, picked_scores, scores, n_targets, .. } = chosen;
    if let Some(n_targets) = n_targets {
        step.note(format!("{n_targets} evenly spaced points stand for the target, whose covariances would not fit"));
    }
    Proposal { scores: Some(scores.into()), picked_scores: Some(picked_scores.into()), ..Proposal::picked(picked) }
}

pool_strategy!(Bmdal, ranges if |rule| rule.target() == Target::Domain);

/// A named combination: its settings, and the family's that they stand for.
macro_rules! named {
    (
        $(#[$about:meta])*
        $name:ident: $selection:ident, $transform:ident $(, $fixed:ident = $value:expr)?;
        $($(#[$help:meta])* $field:ident: $type:ty = $default:expr => $of:ident,)*
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$help])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl From<$name> for Bmdal {
            fn from(named: $name) -> Self {
                let (selection, transform) = (Selection::$selection, Transform::$transform);
                let mut all = Self { selection, transform, ..Self::default() };
                $(all.$fixed = $value;)?
                $(all.$of = named.$field.into();)*
                all
            }
        }

        impl $name {
            fn requires(&self) -> Needs {
                Bmdal::from(*self).requires()
            }

            pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
                Bmdal::from(*self).check()
            }

            fn choose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
                Bmdal::from(*self).choose(step, n, seeds)
            }
        }

        pool_strategy!($name, ranges if |rule| Bmdal::from(*rule).target() == Target::Domain);
    };
}

/// A named combination on features of the networks.
macro_rules! on_network {
    ($(#[$about:meta])* $name:ident: $selection:ident, $transform:ident; $($(#[$help:meta])* $field:ident: $type:ty,)*) => {
        named! {
            $(#[$about])*
            $name: $selection, $transform;
            /// Where features come from.
            features: NetworkFeatures = NetworkFeatures::default() => features,
            /// As [`Bmdal::columns`].
            columns: usize = 512 => columns,
            /// As [`Bmdal::directions`].
            directions: usize = 2 => directions,
            $($(#[$help])* $field: $type = <$type>::default() => $field,)*
        }
    };
}

on_network! {
    /// [`Bmdal`] with `lcmd` and the labelled points as centres: the best of the published comparison, on average.
    LcmdTp: Lcmd, Centres;
}
on_network! {
    /// [`Bmdal`] with `maxdist` and the labelled points as centres: a covering, as `gsx`, in the features' space.
    MaxdistTp: Maxdist, Centres;
}
on_network! {
    /// [`Bmdal`] with `kmeanspp` and the labelled points as centres.
    KmeansppTp: Kmeanspp, Centres;
}
on_network! {
    /// [`Bmdal`] with `maxdet`, given the labelled points.
    MaxdetP: Maxdet, Posterior;
}
on_network! {
    /// [`Bmdal`] with `bait`, forward, given the labelled points.
    BaitFP: Bait, Posterior;
    /// Where predictions are to be good.
    target: Target,
    /// What is brought down there.
    criterion: Criterion,
}
named! {
    /// [`Bmdal`] with `lcmd` on the members' predictions.
    LcmdMembers: Lcmd, Centres, features = Source::Members;
    /// As [`Bmdal::columns`].
    columns: Option<usize> = None => columns,
}
named! {
    /// [`Bmdal`] with `maxdet` on the members' predictions.
    MaxdetMembers: Maxdet, Posterior, features = Source::Members;
    /// As [`Bmdal::columns`].
    columns: Option<usize> = None => columns,
}
named! {
    /// [`Bmdal`] with `bait` on the members' predictions, the pool as the target.
    BaitMembers: Bait, Posterior, features = Source::Members;
    /// As [`Bmdal::columns`].
    columns: Option<usize> = None => columns,
    /// What is brought down at the pool.
    criterion: Criterion = Criterion::default() => criterion,
}
