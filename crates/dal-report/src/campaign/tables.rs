//! The tables of a campaign's page.

use super::data::{CampaignData, ErrorNow, JudgedBy, ModelData, Network, Unsure};
use super::scale::bin_in_words;
use super::words::{explained, off_by, off_by_about};
use crate::table::{Entry, Row, Table};
use crate::text::{minus, typeset as number};

/// Pending points that are listed.
const MOST_PENDING: usize = 100;
/// Reasons of a kind of failure that are listed: the most frequent.
const MOST_REASONS: usize = 10;
/// Points that are listed with the reasons for them: the newest.
const MOST_ASKED: usize = 200;

fn row(cells: Vec<Entry>) -> Row {
    Row { cells, ..Row::default() }
}

fn table(id: &str, caption: &str, columns: &[&str], rows: Vec<Row>) -> Table {
    let columns = columns.iter().map(|c| (*c).to_owned()).collect();
    Table { id: id.into(), caption: caption.into(), columns, n_labels: 1, rows }
}

fn whole(n: usize) -> Entry {
    Entry::number(n as f64, n.to_string())
}

fn judged_in_words(by: JudgedBy) -> String {
    match by {
        JudgedBy::NeverLearned { answered, .. } => format!("{answered} uniform points never learned"),
        JudgedBy::Draws { answered, n_labelled, .. } => {
            format!("{answered} draws with known probabilities, of the model of {n_labelled} labels")
        }
        JudgedBy::CrossValidation { n } => format!("cross-validation on {n} labels: points asked for"),
    }
}

/// A gap in a table.
fn nothing() -> Entry {
    Entry::text("–").with_class("none")
}

/// A share of the variance; what is less than all is not rounded up to it.
fn share(r2: f64) -> String {
    minus(&format!("{:.3}", if r2 < 1.0 { r2.min(0.999) } else { r2 }))
}

type Column = (String, Box<dyn Fn(&ErrorNow) -> Entry>);

pub(crate) fn errors(data: &CampaignData) -> Table {
    let all = match data.n_constant {
        0 => "all outputs together",
        _ => "the outputs that vary, together",
    };
    let any = |of: &dyn Fn(&ErrorNow) -> bool| data.errors.iter().any(of);
    let logs = any(&|of| of.log);
    // What cross-validation says stands beside the errors that other points judge.
    let judged = any(&|of| matches!(of.best, Some((_, by)) if !matches!(by, JudgedBy::CrossValidation { .. })));
    let validated = judged && any(&|of| of.validated.is_some());
    let off = |of: &ErrorNow, relative: Option<f64>| match of.log && !of.constant {
        true => Entry::optional(relative, off_by),
        false => nothing(),
    };
    let varies = |of: &ErrorNow, r2: Option<f64>| match of.constant {
        true => Entry::text("constant so far").with_class("none"),
        false => Entry::optional(r2, share),
    };
    let interval = |of: &ErrorNow| of.best.and_then(|(estimate, _)| estimate.interval);
    let column = |name: &str, of: Box<dyn Fn(&ErrorNow) -> Entry>| -> Column { (name.to_owned(), of) };
    let mut columns: Vec<Column> = vec![
        column("output", Box::new(move |of| Entry::text(of.output.clone().unwrap_or_else(|| all.to_owned())))),
        column(
            "unit",
            Box::new(|of| match &of.output {
                Some(_) => Entry::text(&of.unit),
                None => Entry::text("standard deviations"),
            }),
        ),
        column("error", Box::new(|of| Entry::optional(of.best.map(|(estimate, _)| estimate.rmse), number))),
    ];
    if any(&|of| interval(of).is_some()) {
        columns.push((
            format!("{:.0} % interval", 100.0 * data.level),
            Box::new(move |of| match interval(of) {
                Some((low, high)) => Entry::text(format!("{} to {}", number(low), number(high))),
                None => nothing(),
            }),
        ));
    }
    if logs {
        columns.push(column(
            "off by",
            Box::new(move |of| match of.off_by.filter(|_| of.log && !of.constant) {
                Some(off) => Entry::number(off.rmse, off_by_about(off)),
                None => nothing(),
            }),
        ));
    }
    columns.push(column(
        "variance explained",
        Box::new(move |of| varies(of, of.deviations.map(|deviations| explained(deviations.rmse)))),
    ));
    columns.push(column(
        "judged by",
        Box::new(|of| of.best.map_or_else(nothing, |(_, by)| Entry::text(judged_in_words(by)))),
    ));
    if validated {
        columns.push(column("cross-validated", Box::new(|of| Entry::optional(of.validated, number))));
        if logs {
            columns.push(column("off by there", Box::new(move |of| off(of, of.relative))));
        }
        columns.push(column("variance explained there", Box::new(move |of| varies(of, of.explained))));
    }
    let mut caption = match judged {
        true => format!("Root mean square errors: over {}, and behind them those of cross-validation", data.scope()),
        false => "Root mean square errors: in cross-validation".to_owned(),
    };
    if logs {
        caption += "; of outputs that are learned as logarithms “off by” (a root mean square) and the variance are those \
                    of the logarithm";
    }
    if judged {
        caption += "; the variance is that of the points that were known before the first round";
    }
    let listed = data.errors.iter().filter(|of| of.output.is_some()).count();
    if listed < data.n_outputs {
        caption += &format!(
            "; of {} outputs those that are drawn and the worst in cross-validation are listed",
            data.n_outputs
        );
    }
    caption += ".";
    let rows = data.errors.iter().map(|of| row(columns.iter().map(|(_, cell)| cell(of)).collect())).collect();
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    table("errors", &caption, &names, rows)
}

pub(crate) fn counts(data: &CampaignData) -> Table {
    let meaning = |state: &str| match state {
        "asked" => "no answer yet",
        "running" => "being computed now",
        "done" => "has an answer",
        "failed" => "has none, and is not asked for again",
        "lost" => "the program or the machine failed; it is asked for again",
        "withdrawn" => "not wanted any more",
        _ => "",
    };
    let rows = data
        .counts
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(state, n)| row(vec![Entry::text(state), whole(*n), Entry::text(meaning(state))]));
    table("counts", "Points by state", &["state", "points", "meaning"], rows.collect())
}

/// Text in which what stands between backticks is in quotes; an odd backtick is none.
fn quoted(text: &str) -> String {
    if text.matches('`').count() % 2 == 1 {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for (place, part) in text.split('`').enumerate() {
        match place {
            0 => {}
            _ if place % 2 == 1 => out.push('“'),
            _ => out.push('”'),
        }
        out.push_str(part);
    }
    out
}

pub(crate) fn failures(data: &CampaignData) -> Table {
    let rows = data.failures.iter().flat_map(|kind| {
        let said = kind.reasons.iter().take(MOST_REASONS);
        said.map(|(words, n)| row(vec![Entry::text(&kind.kind), whole(*n), Entry::text(quoted(words))]))
    });
    let caption = "Failed points by kind: with what the last one said of each that differ by more than numbers";
    table("failures", caption, &["kind", "points", "words"], rows.collect())
}

pub(crate) fn pending(data: &CampaignData) -> Table {
    let rows = data.pending.iter().take(MOST_PENDING).map(|p| {
        row(vec![
            Entry::number(p.id as f64, p.id.to_string()),
            Entry::text(&p.state),
            Entry::text(&p.since),
            Entry::text(&p.lease),
            Entry::text(&p.loss),
        ])
    });
    let caption = match data.pending.len() {
        n if n > MOST_PENDING => format!("Points without an answer: the first {MOST_PENDING} of {n}"),
        _ => "Points without an answer".into(),
    };
    table("pending", &caption, &["point", "state", "for", "handed out", "last failure"], rows.collect())
}

pub(crate) fn unsure(data: &CampaignData, unsure: &Unsure) -> Table {
    let mut rows = Vec::new();
    for (input, profile) in data.inputs.iter().zip(&unsure.profiles) {
        let Some(profile) = profile else { continue };
        let of = |best: fn(f64, f64) -> bool| {
            let mut found: Option<(usize, f64)> = None;
            for (bin, value) in profile.values.iter().enumerate() {
                if let Some(value) = value
                    && found.is_none_or(|(_, known)| best(*value, known))
                {
                    found = Some((bin, *value));
                }
            }
            found
        };
        let (Some((most, high)), Some((least, low))) = (of(|a, b| a > b), of(|a, b| a < b)) else { continue };
        let words = |bin: usize| bin_in_words(input, profile.edges[bin], profile.edges[bin + 1]);
        rows.push(row(vec![
            Entry::text(&input.name),
            Entry::text(words(most)),
            Entry::number(high, number(high)),
            Entry::text(words(least)),
            Entry::number(low, number(low)),
        ]));
    }
    let over = if unsure.left_out > 0.0 { "all that is not left out" } else { data.space() };
    let caption = format!(
        "The spread along each input: where it is largest and smallest; over {over} it is {}.",
        number(unsure.overall)
    );
    table("spread", &caption, &["input", "least sure at", "spread there", "surest at", "spread there"], rows)
}

pub(crate) fn importance(data: &CampaignData, model: &ModelData) -> Table {
    let mut rows = Vec::new();
    for (output, of) in data.outputs.iter().zip(&model.importance) {
        let Some(of) = of else { continue };
        for &i in &model.order {
            let (first, total) = of[i];
            // By chance estimates lie a little outside of what a share can be.
            let two = |v: f64| format!("{:.2}", v.clamp(0.0, 1.0));
            let range = |low: f64, high: f64| Entry::text(format!("{} to {}", two(low), two(high)));
            rows.push(row(vec![
                Entry::text(&data.inputs[i].name),
                Entry::text(&output.name),
                Entry::number(first.value.clamp(0.0, 1.0), two(first.value)),
                range(first.low, first.high),
                Entry::number(total.value.clamp(0.0, 1.0), two(total.value)),
                range(total.low, total.high),
            ]));
        }
    }
    table(
        "importance",
        "Sobol's indices: of each output the share of its variance that an input explains by itself and has a part in. \
         Estimates that lie below 0 or above 1 by chance are shown as these.",
        &["input", "output", "first order", "members", "total", "members"],
        rows,
    )
}

pub(crate) fn rounds(data: &CampaignData) -> Table {
    let rows = data.rounds.iter().map(|round| {
        let (done, failed, open) = round.by_state;
        row(vec![
            Entry::number(round.round as f64, round.round.to_string()),
            Entry::text(&round.rule),
            whole(round.n_labelled),
            whole(round.points),
            whole(done),
            whole(failed),
            whole(open),
            match round.candidates > round.points {
                true => whole(round.candidates),
                false => nothing(),
            },
            Entry::text(&round.remarks),
        ])
    });
    let columns = ["round", "rule", "labels known", "points", "answered", "failed", "open", "chosen among", "remarks"];
    table("rounds", "Rounds", &columns, rows.collect())
}

pub(crate) fn asked(data: &CampaignData) -> Table {
    let newest = &data.asked[data.asked.len().saturating_sub(MOST_ASKED)..];
    let rows = newest.iter().rev().map(|point| {
        let mut cells = vec![
            Entry::number(point.id as f64, point.id.to_string()),
            whole(point.round),
            Entry::text(&point.why),
            Entry::text(&point.state),
            Entry::optional(point.disagreement, number),
            Entry::optional(point.distance, number),
        ];
        cells.extend(point.x.iter().map(|value| match value.parse::<f64>() {
            Ok(v) => Entry::number(v, number(v)),
            Err(_) => Entry::text(value),
        }));
        row(cells)
    });
    let caption = match data.asked.len() {
        n if n > MOST_ASKED => format!("Points and the reasons for them: the newest {MOST_ASKED} of {n}"),
        _ => "Points and the reasons for them: the newest first".into(),
    };
    let mut found =
        table("asked", &caption, &["point", "round", "why", "state", "disagreement", "distance"], rows.collect());
    found.columns.extend(data.inputs.iter().map(super::scale::input_title));
    found
}

pub(crate) fn ladder(network: &Network) -> Table {
    let rows = network.rungs.iter().map(|rung| {
        row(vec![
            Entry::text(&rung.network),
            whole(rung.n_parameters),
            Entry::optional(rung.loss, number),
            Entry::optional(rung.standard_error, number),
            if rung.chosen { Entry::text("in use").with_class("better") } else { Entry::text("") },
        ])
    });
    table(
        "ladder",
        "Networks that were compared: mean squared error in cross-validation, in variances of the outputs (1 is no better \
         than always saying the mean), and its standard error over points.",
        &["network", "numbers that it learns", "error", "standard error", "use"],
        rows.collect(),
    )
}

pub(crate) fn stopping(data: &CampaignData) -> Table {
    let rows = data.stopping.iter().map(|rule| {
        let verdict = if rule.fired { Entry::text("stop").with_class("better") } else { Entry::text("go on") };
        row(vec![Entry::text(&rule.rule), verdict, Entry::text(&rule.words)])
    });
    table("stopping", "Rules and limits", &["rule", "says", "how far it is"], rows.collect())
}
