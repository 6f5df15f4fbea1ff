//! Features of pool, labelled set and target, on one scale, and what the labelled set leaves of them.

use std::borrow::Cow;

use dal_core::{FeatureKind, FeatureSpec, Parametrisation, SeedPath, Step, Stop, StrategyError, SurrogateError};
use dal_geom::{Cholesky, gram};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate, s};
use rand::RngExt;

use super::{Source, Target, Transform};
use crate::rule::geometry;

/// σ², the noise of an observation, relative to the labelled set's mean squared norm.
pub(super) const NOISE: f64 = 1e-6;
/// Fresh points of the domain that stand for it.
const DOMAIN_POINTS: usize = 4096;
/// Columns of a sketch where none are asked for.
const COLUMNS: usize = 512;
/// Features of members held at most without a sketch, unless columns are asked for (8 bytes each).
const MOST_EXACT: usize = 1 << 27;
/// Members' predictions held at once (8 bytes each).
const CHUNK_VALUES: usize = 1 << 21;

/// What a selection works on; rows are points, columns features.
pub(super) struct Points {
    /// Shape (N, p).
    pub pool: Array2<f64>,
    /// Shape (|L|, p); without rows where the labelled points are those at which members agree.
    pub labelled: Array2<f64>,
    /// Whether zero is the labelled centre: what a point at which members agree has for features.
    pub centre_at_zero: bool,
    /// Points where the prediction matters, beside pool and labelled set: shape (T, p), empty unless asked for.
    pub domain: Array2<f64>,
    /// Picks after which features of members have no rank left.
    pub rank: usize,
    /// A variance at or below this tells nothing more: that of the noise for members' covariance, of which nothing but
    /// repeated observations is left then; 0 for gradients, where many labelled points leave less than the noise of
    /// every point before the first pick, and the rule goes on all the same.
    pub used_up: f64,
    /// Where it is raised, selections end with what they have, which is then nothing to go by.
    pub stop: Stop,
}

/// Which features.
pub(super) struct Wanted {
    pub source: Source,
    /// `None`: [`COLUMNS`], and for members all that [`MOST_EXACT`] allows.
    pub columns: Option<usize>,
    pub directions: usize,
    pub target: Target,
}

impl Points {
    /// Asks the model for the features of a step, and scales them to a mean squared norm of 1 over the labelled set
    /// (over the pool, where those of the labelled set are zero, and for members).
    pub fn ask(step: &Step<'_>, wanted: &Wanted, seeds: &SeedPath) -> Result<Self, StrategyError> {
        let domain = match wanted.target {
            Target::PoolLabelled => Array2::zeros((0, step.pool().ncols())),
            Target::Domain => step.space().sample(DOMAIN_POINTS, &seeds.purpose("target")),
        };
        let mut points = match wanted.source {
            Source::Gradient => Self::of_network(step, wanted, FeatureKind::Gradient, domain.view(), seeds)?,
            Source::LastLayer => Self::of_network(step, wanted, FeatureKind::LastLayer, domain.view(), seeds)?,
            Source::Members => Self::of_members(step, wanted, domain.view(), seeds)?,
        };
        points.check()?;
        points.scale();
        Ok(points)
    }

    fn of_network(
        step: &Step<'_>,
        wanted: &Wanted,
        kind: FeatureKind,
        domain: ArrayView2<'_, f64>,
        seeds: &SeedPath,
    ) -> Result<Self, StrategyError> {
        let (pool, labelled) = (step.pool(), step.labelled().x());
        let spec = FeatureSpec {
            kind,
            columns: Some(wanted.columns.unwrap_or(COLUMNS)),
            directions: wanted.directions,
            parametrisation: Parametrisation::default(),
            seeds: seeds.purpose("features"),
        };
        // In one call, so that all rows share one sketch.
        let (n, m) = (pool.nrows(), pool.nrows() + labelled.nrows());
        let all = match step.features(concatenate![Axis(0), pool, labelled, domain].view(), &spec) {
            Err(StrategyError::Surrogate(SurrogateError::NonFiniteFeature { row, value, .. })) => {
                let (set, first) = [("point of the target", m), ("labelled point", n), ("pool point", 0)]
                    .into_iter()
                    .find(|&(_, first)| row >= first)
                    .unwrap_or(("point", 0));
                return Err(StrategyError::NonFiniteFeature { set, row: row - first, value });
            }
            other => other?,
        };
        let all = if all.is_standard_layout() { all } else { all.as_standard_layout().into_owned() };
        Ok(Self {
            centre_at_zero: false,
            rank: usize::MAX,
            used_up: 0.0,
            stop: step.stop().clone(),
            labelled: all.slice(s![n..m, ..]).to_owned(),
            domain: all.slice(s![m.., ..]).to_owned(),
            pool: {
                // What stands behind the pool is cut off, not copied.
                let (width, (mut values, offset)) = (all.ncols(), all.into_raw_vec_and_offset());
                let offset = offset.unwrap_or(0);
                values.truncate(offset + n * width);
                values.drain(..offset);
                values.shrink_to_fit();
                Array2::from_shape_vec((n, width), values)
                    .map_err(|error| StrategyError::Geometry { message: error.to_string() })?
            },
        })
    }

    /// `(f_mj(x) − mean_m f_mj(x)) / √(M − 1)` over members m and outputs j; sketched where they are more than the
    /// columns asked for, or more than can be held.
    fn of_members(
        step: &Step<'_>,
        wanted: &Wanted,
        domain: ArrayView2<'_, f64>,
        seeds: &SeedPath,
    ) -> Result<Self, StrategyError> {
        let (n_members, n_outputs) = (step.n_members()?, step.labelled().n_outputs());
        let width = n_members * n_outputs;
        let holds_all = width.saturating_mul(step.pool().nrows()) <= MOST_EXACT;
        let columns = width.min(wanted.columns.unwrap_or(if holds_all { width } else { COLUMNS }));
        if columns < width {
            step.note(format!("the members' {width} columns are sketched to {columns}; picks depend on the seed"));
        }
        let sketch = (columns < width).then(|| sketch(width, columns, &seeds.purpose("features")));
        let at = |x: ArrayView2<'_, f64>| -> Result<Array2<f64>, StrategyError> {
            let mut out = Array2::zeros((x.nrows(), columns));
            let chunk_rows = (CHUNK_VALUES / width.max(1)).clamp(16, 1024);
            let share = 1.0 / ((n_members.max(2) - 1) as f64).sqrt();
            step.members(x, chunk_rows, &mut |first, members| {
                // Around the first member, so that members that agree have no deviation at all.
                let origin = members.index_axis(Axis(0), 0);
                let moved = &members - &origin;
                let centre = moved.sum_axis(Axis(0)) / n_members as f64;
                let rows = members.len_of(Axis(1));
                let deviations = Array2::from_shape_fn((rows, width), |(i, c)| {
                    let (m, j) = (c / n_outputs, c % n_outputs);
                    share * (moved[[m, i, j]] - centre[[i, j]])
                });
                let mut part = out.slice_mut(s![first..first + rows, ..]);
                match &sketch {
                    Some(sketch) => part.assign(&deviations.dot(sketch)),
                    None => part.assign(&deviations),
                }
            })?;
            Ok(out)
        };
        let domain = match domain.nrows() {
            0 => Array2::zeros((0, columns)),
            _ => at(domain).map_err(|error| match error {
                StrategyError::Surrogate(SurrogateError::UnknownPoint { .. }) => StrategyError::BadSetting {
                    key: "target",
                    value: "domain".into(),
                    reason: "it asks the model at fresh points, which a table of predictions does not have; use \
                             pool+labelled"
                        .into(),
                },
                other => other,
            })?,
        };
        Ok(Self {
            pool: at(step.pool())?,
            labelled: Array2::zeros((0, columns)),
            centre_at_zero: true,
            domain,
            rank: columns.min((n_members - 1) * n_outputs),
            used_up: NOISE,
            stop: step.stop().clone(),
        })
    }

    pub fn check(&self) -> Result<(), StrategyError> {
        let sets =
            [(&self.pool, "pool point"), (&self.labelled, "labelled point"), (&self.domain, "point of the target")];
        for (rows, set) in sets {
            // Without an early end a row's numbers are looked at side by side.
            let is_finite = |row: ArrayView1<'_, f64>| row.iter().fold(true, |all, value| all & value.is_finite());
            if let Some((row, values)) = rows.outer_iter().enumerate().find(|(_, row)| !is_finite(*row)) {
                let value = values.iter().copied().find(|value| !value.is_finite()).unwrap_or(f64::NAN);
                return Err(StrategyError::NonFiniteFeature { set, row, value });
            }
        }
        Ok(())
    }

    pub fn scale(&mut self) {
        let of = |rows: &Array2<f64>| rows.iter().map(|v| v * v).sum::<f64>() / rows.nrows().max(1) as f64;
        let by_labelled = self.labelled.iter().any(|&v| v != 0.0);
        let reference = |points: &Self| of(if by_labelled { &points.labelled } else { &points.pool });
        let mut norm = reference(self);
        if !(1e-280..1e280).contains(&norm) {
            // Squares that overflow or vanish: by the largest value first.
            let rows = if by_labelled { &self.labelled } else { &self.pool };
            let largest = rows.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
            if largest == 0.0 {
                return;
            }
            for rows in [&mut self.pool, &mut self.labelled, &mut self.domain] {
                rows.mapv_inplace(|v| v / largest);
            }
            norm = reference(self);
        }
        let factor = 1.0 / norm.sqrt();
        for rows in [&mut self.pool, &mut self.labelled, &mut self.domain] {
            *rows *= factor;
        }
    }

    /// The labelled points as centres of distances.
    pub fn centres(&self) -> Cow<'_, Array2<f64>> {
        if self.centre_at_zero {
            Cow::Owned(Array2::zeros((1, self.pool.ncols())))
        } else {
            Cow::Borrowed(&self.labelled)
        }
    }

    /// Whitens by the labelled set: `φ ← σ A^(−1/2) φ` with `A = Φ_Lᵀ Φ_L + σ² I`, after which inner products are the
    /// covariance that a Gaussian process of this kernel has given the labelled points.
    pub fn transform(&mut self, transform: Transform) -> Result<(), StrategyError> {
        if transform == Transform::Centres || self.labelled.iter().all(|&v| v == 0.0) {
            return Ok(());
        }
        // Of A / σ², so that whitened rows come with the factor σ.
        let mut gram = gram(self.labelled.view()) / NOISE;
        gram.diag_mut().mapv_inplace(|v| v + 1.0);
        let factor = Cholesky::new("the kernel of the labelled points", gram.view()).map_err(geometry)?;
        for rows in [&mut self.pool, &mut self.labelled, &mut self.domain] {
            factor.whiten(rows).map_err(geometry)?;
        }
        Ok(())
    }
}

/// A matrix of independent N(0, 1/columns), by the polar method.
fn sketch(rows: usize, columns: usize, seeds: &SeedPath) -> Array2<f64> {
    let mut rng = seeds.rng();
    let root = 1.0 / (columns as f64).sqrt();
    let mut spare = None;
    let mut normal = move || {
        if let Some(value) = spare.take() {
            return value;
        }
        loop {
            let (u, v): (f64, f64) = (rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0));
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                let factor = root * (-2.0 * s.ln() / s).sqrt();
                spare = Some(v * factor);
                return u * factor;
            }
        }
    };
    Array2::from_shape_simple_fn((rows, columns), &mut normal)
}
