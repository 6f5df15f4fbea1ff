//! The questions at the top of a campaign's page, answered in sentences.

use super::charts::estimate_in_words;
use super::data::{
    CampaignData, ErrorNow, Estimate, Failing, FailureKind, JudgedBy, NextStep, Picks, Trend, TrendMark, Unsure,
};
use super::scale::{bin_in_words, with_unit};
use crate::text::{count, list, typeset as number};

/// Outputs that the first answer names one by one.
const NAMED: usize = 6;
/// What failed points said that is repeated, at most.
const REASONS: usize = 3;
/// How much larger than the mean the spread of a range is before it is named.
const UNSURE: f64 = 1.25;
/// The same for a cell of a map, which holds fewer points.
const UNSURE_CELL: f64 = 1.5;
/// Ranges that are named.
const RANGES: usize = 4;

/// An answer: a question, what is said, a list under it, and where more stands.
pub(crate) struct Answer {
    pub(crate) question: &'static str,
    pub(crate) text: String,
    pub(crate) items: Vec<String>,
    pub(crate) more: Option<(&'static str, &'static str)>,
}

/// All answers, in order.
pub(crate) fn answers(data: &CampaignData) -> Vec<Answer> {
    vec![how_good(data), where_not(data), what_failed(data), what_next(data), may_stop(data)]
}

/// A share in per cent; what is less than all of it is not called 100 %.
fn percent(share: f64) -> String {
    let value = 100.0 * share;
    if value < 10.0 && value > 0.0 {
        format!("{} %", number((10.0 * value).round() / 10.0))
    } else if value > 99.0 && value < 100.0 {
        format!("{} %", number((10.0 * value).floor() / 10.0))
    } else {
        format!("{value:.0} %")
    }
}

/// Relative errors up to which they are shares of the value; larger ones are factors.
const SHARE: f64 = 0.5;

/// A relative error: a share of the value, or a factor where it is large.
pub(crate) fn off_by(relative: f64) -> String {
    if relative < SHARE { percent(relative) } else { format!("a factor of {}", number(1.0 + relative)) }
}

/// The same with its interval, both in one form: "12 % (9 to 16 %)", "a factor of 1.4 (1.3 to 1.6)".
pub(crate) fn off_by_about(of: Estimate) -> String {
    let Some((low, high)) = of.interval else { return off_by(of.rmse) };
    match of.rmse.max(high) < SHARE {
        true => format!("{} ({} to {})", percent(of.rmse), percent(low).replace(" %", ""), percent(high)),
        false => {
            let factor = |relative: f64| number(1.0 + relative);
            format!("a factor of {} ({} to {})", factor(of.rmse), factor(low), factor(high))
        }
    }
}

/// The share of the variance that an error in standard deviations leaves explained.
pub(crate) fn explained(deviations: f64) -> f64 {
    1.0 - deviations * deviations
}

/// One output's error, and how much that is: "deflection: 0.31 mm (0.25 to 0.42 mm), off by 12 % (9 to 16 %; root mean
/// square of the logarithm's errors); 98 % of the variance of its logarithm explained".
fn error_item(of: &ErrorNow) -> Option<String> {
    let name = of.output.as_deref()?;
    if of.constant {
        return Some(format!("{name}: constant, all answers so far are equal"));
    }
    let (estimate, _) = of.best.as_ref()?;
    let mut words = format!("{name}: {}", estimate_in_words(estimate.rmse, estimate.interval, &of.unit));
    if let Some(off) = of.off_by {
        words += &format!(", off by {}, root mean square of the logarithm's errors", off_by_about(off));
    }
    if let Some(deviations) = of.deviations {
        let what = if of.log { "the variance of its logarithm" } else { "its variance" };
        words += &format!("; {} of {what} explained", percent(explained(deviations.rmse).max(0.0)));
    }
    Some(words)
}

/// What failed points said, the most frequent first: "it yields at 31 MPa (12 times the like)".
fn reasons_in_words(kind: &FailureKind) -> String {
    let said: Vec<String> = kind
        .reasons
        .iter()
        .filter(|(words, _)| !words.is_empty())
        .take(REASONS)
        .map(|(words, n)| if *n > 1 { format!("“{words}” ({n} times the like)") } else { format!("“{words}”") })
        .collect();
    let more = kind.reasons.len().saturating_sub(REASONS);
    match (said.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => list(&said),
        (false, more) => format!("{} and {}", said.join(", "), count(more, "other reason")),
    }
}

/// That the last rounds brought no answer.
fn stuck_in_words(data: &CampaignData) -> Option<String> {
    let (rounds, failed) = data.stuck()?;
    let which = if rounds == 1 { "The last round".to_owned() } else { format!("The last {rounds} rounds") };
    let most = data.failures.iter().max_by_key(|kind| kind.n).map(reasons_in_words).unwrap_or_default();
    let said = if most.is_empty() { String::new() } else { format!(": {most}") };
    Some(format!("{which} brought no answer, all {failed} points failed{said}. The model has learned nothing since."))
}

/// Where the points of cross-validation lie, and what that makes of its error.
fn where_they_lie(data: &CampaignData) -> String {
    match data.picked() {
        None if data.rounds.is_empty() => "It speaks of the points that were told, wherever they lie, and of models of two \
             thirds of them; nothing measures the error over the whole space yet."
            .to_owned(),
        None => "These are the points of the first design, spread over the space, but each model learned only two thirds \
             of them; nothing measures the error of the whole model over the whole space yet."
            .to_owned(),
        Some(Picks::Evenly) => "These are points of the design and points that were drawn uniformly, so that it is about the \
             error over the whole space of a model of two thirds of the labels; nothing measures that of the whole model \
             yet."
            .to_owned(),
        Some(picks) => format!(
            "These are points that were asked for, {}, so this is not the error over the whole space: nothing measures that \
             yet.",
            picks.lie()
        ),
    }
}

/// The outputs' errors: all, or the worst in cross-validation where they are many, and what is left out then.
fn error_items(data: &CampaignData) -> Vec<String> {
    let mut each: Vec<&ErrorNow> = data.errors.iter().filter(|of| of.output.is_some()).collect();
    let n = data.n_outputs.max(each.len());
    if n > NAMED {
        let explained = |of: &ErrorNow| of.explained.unwrap_or(f64::INFINITY);
        each.sort_by(|a, b| explained(a).total_cmp(&explained(b)));
    }
    let mut items: Vec<String> = each.into_iter().filter_map(error_item).take(NAMED).collect();
    if n > items.len() && items.len() == NAMED {
        items.push(format!(
            "these are the worst {NAMED} of {n} outputs, by the share of the variance that cross-validation explains"
        ));
    }
    items
}

/// What the error speaks of, and how much of the space that is where points fail: "the part of the space that has
/// answers (about 88 % of all, 80 to 94 %)".
fn scope_with_share(data: &CampaignData) -> String {
    let Some((share, interval)) = data.answered_share else { return data.scope() };
    let interval = interval.map_or(String::new(), |(low, high)| {
        format!(", {} to {}", percent(low.min(1.0)).replace(" %", ""), percent(high.min(1.0)))
    });
    format!("{} (about {} of all{interval})", data.scope(), percent(share.min(1.0)))
}

fn how_good(data: &CampaignData) -> Answer {
    let question = "How good is the model?";
    let more = Some(("section-errors", "Errors in full"));
    let Some((_, judged)) = data.errors.iter().find_map(|of| of.best) else {
        let why =
            if data.no_model.is_empty() { "Nothing measures its error yet.".to_owned() } else { data.no_model.clone() };
        let stuck = stuck_in_words(data).map_or(String::new(), |stuck| format!("{stuck} "));
        let text = format!("{stuck}{why} So far there are {}.", count(data.labels, "label"));
        return Answer { question, text, items: Vec::new(), more: None };
    };
    let interval = format!("in brackets a {:.0} % interval", 100.0 * data.level);
    let has_interval = data.errors.iter().any(|of| of.best.is_some_and(|(estimate, _)| estimate.interval.is_some()));
    let interval = match has_interval {
        true => format!("; {interval}"),
        false => "; too few for an interval, which needs ten answers".into(),
    };
    let scope = scope_with_share(data);
    let text = match judged {
        JudgedBy::NeverLearned { answered, drawn } => {
            let others = match drawn - answered {
                0 => "",
                1 => " (the other one has no answer)",
                _ => " (the others have no answer)",
            };
            format!(
                "Over {scope} its root mean square error is as follows, judged by {answered} of {drawn} uniform points that \
                 it never learned{others}{interval}."
            )
        }
        JudgedBy::Draws { answered, drawn, n_labelled } => format!(
            "Over {scope} the root mean square error of the model of {n_labelled} labels is as follows, judged by {answered} \
             of the {drawn} points that were drawn with it, each with a known probability{interval}. Models trained since are \
             judged by the next round."
        ),
        JudgedBy::CrossValidation { n } => format!(
            "In cross-validation on {n} labels its root mean square error is as follows. {}",
            where_they_lie(data)
        ),
    };
    let text = match stuck_in_words(data) {
        Some(stuck) => format!("{stuck} {text}"),
        None => text,
    };
    let mut items = error_items(data);
    let n_varying = data.n_outputs.saturating_sub(data.n_constant);
    if n_varying > 1
        && let Some(all) = data.errors.iter().find(|of| of.output.is_none())
        && let Some((estimate, _)) = all.best
    {
        let error = estimate_in_words(estimate.rmse, estimate.interval, "");
        let which = match (data.n_constant, n_varying) {
            (0, 2) => "both outputs together".to_owned(),
            (0, _) => format!("all {n_varying} outputs together"),
            _ => format!("the {n_varying} outputs that vary together"),
        };
        items.push(format!("{which}: {error} standard deviations (1 would be no better than always saying the mean)"));
    }
    if matches!(judged, JudgedBy::Draws { .. })
        && let Some((estimate, n)) = data.pooled
    {
        items.push(format!(
            "mean error of the last {n} models there, from all their draws: {} standard deviations",
            estimate_in_words(estimate.rmse, estimate.interval, "")
        ));
    }
    let elsewhere = !matches!(judged, JudgedBy::CrossValidation { .. });
    if elsewhere && data.errors.iter().any(|of| of.output.is_some() && of.log) {
        items.push(
            "errors of an output over decades, in its unit, rest on a few large values, and their intervals miss more often \
             than they say; the error in standard deviations is of its logarithm"
                .into(),
        );
    }
    for (output, sd) in data.noise.iter().take(NAMED) {
        items.push(format!("repeated measurements of {output} scatter by {}", number(*sd)));
    }
    Answer { question, text, items, more }
}

/// Ranges of inputs in which the spread is clearly larger than its mean, largest first: input, bin, ratio.
pub(crate) fn unsure_ranges(data: &CampaignData, unsure: &Unsure) -> Vec<(usize, usize, f64)> {
    let mut found: Vec<(usize, usize, f64)> = Vec::new();
    for (i, profile) in unsure.profiles.iter().enumerate() {
        let Some(profile) = profile else { continue };
        // One range for each input: its worst.
        let worst = profile.values.iter().enumerate().filter_map(|(bin, v)| Some((bin, (*v)? / unsure.overall)));
        if let Some((bin, ratio)) = worst.max_by(|a, b| a.1.total_cmp(&b.1))
            && ratio > UNSURE
            && i < data.inputs.len()
        {
            found.push((i, bin, ratio));
        }
    }
    found.sort_by(|a, b| b.2.total_cmp(&a.2));
    found.truncate(RANGES);
    found
}

/// "load from 800 to 2000 N".
fn range_in_words(data: &CampaignData, unsure: &Unsure, input: usize, bin: usize) -> Option<String> {
    let profile = unsure.profiles.get(input)?.as_ref()?;
    let of = &data.inputs[input];
    Some(format!("{} {}", of.name, bin_in_words(of, *profile.edges.get(bin)?, *profile.edges.get(bin + 1)?)))
}

/// The cell of the maps in which the spread is largest, where it is clearly larger than its mean.
fn worst_cell(data: &CampaignData, unsure: &Unsure) -> Option<String> {
    let mut worst: Option<(f64, usize, usize, usize, usize)> = None;
    for map in &unsure.maps {
        let Some(up) = map.up else { continue };
        for (a, column) in map.values.iter().enumerate() {
            for (b, value) in column.iter().enumerate() {
                if let Some(ratio) = value.map(|value| value / unsure.overall)
                    && ratio > worst.map_or(UNSURE_CELL, |known| known.0)
                {
                    worst = Some((ratio, map.across, a, up, b));
                }
            }
        }
    }
    let (ratio, across, a, up, b) = worst?;
    let (first, second) = (range_in_words(data, unsure, across, a)?, range_in_words(data, unsure, up, b)?);
    Some(format!("{first} and {second} ({} times as much)", number((ratio * 10.0).round() / 10.0)))
}

fn where_not(data: &CampaignData) -> Answer {
    let question = "Where is it not good?";
    let Some(model) = &data.model else {
        return Answer { question, text: "There is no model to ask yet.".into(), items: Vec::new(), more: None };
    };
    if data.n_constant > 0 && data.n_constant == data.n_outputs {
        let text = "All answers so far are equal, so that there is nothing to be wrong about yet.".into();
        return Answer { question, text, items: Vec::new(), more: None };
    }
    let mut items = Vec::new();
    let text = match &model.unsure {
        Some(unsure) => {
            let named: Vec<String> = unsure_ranges(data, unsure)
                .into_iter()
                .filter_map(|(input, bin, ratio)| {
                    let words = range_in_words(data, unsure, input, bin)?;
                    Some(format!("{words} ({} times as much)", number((ratio * 10.0).round() / 10.0)))
                })
                .collect();
            let over = match unsure.left_out > 0.0 {
                true => format!("the {} of the space where points rather have answers", percent(1.0 - unsure.left_out)),
                false => "the space".to_owned(),
            };
            let spread = format!(
                "The members of the ensemble differ by {} standard deviations of the outputs (root mean square over {over}); \
                 this is the model's own doubt and no error. They differ",
                number(unsure.overall)
            );
            match (named.is_empty(), worst_cell(data, unsure)) {
                (false, _) => format!("{spread} most at {}.", list(&named)),
                (true, Some(cell)) => {
                    format!(
                        "{spread} about as much in every range of a single input, but of two together most at {cell}."
                    )
                }
                (true, None) => format!("{spread} about as much in every range of the inputs."),
            }
        }
        None => "The model has no members that could disagree, so it does not say where it is unsure.".into(),
    };
    if let Some(words) = worst_miss(data) {
        items.push(words);
    }
    let left_out = model.unsure.as_ref().map_or(0.0, |unsure| unsure.left_out);
    if left_out > 0.0 {
        items.push(format!(
            "{} of the space was left out of this spread and of its maps, because points rather fail there: the model knows \
             nothing of that part",
            percent(left_out)
        ));
    }
    Answer { question, text, items, more: Some(("section-unsure", "Maps of the spread")) }
}

/// The largest miss among the points of audits, which the present model predicted, or else among the last round's.
fn worst_miss(data: &CampaignData) -> Option<String> {
    let last = data.foretold.iter().filter(|p| !p.audit).map(|p| p.round).max();
    let audited = data.foretold.iter().any(|p| p.audit);
    let judges = data.foretold.iter().filter(|p| if audited { p.audit } else { Some(p.round) == last });
    // Misses of several outputs are compared as shares of the range of what was measured.
    let scale = |k: usize, v: f64| if data.outputs[k].log && v > 0.0 { v.ln() } else { v };
    let ranges: Vec<f64> = (0..data.outputs.len())
        .map(|k| {
            let values = || data.foretold.iter().filter_map(|p| p.measured.get(k)).map(|v| scale(k, *v));
            values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min)
        })
        .collect();
    let ranges = &ranges;
    let misses = judges.flat_map(|p| {
        data.outputs.iter().enumerate().filter_map(move |(k, output)| {
            let (f, y) = (*p.predicted.get(k)?, *p.measured.get(k)?);
            let miss = (scale(k, f) - scale(k, y)).abs() / ranges[k];
            miss.is_finite().then_some((miss, p, output, f, y))
        })
    });
    let (_, p, output, f, y) = misses.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let (of, how) = match audited {
        true => ("at points never learned", "predicted"),
        false => ("of the last round", "predicted before"),
    };
    Some(format!(
        "the largest miss {of} was point {}: {} measured as {}, {how} as {}",
        p.id,
        output.name,
        with_unit(&number(y), &output.unit),
        with_unit(&number(f), &output.unit)
    ))
}

/// How failed points differ, in a sentence each.
pub(crate) fn failing_in_words(data: &CampaignData) -> Vec<String> {
    data.failing
        .iter()
        .filter_map(|failing| {
            let input = data.inputs.get(failing.input())?;
            Some(match failing {
                Failing::Larger { share, .. } => {
                    let (at, is, share) = match *share >= 0.5 {
                        true => ("large", "larger", *share),
                        false => ("small", "smaller", 1.0 - share),
                    };
                    format!(
                        "they lie at {at} {} ({is} than that of an answered point in {} of all pairs)",
                        input.name,
                        percent(share)
                    )
                }
                Failing::Levels { shares, .. } => {
                    let each: Vec<String> =
                        shares.iter().map(|(level, share, n)| format!("{level} {} of {n}", percent(*share))).collect();
                    format!("they depend on {}: failed of {}", input.name, list(&each))
                }
            })
        })
        .collect()
}

fn what_failed(data: &CampaignData) -> Answer {
    let question = "What failed, what is pending?";
    let n_failed: usize = data.failures.iter().map(|kind| kind.n).sum();
    let n_points: usize = data.counts.iter().map(|(_, n)| n).sum();
    let mut text = match n_failed {
        0 => format!("Nothing failed of {}.", count(n_points, "point")),
        n => format!("{n} of {} failed and are not asked for again.", count(n_points, "point")),
    };
    text += &match data.pending.len() {
        0 => " None waits for an answer.".to_owned(),
        1 => " One waits for its answer.".to_owned(),
        n => format!(" {n} wait for their answers."),
    };
    let mut items: Vec<String> = data
        .failures
        .iter()
        .map(|kind| {
            let words = reasons_in_words(kind);
            format!("{} {}{}", kind.n, kind.kind, if words.is_empty() { words } else { format!(": {words}") })
        })
        .collect();
    items.extend(failing_in_words(data));
    let lost = data.pending.iter().filter(|p| !p.loss.is_empty()).count();
    if lost > 0 {
        items.push(format!("{} lost to the program or the machine and tried again", count(lost, "pending point")));
    }
    if data.unusable > 0 {
        items.push(format!(
            "{} not used: outside the present ranges, or a value that the output's transform cannot take",
            count(data.unusable, "answered point")
        ));
    }
    Answer { question, text, items, more: Some(("section-points", "Where they lie")) }
}

fn what_next(data: &CampaignData) -> Answer {
    let words = |step: &NextStep| match step.command.is_empty() {
        true => step.why.clone(),
        false => format!("{}: {}", step.command, step.why),
    };
    let text = match data.next.first() {
        Some(step) => format!("{}.", words(step)),
        None if data.at_work => {
            "Nothing now: a process is at work on this campaign. When it has ended, this says what is \
             next."
                .into()
        }
        None => "Nothing is left to do.".into(),
    };
    let items = data.next.iter().skip(1).map(words).collect();
    Answer { question: "What should I run next?", text, items, more: None }
}

/// The last error of a series and one some rounds before it.
fn ends(marks: &[TrendMark]) -> Option<(&TrendMark, &TrendMark)> {
    let (last, before) = (marks.last()?, marks.get(marks.len().saturating_sub(4))?);
    (before.n_labelled < last.n_labelled).then_some((before, last))
}

/// The change of an error over the last rounds, in words. Errors over the whole space by a few draws differ by chance:
/// a direction is claimed where their intervals lie apart.
fn change_in_words(trend: &Trend, scope: &str) -> Option<String> {
    if let Some((before, last)) = ends(&trend.drawn)
        && let (Some(was), Some(is)) = (before.interval, last.interval)
        && (is.1 < was.0 || was.1 < is.0)
    {
        let word = if is.1 < was.0 { "still falls" } else { "rises" };
        return Some(format!(
            "the error over {scope} {word}: {} standard deviations at {} labels, {} at {}; the intervals lie apart",
            estimate_in_words(before.value, before.interval, ""),
            before.n_labelled,
            estimate_in_words(last.value, last.interval, ""),
            last.n_labelled
        ));
    }
    let untold = format!("whether the error over {scope} falls cannot be told from the draws so far");
    let untold = Some(untold).filter(|_| trend.drawn.len() > 1);
    let Some((before, last)) = ends(&trend.validated) else { return untold };
    // One good round between bad ones is no direction.
    let steady = trend.validated[trend.validated.len() - 2].value;
    let word = if last.value < 0.9 * before.value && last.value <= steady {
        "still falls"
    } else if last.value > 1.1 * before.value && last.value >= steady {
        "rises"
    } else if (last.value / before.value - 1.0).abs() > 0.1 {
        "goes up and down"
    } else {
        "hardly changes"
    };
    Some(format!(
        "{}the error in cross-validation, at points asked for, {word}: {} standard deviations at {} labels, {} at {}",
        untold.map_or(String::new(), |untold| format!("{untold}; ")),
        number(before.value),
        before.n_labelled,
        number(last.value),
        last.n_labelled
    ))
}

fn may_stop(data: &CampaignData) -> Answer {
    let question = "May I stop?";
    let mut items: Vec<String> = data.stopping.iter().map(|rule| format!("{}: {}", rule.rule, rule.words)).collect();
    items.extend(data.trend.last().and_then(|trend| change_in_words(trend, &data.scope())));
    let fired: Vec<String> = data.stopping.iter().filter(|rule| rule.fired).map(|rule| rule.rule.clone()).collect();
    let rules = data.stopping.iter().filter(|rule| rule.rule != "budget").count();
    let text = if data.labels == 0 {
        "No: there is nothing to use yet.".to_owned()
    } else if fired.iter().any(|rule| rule != "budget") {
        format!("Yes, by your rule: {}.", list(&fired))
    } else if rules > 0 {
        "Not by your rules.".to_owned()
    } else if data.is_judged && !data.is_measured() {
        "It cannot be said yet: no target is set, and nothing has measured the error over the whole space so far. The next \
         round does, by points that are drawn or held out; then compare that error with what your use can bear."
            .to_owned()
    } else if data.is_judged {
        "No error was set as a target, so it is for you to say whether the error above is small enough for your use; with \
         `target` in campaign.toml a run ends by itself."
            .to_owned()
    } else {
        "It cannot be said yet: no target is set, and nothing measures the error over the whole space. An audit does; then \
         compare that error with what your use can bear."
            .to_owned()
    };
    Answer { question, text, items, more: Some(("section-stopping", "Rules and limits")) }
}
