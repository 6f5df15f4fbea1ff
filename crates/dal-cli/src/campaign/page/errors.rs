//! The errors of a campaign's models for its page: now, over the labels, and against the rules that end a run.

use anyhow::Result;
use dal_campaign::insight::unexplained;
use dal_campaign::words::Errors;
use dal_campaign::{Estimated, Estimates, Folder, HeldOut, History, Judge, Look, RoundEstimate, Target};
use dal_core::OutputTransform;
use dal_report::campaign::{ErrorNow, Estimate, JudgedBy, StoppingRule, Trend, TrendMark};

use super::Known;
use crate::campaign::judging::worst_outputs;

/// Everything that judges the models.
pub(super) struct Judged {
    held_out: Option<HeldOut>,
    estimates: Estimates,
    validated: Option<Errors>,
    /// Outputs that have a line of their own.
    listed: Vec<usize>,
    n_labelled: Option<usize>,
    look: Option<(Target, Result<Look, String>)>,
}

impl Judged {
    pub(super) fn of(folder: &Folder, history: &History, known: Option<&Known>) -> Result<Self> {
        let model = known.map(|known| &known.model);
        let of_model = model.and_then(|model| model.errors.clone());
        let of_rounds = || folder.state().rounds().iter().rev().find_map(|round| round.errors.clone());
        let validated = of_model.or_else(of_rounds);
        let listed = listed(history, validated.as_ref());
        let wanted = |j: usize| listed.contains(&j);
        let held_out = model.map(|model| folder.held_out_of(model, &wanted)).transpose()?.flatten();
        let target = folder.settings().target.clone();
        let look = match target {
            Some(target) if folder.can_judge()? => {
                let current = known.filter(|known| known.is_current).map(|known| &known.model);
                let look = folder.look(&target, current)?;
                Some((target, Ok(look)))
            }
            Some(target) => {
                let why = "nothing measures the error: the rule does not draw its points, and none are held out";
                Some((target, Err(why.to_owned())))
            }
            None => None,
        };
        Ok(Self {
            held_out,
            estimates: folder.estimates_of(&wanted),
            validated,
            listed,
            n_labelled: model.map(|model| model.n_labelled),
            look,
        })
    }

    /// Whether something measures the error over the whole space.
    pub(super) fn is_judged(&self, folder: &Folder) -> Result<bool> {
        Ok(self.held_out.is_some() || self.last_draws().is_some() || folder.can_judge()?)
    }

    /// The last whole round of draws over the whole space; one under way only where there is no other, as its first
    /// answers need not be like the rest.
    fn last_draws(&self) -> Option<&RoundEstimate> {
        let mut of_all = self.estimates.rounds.iter().rev().filter(|round| round.fixed.is_empty());
        of_all.clone().find(|round| !round.is_incomplete()).or_else(|| of_all.next())
    }

    /// The domain that errors over it are of, in words; none where nothing measures one.
    pub(super) fn domain(&self) -> Option<&str> {
        let of_draws = || self.last_draws().map(|round| round.domain.as_str());
        self.held_out.as_ref().map(|found| found.domain.as_str()).or_else(of_draws)
    }

    /// The best estimate of an output's error, or of that of all together.
    fn best(&self, output: Option<usize>) -> Option<(Estimate, JudgedBy)> {
        let estimate = |of: &Estimated| Estimate { rmse: of.rmse, interval: of.interval };
        if let Some(found) = &self.held_out {
            let of = output.map_or(found.relative.as_ref(), |j| found.outputs.get(j))?;
            return Some((estimate(of), JudgedBy::NeverLearned { answered: found.answered, drawn: found.drawn }));
        }
        if let Some(round) = self.last_draws() {
            let of = output.map_or(round.relative.as_ref(), |j| round.outputs.get(j))?;
            let RoundEstimate { answered, drawn, n_labelled, .. } = *round;
            return Some((estimate(of), JudgedBy::Draws { answered, drawn, n_labelled }));
        }
        let errors = self.validated.as_ref()?;
        let rmse = output.map_or_else(|| unexplained(&errors.r2), |j| errors.rmse.get(j).copied())?;
        Some((Estimate { rmse, interval: None }, JudgedBy::CrossValidation { n: errors.n }))
    }

    /// The same of an output in its standard deviations, by what judges it best.
    fn deviations(&self, j: usize) -> Option<Estimate> {
        let estimate = |of: &Estimated| Estimate { rmse: of.rmse, interval: of.interval };
        if let Some(found) = &self.held_out {
            return found.scaled.get(j)?.as_ref().map(estimate);
        }
        if let Some(round) = self.last_draws() {
            return round.scaled.get(j)?.as_ref().map(estimate);
        }
        let r2 = self.validated.as_ref()?.r2.get(j).copied()??;
        Some(Estimate { rmse: (1.0 - r2).max(0.0).sqrt(), interval: None })
    }

    /// One line for each output, then one for all together.
    pub(super) fn errors_now(&self, folder: &Folder, constant: &[bool]) -> Vec<ErrorNow> {
        let columns = folder.subject().problem().outputs();
        let spread = folder.spread();
        let r2 = |j: usize| self.validated.as_ref().and_then(|errors| errors.r2.get(j).copied().flatten());
        let one = |j: usize| {
            // Of a logarithm an error in its standard deviations is a relative one.
            let off_by = |deviations: f64| match spread.get(j) {
                Some((OutputTransform::Log, Some(sd))) => {
                    Some((deviations * sd).exp_m1()).filter(|share| share.is_finite())
                }
                _ => None,
            };
            let relative = r2(j).and_then(|r2| off_by((1.0 - r2).max(0.0).sqrt()));
            let deviations = self.deviations(j);
            let unit = columns.get(j).map_or("", |column| column.unit.as_str());
            ErrorNow {
                output: columns.get(j).map(|column| column.name.clone()),
                unit: if unit == "1" { String::new() } else { unit.to_owned() },
                best: self.best(Some(j)),
                deviations,
                off_by: deviations.and_then(|of| {
                    let interval = of.interval.and_then(|(low, high)| off_by(low).zip(off_by(high)));
                    Some(Estimate { rmse: off_by(of.rmse)?, interval })
                }),
                validated: self.validated.as_ref().and_then(|errors| errors.rmse.get(j).copied()),
                explained: r2(j),
                relative,
                log: matches!(spread.get(j), Some((OutputTransform::Log, _))),
                constant: constant.get(j).copied().unwrap_or(false),
            }
        };
        let mut errors: Vec<ErrorNow> = self.listed.iter().copied().map(one).collect();
        if columns.len() > 1 {
            let validated = self.validated.as_ref().and_then(|errors| unexplained(&errors.r2));
            errors.push(ErrorNow {
                output: None,
                unit: String::new(),
                best: self.best(None),
                deviations: self.best(None).map(|(estimate, _)| estimate),
                off_by: None,
                validated,
                explained: validated.map(|share| 1.0 - share * share),
                relative: None,
                log: false,
                constant: false,
            });
        }
        errors
    }

    /// The mean error over the whole space of the last models together; none of a single one.
    pub(super) fn pooled(&self) -> Option<(Estimate, usize)> {
        let pooled = self.estimates.pooled_of(&[]).filter(|pooled| pooled.models > 1)?;
        let found = pooled.relative?;
        Some((Estimate { rmse: found.rmse, interval: found.interval }, pooled.models))
    }

    pub(super) fn answered_share(&self) -> Option<(f64, Option<(f64, f64)>)> {
        let (failed, share) = match (&self.held_out, self.last_draws()) {
            (Some(found), _) => (found.failed, &found.answered_share),
            (None, Some(round)) => (round.failed, &round.answered_share),
            (None, None) => return None,
        };
        (failed > 0).then_some((share.share, share.interval))
    }

    pub(super) fn noise(&self, folder: &Folder) -> Vec<(String, f64)> {
        let Some(noise) = folder.noise() else { return Vec::new() };
        folder.subject().outputs().iter().cloned().zip(noise.sd).filter(|(_, sd)| *sd > 0.0).collect()
    }

    /// Of each shown output, then of all together.
    pub(super) fn trend(&self, history: &History) -> Vec<Trend> {
        let mark = |n_labelled, value, interval| TrendMark { n_labelled, value, interval };
        let mut trends: Vec<Trend> = Vec::new();
        for place in (0..history.shown.len()).map(Some).chain([None]) {
            let output = place.and_then(|k| history.shown[k].output);
            let mut trend = Trend::default();
            for entry in &history.trend {
                let n = entry.n_labelled;
                let (validated, foretold, drawn) = match place {
                    Some(k) => (
                        entry.validated.as_ref().and_then(|of| of[k]),
                        entry.foretold.as_ref().map(|of| of[k]),
                        entry.drawn.as_ref().and_then(|of| of[k]),
                    ),
                    None => (entry.validated_overall, entry.foretold_overall, entry.drawn_overall),
                };
                trend.validated.extend(validated.map(|v| mark(n, v, None)));
                trend.foretold.extend(foretold.map(|v| mark(n, v, None)));
                trend.drawn.extend(drawn.map(|of| mark(n, of.value, of.ends)));
            }
            // The present model's own, where no round was drawn with it.
            if let Some(errors) = &self.validated
                && trend.validated.last().is_none_or(|last| last.n_labelled < errors.n)
            {
                let value = match place {
                    Some(_) => output.and_then(|j| errors.rmse.get(j).copied()),
                    None => unexplained(&errors.r2),
                };
                trend.validated.extend(value.map(|v| mark(errors.n, v, None)));
            }
            if let (Some(found), Some(n)) = (&self.held_out, self.n_labelled) {
                let of = match place {
                    Some(_) => output.and_then(|j| found.outputs.get(j)),
                    None => found.relative.as_ref(),
                };
                trend.never_learned.extend(of.map(|of| mark(n, of.rmse, of.interval)));
            }
            trends.push(trend);
        }
        trends
    }

    /// The budget and the rules that end a run.
    pub(super) fn stopping(&self, folder: &Folder) -> Vec<StoppingRule> {
        let mut rules = Vec::new();
        let ended = folder.ended();
        if let Some((target, look)) = &self.look {
            rules.push(match look {
                Ok(look) => StoppingRule {
                    rule: format!("target {target}"),
                    fired: look.fires(),
                    words: look_in_words(folder, look),
                },
                Err(why) => StoppingRule { rule: format!("target {target}"), fired: false, words: why.clone() },
            });
        }
        if let Some(n) = folder.settings().no_gain {
            let gain = folder.gain(n);
            rules.push(StoppingRule {
                rule: format!("no gain over {n} rounds"),
                fired: gain.is_some_and(|gain| gain.is_none()),
                words: match gain {
                    Some(gain) => gain.in_words(),
                    None => format!("not looked at before {} whole rounds", 2 * n),
                },
            });
        }
        if let Some(ended) = ended {
            let rule = format!("the last run ended by `{}`", ended.rule);
            rules.push(StoppingRule { rule, fired: !is_replaced(&ended.rule, &rules), words: ended.why.clone() });
        }
        let asked = folder.state().n_asked();
        rules.extend(folder.settings().budget.map(|budget| StoppingRule {
            rule: "budget".into(),
            fired: asked >= budget,
            words: format!("{asked} of {budget} points asked for"),
        }));
        rules
    }
}

/// Whether a present rule of the same kind asks for something else than one that ended a run.
fn is_replaced(ended: &str, present: &[StoppingRule]) -> bool {
    let kind = |rule: &str| ["target ", "no gain "].into_iter().find(|kind| rule.starts_with(kind));
    present.iter().any(|rule| rule.rule != ended && kind(&rule.rule).is_some() && kind(&rule.rule) == kind(ended))
}

/// The outputs that have a line of their own: all, or of many the worst in cross-validation and those that are shown.
fn listed(history: &History, validated: Option<&Errors>) -> Vec<usize> {
    let mut listed = worst_outputs(history.n_outputs, validated);
    for j in history.shown.iter().filter_map(|shown| shown.output) {
        if !listed.contains(&j) {
            listed.push(j);
        }
    }
    listed
}

/// How far errors are from their targets.
fn look_in_words(folder: &Folder, look: &Look) -> String {
    let columns = folder.subject().problem().outputs();
    // The error above is that of one model.
    let of = match look.judge {
        Judge::Draws { rounds } if rounds > 1 => format!(", mean of the last {rounds} models,"),
        _ => String::new(),
    };
    let each: Vec<String> = look
        .limits
        .iter()
        .map(|limit| {
            let name = limit.output.as_deref().unwrap_or("the error in standard deviations");
            let name = format!("{name}{of}");
            let unit = columns.iter().find(|column| Some(&column.name) == limit.output.as_ref());
            let unit = unit.map(|column| column.unit.as_str()).filter(|unit| *unit != "1" && !unit.is_empty());
            let number = |v: f64| format!("{}{}", short(v), unit.map_or(String::new(), |unit| format!(" {unit}")));
            match (limit.rmse, limit.limit) {
                (Some(rmse), Some(most)) => format!(
                    "{name} is about {}, shown to be at most {}; wanted {}",
                    number(rmse),
                    number(most),
                    number(limit.target)
                ),
                (Some(rmse), None) => {
                    format!(
                        "{name} is about {}, not enough points to bound it; wanted {}",
                        number(rmse),
                        number(limit.target)
                    )
                }
                _ => format!("{name} is not known yet; wanted {}", number(limit.target)),
            }
        })
        .collect();
    let first = look.why_none().map_or(String::new(), |why| format!("{why}: "));
    first + &each.join("; ")
}

/// Three digits.
fn short(v: f64) -> String {
    if v == 0.0 || (1e-3..1e5).contains(&v.abs()) {
        let digits = if v == 0.0 { 0 } else { (2 - v.abs().log10().floor() as i32).max(0) as usize };
        return format!("{v:.digits$}");
    }
    format!("{v:.2e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_was_changed_since_ends_nothing() {
        let rule = |rule: &str| StoppingRule { rule: rule.into(), fired: false, words: String::new() };
        let present = [rule("target 0.05"), rule("no gain over 3 rounds")];
        assert!(is_replaced("target 0.1", &present) && is_replaced("no gain over 5 rounds", &present));
        assert!(!is_replaced("target 0.05", &present) && !is_replaced("no gain over 3 rounds", &present));
        assert!(!is_replaced("target 0.1", &present[1..]) && !is_replaced("target 0.1", &[]));
    }

    #[test]
    fn three_digits_are_shown() {
        assert_eq!((short(0.0512), short(12.34), short(1234.5)), ("0.0512".into(), "12.3".into(), "1234".into()));
        assert_eq!((short(1.5e-7), short(0.0)), ("1.50e-7".into(), "0".into()));
    }
}
