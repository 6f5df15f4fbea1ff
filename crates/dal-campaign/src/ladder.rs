//! Which network: at most six of a ladder that grows with the labels, compared by cross-validation.

use std::borrow::Cow;
use std::collections::HashMap;

use dal_core::model::{BatchNormSpec, MlpEnsemble, OnCollapse, TrainingSpec};
use dal_core::{FitJob, Labelled, Needs, OutputScaling, OutputTransform, SeedPath, Shape, Stop, point_key};
use dal_nn::CpuLearner;
use ndarray::{Array1, Array2, Axis};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::error::CampaignError;

/// Parts that labels are divided into.
pub(crate) const FOLDS: usize = 3;
/// Members of each network that is compared.
const MEMBERS: usize = 3;
/// Networks that are compared at one time.
pub(crate) const RUNGS: usize = 6;
/// Members of the network in use.
pub(crate) const FINAL_MEMBERS: usize = 10;
/// Labels below which there is nothing to compare.
pub(crate) const FEWEST: usize = 9;

/// A choice of network, as the log keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Labels that it was made on.
    pub n_labelled: usize,
    /// The networks that were compared, the simplest first.
    pub rungs: Vec<Rung>,
    /// The place of the one that was chosen.
    pub chosen: usize,
    /// Whether squared errors were weighted by one over the probability of the draw.
    pub weighted: bool,
    /// Whether it is the outcome of a wider search, which a person asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub searched: bool,
    /// The network that a wider search found ([`Folder::tune`](crate::Folder::tune)): it stands beside the ladder
    /// whenever one is chosen anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<MlpEnsemble>,
}

/// A network that was compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// The network, with the members of the ensemble in use.
    pub model: MlpEnsemble,
    /// Numbers that it learns, of one member.
    pub n_parameters: usize,
    /// Mean squared error over points and outputs in model units; none where a training failed or nothing was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// The standard error of that mean over points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_error: Option<f64>,
}

/// Errors of a model in cross-validation. They are those of the points that were asked for, not of the whole domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Labels that they were taken over.
    pub n: usize,
    /// The root of the mean squared error of each output, in its own units.
    pub rmse: Vec<f64>,
    /// One minus the mean squared error over the variance of each output, transformed where the problem file says so;
    /// none for one that is constant.
    pub r2: Vec<Option<f64>>,
    /// Whether squared errors were weighted by one over the probability of the draw.
    pub weighted: bool,
}

impl Choice {
    /// The network that was chosen.
    pub fn model(&self) -> &MlpEnsemble {
        &self.rungs[self.chosen.min(self.rungs.len() - 1)].model
    }

    /// Whether so many labels call for another choice: they have grown by half.
    pub fn is_outgrown(&self, n_labelled: usize) -> bool {
        2 * n_labelled >= 3 * self.n_labelled
    }
}

/// The networks that are compared for so many labels, the simplest first; at most six.
///
/// The smallest has two hidden layers: members of a linear network end alike and disagree about nothing, which a
/// committee is for. Small networks learn with a large rate, since a full batch of few points has little noise. From 64
/// units on there is one of each kind: with a decay that keeps a smooth answer smooth, which was best on formulas, and
/// with normalised layers, which was best on tables with kinks (`docs/results/tables.md`). A network has at most 40
/// numbers for each number in the labels, beyond which those of this family have gained nothing.
pub fn ladder(n_labels: usize, shape: Shape) -> Vec<MlpEnsemble> {
    let plain = |hidden: &'static [usize], rate, decay| (hidden, None, rate, decay);
    let normed = |hidden: &'static [usize], rate| (hidden, Some(BatchNormSpec::RECOMPUTED), rate, 1e-5);
    let steps = [
        plain(&[16, 16], 1e-2, 1e-5),
        plain(&[32, 32], 1e-2, 1e-5),
        plain(&[64, 64, 64], 1e-2, 1e-3),
        normed(&[64, 64, 64], 5e-3),
        plain(&[200, 200, 200], 3e-3, 3e-3),
        normed(&[256, 256, 256], 2e-3),
        normed(&[400, 400, 400, 400], 1e-3),
    ];
    let numbers = n_labels * shape.n_outputs;
    let fitting: Vec<MlpEnsemble> = steps
        .into_iter()
        .map(|(hidden, batch_norm, learning_rate, weight_decay)| MlpEnsemble {
            hidden: Cow::Borrowed(hidden),
            batch_norm,
            training: TrainingSpec {
                n_members: FINAL_MEMBERS,
                learning_rate,
                weight_decay,
                on_collapse: OnCollapse::Restart,
                ..TrainingSpec::DEFAULT
            },
            ..MlpEnsemble::DEFAULT
        })
        .enumerate()
        // The three simplest stay in play however few labels there are.
        .filter(|(step, model)| *step < 3 || n_parameters(model, shape) <= 40 * numbers)
        .map(|(_, model)| model)
        .collect();
    fitting[fitting.len().saturating_sub(RUNGS)..].to_vec()
}

/// Chooses among the [`ladder`]'s networks for labels of no campaign, all of equal weight, by cross-validation: of
/// those within one standard error of the best, the simplest. Rows at the same point are never divided. Fewer than nine
/// labels, or three points, get the middle of the ladder. The Python package's estimator asks it.
///
/// # Errors
/// A stop; labels that the scaling cannot take.
pub fn choose(
    labelled: &Labelled,
    scaling: &OutputScaling,
    threads: usize,
    seeds: &SeedPath,
    stop: &Stop,
) -> Result<Choice, CampaignError> {
    let ids = points_of(labelled);
    let weights = vec![1.0; labelled.len()];
    let shape = Shape { n_inputs: labelled.n_inputs(), n_outputs: labelled.n_outputs() };
    Data { labelled, ids: &ids, weights: &weights, scaling }
        .choose(shape, None, threads, seeds, stop)
        .map(|(choice, _)| choice)
}

/// Of each row the number of the first one at the same point.
fn points_of(labelled: &Labelled) -> Vec<u64> {
    let mut first = HashMap::new();
    let x = labelled.x();
    let rows = (0_u64..).zip(x.outer_iter());
    rows.map(|(row, x)| *first.entry(point_key(x.iter())).or_insert(row)).collect()
}

/// Numbers that one member learns.
pub(crate) fn n_parameters(model: &MlpEnsemble, shape: Shape) -> usize {
    let mut count = 0;
    let mut fan_in = shape.n_inputs;
    for &width in model.hidden.iter() {
        count += (fan_in + 1) * width + if model.batch_norm.is_some() { 2 * width } else { 0 };
        fan_in = width;
    }
    count + (fan_in + 1) * shape.n_outputs
}

/// What is learned from, with what belongs to each row.
pub(crate) struct Data<'a> {
    pub(crate) labelled: &'a Labelled,
    /// The point of each row: replicates of a point are never divided.
    pub(crate) ids: &'a [u64],
    /// Of each row one over its relative probability.
    pub(crate) weights: &'a [f64],
    pub(crate) scaling: &'a OutputScaling,
}

impl Data<'_> {
    pub(crate) fn is_weighted(&self) -> bool {
        // One over (1/n) · n is 1 but for rounding.
        self.weights.iter().any(|w| (w - 1.0).abs() > 1e-9)
    }

    /// The points that rows are of, each once.
    fn points(&self) -> Vec<u64> {
        let mut points = self.ids.to_vec();
        points.sort_unstable();
        points.dedup();
        points
    }

    /// How many points the rows are of.
    pub(crate) fn n_points(&self) -> usize {
        self.points().len()
    }

    /// The fold of each row: points in random order, dealt out.
    fn folds(&self, seeds: &SeedPath) -> Vec<usize> {
        let mut points = self.points();
        points.shuffle(&mut seeds.purpose("folds").rng());
        let folds: HashMap<u64, usize> = points.into_iter().zip((0..FOLDS).cycle()).collect();
        self.ids.iter().map(|id| folds[id]).collect()
    }

    /// Predictions of each row by networks that did not learn it, in the outputs' own units; none where a training
    /// failed, or there are too few points for every fold to have one.
    pub(crate) fn held_out(
        &self,
        model: &MlpEnsemble,
        shape: Shape,
        threads: usize,
        seeds: &SeedPath,
        stop: &Stop,
    ) -> Result<Option<Array2<f64>>, CampaignError> {
        if self.n_points() < FOLDS {
            return Ok(None);
        }
        let folds = self.folds(seeds);
        let small = model.clone().with_members(MEMBERS);
        let network = small.network(shape).map_err(|error| CampaignError::request(error.to_string()))?;
        let learner = CpuLearner::new(network, small.training.clone())
            .map_err(|error| CampaignError::request(error.to_string()))?
            .with_threads(threads);
        let learner = self.scaling.learner(Box::new(learner));
        let rows_of = |fold: usize, inside: bool| -> Vec<usize> {
            (0..folds.len()).filter(|&row| (folds[row] == fold) == inside).collect()
        };
        let parts: Vec<Labelled> = (0..FOLDS)
            .map(|fold| {
                let rows = rows_of(fold, false);
                Labelled::new(self.labelled.x().select(Axis(0), &rows), self.labelled.y().select(Axis(0), &rows))
            })
            .collect::<Result<_, _>>()
            .map_err(|error| CampaignError::request(error.to_string()))?;
        let needs = Needs::default();
        let jobs: Vec<FitJob<'_>> = parts
            .iter()
            .enumerate()
            .map(|(fold, labelled)| FitJob { labelled, needs: &needs, seeds: seeds.purpose("fold").index(fold as u64) })
            .collect();
        let mut predicted = Array2::zeros(self.labelled.y().raw_dim());
        for (fold, fit) in learner.fit_all(&jobs, stop).into_iter().enumerate() {
            let rows = rows_of(fold, true);
            let surrogate = match fit {
                Ok(surrogate) => surrogate,
                Err(dal_core::LearnError::Stopped) => return Err(CampaignError::Stopped),
                Err(_) => return Ok(None),
            };
            let Ok(mean) = surrogate.mean(self.labelled.x().select(Axis(0), &rows).view()) else { return Ok(None) };
            for (row, mean) in rows.into_iter().zip(mean.outer_iter()) {
                predicted.row_mut(row).assign(&mean);
            }
        }
        Ok(Some(predicted))
    }

    /// The weighted squared error of each row in model units, averaged over outputs, weights of mean 1.
    pub(crate) fn losses(&self, predicted: &Array2<f64>) -> Result<Array1<f64>, CampaignError> {
        let (_, back) = self.scaling.model_units(self.labelled)?;
        let error = back.forward(predicted.view()) - back.forward(self.labelled.y());
        let total: f64 = self.weights.iter().sum::<f64>() / self.weights.len() as f64;
        let rows = error.outer_iter().zip(self.weights);
        Ok(rows.map(|(row, w)| w / total * row.mapv(|d| d * d).sum() / row.len() as f64).collect())
    }

    /// The errors of a network by output, in the outputs' own units.
    ///
    /// # Errors
    /// A stop.
    pub(crate) fn errors(
        &self,
        model: &MlpEnsemble,
        shape: Shape,
        threads: usize,
        seeds: &SeedPath,
        stop: &Stop,
    ) -> Result<Option<Errors>, CampaignError> {
        if self.labelled.len() < FEWEST {
            return Ok(None);
        }
        let predicted = self.held_out(model, shape, threads, seeds, stop)?;
        predicted.map(|predicted| self.errors_of(&predicted)).transpose()
    }

    /// The errors of predictions at the points that each model had not learned.
    fn errors_of(&self, predicted: &Array2<f64>) -> Result<Errors, CampaignError> {
        let total: f64 = self.weights.iter().sum();
        let mean = |values: &mut dyn Iterator<Item = f64>| -> f64 {
            values.zip(self.weights).map(|(v, w)| v * w).sum::<f64>() / total
        };
        let (_, back) = self.scaling.model_units(self.labelled)?;
        let (z_predicted, z) = (back.forward(predicted.view()), back.forward(self.labelled.y()));
        let transformed = self.scaling.transformed(self.labelled.y());
        let transform = |k: usize| self.scaling.outputs().get(k).map_or(OutputTransform::None, |units| units.transform);
        let square = |f: &f64, y: &f64| (f - y) * (f - y);
        let (mut rmse, mut r2) = (Vec::new(), Vec::new());
        for k in 0..predicted.ncols() {
            let (f, y) = (predicted.column(k), self.labelled.y());
            rmse.push(mean(&mut f.iter().zip(y.column(k)).map(|(f, y)| square(f, y))).sqrt());
            let (f, y) = (z_predicted.column(k), z.column(k));
            let mse = mean(&mut f.iter().zip(y).map(|(f, y)| square(f, y)));
            let middle = mean(&mut y.iter().copied());
            let variance = mean(&mut y.iter().map(|y| square(&middle, y)));
            let varies = variance > 0.0 && !transform(k).is_constant(transformed.column(k).iter().copied());
            r2.push(varies.then(|| 1.0 - mse / variance));
        }
        Ok(Errors { n: self.labelled.len(), rmse, r2, weighted: self.is_weighted() })
    }

    /// Compares the ladder's networks, and one that a wider search found: of those within one standard error of the
    /// best, the simplest. Its errors come with it, where they could be taken.
    ///
    /// # Errors
    /// A stop.
    pub(crate) fn choose(
        &self,
        shape: Shape,
        tuned: Option<&MlpEnsemble>,
        threads: usize,
        seeds: &SeedPath,
        stop: &Stop,
    ) -> Result<(Choice, Option<Errors>), CampaignError> {
        let n = self.labelled.len();
        let mut models = ladder(n, shape);
        if let Some(tuned) = tuned.filter(|tuned| !models.contains(tuned)) {
            models.drain(..models.len().saturating_sub(RUNGS - 1));
            models.push(tuned.clone());
            models.sort_by_key(|model| n_parameters(model, shape));
        }
        let mut rungs = Vec::new();
        let mut held_out = Vec::new();
        for model in models {
            let mut rung = Rung { n_parameters: n_parameters(&model, shape), model, loss: None, standard_error: None };
            let predicted = match n {
                0..FEWEST => None,
                _ => self.held_out(&rung.model, shape, threads, seeds, stop)?,
            };
            if let Some(predicted) = &predicted {
                rung.take(&self.losses(predicted)?);
            }
            rungs.push(rung);
            held_out.push(predicted);
        }
        let chosen = simplest_of_the_best(&rungs);
        let errors = held_out[chosen].as_ref().map(|predicted| self.errors_of(predicted)).transpose()?;
        Ok((
            Choice {
                n_labelled: n,
                rungs,
                chosen,
                weighted: self.is_weighted(),
                searched: false,
                tuned: tuned.cloned(),
            },
            errors,
        ))
    }
}

impl Rung {
    /// Takes the mean of these losses and its standard error over points; nothing where it is no number.
    pub(crate) fn take(&mut self, losses: &Array1<f64>) {
        let n = losses.len() as f64;
        let mean = losses.sum() / n;
        let variance = losses.mapv(|l| (l - mean) * (l - mean)).sum() / (n - 1.0);
        if mean.is_finite() {
            (self.loss, self.standard_error) = (Some(mean), Some((variance / n).sqrt()));
        }
    }
}

/// The place of the simplest network whose loss is at most the smallest plus its standard error; in the middle of the
/// ladder where none could be compared.
pub(crate) fn simplest_of_the_best(rungs: &[Rung]) -> usize {
    let best =
        rungs.iter().filter_map(|rung| Some((rung.loss?, rung.standard_error?))).min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((loss, error)) = best else { return rungs.len() / 2 };
    rungs.iter().position(|rung| rung.loss.is_some_and(|l| l <= loss + error)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::{OutputTransform, OutputUnits};
    use ndarray::Array2;
    use rand::RngExt;

    const SHAPE: Shape = Shape { n_inputs: 2, n_outputs: 1 };

    #[test]
    fn the_ladder_grows_with_labels_and_has_six_rungs_at_most() {
        let sizes: Vec<Vec<usize>> =
            [5, 300, 5000].map(|n| ladder(n, SHAPE).iter().map(|model| n_parameters(model, SHAPE)).collect()).to_vec();
        assert!(sizes.iter().all(|sizes: &Vec<usize>| sizes.is_sorted() && (3..=RUNGS).contains(&sizes.len())));
        assert!(sizes.windows(2).all(|pair| pair[0].last() < pair[1].last()), "{sizes:?}");
        assert_eq!(n_parameters(&ladder(5, SHAPE)[0], SHAPE), 3 * 16 + 17 * 16 + 17);
    }

    #[test]
    fn the_simplest_within_one_standard_error_wins() {
        let rung = |loss: Option<f64>, standard_error| Rung {
            model: MlpEnsemble::DEFAULT,
            n_parameters: 1,
            loss,
            standard_error: loss.map(|_| standard_error),
        };
        let place = |losses: &[(Option<f64>, f64)]| {
            simplest_of_the_best(&losses.iter().map(|&(l, e)| rung(l, e)).collect::<Vec<_>>())
        };
        assert_eq!(place(&[(Some(2.0), 9.0), (Some(1.2), 0.1), (Some(1.0), 0.3), (Some(1.1), 0.1)]), 1);
        assert_eq!(place(&[(Some(2.0), 9.0), (Some(1.2), 0.1), (Some(1.0), 0.1), (None, 0.1)]), 2);
        assert_eq!(place(&[(None, 0.0), (None, 0.0), (None, 0.0)]), 1);
    }

    fn data(n: usize, f: impl Fn(f64, f64) -> f64) -> (Labelled, Vec<u64>) {
        let mut rng = SeedPath::root(3).rng();
        let x = Array2::from_shape_simple_fn((n, 2), || rng.random::<f64>() * 2.0 - 1.0);
        let y = Array2::from_shape_fn((n, 1), |(i, _)| f(x[[i, 0]], x[[i, 1]]));
        (Labelled::new(x, y).unwrap(), (0..n as u64).collect())
    }

    #[test]
    fn labels_of_no_campaign_get_the_choice_of_one_with_equal_weights_until_a_stop() {
        let scaling = OutputScaling::new(vec![OutputUnits { transform: OutputTransform::None, standardise: true }]);
        let (labelled, ids) = data(12, |a, b| a * b);
        let own = choose(&labelled, &scaling, 2, &SeedPath::root(1), &Stop::new()).unwrap();
        let data = Data { labelled: &labelled, ids: &ids, weights: &[1.0; 12], scaling: &scaling };
        assert_eq!(own, data.choose(SHAPE, None, 2, &SeedPath::root(1), &Stop::new()).unwrap().0);
        let stop = Stop::new();
        stop.raise(dal_core::StopLevel::Now);
        let stopped = choose(&labelled, &scaling, 2, &SeedPath::root(1), &stop);
        assert!(matches!(stopped, Err(CampaignError::Stopped)), "{stopped:?}");
    }

    #[test]
    fn a_plane_and_a_wave_are_learned_by_the_simplest_of_the_best() {
        let scaling = OutputScaling::new(vec![OutputUnits { transform: OutputTransform::None, standardise: true }]);
        for (f, least) in
            [((|a, b| 100.0 + 3.0 * a - 2.0 * b) as fn(f64, f64) -> f64, 0.99), (|a, b| (4.0 * a).sin() * b, 0.5)]
        {
            let (labelled, ids) = data(60, f);
            let weights = vec![1.0; 60];
            let data = Data { labelled: &labelled, ids: &ids, weights: &weights, scaling: &scaling };
            let (choice, errors) = data.choose(SHAPE, None, 2, &SeedPath::root(1), &Stop::new()).unwrap();
            assert_eq!(choice.chosen, simplest_of_the_best(&choice.rungs), "{choice:?}");
            assert_eq!(choice, data.choose(SHAPE, None, 1, &SeedPath::root(1), &Stop::new()).unwrap().0);
            let again = data.errors(choice.model(), SHAPE, 1, &SeedPath::root(1), &Stop::new()).unwrap();
            assert_eq!(again, errors, "what the comparison took is what a training of its own takes");
            let errors = data.errors(choice.model(), SHAPE, 2, &SeedPath::root(1), &Stop::new()).unwrap().unwrap();
            assert!(errors.r2[0].unwrap() > least && !errors.weighted, "{errors:?}");
        }
    }

    #[test]
    fn replicates_are_never_divided_and_every_point_is_held_out_once() {
        let (labelled, _) = data(30, |a, _| a);
        let ids: Vec<u64> = (0..30).map(|i| i / 2).collect();
        let scaling = OutputScaling::default();
        let weights = vec![1.0; 30];
        let data = Data { labelled: &labelled, ids: &ids, weights: &weights, scaling: &scaling };
        let folds = data.folds(&SeedPath::root(0));
        assert!((0..15).all(|i| folds[2 * i] == folds[2 * i + 1]));
        assert!((0..FOLDS).all(|fold| folds.iter().filter(|f| **f == fold).count() == 10));
        // Nor where a point's rows lie apart.
        let apart: Vec<u64> = (0..30).map(|i| i % 15).collect();
        let folds = Data { ids: &apart, ..data }.folds(&SeedPath::root(0));
        assert!((0..15).all(|i| folds[i] == folds[i + 15]));
        assert!((0..FOLDS).all(|fold| folds.iter().filter(|f| **f == fold).count() == 10));
    }

    #[test]
    fn rows_at_one_point_are_its_replicates() {
        let (labelled, ids) = data(12, |a, _| a);
        assert_eq!(points_of(&labelled), ids);
        let x = ndarray::array![[0.5, 0.0], [0.1, 0.2], [0.5, -0.0], [0.2, 0.1]];
        let twice = Labelled::new(x, Array2::zeros((4, 1))).unwrap();
        assert_eq!(points_of(&twice), [0, 1, 0, 3]);
    }

    #[test]
    fn fewer_points_than_folds_are_not_compared_on() {
        let (labelled, _) = data(12, |a, _| a);
        let scaling = OutputScaling::default();
        for n_points in [1, 2] {
            let ids: Vec<u64> = (0..12).map(|i| i % n_points).collect();
            let data = Data { labelled: &labelled, ids: &ids, weights: &[1.0; 12], scaling: &scaling };
            let (choice, errors) = data.choose(SHAPE, None, 1, &SeedPath::root(1), &Stop::new()).unwrap();
            assert_eq!((choice.chosen, errors), (choice.rungs.len() / 2, None));
            assert!(choice.rungs.iter().all(|rung| rung.loss.is_none()));
        }
    }

    #[test]
    fn weights_that_are_one_but_for_rounding_are_none() {
        let (labelled, ids) = data(2, |a, _| a);
        let is_weighted = |weights: &[f64]| {
            Data { labelled: &labelled, ids: &ids, weights, scaling: &OutputScaling::default() }.is_weighted()
        };
        assert!(!is_weighted(&[1.0, 1.0 + f64::EPSILON]) && is_weighted(&[1.0, 1.0 + 1e-6]));
    }
}
