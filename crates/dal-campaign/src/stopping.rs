//! When to stop: an error that is shown to lie below a target, looked at after whole rounds, and a rule of thumb.
//!
//! Look k, from the third whole round and the tenth answer on, asks whether the one-sided upper limit at α_k = 0.05 /
//! (k (k + 1)) lies below the target. These add up to 0.05 over all looks, so that a campaign whose error stays above
//! its target ends on it with 5 % at most, however often it is looked at. Rounds of which more than 5 % is withdrawn or
//! unanswered do not count. Where points are held out, a model is looked at whether the round before it held any out or
//! not, so that from the first look on every whole round has a look and a level of its own.

use dal_eval::FEWEST_DRAWS;

use crate::error::CampaignError;
use crate::estimate::{Column, Judged, draw_weights, in_deviations, last_complete, mean_answer, pooled};
use crate::folder::Folder;
use crate::model::Model;
use crate::settings::Target;
use crate::words::{Drawn, Round};

/// The probability of ending above the target, over all looks.
pub const ALPHA: f64 = 0.05;

/// The whole round of the first look.
pub const FIRST_LOOK: usize = 3;

/// α of look k, counted from 1: 0.05 / (k (k + 1)).
pub fn alpha(k: usize) -> f64 {
    ALPHA / (k as f64 * (k as f64 + 1.0))
}

/// What judges the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// The draws of the last rounds, so many models together.
    Draws {
        /// Rounds.
        rounds: usize,
    },
    /// Points that the present model did not learn.
    HeldOut {
        /// Those with an answer.
        answered: usize,
    },
}

/// One error beside its target.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The output; none for the mean over outputs in standard deviations.
    pub output: Option<String>,
    /// The root of the estimated mean squared error; none where nothing judges it yet.
    pub rmse: Option<f64>,
    /// Its one-sided upper limit; none before there are enough draws.
    pub limit: Option<f64>,
    /// The target.
    pub target: f64,
}

/// A look at how far a campaign is.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Whole rounds so far that judge.
    pub rounds: usize,
    /// The number of the look, 0 before the third whole round and before there are ten answers that judge.
    pub k: usize,
    /// What judges.
    pub judge: Judge,
    /// Every error that has a target.
    pub limits: Vec<Limit>,
}

impl Look {
    /// Whether every error is shown to lie below its target.
    pub fn fires(&self) -> bool {
        let below = |limit: &Limit| limit.limit.is_some_and(|value| value <= limit.target);
        self.k > 0 && !self.limits.is_empty() && self.limits.iter().all(below)
    }

    /// What was seen, in words.
    pub fn in_words(&self) -> String {
        let limits: Vec<String> = self
            .limits
            .iter()
            .map(|limit| {
                let name = limit.output.as_deref().unwrap_or("the error in standard deviations");
                let known = match (limit.rmse, limit.limit) {
                    (Some(rmse), Some(at_most)) => format!("is about {rmse:.3e}, at most {at_most:.3e}"),
                    (Some(rmse), None) => format!("is about {rmse:.3e}, without a limit yet"),
                    _ => "is not known yet".into(),
                };
                format!("{name} {known}, target {:.3e}", limit.target)
            })
            .collect();
        let judge = match self.judge {
            Judge::Draws { rounds } => format!("by the draws of the last {rounds} rounds"),
            Judge::HeldOut { answered } => format!("by {answered} points that were not learned"),
        };
        let look = || format!("look {} at α = {:.2e}, {judge}", self.k, alpha(self.k));
        format!("{}: {}", self.why_none().unwrap_or_else(look), limits.join("; "))
    }

    /// What a first look waits for, in words; none where there was one.
    pub fn why_none(&self) -> Option<String> {
        match self.k {
            0 if self.rounds < FIRST_LOOK => {
                Some(format!("no look before {FIRST_LOOK} whole rounds, of which there are {}", self.rounds))
            }
            0 => Some(format!("no look before whole rounds have {FEWEST_DRAWS} answers that judge")),
            _ => None,
        }
    }
}

/// Two means of relative errors, of the last rounds and of as many before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// Rounds that each mean is over.
    pub rounds: usize,
    /// The root of the mean squared relative error of the last rounds' models.
    pub now: f64,
    /// The same of those before.
    pub before: f64,
}

impl Gain {
    /// Whether there was none.
    pub fn is_none(&self) -> bool {
        self.now >= self.before
    }

    /// What was seen, in words.
    pub fn in_words(&self) -> String {
        let Self { rounds, now, before } = *self;
        format!(
            "the mean error of the last {rounds} models is about {now:.3e} standard deviations, of the {rounds} before \
             {before:.3e} (a rule of thumb)"
        )
    }
}

impl Folder {
    /// Whether the error can be judged at all: points are drawn with known probabilities, or held out.
    pub fn can_judge(&self) -> Result<bool, CampaignError> {
        Ok(self.settings().held_out.is_some() || self.card()?.draws())
    }

    /// An error where nothing judges the model, so that a rule could never end a run.
    pub(crate) fn check_judged(&self, rule: &str) -> Result<(), CampaignError> {
        if self.can_judge()? {
            return Ok(());
        }
        Err(CampaignError::request(format!(
            "{rule}: `{}` does not draw its points and none are held out, so that nothing judges the model; set \
             held_out = 0.25, or strategy = \"power-qbc-diversity\", in campaign.toml",
            self.card()?.id
        )))
    }

    /// How far the campaign is from a target. Where points are held out they judge the model that is given, those of
    /// whole rounds; otherwise the draws of the last five whole rounds, or of more where these have fewer than ten
    /// answers, judge the models that drew them.
    ///
    /// # Errors
    /// A model that cannot predict.
    pub fn look(&self, target: &Target, model: Option<&Model>) -> Result<Look, CampaignError> {
        let named: Vec<(Option<String>, Column, f64)> = match target {
            Target::Relative(value) => vec![(None, Column::Relative, *value)],
            Target::Outputs(outputs) => {
                let place = |name: &String| self.subject().outputs().iter().position(|known| known == name);
                let found = outputs.iter().filter_map(|(name, value)| Some((name, place(name)?, *value)));
                found.map(|(name, j, value)| (Some(name.clone()), Column::Output(j), value)).collect()
            }
        };
        let judged = self.judged();
        let whole: Vec<&Judged<'_>> = judged.iter().filter(|judged| judged.round.fixed.is_empty()).collect();
        let by_held_out = self.settings().held_out.is_some();
        let held_out = match model.filter(|_| by_held_out) {
            Some(model) => self.held_out_in_whole_rounds(model)?,
            None => None,
        };
        // Of each whole round the answers that judge; none of one that brings another model, but nothing that judges.
        let answers: Vec<Option<usize>> = match by_held_out {
            true => {
                let rounds = self.state().rounds().iter().filter(|round| self.is_whole(round));
                let judges = |round: &Round| round.fixed.is_empty() && !round.held_out.is_empty();
                rounds.map(|round| judges(round).then(|| self.n_answered(&round.held_out))).collect()
            }
            false => {
                let complete = whole.iter().filter(|judged| !judged.is_incomplete());
                complete.map(|judged| Some(self.n_answered(&judged.round.points))).collect()
            }
        };
        let (rounds, k) = (answers.iter().flatten().count(), looks(&answers));
        let last = |column| last_complete(&whole, column);
        let judge = match by_held_out {
            true => Judge::HeldOut { answered: held_out.as_ref().map_or(0, |found| found.answered) },
            false => Judge::Draws { rounds: named.first().map_or(0, |(_, column, _)| last(*column).len()) },
        };
        // An output that differs, but without a spread of its own, would be left out of the mean unseen.
        let is_partial = self.left_out().iter().any(|(_, differs)| *differs);
        let limits = named.into_iter().map(|(output, column, target)| {
            let terms = match by_held_out {
                true => held_out.as_ref().and_then(|found| found.terms(column)).cloned(),
                false => pooled(&last(column), column),
            };
            let rmse = terms.as_ref().map(|terms| terms.mean().max(0.0).sqrt());
            let may = k > 0 && !(is_partial && column == Column::Relative);
            let limit = terms.filter(|_| may).and_then(|terms| terms.upper_limit(alpha(k), rounds as u64).ok());
            Limit { output, rmse, limit: limit.map(f64::sqrt), target }
        });
        let limits = limits.collect();
        Ok(Look { rounds, k, judge, limits })
    }

    /// How many of these points have an answer that a model can be held against.
    fn n_answered(&self, drawn: &[Drawn]) -> usize {
        let points = drawn.iter().filter_map(|drawn| self.state().point(drawn.id));
        points.filter(|point| mean_answer(&self.usable(point)).is_some()).count()
    }

    /// Whether a round after the design, of the present domain, has its answers.
    fn is_whole(&self, round: &Round) -> bool {
        round.is_chosen() && self.is_of_domain(round) && self.is_answered(round)
    }

    /// What the last `n` whole rounds gained over as many before; none before there are as many of one kind. Where the
    /// newest one was drawn with known probabilities they are judged by their draws, otherwise by the points that each
    /// held out; rounds of before another judge came do not count.
    pub fn gain(&self, n: usize) -> Option<Gain> {
        let judged = self.judged();
        let by_draws = |round: &Round| {
            let judged = judged.iter().find(|judged| judged.round.round == round.round)?;
            judged.losses.mean(Column::Relative)
        };
        let spread = self.spread();
        let by_held_out = |round: &Round| {
            let losses = round.held_out.iter().filter_map(|drawn| {
                let answer = mean_answer(&self.usable(self.state().point(drawn.id)?))?;
                in_deviations(&spread, &drawn.predicted.as_ref()?.mean, &answer)
            });
            let losses: Vec<f64> = losses.collect();
            (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
        };
        let rounds = self.state().rounds().iter().filter(|round| round.is_chosen());
        let whole: Vec<&Round> = rounds
            .filter(|round| round.fixed.is_empty() && self.is_of_domain(round) && self.is_answered(round))
            .collect();
        let is_drawn = |round: &Round| draw_weights(round).is_some();
        // A small round may be of held-out points alone.
        let mut newest_first = whole.iter().rev().filter(|round| !round.points.is_empty()).peekable();
        let mut errors: Vec<f64> = match newest_first.peek().is_some_and(|newest| is_drawn(newest)) {
            true => newest_first.take_while(|round| is_drawn(round)).filter_map(|round| by_draws(round)).collect(),
            false => whole.iter().rev().filter_map(|round| by_held_out(round)).collect(),
        };
        errors.reverse();
        if n == 0 || errors.len() < 2 * n {
            return None;
        }
        let mean = |errors: &[f64]| (errors.iter().sum::<f64>() / errors.len() as f64).max(0.0).sqrt();
        let (earlier, last) = errors.split_at(errors.len() - n);
        Some(Gain { rounds: n, now: mean(last), before: mean(&earlier[earlier.len() - n..]) })
    }
}

/// How many looks there were, given the answers of each whole round, none of one that does not judge: one after each
/// from the third that judges on, once there are as many as a limit takes. How the answers came out has no part in it.
fn looks(answers: &[Option<usize>]) -> usize {
    let (mut rounds, mut sum) = (0, 0);
    let may_look = |n: &&Option<usize>| {
        rounds += usize::from(n.is_some());
        sum += n.unwrap_or(0);
        rounds >= FIRST_LOOK && sum >= FEWEST_DRAWS
    };
    answers.iter().filter(may_look).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_looks_together_spend_five_percent() {
        let spent: f64 = (1..100_000).map(alpha).sum();
        assert!(spent < ALPHA && spent > 0.0499, "{spent}");
        assert_eq!(alpha(1), 0.025);
    }

    #[test]
    fn looks_begin_with_the_third_round_and_the_tenth_answer() {
        assert_eq!([0, 1, 3].map(|n| looks(&[Some(20); 3][..n])), [0, 0, 1]);
        assert_eq!(looks(&[Some(20); 7]), 5);
        assert_eq!([9, 10, 12].map(|n| looks(&vec![Some(1); n])), [0, 1, 3]);
        assert_eq!(looks(&[0, 2, 2, 2, 2, 2, 0, 2].map(Some)), 3);
        // A round that holds nothing out is none of the first three, but has a look of its own later.
        assert_eq!(looks(&[None, None, Some(20), None, Some(0)]), 0);
        assert_eq!(looks(&[None, Some(20), None, Some(0), Some(1), None, None, Some(1)]), 4);
        let look = Look { rounds: 4, k: 0, judge: Judge::Draws { rounds: 4 }, limits: Vec::new() };
        assert!(look.in_words().contains("no look before whole rounds have 10 answers that judge"));
    }

    #[test]
    fn a_look_fires_only_where_every_limit_holds() {
        let limit = |limit, target| Limit { output: None, rmse: Some(0.1), limit, target };
        let look = |k, limits| Look { rounds: k + 2, k, judge: Judge::Draws { rounds: 3 }, limits };
        assert!(look(1, vec![limit(Some(0.2), 0.3)]).fires());
        assert!(!look(0, vec![limit(Some(0.2), 0.3)]).fires());
        assert!(!look(1, vec![limit(Some(0.2), 0.3), limit(Some(0.4), 0.3)]).fires());
        assert!(!look(1, vec![limit(None, 0.3)]).fires() && !look(1, vec![]).fires());
        let words = look(2, vec![limit(Some(0.2), 0.3)]).in_words();
        assert!(words.contains("look 2 at α = 8.33e-3") && words.contains("at most 2.000e-1"), "{words}");
    }
}
