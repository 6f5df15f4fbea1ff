//! What rounds of draws say about the error of the models that drew them, over the whole domain.
//!
//! A batch that was chosen for its uncertainty is harder than the domain. Where its points were *drawn*, each with a
//! known probability, the weights of `dal_eval::lure_weights` undo that. The estimate is of one fixed model, "the model
//! of 280 labels", from the predictions that were logged when the points were drawn: what was trained or chosen since
//! cannot touch it, and the model trained since has none yet.
//!
//! A plain t interval of so few and so skewed losses misses the truth above its upper end far too often (it covers 67
//! to 89 % instead of 90 at twenty draws); these are bootstrap-t intervals of the logarithm, whose upper end reckons
//! with losses so rare that no draw met them (`dal_eval::UNSEEN`).

use dal_core::{Dimension, OutputTransform};
use dal_eval::{FEWEST_DRAWS, LossTerms, answered_loss, lure_weights, share_interval};

use crate::error::CampaignError;
use crate::folder::Folder;
use crate::state::{Point, Status};
use crate::words::{Cell, Drawn, INITIAL, Round};

/// Rounds that the shown figure pools: "the mean error of the last five models"; more where these are so small that
/// they have no interval together.
pub const POOLED_ROUNDS: usize = 5;

/// Share of a round that may be without an answer, or withdrawn, before its estimate is called incomplete.
pub const MOST_UNRESOLVED: f64 = 0.05;

/// Level of the intervals.
pub const LEVEL: f64 = 0.9;

/// Answers that the spread of an output is taken from at least, before all answers are taken.
const FEWEST_SPREAD: usize = 10;

/// An error with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimated {
    /// The root of the estimated mean squared error.
    pub rmse: f64,
    /// Ends of the two-sided interval at [`LEVEL`]; the upper one is a one-sided limit at (1 + [`LEVEL`]) / 2. None
    /// below ten answered draws, or where all losses are equal.
    pub interval: Option<(f64, f64)>,
}

impl Estimated {
    /// Of the terms of a mean squared error. The stream of the resamples is a number: the same figures at every call.
    pub(crate) fn of(terms: &LossTerms, stream: usize) -> Self {
        let root = |v: f64| v.max(0.0).sqrt();
        let interval = terms.interval(LEVEL, stream as u64).ok();
        Self { rmse: root(terms.mean()), interval: interval.map(|found| (root(found.lower), root(found.upper))) }
    }

    /// The same without its interval.
    pub(crate) fn point(terms: &LossTerms) -> Self {
        Self { rmse: terms.mean().max(0.0).sqrt(), interval: None }
    }

    /// In another unit, of which one is so much of this one.
    pub(crate) fn in_units_of(self, unit: f64) -> Self {
        Self { rmse: self.rmse / unit, interval: self.interval.map(|(low, high)| (low / unit, high / unit)) }
    }
}

/// Of each output its error in its standard deviations, of transformed values where the problem transforms it; none
/// where it does not vary. Without a transform it is the error in its unit over one of them.
pub(crate) fn scaled(
    spread: &Spread,
    outputs: &[Estimated],
    transformed: impl Fn(usize) -> Option<Estimated>,
) -> Vec<Option<Estimated>> {
    let one = |(j, of): (usize, &Estimated)| match *spread.get(j)? {
        (OutputTransform::None, sd) => Some(of.in_units_of(sd?)),
        (_, sd) => sd.and_then(|_| transformed(j)),
    };
    outputs.iter().enumerate().map(one).collect()
}

/// A share of the domain with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The estimated share, Σ v S / Σ v: within [0, 1], and 1 where every draw has an answer. (1 / M) Σ v S would have
    /// no bias, but depends on how far the weights of so few draws lie from their mean 1, and can come to 2.
    pub share: f64,
    /// Ends of the two-sided interval at [`LEVEL`] by `dal_eval::share_interval`, wide enough to hold the estimate;
    /// none below ten resolved draws.
    pub interval: Option<(f64, f64)>,
}

impl Share {
    /// Of weighted draws, and whether each has an answer.
    pub(crate) fn of(weights: &[f64], answered: &[bool], n_pool: Option<usize>) -> Option<Self> {
        let of = |wanted: bool| -> f64 {
            weights.iter().zip(answered).filter(|(_, answered)| **answered == wanted).map(|(v, _)| v).sum()
        };
        let (with, without) = (of(true), of(false));
        let all = with + without;
        let share = (all > 0.0 && all.is_finite()).then_some(with / all)?;
        let found = share_interval(weights, answered, n_pool, LEVEL).ok();
        Some(Self { share, interval: found.map(|found| (found.lower.min(share), found.upper.max(share))) })
    }
}

/// What one round says about the model that drew it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundEstimate {
    /// The round.
    pub round: usize,
    /// Labels of the model that is judged.
    pub n_labelled: usize,
    /// Draws of the round.
    pub drawn: usize,
    /// Draws with an answer.
    pub answered: usize,
    /// Draws that failed for the point's sake.
    pub failed: usize,
    /// Draws that were withdrawn or have no answer yet.
    pub open: usize,
    /// Estimated share of the domain that has an answer, over draws with an answer or a failure.
    pub answered_share: Share,
    /// The domain, in words.
    pub domain: String,
    /// Inputs that were held fixed: the figures speak of that slice alone.
    pub fixed: Vec<(String, Cell)>,
    /// Of each output its root mean squared error over the answered part of the domain, in its unit; empty where no
    /// draw has an answer.
    pub outputs: Vec<Estimated>,
    /// Of each output the same in its standard deviations, of transformed values where the problem transforms it: 1 is
    /// what the best constant scores. None where it does not vary.
    pub scaled: Vec<Option<Estimated>>,
    /// The root of the mean over outputs of the square of that.
    pub relative: Option<Estimated>,
}

impl RoundEstimate {
    /// Whether more than [`MOST_UNRESOLVED`] of the round is open: then no rule may stop on it.
    pub fn is_incomplete(&self) -> bool {
        is_incomplete(self.open, self.drawn)
    }
}

/// The estimates of a campaign.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimates {
    /// Of every round that was drawn with known probabilities from the present domain and has an answer or a failure,
    /// in order.
    pub rounds: Vec<RoundEstimate>,
    /// Of every slice with a complete round the errors of its last models together; the newest last.
    pub pooled: Vec<Pooled>,
}

impl Estimates {
    /// The last models together of the rounds that hold these inputs fixed.
    pub fn pooled_of(&self, fixed: &[(String, Cell)]) -> Option<&Pooled> {
        self.pooled.iter().find(|pooled| pooled.fixed == fixed)
    }
}

/// The mean errors of the models that drew the last [`POOLED_ROUNDS`] complete rounds of one slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Pooled {
    /// Inputs that were held fixed.
    pub fixed: Vec<(String, Cell)>,
    /// How many models.
    pub models: usize,
    /// Of each output the root of the mean of their squared errors, in its unit.
    pub outputs: Vec<Estimated>,
    /// The same over all outputs, in standard deviations.
    pub relative: Option<Estimated>,
}

/// Which losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// Squared errors of an output, in its unit.
    Output(usize),
    /// The same in its standard deviations, of transformed values; for outputs that have a transform.
    Scaled(usize),
    /// Their mean over outputs, in standard deviations.
    Relative,
}

/// Weights and losses of one round.
pub(crate) struct Losses {
    /// LURE weights of all draws, in order.
    weights: Vec<f64>,
    /// Squared errors of each output in its unit; none where there is no answer.
    squared: Vec<Option<Vec<f64>>>,
    /// The same in standard deviations, of transformed values; empty where no output has a transform.
    scaled: Vec<Option<Vec<f64>>>,
    /// Mean over outputs of the squared error in standard deviations.
    relative: Vec<Option<f64>>,
    /// Candidates, where they are themselves a sample of the domain.
    n_pool: Option<usize>,
}

/// The losses of one output; none where there is no answer.
fn of_output(losses: &[Option<Vec<f64>>], j: usize) -> Vec<Option<f64>> {
    losses.iter().map(|of| of.as_ref()?.get(j).copied()).collect()
}

impl Losses {
    fn column(&self, column: Column) -> Vec<Option<f64>> {
        match column {
            Column::Output(j) => of_output(&self.squared, j),
            Column::Scaled(j) => of_output(&self.scaled, j),
            Column::Relative => self.relative.clone(),
        }
    }

    /// Weights and losses of the answered draws. Where there are others the weights are made to have the mean 1, so
    /// that the weighted mean is Σ v S L / Σ v S; where there are none it is (1 / M) Σ v L.
    fn answered(&self, column: Column) -> (Vec<f64>, Vec<f64>) {
        let n = self.weights.len();
        let (weights, losses): (Vec<f64>, Vec<f64>) =
            (self.weights.iter().zip(self.column(column))).filter_map(|(v, loss)| loss.map(|loss| (*v, loss))).unzip();
        let mean = if losses.len() == n { 1.0 } else { weights.iter().sum::<f64>() / weights.len() as f64 };
        (weights.into_iter().map(|v| v / mean).collect(), losses)
    }

    fn terms(&self, column: Column) -> Option<LossTerms> {
        let (weights, losses) = self.answered(column);
        LossTerms::weighted(&weights, &losses, self.n_pool).ok()
    }

    /// The mean squared error that the round estimates.
    pub(crate) fn mean(&self, column: Column) -> Option<f64> {
        answered_loss(&self.weights, &self.column(column)).ok()?.loss
    }
}

/// What points that were measured more than once say of the noise.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// Of each output the standard deviation of a measurement, in its unit.
    pub sd: Vec<f64>,
    /// Points with several answers.
    pub points: usize,
}

/// A round with what its estimate is made of.
pub(crate) struct Judged<'a> {
    pub(crate) round: &'a Round,
    pub(crate) losses: Losses,
    /// Of each output the terms of its error; none where no draw has an answer.
    outputs: Vec<LossTerms>,
    /// Of each draw with an answer or a failure whether it has an answer, and its weight.
    has: Vec<bool>,
    weights: Vec<f64>,
}

impl Judged<'_> {
    fn open(&self) -> usize {
        self.round.points.len() - self.has.len()
    }

    /// As [`RoundEstimate::is_incomplete`].
    pub(crate) fn is_incomplete(&self) -> bool {
        is_incomplete(self.open(), self.round.points.len())
    }
}

/// Whether more than [`MOST_UNRESOLVED`] of so many points are open.
pub(crate) fn is_incomplete(open: usize, drawn: usize) -> bool {
    open as f64 > MOST_UNRESOLVED * drawn as f64
}

/// Of each output its transform, and its standard deviation; none where it does not vary.
pub type Spread = Vec<(OutputTransform, Option<f64>)>;

impl Folder {
    /// The card of the rule that chooses.
    ///
    /// # Errors
    /// A rule that there is not.
    pub fn card(&self) -> Result<&'static dal_acq::Card, CampaignError> {
        Ok(dal_acq::card(&self.settings().strategy)?)
    }

    /// What the rounds say about the models that drew them. Nothing is trained for it.
    pub fn estimates(&self) -> Estimates {
        self.estimates_of(&|_| true)
    }

    /// The same with intervals for these outputs and for all together alone: thousands of outputs have thousands of
    /// bootstraps a round.
    pub fn estimates_of(&self, wanted: &dyn Fn(usize) -> bool) -> Estimates {
        let judged = self.judged();
        let spread = self.spread();
        let complete: Vec<&Judged<'_>> = judged.iter().filter(|judged| !judged.is_incomplete()).collect();
        // The newest round of every slice.
        let newest = complete
            .iter()
            .enumerate()
            .filter(|(k, judged)| complete[k + 1..].iter().all(|later| later.round.fixed != judged.round.fixed));
        Estimates {
            pooled: newest.filter_map(|(_, newest)| self.pooled(&complete, newest.round, wanted)).collect(),
            rounds: judged.iter().filter_map(|judged| self.estimate(judged, &spread, wanted)).collect(),
        }
    }

    /// What the last of these rounds that are of the same slice as the newest say together.
    fn pooled(&self, judged: &[&Judged<'_>], newest: &Round, wanted: &dyn Fn(usize) -> bool) -> Option<Pooled> {
        let alike: Vec<&Judged<'_>> =
            judged.iter().filter(|judged| judged.round.fixed == newest.fixed).copied().collect();
        let last = last_complete(&alike, Column::Output(0));
        let of = |column: Column| pooled(&last, column);
        let of_output = |j: usize| {
            let terms = of(Column::Output(j))?;
            Some(if wanted(j) { Estimated::of(&terms, newest.round) } else { Estimated::point(&terms) })
        };
        let outputs: Option<Vec<Estimated>> = (0..self.subject().outputs().len()).map(of_output).collect();
        Some(Pooled {
            fixed: newest.fixed.clone(),
            models: last.len(),
            outputs: outputs?,
            relative: of(Column::Relative).map(|terms| Estimated::of(&terms, newest.round)),
        })
    }

    /// What a round says, with its intervals.
    fn estimate(&self, judged: &Judged<'_>, spread: &Spread, wanted: &dyn Fn(usize) -> bool) -> Option<RoundEstimate> {
        let Judged { round, losses, outputs, has, weights } = judged;
        let of = |terms: &LossTerms| Estimated::of(terms, round.round);
        let of_output = |j: usize, terms: &LossTerms| if wanted(j) { of(terms) } else { Estimated::point(terms) };
        let answered = has.iter().filter(|has| **has).count();
        let in_units: Vec<Estimated> = outputs.iter().enumerate().map(|(j, terms)| of_output(j, terms)).collect();
        Some(RoundEstimate {
            round: round.round,
            n_labelled: round.n_labelled,
            drawn: round.points.len(),
            answered,
            failed: has.len() - answered,
            open: judged.open(),
            answered_share: Share::of(weights, has, losses.n_pool)?,
            domain: match self.is_exhausted(round) {
                true => format!("the {} points of the space that were left", round.candidates.n),
                false => self.domain_in_words(round.candidates.n, "asked for"),
            },
            fixed: round.fixed.clone(),
            scaled: scaled(spread, &in_units, |j| Some(of_output(j, &losses.terms(Column::Scaled(j))?))),
            outputs: in_units,
            relative: losses.terms(Column::Relative).as_ref().map(of),
        })
    }

    /// Every round that was drawn with known probabilities from the present domain and has an answer or a failure, in
    /// order. Rules that look ask for it after every round, so that no interval is made here.
    pub(crate) fn judged(&self) -> Vec<Judged<'_>> {
        let spread = self.spread();
        let n_outputs = self.subject().outputs().len();
        let mut found = Vec::new();
        for round in self.state().rounds().iter().filter(|round| self.is_of_domain(round)) {
            let Some(losses) = self.losses(round, &spread) else { continue };
            let failed = |drawn: &Drawn| self.state().point(drawn.id).is_some_and(|point| self.is_failed(point));
            // A round of failures alone has no error, but says how little of the domain has answers.
            let known = if losses.squared.iter().all(Option::is_none) { 0 } else { n_outputs };
            let outputs: Option<Vec<LossTerms>> = (0..known).map(|j| losses.terms(Column::Output(j))).collect();
            let Some(outputs) = outputs else { continue };
            let resolved = losses.squared.iter().zip(&round.points).zip(&losses.weights);
            let (has, weights): (Vec<bool>, Vec<f64>) = resolved
                .filter(|((squared, drawn), _)| squared.is_some() || failed(drawn))
                .map(|((squared, _), v)| (squared.is_some(), *v))
                .unzip();
            if !has.is_empty() {
                found.push(Judged { round, losses, outputs, has, weights });
            }
        }
        found
    }

    /// The noise of a measurement, √(Σ (y − ȳ)² / Σ (n − 1)) over points with n > 1 answers; none without such points.
    pub fn noise(&self) -> Option<Noise> {
        let several: Vec<&Vec<Vec<f64>>> =
            self.state().points().map(|point| &point.answers).filter(|answers| answers.len() > 1).collect();
        let freedom: usize = several.iter().map(|answers| answers.len() - 1).sum();
        let sd = |j: usize| {
            let about = |answers: &&Vec<Vec<f64>>| {
                let mean = answers.iter().map(|values| values[j]).sum::<f64>() / answers.len() as f64;
                answers.iter().map(|values| (values[j] - mean) * (values[j] - mean)).sum::<f64>()
            };
            (several.iter().map(about).sum::<f64>() / freedom as f64).sqrt()
        };
        let sd = (0..self.subject().outputs().len()).map(sd).collect();
        (freedom > 0).then_some(Noise { sd, points: several.len() })
    }

    /// Weights and losses of a round; none where it was not drawn with known probabilities from candidates that stand
    /// for the domain, or no model predicted.
    fn losses(&self, round: &Round, spread: &Spread) -> Option<Losses> {
        let weights = draw_weights(round)?;
        let (mut squared, mut scaled, mut relative) = (Vec::new(), Vec::new(), Vec::new());
        let transforms = spread.iter().any(|(transform, _)| *transform != OutputTransform::None);
        for drawn in &round.points {
            let predicted = drawn.predicted.as_ref()?;
            let answers = self.state().point(drawn.id).map_or_else(Vec::new, |point| self.usable(point));
            squared.push(over_answers(&answers, |answer| squares(&predicted.mean, answer)));
            if transforms {
                scaled.push(over_answers(&answers, |answer| deviations(spread, &predicted.mean, answer)));
            }
            let overall = |answer: &[f64]| in_deviations(spread, &predicted.mean, answer).into_iter().collect();
            relative.push(over_answers(&answers, overall).and_then(|mean| mean.first().copied()));
        }
        // A list is the domain itself; drawn candidates are a sample of it.
        let n_pool = (!round.candidates.stream.is_empty()).then_some(round.candidates.n);
        Some(Losses { weights, squared, scaled, relative, n_pool })
    }

    /// The answers of a point that a model can learn: those that an output's transform cannot take count as failures.
    pub(crate) fn usable(&self, point: &Point) -> Vec<Vec<f64>> {
        let scaling = self.subject().scaling();
        point.answers.iter().filter(|answer| scaling.check(answer).is_ok()).cloned().collect()
    }

    /// Whether a point has no answer for its own sake, or none that a model could learn.
    pub(crate) fn is_failed(&self, point: &Point) -> bool {
        match point.status() {
            Status::Failed => true,
            Status::Done => !point.is_learnable(self.subject().scaling()),
            _ => false,
        }
    }

    /// Of each output what it goes through before it is learned.
    pub(crate) fn transforms(&self) -> Vec<OutputTransform> {
        let scaling = self.subject().scaling();
        let of = |j: usize| scaling.outputs().get(j).map_or(OutputTransform::None, |units| units.transform);
        (0..self.subject().outputs().len()).map(of).collect()
    }

    /// Of each output its transform, and its standard deviation over the answers to the points of the design, which are
    /// spread over the domain: what comes later does not move it. Where fewer than ten of these have answers (a table
    /// was told in place of a design), over the points that were known before the first round behind it; where these
    /// are few, too, or an output does not vary over them, over all answers; none where they are all equal.
    pub fn spread(&self) -> Spread {
        let (begun, _) = self.begun();
        let all = self.answers_of(&|_| true);
        let transforms = self.transforms();
        let sd = |answers: &[Vec<f64>], j: usize| {
            let values: Vec<f64> =
                answers.iter().map(|answer| transforms[j].forward(answer[j])).filter(|z| z.is_finite()).collect();
            deviation(transforms[j], &values)
        };
        let of_output = |j: usize| {
            let begun = Some(&begun).filter(|begun| begun.len() >= FEWEST_SPREAD);
            (transforms[j], begun.and_then(|begun| sd(begun, j)).or_else(|| sd(&all, j)))
        };
        (0..self.subject().outputs().len()).map(of_output).collect()
    }

    /// Where the standard deviations are those of points of which some were told and not drawn from the domain, how
    /// many these are, and how many points there are: an error in them means less then.
    pub fn told_spread(&self) -> Option<(usize, usize)> {
        let (begun, told) = self.begun();
        (told > 0 && begun.len() >= FEWEST_SPREAD).then_some((told, begun.len()))
    }

    /// The answers that standard deviations are taken over, and how many of them were told and not drawn.
    fn begun(&self) -> (Vec<Vec<f64>>, usize) {
        let behind = self.state().rounds().iter().filter(|round| round.rule != INITIAL);
        let first = behind.flat_map(|round| round.all().map(|drawn| drawn.id)).min().unwrap_or(u64::MAX);
        let designed = self.answers_of(&|point| point.id < first && point.drawn.is_some());
        if designed.len() >= FEWEST_SPREAD {
            return (designed, 0);
        }
        let known = self.answers_of(&|point| point.id < first);
        let told = known.len() - designed.len();
        (known, told)
    }

    fn answers_of(&self, wanted: &dyn Fn(&Point) -> bool) -> Vec<Vec<f64>> {
        let points = self.state().points().filter(|point| wanted(point));
        points.filter_map(|point| mean_answer(&self.usable(point))).collect()
    }

    /// Whether a round's candidates were all points that were left of a space of whole numbers and levels: with those
    /// known before they are as many as it has.
    fn is_exhausted(&self, round: &Round) -> bool {
        let size = |dimension: &Dimension| match dimension {
            Dimension::Continuous { .. } => f64::INFINITY,
            Dimension::Integer { low, high, .. } => (*high - *low) as f64 + 1.0,
            Dimension::Categorical { n_levels } => *n_levels as f64,
            Dimension::Fixed { .. } => 1.0,
        };
        let size: f64 = self.subject().space().dimensions().iter().map(size).product();
        // A snapshot is a copy, and most spaces have a continuous input.
        if size.is_infinite() || !round.fixed.is_empty() || self.snapshot().is_tabled() {
            return false;
        }
        let Some(first) = round.all().map(|drawn| drawn.id).min() else { return false };
        let known = self.state().points().filter(|point| point.id < first && point.unit.is_some()).count();
        (round.candidates.n + known) as f64 >= size
    }

    /// Outputs that the error in standard deviations leaves out, because their answers so far have none, and of each
    /// whether these differ all the same.
    pub fn left_out(&self) -> Vec<(usize, bool)> {
        let spread = self.spread();
        let without = spread.iter().enumerate().filter(|(_, (_, sd))| sd.is_none());
        let differs = |j: usize| {
            let answers = self.state().points().flat_map(|point| &point.answers);
            let values: Vec<f64> = answers.map(|answer| answer[j]).collect();
            !OutputTransform::None.is_constant(values.iter().copied())
        };
        without.map(|(j, _)| (j, differs(j))).collect()
    }
}

/// The standard deviation (divided by n) of transformed values; none where they are constant. Deviations are taken from
/// the first value and by the largest of them, so that no large offset or unit costs digits.
fn deviation(transform: OutputTransform, values: &[f64]) -> Option<f64> {
    let first = *values.first()?;
    if transform.is_constant(values.iter().copied()) {
        return None;
    }
    let largest = values.iter().map(|z| (z - first).abs()).fold(0.0, f64::max);
    let n = values.len() as f64;
    let shift = values.iter().map(|z| (z - first) / largest).sum::<f64>() / n;
    let variance = values.iter().map(|z| (z - first) / largest - shift).map(|d| d * d).sum::<f64>() / n;
    Some(largest * variance.sqrt()).filter(|sd| *sd > 0.0 && sd.is_finite())
}

/// LURE weights of a round's draws; none where it was not drawn with known probabilities from candidates that stand for
/// the domain.
pub(crate) fn draw_weights(round: &Round) -> Option<Vec<f64>> {
    if round.candidates.thinned.as_ref().is_some_and(|thinned| thinned.n > 0) {
        return None;
    }
    let q: Option<Vec<f64>> = round.points.iter().map(|point| point.probability).collect();
    lure_weights(&q?, round.candidates.n).ok()
}

/// The mean of a point's answers, taken from the first of them so that that of equal ones is equal to them.
pub(crate) fn mean_answer(answers: &[Vec<f64>]) -> Option<Vec<f64>> {
    let first = answers.first()?;
    let n = answers.len() as f64;
    Some(
        (0..first.len())
            .map(|j| first[j] + answers.iter().map(|values| values[j] - first[j]).sum::<f64>() / n)
            .collect(),
    )
}

/// The mean over a point's answers of what each says; none without an answer. A squared error is one of a new
/// measurement, so that repeated ones do not lower the noise in it.
pub(crate) fn over_answers(answers: &[Vec<f64>], of: impl Fn(&[f64]) -> Vec<f64>) -> Option<Vec<f64>> {
    let all: Vec<Vec<f64>> = answers.iter().map(|answer| of(answer)).collect();
    mean_answer(&all)
}

/// Squared errors of each output, in its unit.
pub(crate) fn squares(predicted: &[f64], answer: &[f64]) -> Vec<f64> {
    predicted.iter().zip(answer).map(|(f, y)| (f - y) * (f - y)).collect()
}

/// The squared error of an output in its standard deviations, of transformed values; none where it does not vary.
pub(crate) fn deviation_of(spread: &Spread, j: usize, predicted: f64, answer: f64) -> Option<f64> {
    let (transform, sd) = *spread.get(j)?;
    let gap = transform.forward(predicted) - transform.forward(answer);
    sd.map(|sd| gap * gap / (sd * sd))
}

/// The same of each output; 0 for one that does not vary.
fn deviations(spread: &Spread, predicted: &[f64], answer: &[f64]) -> Vec<f64> {
    let pairs = predicted.iter().zip(answer).enumerate();
    pairs.map(|(j, (f, y))| deviation_of(spread, j, *f, *y).unwrap_or(0.0)).collect()
}

/// The mean over outputs of the squared error in standard deviations; none where no output varies.
pub(crate) fn in_deviations(spread: &Spread, predicted: &[f64], answer: &[f64]) -> Option<f64> {
    let pairs = predicted.iter().zip(answer).enumerate();
    let terms: Vec<f64> = pairs.filter_map(|(j, (f, y))| deviation_of(spread, j, *f, *y)).collect();
    (!terms.is_empty()).then(|| terms.iter().sum::<f64>() / terms.len() as f64)
}

/// The last [`POOLED_ROUNDS`] of these rounds that are complete and have such losses, newest first; of small rounds as
/// many as an interval takes.
pub(crate) fn last_complete<'a, 'b>(rounds: &[&'a Judged<'b>], column: Column) -> Vec<&'a Judged<'b>> {
    let complete = rounds.iter().rev().filter(|judged| !judged.is_incomplete());
    let (mut last, mut draws) = (Vec::new(), 0);
    for judged in complete.filter(|judged| judged.losses.mean(column).is_some()) {
        if last.len() >= POOLED_ROUNDS && draws >= FEWEST_DRAWS {
            break;
        }
        draws += judged.losses.answered(column).1.len();
        last.push(*judged);
    }
    last
}

/// The terms of the mean over these rounds' models.
pub(crate) fn pooled(rounds: &[&Judged<'_>], column: Column) -> Option<LossTerms> {
    let parts: Vec<(Vec<f64>, Vec<f64>)> = rounds.iter().map(|judged| judged.losses.answered(column)).collect();
    // A list that is the whole domain has no sampling of its own; no round is of a list where another is not.
    let pools: Option<Vec<usize>> = rounds.iter().map(|judged| judged.losses.n_pool).collect();
    let n_pool = pools.and_then(|pools| pools.into_iter().min());
    let total: usize = parts.iter().map(|(_, losses)| losses.len()).sum();
    let (mut weights, mut all) = (Vec::new(), Vec::new());
    for (v, losses) in &parts {
        // Every model counts alike, whatever the size of its round: the mean over all terms is the mean of the rounds'
        // means.
        let factor = total as f64 / (parts.len() * losses.len()) as f64;
        weights.extend(v.iter().map(|v| v * factor));
        all.extend_from_slice(losses);
    }
    LossTerms::weighted(&weights, &all, n_pool).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_domain_is_one() {
        let of = |weights: &[f64], answered: &[bool]| Share::of(weights, answered, Some(100)).unwrap();
        // Draws with large weights by chance: their mean is no share.
        assert_eq!(of(&[1.9, 2.1, 1.95], &[true, true, true]).share, 1.0);
        let share = of(&[1.9, 2.1, 4.0], &[true, true, false]).share;
        assert!((share - 0.5).abs() < 1e-12, "{share}");
        assert_eq!(of(&[0.5, 3.0], &[false, false]).share, 0.0);
        assert_eq!(Share::of(&[], &[], None), None);
        let weights: Vec<f64> = (0..40).map(|k| 0.5 + f64::from(k % 7)).collect();
        let answered: Vec<bool> = (0..40).map(|k| k % 5 != 0).collect();
        let found = of(&weights, &answered);
        let (low, high) = found.interval.unwrap();
        assert!(low <= found.share && found.share <= high && high <= 1.0);
    }

    #[test]
    fn equal_values_have_no_deviation() {
        let deviation = |values: &[f64]| deviation(OutputTransform::None, values);
        assert_eq!(deviation(&[0.1; 10]), None);
        assert_eq!(deviation(&[]), None);
        assert_eq!(deviation(&[1.0, 1.0 + 2e-16, 1.0 - 2e-16]), None);
        assert_eq!(super::deviation(OutputTransform::Log, &[0.0, 2e-16]), None);
        assert_eq!(mean_answer(&[vec![0.1], vec![0.1], vec![0.1]]), Some(vec![0.1]));
        let offset = deviation(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]).unwrap();
        assert!((offset - (2.0_f64 / 3.0).sqrt()).abs() < 1e-12, "{offset}");
        let large = deviation(&[1e200, -1e200]).unwrap();
        assert!((large / 1e200 - 1.0).abs() < 1e-12, "{large}");
    }
}
