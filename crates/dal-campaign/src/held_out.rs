//! What points that were never learned say about any model: uniform ones, held out round by round or asked for by an
//! audit.
//!
//! They are uniform on the domain, so the plain mean over them is the error of whichever model they are held against,
//! and they accumulate. The ensemble's variance is a control variate: of two samples of the domain, the held-out points
//! and many fresh ones without labels, the second says where the first happens to lie, with R = λ mean_N(s) +
//! mean_r(L − λ s) and s the variance. λ in [0, 1] is fitted, round by round, on the points of the rounds before: 0
//! while these are fewer than twenty.
//!
//! Where points fail, the error is that over the part of the domain that answers, of which the answered points are a
//! uniform sample and the fresh ones are not: the networks know nothing of the rest and differ there most. Once a point
//! of the campaign has failed for its own sake it is the plain mean, therefore, as it is wherever the control variate
//! does not lower the standard error.

use dal_core::{OutputTransform, Stop};
use dal_eval::{LossTerms, control_coefficient};
use ndarray::Array2;

use crate::draw::predictions;
use crate::error::CampaignError;
use crate::estimate::{
    self, Column, Estimated, MOST_UNRESOLVED, Share, Spread, deviation_of, in_deviations, is_incomplete, over_answers,
    squares,
};
use crate::folder::Folder;
use crate::model::{Model, Trainer};
use crate::state::{Part, Point, Status};
use crate::words::{AUDIT, Drawn, Leased, Predicted, Round, What};

/// Fresh points that the control variate's mean is taken over.
const FRESH: usize = 4096;

/// What the points that were never learned say about a model.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// Labels of the model that is judged.
    pub n_labelled: usize,
    /// Points that it did not learn: held out, and of audits.
    pub drawn: usize,
    /// Those with an answer.
    pub answered: usize,
    /// Those that failed for their own sake.
    pub failed: usize,
    /// Those that were withdrawn or have no answer yet.
    pub open: usize,
    /// The domain, in words.
    pub domain: String,
    /// Share of the domain that has an answer.
    pub answered_share: Share,
    /// Of each output its root mean squared error over the answered part of the domain, in its unit.
    pub outputs: Vec<Estimated>,
    /// Of each output the same in its standard deviations, of transformed values where the problem transforms it; none
    /// where it does not vary.
    pub scaled: Vec<Option<Estimated>>,
    /// The root of the mean over outputs of the square of that.
    pub relative: Option<Estimated>,
    /// The control variate's coefficient for the relative error in the last round: 0 for the plain mean, which it is
    /// where any point of the campaign has failed for its own sake.
    pub lambda: f64,
}

/// What the errors at the points that a model did not learn are made of.
pub(crate) struct Apart {
    drawn: usize,
    pub(crate) answered: usize,
    failed: usize,
    lambda: f64,
    /// Of each output, then of the relative error.
    terms: Vec<Option<LossTerms>>,
    /// Of each output in its standard deviations, where it has a transform.
    scaled: Vec<Option<LossTerms>>,
}

impl Apart {
    pub(crate) fn terms(&self, column: Column) -> Option<&LossTerms> {
        match column {
            Column::Output(j) => self.terms.get(j)?.as_ref(),
            Column::Scaled(j) => self.scaled.get(j)?.as_ref(),
            Column::Relative => self.terms.last()?.as_ref(),
        }
    }
}

impl HeldOut {
    /// Whether more than [`MOST_UNRESOLVED`] of the points are open.
    pub fn is_incomplete(&self) -> bool {
        is_incomplete(self.open, self.drawn)
    }
}

impl Folder {
    /// Holds a model of this campaign against every point that it did not learn; none where no such point has an
    /// answer.
    ///
    /// # Errors
    /// A model that cannot predict.
    pub fn held_out(&self, model: &Model) -> Result<Option<HeldOut>, CampaignError> {
        self.held_out_of(model, &|_| true)
    }

    /// The same with intervals for these outputs and for all together alone: thousands of outputs have thousands of
    /// bootstraps.
    ///
    /// # Errors
    /// A model that cannot predict.
    pub fn held_out_of(&self, model: &Model, wanted: &dyn Fn(usize) -> bool) -> Result<Option<HeldOut>, CampaignError> {
        let here = self.rounds_here();
        let Some(apart) = self.apart(model, &|round| here.contains(&round))? else { return Ok(None) };
        let Apart { drawn, answered, failed, lambda, terms, scaled } = apart;
        let of = |terms: &Option<LossTerms>| terms.as_ref().map(|terms| Estimated::of(terms, answered));
        let of_output = |j: usize, terms: &Option<LossTerms>| match wanted(j) {
            true => of(terms),
            false => terms.as_ref().map(Estimated::point),
        };
        let n_outputs = self.subject().outputs().len();
        let outputs: Option<Vec<Estimated>> =
            terms[..n_outputs].iter().enumerate().map(|(j, terms)| of_output(j, terms)).collect();
        let has: Vec<bool> = (0..answered + failed).map(|i| i < answered).collect();
        let share = Share::of(&vec![1.0; has.len()], &has, None);
        let (Some(outputs), Some(answered_share)) = (outputs, share) else { return Ok(None) };
        Ok(Some(HeldOut {
            n_labelled: model.n_labelled,
            drawn,
            answered,
            failed,
            open: drawn - answered - failed,
            scaled: estimate::scaled(&self.spread(), &outputs, |j| of_output(j, scaled.get(j)?)),
            domain: self.domain_in_words(self.rows_not_learned()?, "learned"),
            answered_share,
            outputs,
            relative: of(&terms[n_outputs]),
            lambda,
        }))
    }

    /// The same by the points of rounds that have their answers, which a rule may look at: of a round under way the
    /// early answers may be the easy ones. Audits count for no rule.
    pub(crate) fn held_out_in_whole_rounds(&self, model: &Model) -> Result<Option<Apart>, CampaignError> {
        let rounds = self.state().rounds().iter().filter(|round| round.rule != AUDIT && self.is_of_domain(round));
        let whole: Vec<usize> = rounds.filter(|round| self.is_answered(round)).map(|round| round.round).collect();
        self.apart(model, &|round| whole.contains(&round))
    }

    /// Whether a round has its answers, up to [`MOST_UNRESOLVED`] of its points.
    pub(crate) fn is_answered(&self, round: &Round) -> bool {
        let n = round.all().count();
        let open = round.all().filter(|drawn| {
            self.state().point(drawn.id).is_none_or(|point| point.answers.is_empty() && point.failure.is_none())
        });
        open.count() as f64 <= MOST_UNRESOLVED * n as f64
    }

    fn apart(&self, model: &Model, of: &dyn Fn(usize) -> bool) -> Result<Option<Apart>, CampaignError> {
        let apart = |point: &&Point| {
            let part = point.part == Part::Audit || (point.part == Part::HeldOut && !self.learns_all());
            part && point.unit.is_some() && point.drawn.is_some_and(|(round, _)| of(round))
        };
        let points: Vec<_> = self.state().points().filter(apart).collect();
        let usable: Vec<(&Point, Vec<Vec<f64>>)> = points.iter().map(|point| (*point, self.usable(point))).collect();
        let answered: Vec<_> = usable.iter().filter(|(_, answers)| !answers.is_empty()).collect();
        if answered.is_empty() {
            return Ok(None);
        }
        let failed = points.iter().filter(|point| self.is_failed(point)).count();
        let units = answered.iter().filter_map(|(point, _)| point.unit.as_deref()).collect::<Vec<_>>();
        let x = self.subject().array(units.into_iter());
        let predicted = predictions(&*model.surrogate, &x)?;
        // Points in the order in which they were drawn, a round together.
        let rounds: Vec<usize> = answered.iter().map(|(point, _)| point.drawn.map_or(0, |(round, _)| round)).collect();
        let spread = self.spread();
        let n_outputs = self.subject().outputs().len();
        let fails = self.state().points().any(|point| self.is_failed(point));
        let has_control = !fails && predicted.iter().all(|predicted| !predicted.sd.is_empty());
        let mut fresh: Option<Vec<Predicted>> = None;
        let (mut terms, mut scaled, mut lambda) = (Vec::new(), vec![None; n_outputs], 0.0);
        let transformed = |j: &usize| matches!(spread.get(*j), Some((t, Some(_))) if *t != OutputTransform::None);
        let columns = (0..n_outputs).filter(transformed).map(Column::Scaled);
        for column in columns.chain((0..n_outputs).map(Column::Output)).chain([Column::Relative]) {
            let losses: Option<Vec<f64>> = predicted
                .iter()
                .zip(&answered)
                .map(|(predicted, (_, answers))| {
                    let of = |answer: &[f64]| match column {
                        Column::Output(j) => squares(&predicted.mean[j..=j], &answer[j..=j]),
                        Column::Scaled(j) => {
                            deviation_of(&spread, j, predicted.mean[j], answer[j]).into_iter().collect()
                        }
                        Column::Relative => in_deviations(&spread, &predicted.mean, answer).into_iter().collect(),
                    };
                    over_answers(answers, of)?.first().copied()
                })
                .collect();
            let Some(losses) = losses else {
                if !matches!(column, Column::Scaled(_)) {
                    terms.push(None);
                }
                continue;
            };
            let of = |predicted: &Predicted| score(column, &spread, predicted);
            let scores: Option<Vec<f64>> = has_control.then(|| predicted.iter().map(of).collect());
            let mut pool = || -> Result<Vec<f64>, CampaignError> {
                if fresh.is_none() {
                    let x: Array2<f64> = self.snapshot().domain(FRESH)?;
                    fresh = Some(predictions(&*model.surrogate, &x)?);
                }
                Ok(fresh.iter().flatten().map(of).collect())
            };
            let (found, last) = mean_loss(&losses, scores.as_deref(), &rounds, &mut pool)?;
            match column {
                Column::Scaled(j) => scaled[j] = found,
                _ => terms.push(found),
            }
            lambda = last;
        }
        if terms[..n_outputs].iter().any(Option::is_none) {
            return Ok(None);
        }
        Ok(Some(Apart { drawn: points.len(), answered: answered.len(), failed, lambda, terms, scaled }))
    }

    /// Rows of a list that no model learned; 0 where there is none.
    fn rows_not_learned(&self) -> Result<usize, CampaignError> {
        let is_listed = self.listed().is_some() || self.subject().problem().candidates().is_some();
        if is_listed { Ok(self.snapshot().domain(FRESH)?.nrows()) } else { Ok(0) }
    }

    /// The model of all labels, where its file is there; nothing is trained.
    ///
    /// # Errors
    /// Settings that make no sense.
    pub fn kept_model(&self) -> Result<Option<Model>, CampaignError> {
        self.snapshot().kept_model()
    }

    /// At most `n` uniform points that are never learned, said in the log; fewer where the domain has no others. Open
    /// ones of earlier audits count.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn begin_audit(&mut self, n: usize) -> Result<(), CampaignError> {
        let counts = |point: &&Point| point.part == Part::Audit && point.status() != Status::Withdrawn;
        let there = self.state().points().filter(counts).count();
        if n > there
            && let Some(round) = self.snapshot().audit(n - there)?
        {
            self.say(What::Round(Box::new(round)))?;
        }
        Ok(())
    }

    /// Points of audits without an answer, handed out: those that are not out yet are leased as by
    /// [`ask`](Self::ask).
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn hand_out_audit(&mut self) -> Result<Vec<Drawn>, CampaignError> {
        let pending = |drawn: &&Drawn| {
            self.state().point(drawn.id).is_some_and(|point| point.part == Part::Audit && point.is_pending())
        };
        let points: Vec<Drawn> = self.state().rounds().iter().flat_map(Round::all).filter(pending).cloned().collect();
        let open = self.open_points();
        let ids: Vec<u64> = open.iter().filter(|drawn| points.contains(drawn)).map(|drawn| drawn.id).collect();
        if !ids.is_empty() {
            let until = self.settings().lease_hours.map(|hours| self.now() + 3600.0 * hours);
            self.say(What::Leased(Leased { ids, owner: None, until }))?;
        }
        Ok(points)
    }

    /// The model of all labels, trained if need be, held against every point that it did not learn. A new choice of
    /// network is said in the log, so that the same model is found again.
    ///
    /// # Errors
    /// No labels, a training that fails.
    pub fn audited(&mut self, trainer: Trainer<'_>, stop: &Stop) -> Result<Option<HeldOut>, CampaignError> {
        let model = self.trained(trainer, stop)?;
        self.held_out(&model)
    }
}

/// The terms of the mean of losses at uniform points, with the points' scores as control variate where there are any
/// and it lowers the standard error, and the last round's coefficient. `pool` has the scores of fresh points.
fn mean_loss(
    losses: &[f64],
    scores: Option<&[f64]>,
    rounds: &[usize],
    pool: &mut dyn FnMut() -> Result<Vec<f64>, CampaignError>,
) -> Result<(Option<LossTerms>, f64), CampaignError> {
    let Ok(plain) = LossTerms::weighted(&vec![1.0; losses.len()], losses, None) else { return Ok((None, 0.0)) };
    // Without the fresh points, whose scores may only lower them: where these are 0 nothing needs to be predicted.
    let helps = |scores: &&[f64]| coefficients(losses, scores, rounds, &[]).iter().any(|lambda| *lambda > 0.0);
    let Some(scores) = scores.filter(helps) else { return Ok((Some(plain), 0.0)) };
    let pool = pool()?;
    let lambda = coefficients(losses, scores, rounds, &pool);
    let terms = LossTerms::controlled(losses, scores, &lambda, &pool).ok();
    // Of few points the difference may fall below zero, where a mean square cannot lie.
    let better = |terms: &LossTerms| terms.mean() > 0.0 && terms.standard_error() < plain.standard_error();
    Ok(match terms.filter(better) {
        Some(terms) => (Some(terms), lambda.last().copied().unwrap_or(0.0)),
        None => (Some(plain), 0.0),
    })
}

/// Of each point the control variate's coefficient, fitted on the points of the rounds before its own.
fn coefficients(losses: &[f64], scores: &[f64], rounds: &[usize], pool: &[f64]) -> Vec<f64> {
    let mut lambda: Vec<f64> = Vec::with_capacity(losses.len());
    for (i, round) in rounds.iter().enumerate() {
        let first = rounds.partition_point(|earlier| earlier < round);
        let known = lambda.get(first).copied().filter(|_| first < i);
        lambda.push(known.unwrap_or_else(|| control_coefficient(&losses[..first], &scores[..first], pool)));
    }
    lambda
}

/// The ensemble's variance at a point in the units of the losses.
fn score(column: Column, spread: &Spread, predicted: &Predicted) -> f64 {
    match column {
        Column::Output(j) => predicted.sd[j] * predicted.sd[j],
        Column::Scaled(j) => score_of(j, spread, predicted).unwrap_or(0.0),
        Column::Relative => {
            let terms: Vec<f64> = (0..spread.len()).filter_map(|j| score_of(j, spread, predicted)).collect();
            terms.iter().sum::<f64>() / terms.len().max(1) as f64
        }
    }
}

/// The variance of an output in its standard deviations, of transformed values; none where it does not vary.
fn score_of(j: usize, spread: &Spread, predicted: &Predicted) -> Option<f64> {
    let (transform, sd) = *spread.get(j)?;
    let half = transform.half_width(*predicted.mean.get(j)?, *predicted.sd.get(j)?);
    sd.map(|sd| half * half / (sd * sd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::SeedPath;
    use rand::RngExt;

    #[test]
    fn coefficients_come_from_earlier_rounds_alone() {
        let rounds: Vec<usize> = (0..60).map(|i| 3 + i / 10).collect();
        let scores: Vec<f64> = (0..60).map(|i| f64::from(i % 7)).collect();
        let mut losses: Vec<f64> = scores.iter().map(|s| 0.2 + 0.5 * s).collect();
        let lambda = coefficients(&losses, &scores, &rounds, &[]);
        assert!(lambda[..20].iter().all(|lambda| *lambda == 0.0));
        assert!(lambda[20..].iter().all(|lambda| (lambda - 0.5).abs() < 1e-12));
        // What a round and those behind it bring moves nothing before.
        losses[30..].iter_mut().for_each(|loss| *loss = 100.0 - *loss);
        let moved = coefficients(&losses, &scores, &rounds, &[]);
        assert_eq!(moved[..40], lambda[..40]);
        assert_ne!(moved[40..], lambda[40..]);
    }

    /// Draws of 40 points of [0, 1) in rounds of ten from a model whose errors grow with x, the networks' variance with
    /// them, and what was estimated of the mean loss over the part that answers, λ, and whether the interval held.
    struct Redrawn {
        means: Vec<f64>,
        lambda: Vec<f64>,
        held: usize,
        truth: f64,
    }

    impl Redrawn {
        /// `fails` is where there is no answer, `variance` the networks' variance; `knows` whether failures count.
        fn of(fails: impl Fn(f64) -> bool, variance: impl Fn(f64, f64) -> f64, knows: bool) -> Self {
            let mut rng = SeedPath::root(23).rng();
            let loss = |x: f64, u: f64| (0.2 + x) * (0.2 + x) * 2.0 * u;
            let grid = || (0..10_000).map(|i| (f64::from(i) + 0.5) / 1e4).filter(|x| !fails(*x));
            // 2 u has the mean 1.
            let truth = grid().map(|x| (0.2 + x) * (0.2 + x)).sum::<f64>() / grid().count() as f64;
            let fresh: Vec<f64> = (0..FRESH).map(|_| variance(rng.random(), rng.random())).collect();
            let mut found = Self { means: Vec::new(), lambda: Vec::new(), held: 0, truth };
            for draw in 0..300 {
                let points: Vec<(f64, f64, f64)> =
                    (0..40).map(|_| (rng.random(), rng.random(), rng.random())).collect();
                let answered: Vec<usize> = (0..40).filter(|i| !fails(points[*i].0)).collect();
                let losses: Vec<f64> = answered.iter().map(|i| loss(points[*i].0, points[*i].1)).collect();
                let scores: Vec<f64> = answered.iter().map(|i| variance(points[*i].0, points[*i].2)).collect();
                let rounds: Vec<usize> = answered.iter().map(|i| i / 10).collect();
                let scores = Some(&scores[..]).filter(|_| !knows || answered.len() == 40);
                let (terms, lambda) = mean_loss(&losses, scores, &rounds, &mut || Ok(fresh.clone())).unwrap();
                let terms = terms.unwrap();
                let interval = terms.interval(0.9, draw).unwrap();
                found.held += usize::from(interval.contains(truth));
                found.means.push(terms.mean());
                found.lambda.push(lambda);
            }
            found
        }

        fn mean(&self) -> f64 {
            self.means.iter().sum::<f64>() / self.means.len() as f64
        }

        fn standard_error(&self) -> f64 {
            let squares: f64 = self.means.iter().map(|mean| (mean - self.mean()).powi(2)).sum();
            squares.sqrt() / self.means.len() as f64
        }

        fn check(&self, what: &str) {
            let (off, held) = ((self.mean() - self.truth) / self.standard_error(), self.held as f64 / 300.0);
            let used = self.lambda.iter().filter(|lambda| **lambda > 0.0).count();
            println!("{what}: {off:.2} standard errors off, interval held {held:.3}, control used {used} of 300");
            assert!(off.abs() <= 2.0, "{what}: {} {} {off}", self.mean(), self.truth);
            assert!(held >= 0.85, "{what}: {held}");
        }
    }

    #[test]
    fn where_points_fail_the_networks_variance_there_is_no_part_of_the_error() {
        let huge = |beyond: f64| move |x: f64, _: f64| if x > beyond { 1e4 } else { (0.2 + x) * (0.2 + x) };
        // One point in ten fails, and one in fifty, which four draws of nine do not meet.
        for beyond in [0.9, 0.98] {
            let found = Redrawn::of(|x| x > beyond, huge(beyond), true);
            found.check(&format!("failing beyond {beyond}"));
            assert!(beyond < 0.95 || found.lambda.iter().any(|lambda| *lambda > 0.0));
        }
        // What no draw knows of cannot take the estimate along either.
        Redrawn::of(|x| x > 0.98, huge(0.98), false).check("failures that do not count");
    }

    #[test]
    fn a_few_huge_variances_are_not_the_estimate_and_even_ones_narrow_it() {
        // Times a Pareto variate of shape 5/4, whose variance is infinite.
        let heavy = |x: f64, u: f64| (0.2 + x) * (0.2 + x) * u.powf(-0.8);
        Redrawn::of(|_| false, heavy, true).check("variances with a heavy tail");
        let even = Redrawn::of(|_| false, |x, _| (0.2 + x) * (0.2 + x), true);
        even.check("variances that are right");
        let plain = Redrawn::of(|_| false, |_, _| 1.0, true);
        assert!(plain.lambda.iter().all(|lambda| *lambda == 0.0));
        assert!(even.lambda.iter().filter(|lambda| **lambda > 0.0).count() > 200);
        assert!(even.standard_error() < plain.standard_error());
    }

    #[test]
    fn scores_follow_the_transform() {
        let spread =
            vec![(OutputTransform::None, Some(2.0)), (OutputTransform::Log, Some(0.5)), (OutputTransform::None, None)];
        let predicted = Predicted { mean: vec![0.0, 10.0, 1.0], sd: vec![1.0, 0.5, 9.0] };
        let log = 1.05_f64.ln();
        let expected = (0.25 + log * log / 0.25) / 2.0;
        assert!((score(Column::Relative, &spread, &predicted) - expected).abs() < 1e-12);
        assert_eq!(score(Column::Output(1), &spread, &predicted), 0.25);
    }
}
