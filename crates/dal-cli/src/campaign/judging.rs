//! What is known of a model's error: from draws, from points that were never learned, and how far the rules are.

use anyhow::Result;
use dal_campaign::estimate::LEVEL;
use dal_campaign::words::{Cell, Errors};
use dal_campaign::{
    Calibration, Estimated, Estimates, Folder, Gain, HeldOut, Look, Noise, RoundEstimate, Share, Target,
};
use dal_core::OutputTransform;
use serde_json::{Map, Value, json};

use crate::output::{Format, Rows, outln};

/// Outputs up to which each has its line.
const MOST_OUTPUTS: usize = 20;
/// The worst outputs that are named where there are more.
const WORST: usize = 6;

/// The outputs that have a line of their own: all, or of many the worst in cross-validation.
pub fn worst_outputs(n_outputs: usize, validated: Option<&Errors>) -> Vec<usize> {
    if n_outputs <= MOST_OUTPUTS {
        return (0..n_outputs).collect();
    }
    let r2 = |j: usize| validated.and_then(|errors| errors.r2.get(j).copied().flatten());
    let mut known: Vec<(usize, f64)> = (0..n_outputs).filter_map(|j| Some((j, r2(j)?))).collect();
    known.sort_by(|a, b| a.1.total_cmp(&b.1));
    known.into_iter().map(|(j, _)| j).take(WORST).collect()
}

/// Everything that judges a campaign's models, as it is now.
pub struct Judging {
    estimates: Estimates,
    held_out: Option<HeldOut>,
    calibration: Option<Calibration>,
    noise: Option<Noise>,
    look: Option<Look>,
    gain: Option<(usize, Option<Gain>)>,
    /// A target that nothing judges, and why.
    unjudged: Option<String>,
    /// Rounds of an earlier domain.
    rounds_elsewhere: usize,
    /// Outputs that the error in standard deviations leaves out.
    left_out: Vec<String>,
    /// Outputs that have a line of their own and an interval.
    listed: Vec<usize>,
    /// What a user should know of the model's networks.
    remark: Option<String>,
    /// How many of the points that set the standard deviations were told, where these are not those of the design, and
    /// how many there are.
    told: Option<(usize, usize)>,
}

impl Judging {
    /// Of a folder; nothing is trained. Rules are those of the command line or of `campaign.toml`. Only the outputs
    /// that are `listed` get intervals: of thousands they take minutes.
    pub fn of(folder: &Folder, target: Option<Target>, no_gain: Option<usize>, listed: Vec<usize>) -> Result<Self> {
        let model = folder.kept_model()?;
        let wanted = |j: usize| listed.contains(&j);
        let held_out = model.as_ref().map(|model| folder.held_out_of(model, &wanted)).transpose()?.flatten();
        let target = target.or_else(|| folder.settings().target.clone());
        let no_gain = no_gain.or(folder.settings().no_gain);
        let judged = folder.can_judge()?;
        let unjudged = match &target {
            Some(target) if !judged => Some(format!(
                "{target}, which nothing can show: `{}` does not draw its points and none are held out; `dal run` \
                 refuses it",
                folder.card()?.id
            )),
            _ => None,
        };
        Ok(Self {
            estimates: folder.estimates_of(&wanted),
            calibration: folder.calibration(),
            noise: folder.noise(),
            look: target.filter(|_| judged).map(|target| folder.look(&target, model.as_ref())).transpose()?,
            gain: no_gain.map(|n| (n, folder.gain(n))),
            held_out,
            unjudged,
            rounds_elsewhere: folder.rounds_elsewhere(),
            left_out: folder.left_out().iter().map(|(j, _)| folder.subject().outputs()[*j].clone()).collect(),
            listed,
            remark: model.and_then(|model| model.remark()),
            told: folder.told_spread(),
        })
    }

    /// The outputs that have a line of their own.
    pub fn listed(&self) -> &[usize] {
        &self.listed
    }

    /// For a person.
    pub fn show(&self, folder: &Folder) -> Result<()> {
        self.show_draws(folder)?;
        if let Some(remark) = &self.remark {
            outln!("networks   {remark}");
        }
        match self.rounds_elsewhere {
            0 => {}
            1 => outln!("           an earlier round is of another domain and judges nothing of this one"),
            n => outln!("           {n} earlier rounds are of another domain and judge nothing of this one"),
        }
        match (&self.held_out, folder.held_out_here()) {
            (Some(held_out), _) => show_held_out(folder.subject().outputs(), held_out, &self.listed)?,
            (None, (0, 0)) => {}
            (None, (apart, audited)) => {
                outln!(
                    "not learned  {apart} points held out, {audited} of audits have answers; the model of all labels, which they \
                     judge, is not trained yet (`dal audit` or `dal report` trains and keeps it)"
                );
            }
        }
        if let Some((told, all)) = self.told.filter(|_| self.held_out.is_some() || !self.estimates.rounds.is_empty()) {
            outln!(
                "           standard deviations are those of the first {all} points, {told} of which were told and not drawn from \
                 the domain"
            );
        }
        if let Some(names) = self.over_decades(folder) {
            outln!(
                "           errors of {names} in their units rest on a few large values, and their intervals miss more often than \
                 they say; those in standard deviations are of logarithms"
            );
        }
        if let Some(noise) = &self.noise {
            let outputs = folder.subject().outputs().iter().zip(&noise.sd).take(4);
            let sd: Vec<String> = outputs.map(|(name, sd)| format!("{name} {sd:.3e}")).collect();
            outln!(
                "noise      of a measurement, from {} points with several, in every error above: {}",
                noise.points,
                sd.join(", ")
            );
        }
        if let Some(calibration) = &self.calibration {
            outln!("{}", in_words(folder.subject().outputs(), calibration));
        }
        if let Some(budget) = folder.settings().budget {
            outln!("budget     {} of {budget} points asked for", folder.state().n_asked());
        }
        if let Some(ended) = folder.ended() {
            outln!("ended      by the rule `{}`: {}", ended.rule, ended.why);
        }
        if let Some(look) = &self.look {
            let verdict = if look.fires() { "met" } else { "not shown yet" };
            outln!("target     {verdict}: {}", look.in_words());
        }
        if let Some(why) = &self.unjudged {
            outln!("target     {why}");
        }
        match &self.gain {
            Some((_, Some(gain))) => {
                let verdict = if gain.is_none() { "none" } else { "there is one" };
                outln!("gain       {verdict}: {}", gain.in_words());
            }
            Some((n, None)) => outln!("gain       not looked at before {} whole rounds", 2 * n),
            None => {}
        }
        Ok(())
    }

    /// Names of outputs that are learned as logarithms and whose error is shown in their units.
    fn over_decades(&self, folder: &Folder) -> Option<String> {
        let shown = self.held_out.is_some() || !self.estimates.rounds.is_empty();
        let spread = folder.spread();
        let is_log = |j: &&usize| matches!(spread.get(**j), Some((OutputTransform::Log, _)));
        let names: Vec<&str> =
            self.listed.iter().filter(is_log).map(|&j| folder.subject().outputs()[j].as_str()).collect();
        (shown && !names.is_empty()).then(|| names.join(", "))
    }

    /// The error over the whole domain, where the rule draws its points.
    fn show_draws(&self, folder: &Folder) -> Result<()> {
        let rounds = &self.estimates.rounds;
        let Some(newest) = rounds.last() else {
            if !folder.can_judge()? {
                outln!(
                    "           `{}` does not draw its points, so they say nothing of the error over the whole space; rules that \
                     do: power-qbc-diversity, power-qbc, random; with any rule `held_out = 0.25` or `dal audit` does",
                    folder.card()?.id
                );
            }
            return Ok(());
        };
        // A slice that was drawn since has no say over the whole.
        let whole = rounds.iter().rev().find(|round| round.fixed.is_empty());
        let slice = Some(newest).filter(|newest| !newest.fixed.is_empty());
        whole.into_iter().chain(slice).try_for_each(|last| self.show_round(folder.subject().outputs(), last))?;
        let outputs = folder.subject().outputs();
        if !self.left_out.is_empty() && self.left_out.len() < outputs.len() {
            outln!("           without {}: all answers so far are equal there", self.left_out.join(", "));
        }
        outln!("           the model trained since has no estimate from draws yet");
        Ok(())
    }

    /// What a round's draws say, and what the last ones of its slice say together.
    fn show_round(&self, outputs: &[String], last: &RoundEstimate) -> Result<()> {
        let slice = match &last.fixed[..] {
            [] => last.domain.clone(),
            fixed => {
                let held: Vec<String> = fixed.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                format!("the slice {} of {}", held.join(", "), last.domain)
            }
        };
        outln!(
            "error      over {}, of the model of {} labels that drew round {}: from {} of {} draws{}",
            scope(&slice, last.failed),
            last.n_labelled,
            last.round,
            last.answered,
            last.drawn,
            if last.is_incomplete() { "; incomplete, more than 5 % of them are open" } else { "" }
        );
        if last.failed > 0 {
            outln!("           that part is {}", share_in_words(&last.answered_share));
        }
        let mut rows = rows(outputs, &last.outputs, last.relative.as_ref(), &self.listed);
        // Of the same slice; a round under way has no part in it.
        if let Some(pooled) = self.estimates.pooled_of(&last.fixed).filter(|pooled| pooled.models > 1) {
            let of_models = |what: &str| format!("{what}, mean of the last {} models", pooled.models);
            let listed = self.listed.iter().filter_map(|&j| Some((&outputs[j], pooled.outputs.get(j)?)));
            rows.extend(listed.map(|(output, e)| row(of_models(output), e)));
            rows.extend(pooled.relative.iter().map(|e| row(of_models("all, in standard deviations"), e)));
        }
        if rows.is_empty() { Ok(()) } else { print(rows) }
    }

    /// For a program.
    pub fn as_json(&self, outputs: &[String]) -> Value {
        json!({
            "level": LEVEL,
            "networks": self.remark,
            "rounds_of_another_domain": self.rounds_elsewhere,
            "outputs_left_out": self.left_out,
            "rounds": self.estimates.rounds.iter().map(|e| round_as_json(outputs, e)).collect::<Vec<_>>(),
            "last_models": self.estimates.pooled.iter().map(|of| json!({
                "models": of.models,
                "fixed": fixed_as_json(&of.fixed),
                "outputs": named(outputs, of.outputs.iter().map(one)),
                "relative": of.relative.as_ref().map(one),
            })).collect::<Vec<_>>(),
            "scale": self.told.map(|(told, all)| json!({ "told_points": told, "points": all })),
            "not_learned": self.held_out.as_ref().map(|found| held_out_as_json(outputs, found)),
            "noise": self.noise.as_ref().map(|noise| json!({
                "points": noise.points, "sd": named(outputs, noise.sd.iter().map(|sd| json!(sd))),
            })),
            "calibration": self.calibration.as_ref().map(|c| json!({
                "draws": c.draws,
                "factors": named(outputs, c.factors.iter().map(|factor| json!(factor))),
                "coverage_after": c.coverage.as_ref().map(|after| json!({
                    "draws": after.draws,
                    "outputs": named(outputs, after.outputs.iter().map(|share| json!(share))),
                })),
            })),
            "target": self.look.as_ref().map(|look| json!({
                "met": look.fires(),
                "whole_rounds": look.rounds,
                "look": look.k,
                "limits": look.limits.iter().map(|limit| json!({
                    "output": limit.output, "rmse": limit.rmse, "upper_limit": limit.limit, "target": limit.target,
                })).collect::<Vec<_>>(),
            })),
            "target_unjudged": self.unjudged,
            "gain": self.gain.as_ref().map(|(n, gain)| json!({
                "rounds": n,
                "now": gain.map(|gain| gain.now),
                "before": gain.map(|gain| gain.before),
                "none": gain.map(|gain| gain.is_none()),
            })),
        })
    }
}

/// What points that were never learned say of the model of all labels.
pub fn show_held_out(outputs: &[String], found: &HeldOut, listed: &[usize]) -> Result<()> {
    outln!(
        "error      over {}, of the model of {} labels: from {} of {} uniform points that it did not learn{}{}",
        scope(&found.domain, found.failed),
        found.n_labelled,
        found.answered,
        found.drawn,
        if found.lambda > 0.0 { "; the networks' variance as control variate" } else { "" },
        if found.is_incomplete() { "; incomplete, more than 5 % of them are open" } else { "" }
    );
    if found.failed > 0 {
        outln!("           that part is {}", share_in_words(&found.answered_share));
    }
    print(rows(outputs, &found.outputs, found.relative.as_ref(), listed))
}

/// The same for a program.
pub fn held_out_as_json(outputs: &[String], found: &HeldOut) -> Value {
    json!({
        "model_of_labels": found.n_labelled,
        "domain": found.domain,
        "drawn": found.drawn,
        "answered": found.answered,
        "failed": found.failed,
        "open": found.open,
        "incomplete": found.is_incomplete(),
        "answered_share": share_as_json(&found.answered_share),
        "lambda": found.lambda,
        "outputs": named(outputs, found.outputs.iter().map(one)),
        "relative": found.relative.as_ref().map(one),
    })
}

/// How disagreement becomes an interval, and how that did.
pub fn in_words(outputs: &[String], calibration: &Calibration) -> String {
    let shown = |values: &[Option<f64>], digits: fn(f64) -> String| -> String {
        let each = outputs
            .iter()
            .zip(values)
            .take(4)
            .map(|(name, value)| format!("{name} {}", value.map_or_else(|| "none".to_owned(), digits)));
        let more = if outputs.len() > 4 { ", …" } else { "" };
        each.collect::<Vec<_>>().join(", ") + more
    };
    let coverage = calibration.coverage.as_ref().map_or_else(
        || "not met by later draws yet".to_owned(),
        |after| {
            let share = shown(&after.outputs, |share| format!("{:.0} %", 100.0 * share.min(1.0)));
            format!("on the {} draws of rounds after, {:.0} % intervals held: {share}", after.draws, 100.0 * LEVEL)
        },
    );
    let factors = shown(&calibration.factors, |factor| format!("{factor:.2}"));
    format!(
        "spread     times these is a {:.0} % interval, from {} draws: {factors}; {coverage}",
        100.0 * LEVEL,
        calibration.draws
    )
}

/// What an error speaks of: without the part in which points fail.
fn scope(domain: &str, failed: usize) -> String {
    match failed {
        0 => domain.to_owned(),
        _ => format!("the part of {domain} that has answers"),
    }
}

fn rows(outputs: &[String], found: &[Estimated], relative: Option<&Estimated>, listed: &[usize]) -> Vec<Vec<Value>> {
    // A round of failures alone has no errors.
    let listed = listed.iter().filter_map(|&j| Some((&outputs[j], found.get(j)?)));
    let mut rows: Vec<Vec<Value>> = listed.map(|(output, e)| row(output.clone(), e)).collect();
    rows.extend(relative.map(|e| row("all, in standard deviations".into(), e)));
    rows
}

fn row(what: String, e: &Estimated) -> Vec<Value> {
    let number = |v: f64| json!(format!("{v:.3e}"));
    let (low, high) = e.interval.map_or((Value::Null, Value::Null), |(low, high)| (number(low), number(high)));
    vec![json!(what), number(e.rmse), low, high]
}

fn print(rows: Vec<Vec<Value>>) -> Result<()> {
    Rows { columns: vec!["output", "rmse", "lower", "upper"], rows }.print(Format::Table)?;
    outln!("           lower and upper end a {:.0} % interval, from ten answers on", 100.0 * LEVEL);
    Ok(())
}

fn share_in_words(share: &Share) -> String {
    let percent = |v: f64| format!("{:.0} %", 100.0 * v.clamp(0.0, 1.0));
    let interval =
        share.interval.map_or(String::new(), |(low, high)| format!(" ({} to {})", percent(low), percent(high)));
    format!("about {} of it{interval}", percent(share.share))
}

fn share_as_json(share: &Share) -> Value {
    json!({ "share": share.share, "interval": share.interval.map(|(low, high)| [low, high]) })
}

fn one(e: &Estimated) -> Value {
    json!({ "rmse": e.rmse, "interval": e.interval.map(|(low, high)| [low, high]) })
}

fn named(outputs: &[String], values: impl Iterator<Item = Value>) -> Map<String, Value> {
    outputs.iter().cloned().zip(values).collect()
}

fn fixed_as_json(fixed: &[(String, Cell)]) -> Value {
    fixed.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>().into()
}

fn round_as_json(outputs: &[String], estimate: &RoundEstimate) -> Value {
    json!({
        "round": estimate.round,
        "model_of_labels": estimate.n_labelled,
        "domain": estimate.domain,
        "drawn": estimate.drawn,
        "answered": estimate.answered,
        "failed": estimate.failed,
        "open": estimate.open,
        "incomplete": estimate.is_incomplete(),
        "answered_share": share_as_json(&estimate.answered_share),
        "fixed": fixed_as_json(&estimate.fixed),
        "outputs": named(outputs, estimate.outputs.iter().map(one)),
        "relative": estimate.relative.as_ref().map(one),
    })
}
