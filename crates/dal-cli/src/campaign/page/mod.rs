//! What a campaign's page shows, gathered from its folder: used by `dal report` and `dal watch`.

mod commands;
mod errors;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use dal_campaign::estimate::LEVEL;
use dal_campaign::insight::{self, AxisKind, PlacedPoint};
use dal_campaign::settings::ModelSource;
use dal_campaign::words::{AUDIT, Round};
use dal_campaign::{Folder, History, Model, ModelInsight, Status, WHOLE_SPACE};
use dal_report::campaign::{
    AskedRow, CampaignData, Curve, Failing, FailureKind, Foretold, Input, InputKind, Map, ModelData, Network, Output,
    Pending, Picks, Place, Profile, Ranged, RoundKind, RoundRow, Rung, Unsure,
};

use self::errors::Judged;
use crate::display::duration;

/// A trained model of a campaign.
pub struct Known {
    /// The model.
    pub model: Model,
    /// Whether it learned every label that there is.
    pub is_current: bool,
}

/// The newest model that is trained: of all labels, or else the one that drew the last round. Nothing is trained.
pub fn newest_model(folder: &Folder) -> Result<Option<Known>> {
    if let Some(model) = folder.kept_model()? {
        return Ok(Some(Known { model, is_current: true }));
    }
    Ok(folder.drawing_model()?.map(|model| Known { model, is_current: false }))
}

/// Everything that the page shows. `at` is the folder as the user named it; `no_model` says why there is no model,
/// where there is none; `made` is the time, in words.
pub fn gather(
    folder: &Folder,
    at: &Path,
    model: Option<(&Known, &ModelInsight)>,
    no_model: &str,
    made: String,
) -> Result<CampaignData> {
    let history = folder.history();
    let standing = folder.standing();
    let problem = folder.subject().problem();
    let constant = folder.constant_outputs();
    let judged = Judged::of(folder, &history, model.map(|(known, _)| known))?;
    let data = CampaignData {
        folder: at.display().to_string(),
        problem: problem.id().to_owned(),
        about: problem.title().unwrap_or_default().to_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
        made,
        domain: judged.domain().filter(|domain| *domain != WHOLE_SPACE).unwrap_or_default().to_owned(),
        candidates: folder.settings().candidates,
        inputs: history.inputs.iter().map(input).collect(),
        outputs: history.shown.iter().map(|shown| output(shown, &constant)).collect(),
        n_outputs: history.n_outputs,
        counts: standing.counts.iter().map(|(status, n)| (status.id().to_owned(), *n)).collect(),
        labels: standing.labels,
        adopted: standing.adopted,
        unusable: standing.unusable.len(),
        answered_by: problem.answered_by().in_words().into(),
        errors: judged.errors_now(folder, &constant),
        pooled: judged.pooled(),
        n_constant: constant.iter().filter(|is| **is).count(),
        level: LEVEL,
        answered_share: judged.answered_share(),
        noise: judged.noise(folder),
        trend: judged.trend(&history),
        foretold: foretold_points(folder, &history, model.map(|(known, _)| known))?,
        points: history.points.iter().map(place).collect(),
        failures: failures(folder, &standing.failures),
        failing: failing(&history),
        pending: standing.pending.iter().map(pending).collect(),
        model: model.map(|(known, insight)| model_data(folder, known, insight, &history)),
        no_model: no_model.into(),
        network: network(folder, model.map(|(known, _)| &known.model)),
        rounds: folder.state().rounds().iter().map(|round| round_row(folder, round)).collect(),
        asked: history.asked.iter().map(asked).collect(),
        stopping: judged.stopping(folder),
        is_judged: judged.is_judged(folder)?,
        at_work: Folder::is_written(folder.root()),
        next: Vec::new(),
        repeat: commands::repeat(folder, at),
        unrepeatable: commands::unrepeatable(folder),
        files: commands::files(folder),
    };
    let next = commands::next(folder, at, &data, picks(&folder.settings().strategy));
    Ok(CampaignData { next, ..data })
}

fn input(axis: &insight::Axis) -> Input {
    let kind = match &axis.kind {
        AxisKind::Number { low, high, log } => Some(InputKind::Number { low: *low, high: *high, log: *log }),
        AxisKind::Whole { low, high, log } => Some(InputKind::Whole { low: *low, high: *high, log: *log }),
        AxisKind::Levels { names } => Some(InputKind::Levels { names: names.clone() }),
        AxisKind::Held { .. } => None,
    };
    Input { name: axis.name.clone(), unit: axis.unit.clone(), kind }
}

fn output(shown: &insight::Shown, constant: &[bool]) -> Output {
    let constant = shown.is_constant(constant);
    Output { name: shown.name.clone(), unit: shown.unit.clone(), log: shown.log, constant }
}

/// Points that were predicted before they were learned, and those of audits as the model predicts them now, by number.
fn foretold_points(folder: &Folder, history: &History, known: Option<&Known>) -> Result<Vec<Foretold>> {
    let audited = known.map(|known| folder.audited_points(&known.model)).transpose()?.unwrap_or_default();
    let mut all: Vec<Foretold> = history.foretold.iter().chain(&audited).map(foretold).collect();
    all.sort_by_key(|of| of.id);
    Ok(all)
}

fn foretold(of: &insight::Foretold) -> Foretold {
    Foretold {
        audit: of.audit,
        id: of.id,
        round: of.round,
        uniform: of.uniform,
        predicted: of.predicted.clone(),
        sd: of.sd.clone(),
        measured: of.measured.clone(),
    }
}

fn place(point: &PlacedPoint) -> Place {
    let state = match (&point.failure, point.status) {
        (Some(kind), "failed") => format!("failed: {kind}"),
        _ => point.status.to_owned(),
    };
    Place { id: point.id, at: point.at.clone(), state }
}

fn failures(folder: &Folder, kinds: &[(String, usize)]) -> Vec<FailureKind> {
    let failed = || folder.state().points().filter(|point| point.status() == Status::Failed);
    let of_kind = |(kind, n): &(String, usize)| {
        let failures = failed().filter_map(|point| point.failure.as_ref()).filter(|failure| failure.kind == *kind);
        let said: Vec<&str> = failures.map(|failure| failure.words.as_str()).collect();
        FailureKind { kind: kind.clone(), n: *n, reasons: reasons(&said) }
    };
    kinds.iter().map(of_kind).collect()
}

/// Words with `#` in place of each number.
fn without_numbers(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut in_number = false;
    for c in words.chars() {
        // An exponent belongs to its number.
        let goes_on = c.is_ascii_digit() || (in_number && "+-.eE".contains(c));
        if goes_on && !in_number {
            out.push('#');
        }
        // A sign belongs to the number behind it.
        if !goes_on && !"+-".contains(c) {
            out.push(c);
        }
        in_number = goes_on;
    }
    out
}

/// Words that differ by numbers alone, together: the last of each, and how many there are; the most frequent first.
fn reasons(said: &[&str]) -> Vec<(String, usize)> {
    let mut found: Vec<(String, String, usize)> = Vec::new();
    for words in said {
        let alike = without_numbers(words);
        match found.iter_mut().find(|(known, ..)| *known == alike) {
            Some((_, last, n)) => (*last, *n) = ((*words).to_owned(), *n + 1),
            None => found.push((alike, (*words).to_owned(), 1)),
        }
    }
    // Equally frequent ones stay in the order in which they were said first.
    found.sort_by_key(|(.., n)| std::cmp::Reverse(*n));
    found.into_iter().map(|(_, last, n)| (last, n)).collect()
}

/// The inputs in which failed points differ, the clearest first.
fn failing(history: &History) -> Vec<Failing> {
    let mut found: Vec<(f64, Failing)> = Vec::new();
    for (input, of) in history.failing.iter().enumerate() {
        match of {
            Some(insight::Failing::Larger { share }) => {
                found.push(((share - 0.5).abs(), Failing::Larger { input, share: *share }));
            }
            Some(insight::Failing::Levels { shares }) => {
                let of = |f: fn(f64, f64) -> f64| shares.iter().map(|(_, share, _)| *share).reduce(f).unwrap_or(0.0);
                let clear = (of(f64::max) - of(f64::min)) / 2.0;
                found.push((clear, Failing::Levels { input, shares: shares.clone() }));
            }
            None => {}
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().map(|(_, failing)| failing).collect()
}

fn pending(waiting: &dal_campaign::status::Waiting) -> Pending {
    let words = |seconds: f64| duration(Duration::from_secs_f64(seconds.clamp(0.0, 1e12)));
    let left = match waiting.left {
        None => String::new(),
        Some(left) if left > 0.0 => format!("{} left", words(left)),
        Some(_) => "the time has run out".into(),
    };
    let lease = match (&waiting.owner, left) {
        (Some(owner), left) if left.is_empty() => format!("to {owner}"),
        (Some(owner), left) => format!("to {owner}, {left}"),
        (None, left) => left,
    };
    Pending {
        id: waiting.id,
        state: waiting.status.id().into(),
        since: words(waiting.seconds),
        lease,
        loss: waiting.loss.as_ref().map_or(String::new(), |(words, n)| format!("{n} times: {words}")),
    }
}

fn model_data(folder: &Folder, known: &Known, insight: &ModelInsight, history: &History) -> ModelData {
    let ranged = |of: insight::Ranged| Ranged { value: of.value, low: of.low, high: of.high };
    let factors = folder.calibration().map_or_else(Vec::new, |calibration| calibration.factors);
    ModelData {
        n_labelled: insight.n_labelled,
        is_current: known.is_current,
        members: insight.members,
        importance: insight
            .importance
            .iter()
            .map(|of| of.as_ref().map(|inputs| inputs.iter().map(|of| (ranged(of.first), ranged(of.total))).collect()))
            .collect(),
        dependence: insight
            .dependence
            .iter()
            .map(|of| {
                let curve = |of: &insight::Dependence| Curve {
                    x: of.x.clone(),
                    mean: of.mean.clone(),
                    low: of.low.clone(),
                    high: of.high.clone(),
                };
                of.iter().map(curve).collect()
            })
            .collect(),
        order: insight.order.clone(),
        unsure: insight.unsure.as_ref().map(|unsure| Unsure {
            overall: unsure.overall,
            left_out: unsure.left_out,
            profiles: unsure
                .profiles
                .iter()
                .map(|of| of.as_ref().map(|of| Profile { edges: of.edges.clone(), values: of.spread.clone() }))
                .collect(),
            maps: unsure
                .maps
                .iter()
                .map(|map| Map { across: map.inputs.0, up: map.inputs.1, values: map.spread.clone() })
                .collect(),
        }),
        dependent_inputs: insight.dependent_inputs,
        factors: history
            .shown
            .iter()
            .map(|shown| shown.output.and_then(|j| factors.get(j).copied().flatten()))
            .collect(),
    }
}

fn network(folder: &Folder, model: Option<&Model>) -> Option<Network> {
    let trained = model.is_some();
    let choice = folder.state().choice();
    let in_use = model.and_then(|model| model.network.as_ref()).or(choice.map(|choice| choice.model()));
    if folder.settings().model == ModelSource::ProblemFile {
        let network = in_use.unwrap_or(folder.subject().problem().model());
        let how =
            "It is that of the problem file (`model = \"problem-file\"` in campaign.toml), not chosen by the data.";
        return Some(Network { network: in_words(network), how: how.into(), trained, rungs: Vec::new() });
    }
    let in_use = in_use?;
    let Some(choice) = choice else {
        let how = "It was chosen by cross-validation for this page; the log has no choice yet.";
        return Some(Network { network: in_words(in_use), how: how.into(), trained, rungs: Vec::new() });
    };
    let from = match choice.searched {
        true => "by a wider search (`dal tune`)",
        false => "from a ladder that grows with the labels",
    };
    let weighted =
        if choice.weighted { ", squared errors weighted by one over the probability of the draw" } else { "" };
    let how = match choice.rungs.iter().any(|rung| rung.loss.is_some()) {
        true => format!(
            "It was chosen at {} labels {from}, by cross-validation in three parts{weighted}: of those within one standard error \
             of the best the simplest. It is chosen anew when the labels have grown by half.",
            choice.n_labelled
        ),
        false => format!(
            "At {} labels there is nothing to compare yet, so it is the middle of the ladder.",
            choice.n_labelled
        ),
    };
    let rungs = choice.rungs.iter().enumerate().map(|(place, rung)| Rung {
        network: rung.model.to_string(),
        n_parameters: rung.n_parameters,
        loss: rung.loss,
        standard_error: rung.standard_error,
        chosen: place == choice.chosen && rung.model == *in_use,
    });
    Some(Network { network: in_words(in_use), how, trained, rungs: rungs.collect() })
}

fn in_words(network: &dal_core::MlpEnsemble) -> String {
    format!("an ensemble of {} networks with hidden layers {network}", network.training.n_members)
}

/// The rule of a round in words.
fn rule_in_words(rule: &str) -> String {
    match rule {
        dal_campaign::words::INITIAL => "space-filling design".into(),
        AUDIT => "audit: uniform, never learned".into(),
        other => other.into(),
    }
}

/// How a rule picks points; of one that this version does not know nothing is taken for granted.
fn picks(rule: &str) -> Picks {
    let Ok(card) = dal_acq::card(rule) else { return Picks::Best { by_spread: false } };
    if card.id == "random" {
        return Picks::Evenly;
    }
    let needs = card.needs();
    let by_spread = needs.uncertainty || needs.committee || needs.dropout.is_some();
    match card.draws() {
        true => Picks::Drawn { by_spread },
        false if needs.in_words().is_empty() => Picks::Space,
        false => Picks::Best { by_spread },
    }
}

fn round_row(folder: &Folder, round: &Round) -> RoundRow {
    let count = |of: &dyn Fn(Status) -> bool| {
        round.all().filter(|drawn| folder.state().point(drawn.id).is_some_and(|point| of(point.status()))).count()
    };
    let mut remarks: Vec<String> = round.fixed.iter().map(|(name, value)| format!("{name} held at {value}")).collect();
    if !round.held_out.is_empty() && round.rule != AUDIT {
        remarks.push(format!("{} of them held out of learning", round.held_out.len()));
    }
    let left_out = round.candidates.thinned.as_ref().map_or(0, |thinned| thinned.n);
    if left_out > 0 {
        remarks.push(format!("{left_out} more were left out beforehand near failed points"));
    }
    remarks.extend(round.notes.iter().cloned());
    RoundRow {
        round: round.round,
        rule: rule_in_words(&round.rule),
        kind: match round.rule.as_str() {
            dal_campaign::words::INITIAL => RoundKind::Design,
            AUDIT => RoundKind::Audit,
            rule => RoundKind::Rule(picks(rule)),
        },
        n_labelled: round.n_labelled,
        points: round.all().count(),
        by_state: (
            count(&|status| status == Status::Done),
            count(&|status| status == Status::Failed),
            count(&|status| matches!(status, Status::Asked | Status::Running | Status::Lost)),
        ),
        candidates: round.candidates.n,
        left_out,
        remarks: remarks.join("; "),
    }
}

fn asked(point: &insight::AskedPoint) -> AskedRow {
    let why = match (point.part, point.rule.as_str()) {
        (_, dal_campaign::words::INITIAL) => "to fill the space before there is a model".to_owned(),
        (_, AUDIT) => "to judge the model: uniform, never learned".into(),
        ("held out", _) => "to judge models: uniform, held out of learning".into(),
        (_, "random") => "at random".into(),
        (_, rule) => {
            let title = dal_acq::card(rule).map_or(rule, |card| card.title);
            let probability = point.probability.map_or(String::new(), |q| format!(", drawn with probability {q:.2e}"));
            format!("{title}: one of {} candidates{probability}", point.candidates)
        }
    };
    AskedRow {
        id: point.id,
        round: point.round,
        x: point.x.clone(),
        state: point.status.into(),
        why,
        disagreement: point.disagreement,
        distance: point.distance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_by_numbers_are_one() {
        let said = ["it yields at 3.1e2 MPa", "no mesh", "it yields at 415 MPa", "it yields at -2 MPa"];
        let found = reasons(&said);
        assert_eq!(found, [("it yields at -2 MPa".to_owned(), 3), ("no mesh".into(), 1)]);
    }

    #[test]
    fn rules_pick_by_what_they_look_at() {
        let drawn = Picks::Drawn { by_spread: true };
        for (rule, how) in
            [("random", Picks::Evenly), ("gsx", Picks::Space), ("sobol", Picks::Space), ("power-qbc", drawn)]
        {
            assert_eq!(picks(rule), how, "{rule}");
        }
        assert_eq!(picks("qbc"), Picks::Best { by_spread: true });
        assert_eq!(picks("gsy"), Picks::Best { by_spread: false });
    }
}
