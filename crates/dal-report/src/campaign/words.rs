//! The questions at the top of a campaign's page, answered in sentences.

use super::charts::estimate_in_words;
use super::data::{CampaignData, ErrorNow, Failing, JudgedBy, Trend, TrendMark, Unsure};
use super::scale::{bin_in_words, with_unit};
use crate::text::{count, list, number};

/// Outputs that the first answer names one by one.
const NAMED: usize = 6;
/// How much larger than the mean the spread of a range is before it is named.
const UNSURE: f64 = 1.25;
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

fn percent(share: f64) -> String {
    let value = 100.0 * share;
    if value < 10.0 && value > 0.0 {
        format!("{} %", number((10.0 * value).round() / 10.0))
    } else {
        format!("{value:.0} %")
    }
}

/// A typical relative error: a share of the value, or a factor where it is large.
pub(crate) fn off_by(relative: f64) -> String {
    if relative < 0.5 { percent(relative) } else { format!("a factor of {}", number(1.0 + relative)) }
}

/// One output's error: "deflection 0.31 mm (0.25 to 0.42 mm)".
fn error_item(of: &ErrorNow) -> Option<String> {
    let name = of.output.as_deref()?;
    let mut words = match &of.best {
        Some((estimate, _)) => format!("{name}: {}", estimate_in_words(estimate.rmse, estimate.interval, &of.unit)),
        None => return None,
    };
    if let Some(relative) = of.relative {
        words += &format!(", in cross-validation typically off by {}", off_by(relative));
    }
    if let Some(explained) = of.explained {
        words += &format!("; {} of its variance explained", percent(explained.max(0.0)));
    }
    Some(words)
}

fn how_good(data: &CampaignData) -> Answer {
    let question = "How good is the model?";
    let more = Some(("section-errors", "Errors in full"));
    let Some((_, judged)) = data.errors.iter().find_map(|of| of.best) else {
        let why =
            if data.no_model.is_empty() { "Nothing measures its error yet.".to_owned() } else { data.no_model.clone() };
        let text = format!("{why} So far there are {}.", count(data.labels, "label"));
        return Answer { question, text, items: Vec::new(), more: None };
    };
    let interval = format!("in brackets a {:.0} % interval", 100.0 * data.level);
    let has_interval = data.errors.iter().any(|of| of.best.is_some_and(|(estimate, _)| estimate.interval.is_some()));
    let interval = if has_interval { format!("; {interval}") } else { String::new() };
    let text = match judged {
        JudgedBy::NeverLearned { answered, drawn } => format!(
            "Over the whole space its root mean square error is as follows, judged by {answered} of {drawn} uniform points that it \
             never learned{interval}."
        ),
        JudgedBy::Draws { answered, drawn, n_labelled } => format!(
            "Over the whole space the root mean square error of the model of {n_labelled} labels is as follows, judged by {answered} \
             of the {drawn} points that were drawn with it, each with a known probability{interval}. Models trained since are \
             judged by the next round."
        ),
        JudgedBy::CrossValidation { n } => format!(
            "In cross-validation on {n} labels its root mean square error is as follows. These are points that were asked for, \
             which lie where the model was least sure, so this is not the error over the whole space: nothing measures that \
             yet."
        ),
    };
    let mut items: Vec<String> = data.errors.iter().filter_map(error_item).take(NAMED).collect();
    if data.n_outputs > 1
        && let Some(all) = data.errors.iter().find(|of| of.output.is_none())
        && let Some((estimate, _)) = all.best
    {
        let error = estimate_in_words(estimate.rmse, estimate.interval, "");
        items.push(format!(
            "all {} outputs together: {error} standard deviations (1 would be no better than always saying the mean)",
            data.n_outputs
        ));
    }
    if let Some((share, interval)) = data.answered_share {
        let interval = interval
            .map_or(String::new(), |(low, high)| format!(" ({} to {})", percent(low.min(1.0)), percent(high.min(1.0))));
        items.push(format!(
            "this speaks of the part of the space that has answers, about {}{interval} of it",
            percent(share.min(1.0))
        ));
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

fn where_not(data: &CampaignData) -> Answer {
    let question = "Where is it not good?";
    let Some(model) = &data.model else {
        return Answer { question, text: "There is no model to ask yet.".into(), items: Vec::new(), more: None };
    };
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
            let spread = format!(
                "The members of the ensemble differ by {} standard deviations of the outputs on average",
                number(unsure.overall)
            );
            match named.is_empty() {
                true => format!("{spread}, and about as much everywhere."),
                false => format!("{spread}; most at {}.", list(&named)),
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
            "{} of the space was left out of this, because points rather fail there: the model knows nothing of that part",
            percent(left_out)
        ));
    }
    Answer { question, text, items, more: Some(("section-unsure", "Maps of the spread")) }
}

/// The largest miss among the last round's points, against the spread that was said there.
fn worst_miss(data: &CampaignData) -> Option<String> {
    let last = data.foretold.iter().map(|p| p.round).max()?;
    let of_last = data.foretold.iter().filter(|p| p.round == last);
    let misses = of_last.flat_map(|p| {
        data.outputs.iter().enumerate().filter_map(move |(k, output)| {
            let (f, y) = (*p.predicted.get(k)?, *p.measured.get(k)?);
            // Misses of several outputs are compared as shares of the range of what was measured.
            let values = || data.foretold.iter().filter_map(|p| p.measured.get(k)).copied();
            let scale = |v: f64| if output.log && v > 0.0 { v.ln() } else { v };
            let low = values().map(scale).fold(f64::INFINITY, f64::min);
            let high = values().map(scale).fold(f64::NEG_INFINITY, f64::max);
            let miss = (scale(f) - scale(y)).abs() / (high - low);
            miss.is_finite().then_some((miss, p, output, f, y))
        })
    });
    let (_, p, output, f, y) = misses.max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(format!(
        "the largest miss of the last round was point {}: {} measured as {}, predicted before as {}",
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
            let words = if kind.words.is_empty() { String::new() } else { format!(", the last one: {}", kind.words) };
            format!("{} {}{words}", kind.n, kind.kind)
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
    let text = match data.next.first() {
        Some(step) => format!("{}: {}.", step.command, step.why),
        None => "Nothing is left to do.".into(),
    };
    let items = data.next.iter().skip(1).map(|step| format!("{}: {}", step.command, step.why)).collect();
    Answer { question: "What should I run next?", text, items, more: None }
}

/// The change of an error over the last rounds, in words.
fn change_in_words(trend: &Trend) -> Option<String> {
    let series = [(&trend.drawn, "over the whole space"), (&trend.validated, "in cross-validation")];
    let (marks, name) = series.into_iter().find(|(marks, _)| marks.len() > 1)?;
    let last: &TrendMark = marks.last()?;
    let before = marks.get(marks.len().saturating_sub(4))?;
    let word = if last.value < 0.9 * before.value {
        "still falls"
    } else if last.value > 1.1 * before.value {
        "rises"
    } else {
        "hardly changes"
    };
    Some(format!(
        "the error {name} {word}: {} standard deviations at {} labels, {} at {}",
        number(before.value),
        before.n_labelled,
        number(last.value),
        last.n_labelled
    ))
}

fn may_stop(data: &CampaignData) -> Answer {
    let question = "May I stop?";
    let mut items: Vec<String> = data.stopping.iter().map(|rule| format!("{}: {}", rule.rule, rule.words)).collect();
    items.extend(data.trend.last().and_then(change_in_words));
    let fired: Vec<String> = data.stopping.iter().filter(|rule| rule.fired).map(|rule| rule.rule.clone()).collect();
    let rules = data.stopping.iter().filter(|rule| rule.rule != "budget").count();
    let text = if data.labels == 0 {
        "No: there is nothing to use yet.".to_owned()
    } else if fired.iter().any(|rule| rule != "budget") {
        format!("Yes, by your rule: {}.", list(&fired))
    } else if rules > 0 {
        "Not by your rules.".to_owned()
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
