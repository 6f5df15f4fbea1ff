//! Features of pool, labelled set and target, on one scale, and what the labelled set leaves of them.

use dal_core::{FeatureKind, FeatureSpec, Parametrisation, SeedPath, Step, StrategyError};
use dal_geom::{Cholesky, gram};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use rand::RngExt;

use super::{Source, Target, Transform};
use crate::rule::geometry;

/// σ², the noise of an observation, relative to the labelled set's mean squared norm.
pub(super) const NOISE: f64 = 1e-6;
/// Fresh points of the domain that stand for it.
const DOMAIN_POINTS: usize = 4096;
/// Members' predictions held at once (8 bytes each).
const CHUNK_VALUES: usize = 1 << 21;

/// What a selection works on; rows are points, columns features.
pub(super) struct Points {
    /// Shape (N, p).
    pub pool: Array2<f64>,
    /// Shape (|L|, p); a single row of zeros where the labelled points are those at which members agree.
    pub labelled: Array2<f64>,
    /// Points where the prediction matters, beside pool and labelled set: shape (T, p), empty unless asked for.
    pub domain: Array2<f64>,
    /// The rank that the features have at most.
    pub rank: usize,
    /// A variance at or below this tells nothing more: that of the noise for members' covariance, of which nothing but
    /// repeated observations is left then; 0 for gradients, where many labelled points leave less than the noise of
    /// every point before the first pick, and the rule goes on all the same.
    pub used_up: f64,
}

/// Which features.
pub(super) struct Wanted {
    pub source: Source,
    pub columns: usize,
    pub directions: usize,
    pub target: Target,
}

impl Points {
    /// Asks the model for the features of a step, and scales them to a mean squared norm of 1 over the labelled set
    /// (over the pool, where those of the labelled set are zero).
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
            columns: Some(wanted.columns),
            directions: wanted.directions,
            parametrisation: Parametrisation::default(),
            seeds: seeds.purpose("features"),
        };
        // In one call, so that all rows share one sketch.
        let all = step.features(concatenate![Axis(0), pool, labelled, domain].view(), &spec)?;
        let all = if all.is_standard_layout() { all } else { all.as_standard_layout().into_owned() };
        let (n, m) = (pool.nrows(), pool.nrows() + labelled.nrows());
        Ok(Self {
            rank: all.ncols(),
            used_up: 0.0,
            labelled: all.slice(s![n..m, ..]).to_owned(),
            domain: all.slice(s![m.., ..]).to_owned(),
            pool: {
                // What stands behind the pool is cut off, not copied.
                let (width, mut values) = (all.ncols(), all.into_raw_vec_and_offset().0);
                values.truncate(n * width);
                values.shrink_to_fit();
                Array2::from_shape_vec((n, width), values)
                    .map_err(|error| StrategyError::Geometry { message: error.to_string() })?
            },
        })
    }

    /// `(f_mj(x) − mean_m f_mj(x)) / √(M − 1)` over members m and outputs j; sketched where they are more than the
    /// columns.
    fn of_members(
        step: &Step<'_>,
        wanted: &Wanted,
        domain: ArrayView2<'_, f64>,
        seeds: &SeedPath,
    ) -> Result<Self, StrategyError> {
        let (n_members, n_outputs) = (step.n_members()?, step.labelled().n_outputs());
        let width = n_members * n_outputs;
        let columns = wanted.columns.min(width);
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
        Ok(Self {
            pool: at(step.pool())?,
            labelled: Array2::zeros((1, columns)),
            domain: if domain.nrows() > 0 { at(domain)? } else { Array2::zeros((0, columns)) },
            rank: columns.min((n_members - 1) * n_outputs),
            used_up: NOISE,
        })
    }

    /// A feature that is no number counts as its row's score.
    fn check(&self) -> Result<(), StrategyError> {
        for rows in [&self.pool, &self.labelled, &self.domain] {
            if let Some(((row, _), &value)) = rows.indexed_iter().find(|(_, value)| !value.is_finite()) {
                return Err(StrategyError::NonFiniteScore { row, value });
            }
        }
        Ok(())
    }

    fn scale(&mut self) {
        let of = |rows: &Array2<f64>| rows.iter().map(|v| v * v).sum::<f64>() / rows.nrows().max(1) as f64;
        let norm = Some(of(&self.labelled)).filter(|&norm| norm > 0.0).unwrap_or_else(|| of(&self.pool));
        if norm > 0.0 && norm.is_finite() {
            let factor = 1.0 / norm.sqrt();
            for rows in [&mut self.pool, &mut self.labelled, &mut self.domain] {
                *rows *= factor;
            }
        }
    }

    /// Whitens by the labelled set: `φ ← σ A^(−1/2) φ` with `A = Φ_Lᵀ Φ_L + σ² I`, after which inner products are the
    /// covariance that a Gaussian process of this kernel has given the labelled points.
    pub fn transform(&mut self, transform: Transform) -> Result<(), StrategyError> {
        if transform == Transform::Centres || self.labelled.iter().all(|&v| v == 0.0) {
            return Ok(());
        }
        let p = self.pool.ncols();
        let gram = gram(self.labelled.view()) + Array2::from_diag(&Array1::from_elem(p, NOISE));
        let factor = Cholesky::new("the kernel of the labelled points", gram.view()).map_err(geometry)?;
        for rows in [&mut self.pool, &mut self.labelled, &mut self.domain] {
            factor.whiten(rows).map_err(geometry)?;
            *rows *= NOISE.sqrt();
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
