//! The model of the battery: every capability as a formula, so that nothing has to be trained.

use dal_core::{
    Committee, Dropout, DropoutSpec, FeatureKind, FeatureSpec, Features, InputGradient, LossHead, Moments, Needs,
    OnChunk, ParameterSubset, SeedPath, Surrogate, SurrogateError, Tangent, Uncertainty,
};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis, s};
use rand::RngExt;

use crate::given::{GivenPredictions, moments};

/// Features of a point in the formulas of [`CaseModel`].
const N_FEATURES: usize = 6;

/// A model whose every capability is a formula. With features `φ_k(x) = sin(k + 1 + 0.7 Σ_i (k + i + 1) x_i)`:
/// predictions are those given at points of the pool, elsewhere those of members that are linear in their parameters,
/// `f_mj = Σ_k θ_mjk φ_k` with `θ_mjk = cos(m + 2 j + 3 k)`, whose are parameter and input gradients everywhere; the
/// dropout network is `Σ_k 2 z_k φ_k`, z fair coins per point and pass; the predicted loss is `Σ_k φ_k / (k + 1)`;
/// gradient features are the φ_k, which no sketch shortens. If a given prediction is NaN, the other answers are NaN at
/// the first point too.
#[derive(Debug)]
pub struct CaseModel {
    pub(super) given: GivenPredictions,
    pub(super) offer: Needs,
    pub(super) poisoned: bool,
}

/// The features of every point, shape (n, [`N_FEATURES`]).
fn features(x: ArrayView2<'_, f64>) -> Array2<f64> {
    Array2::from_shape_fn((x.nrows(), N_FEATURES), |(row, k)| {
        let sum: f64 = x.row(row).iter().enumerate().map(|(i, v)| (k + i + 1) as f64 * v).sum();
        (k as f64 + 1.0 + 0.7 * sum).sin()
    })
}

/// 0.7 times the cosine of the features' argument: the slope of a feature in input i is (k + i + 1) times it.
fn slopes(x: ArrayView2<'_, f64>) -> Array2<f64> {
    Array2::from_shape_fn((x.nrows(), N_FEATURES), |(row, k)| {
        let sum: f64 = x.row(row).iter().enumerate().map(|(i, v)| (k + i + 1) as f64 * v).sum();
        0.7 * (k as f64 + 1.0 + 0.7 * sum).cos()
    })
}

impl CaseModel {
    fn poison(&self, row: usize) -> f64 {
        if self.poisoned && row == 0 { f64::NAN } else { 1.0 }
    }

    /// Every member's prediction at any points, shape (M, n, J).
    fn predictions(&self, x: ArrayView2<'_, f64>) -> Array3<f64> {
        let given = self.given.members_at_pool();
        if x == self.given.pool() {
            return given.to_owned();
        }
        let mut all = self.linear(x);
        for (row, point) in x.outer_iter().enumerate() {
            if let Some(at) = self.given.pool().outer_iter().position(|known| known == point) {
                all.slice_mut(s![.., row, ..]).assign(&given.slice(s![.., at, ..]));
            }
        }
        all
    }

    /// The linear members at any points, shape (M, n, J).
    fn linear(&self, x: ArrayView2<'_, f64>) -> Array3<f64> {
        let features = features(x);
        Array3::from_shape_fn((self.given.n_members(), x.nrows(), self.n_outputs()), |(m, row, j)| {
            (0..N_FEATURES).map(|k| Self::theta(m, j, k) * features[[row, k]]).sum()
        })
    }

    fn theta(m: usize, j: usize, k: usize) -> f64 {
        ((m + 2 * j + 3 * k) as f64).cos()
    }
}

impl Surrogate for CaseModel {
    fn n_inputs(&self) -> usize {
        self.given.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.given.n_outputs()
    }

    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        Ok(moments(&self.predictions(x)).mean)
    }

    fn uncertainty(&self) -> Option<&dyn Uncertainty> {
        (self.offer.uncertainty || self.offer.committee).then_some(self as &dyn Uncertainty)
    }

    fn committee(&self) -> Option<&dyn Committee> {
        self.offer.committee.then_some(self as &dyn Committee)
    }

    fn input_gradient(&self) -> Option<&dyn InputGradient> {
        self.offer.input_gradient.then_some(self as &dyn InputGradient)
    }

    fn dropout(&self) -> Option<&dyn Dropout> {
        self.offer.dropout.is_some().then_some(self as &dyn Dropout)
    }

    fn loss_head(&self) -> Option<&dyn LossHead> {
        self.offer.loss_head.is_some().then_some(self as &dyn LossHead)
    }

    fn features(&self) -> Option<&dyn Features> {
        self.offer.features.then_some(self as &dyn Features)
    }

    fn tangent(&self) -> Option<&dyn Tangent> {
        self.offer.tangent.then_some(self as &dyn Tangent)
    }
}

impl Uncertainty for CaseModel {
    fn moments(&self, x: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError> {
        Ok(moments(&self.predictions(x)))
    }
}

impl Committee for CaseModel {
    fn n_members(&self) -> usize {
        self.given.n_members()
    }

    fn members(
        &self,
        x: ArrayView2<'_, f64>,
        chunk_rows: usize,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError> {
        let (all, chunk) = (self.predictions(x), chunk_rows.max(1));
        for first in (0..x.nrows()).step_by(chunk) {
            on_chunk(first, all.slice(s![.., first..(first + chunk).min(x.nrows()), ..]));
        }
        Ok(())
    }
}

impl InputGradient for CaseModel {
    /// With `∂φ_k/∂x_i = 0.7 (k + i + 1) cos(…)`: `∂D/∂x_i = 2/(M J) Σ_m Σ_j (f_mj − f̄_j) Σ_k θ_mjk ∂φ_k/∂x_i`.
    fn disagreement(&self, x: ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>), SurrogateError> {
        let (members, share) = (self.linear(x), 2.0 / (self.given.n_members() * self.n_outputs()) as f64);
        let Moments { mean, variance } = moments(&members);
        let slopes = slopes(x);
        let gradient = Array2::from_shape_fn(x.dim(), |(row, i)| {
            let gap = |m: usize, j: usize| members[[m, row, j]] - mean[[row, j]];
            let slope = |m: usize, j: usize| -> f64 {
                (0..N_FEATURES).map(|k| Self::theta(m, j, k) * (k + i + 1) as f64 * slopes[[row, k]]).sum()
            };
            let members = 0..self.given.n_members();
            let sum: f64 = members
                .flat_map(|m| (0..self.n_outputs()).map(move |j| (m, j)))
                .map(|(m, j)| gap(m, j) * slope(m, j))
                .sum();
            share * sum * self.poison(row)
        });
        let score = variance.outer_iter().enumerate().map(|(row, v)| v.sum() / v.len() as f64 * self.poison(row));
        Ok((score.collect(), gradient))
    }
}

impl Dropout for CaseModel {
    fn n_passes(&self) -> usize {
        self.offer.dropout.map_or(DropoutSpec::default().n_passes, |spec| spec.n_passes)
    }

    fn moments(&self, x: ArrayView2<'_, f64>, seeds: &SeedPath) -> Result<Moments, SurrogateError> {
        let (features, coins, n_outputs) = (features(x), seeds.philox(), self.n_outputs());
        let n_passes = Dropout::n_passes(self);
        let mut mean = Array2::zeros((x.nrows(), n_outputs));
        let mut variance = mean.clone();
        for row in 0..x.nrows() {
            let passes: Vec<f64> = (0..n_passes)
                .map(|pass| {
                    let bits = coins.block([row as u32, pass as u32, 0, 0])[0];
                    (0..N_FEATURES).map(|k| if bits >> k & 1 == 1 { 2.0 * features[[row, k]] } else { 0.0 }).sum()
                })
                .collect();
            let centre = passes.iter().sum::<f64>() / n_passes as f64;
            let spread = passes.iter().map(|p| (p - centre) * (p - centre)).sum::<f64>() / n_passes as f64;
            mean.row_mut(row).fill(centre * self.poison(row));
            variance.row_mut(row).fill(spread * self.poison(row));
        }
        Ok(Moments { mean, variance })
    }

    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        let sums = features(x).sum_axis(Axis(1));
        Ok(Array2::from_shape_fn((x.nrows(), self.n_outputs()), |(row, _)| sums[row]))
    }
}

impl LossHead for CaseModel {
    fn predicted_loss(&self, x: ArrayView2<'_, f64>) -> Result<Array1<f64>, SurrogateError> {
        let features = features(x);
        let loss = |row: usize| (0..N_FEATURES).map(|k| features[[row, k]] / (k as f64 + 1.0)).sum::<f64>();
        Ok((0..x.nrows()).map(|row| loss(row) * self.poison(row)).collect())
    }
}

impl Features for CaseModel {
    fn features_at(&self, x: ArrayView2<'_, f64>, spec: &FeatureSpec) -> Result<Array2<f64>, SurrogateError> {
        let mut all = features(x);
        if spec.kind == FeatureKind::LastLayer {
            // Fewer of them, as a last layer's are.
            all = all.slice(s![.., ..N_FEATURES - 1]).to_owned();
        }
        all.row_mut(0).mapv_inplace(|value| value * self.poison(0));
        Ok(all)
    }
}

impl Tangent for CaseModel {
    fn loss_gradient_products(
        &self,
        anchors: ArrayView2<'_, f64>,
        candidates: ArrayView2<'_, f64>,
        target: ArrayView1<'_, f64>,
        subset: Option<&ParameterSubset>,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError> {
        let (n_members, n_outputs) = (self.given.n_members(), self.n_outputs());
        let (at_anchors, at_candidates) = (features(anchors), features(candidates));
        // Which of a member's parameters (j, k) count.
        let kept: Vec<Vec<bool>> = (0..n_members)
            .map(|m| {
                let all = n_outputs * N_FEATURES;
                let Some(subset) = subset else { return vec![true; all] };
                let mut order: Vec<usize> = (0..all).collect();
                let mut rng = subset.seeds.index(m as u64).rng();
                for place in 0..all {
                    order.swap(place, rng.random_range(place..all));
                }
                let mut kept = vec![false; all];
                order.iter().take(subset.n_parameters).for_each(|&p| kept[p] = true);
                kept
            })
            .collect();
        // Seven rows at a time, so that chunks are seen to be put together rightly.
        for first in (0..candidates.nrows()).step_by(7) {
            let rows = first..(first + 7).min(candidates.nrows());
            let products = Array3::from_shape_fn((rows.len(), anchors.nrows(), n_outputs), |(i, a, j)| {
                let c = first + i;
                let product = |m: usize| -> f64 {
                    let value: f64 = (0..N_FEATURES).map(|k| Self::theta(m, j, k) * at_candidates[[c, k]]).sum();
                    let dot: f64 = (0..N_FEATURES)
                        .filter(|k| kept[m][j * N_FEATURES + k])
                        .map(|k| at_anchors[[a, k]] * at_candidates[[c, k]])
                        .sum();
                    2.0 / n_outputs as f64 * (value - target[j]) * dot
                };
                (0..n_members).map(product).sum::<f64>() / n_members as f64 * self.poison(c)
            });
            on_chunk(first, products.view());
        }
        Ok(())
    }
}
