//! `dal status`: where a campaign stands.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use dal_campaign::estimate::LEVEL;
use dal_campaign::{Estimated, Estimates, Folder, RoundEstimate, Standing, Status};
use serde_json::{Value, json};

use super::read;
use crate::Done;
use crate::display::duration;
use crate::output::{Format, Rows, outln};

/// A folder in.
#[derive(clap::Args)]
#[command(
    after_help = "States: asked (no answer yet), running (a `dal run` is at it), done, failed (it has no answer, and
is never asked for again), lost (the machine or the program failed; it is asked for again),
withdrawn.

Examples:
  dal status beam
  dal status beam --format json"
)]
pub struct Args {
    /// The campaign's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: StatusFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum StatusFormat {
    /// For a person.
    #[default]
    Table,
    /// One JSON object.
    Json,
}

/// Pending points that are shown one by one.
const SHOWN: usize = 20;

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let folder = read(&args.folder)?;
    let (standing, estimates) = (folder.standing(), folder.estimates());
    match args.format {
        StatusFormat::Table => show(&folder, &standing, &estimates)?,
        StatusFormat::Json => outln!("{}", serde_json::to_string_pretty(&as_json(&folder, &standing, &estimates))?),
    }
    Ok(Done::Fully)
}

fn show(folder: &Folder, standing: &Standing, estimates: &Estimates) -> Result<()> {
    outln!("{}: {} labels", folder.subject().problem().id(), standing.labels);
    let counts = standing.counts.iter().filter(|(status, n)| *n > 0 || *status == Status::Done);
    let counts: Vec<String> = counts.map(|(status, n)| format!("{n} {}", status.id())).collect();
    let adopted = match standing.adopted {
        0 => String::new(),
        n => format!(" ({n} of them never asked for)"),
    };
    outln!("points     {}{adopted}", counts.join(", "));
    for (kind, n) in &standing.failures {
        outln!("failed     {n} {kind}");
    }
    if !standing.unusable.is_empty() {
        let ids: Vec<String> = standing.unusable.iter().take(SHOWN).map(u64::to_string).collect();
        outln!(
            "not used   {} points lie outside the problem file's ranges, or have a value that an output's transform cannot take: {}",
            standing.unusable.len(),
            ids.join(", ")
        );
    }
    match &standing.network {
        Some((network, n)) => outln!("network    {network}; chosen at {n} labels"),
        None => outln!("network    none yet"),
    }
    if let Some(errors) = standing.errors.last() {
        outln!(
            "errors     in cross-validation at {} labels: on points that were asked for, not on the whole space",
            errors.n
        );
        let before = standing.errors.iter().rev().nth(1);
        let rows = folder.subject().outputs().iter().enumerate().map(|(k, name)| {
            let explained = errors.r2[k].map_or(Value::Null, |r2| json!(format!("{r2:.3}")));
            let before =
                before.and_then(|errors| errors.rmse.get(k)).map_or(Value::Null, |v| json!(format!("{v:.3e}")));
            vec![json!(name), json!(format!("{:.3e}", errors.rmse[k])), before, explained]
        });
        Rows { columns: vec!["output", "rmse", "a_round_ago", "r2"], rows: rows.collect() }.print(Format::Table)?;
    }
    show_estimates(folder, estimates)?;
    if let Some(round) = &standing.last {
        outln!(
            "last round {}: {} points by `{}` at {} labels",
            round.round,
            round.points.len(),
            round.rule,
            round.n_labelled
        );
    }
    if let Some(thinned) = standing.last.as_ref().and_then(|round| round.candidates.thinned.as_ref()) {
        outln!(
            "failures   {} candidates were left out near points that failed (told apart with AUC {:.2} in cross-validation)",
            thinned.n,
            thinned.auc
        );
    }
    if !standing.pending.is_empty() {
        outln!("\npending");
        let since = |seconds: f64| duration(Duration::from_secs_f64(seconds.clamp(0.0, 1e12)));
        let rows = standing.pending.iter().take(SHOWN).map(|waiting| {
            let lease = match waiting.left {
                None => String::new(),
                Some(left) if left > 0.0 => format!("{} left", since(left)),
                Some(_) => "run out".into(),
            };
            let loss = waiting.loss.as_ref().map_or(String::new(), |(words, n)| format!("lost {n} times: {words}"));
            vec![
                json!(waiting.id),
                json!(waiting.status.id()),
                json!(since(waiting.seconds)),
                json!(waiting.owner.clone().unwrap_or_default()),
                json!(lease),
                json!(loss),
            ]
        });
        Rows { columns: vec!["id", "state", "for", "owner", "lease", "last_failure"], rows: rows.collect() }
            .print(Format::Table)?;
        if standing.pending.len() > SHOWN {
            outln!("… {} in all", standing.pending.len());
        }
    }
    if folder.spoilt() > 0 {
        outln!("\nnote: {} bytes of the log belong to no line: what a killed process left of one", folder.spoilt());
    }
    Ok(())
}

/// The error over the whole domain, where the rule draws its points.
fn show_estimates(folder: &Folder, estimates: &Estimates) -> Result<()> {
    let Some(last) = estimates.rounds.last() else {
        if !folder.card()?.draws() {
            outln!(
                "           `{}` does not draw its points, so they say nothing of the error over the whole space; rules that do: \
                 power-qbc-diversity, power-qbc, random",
                folder.card()?.id
            );
        }
        return Ok(());
    };
    let slice = match &last.fixed[..] {
        [] => "the whole space".to_owned(),
        fixed => {
            let held: Vec<String> = fixed.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            format!("the slice {}", held.join(", "))
        }
    };
    outln!(
        "error      over {slice}, of the model of {} labels that drew round {}: from {} of {} draws{}",
        last.n_labelled,
        last.round,
        last.answered,
        last.drawn,
        if last.is_incomplete() { "; incomplete, more than 5 % of them are open" } else { "" }
    );
    if last.failed > 0 {
        outln!("           of the part that has answers, about {:.0} % of it", 100.0 * last.answered_share.min(1.0));
    }
    let name = |name: &str| json!(name);
    let number = |v: f64| json!(format!("{v:.3e}"));
    let row = |what: Value, e: &Estimated| {
        let (low, high) = e.interval.map_or((Value::Null, Value::Null), |(low, high)| (number(low), number(high)));
        vec![what, number(e.rmse), low, high]
    };
    let mut rows: Vec<Vec<Value>> =
        folder.subject().outputs().iter().zip(&last.outputs).map(|(output, e)| row(name(output), e)).collect();
    rows.extend(last.relative.iter().map(|e| row(name("all, in standard deviations"), e)));
    if let Some((e, n)) = estimates.pooled.as_ref().filter(|(_, n)| *n > 1) {
        rows.push(row(name(&format!("the same, mean of the last {n} models")), e));
    }
    let percent = format!("{:.0}", 100.0 * LEVEL);
    let columns = vec!["output", "rmse", "lower", "upper"];
    Rows { columns, rows }.print(Format::Table)?;
    outln!(
        "           lower and upper end a {percent} % interval, from ten draws on; the model trained since has no estimate yet"
    );
    Ok(())
}

fn estimate_as_json(outputs: &[String], estimate: &RoundEstimate) -> Value {
    let one = |e: &Estimated| json!({ "rmse": e.rmse, "interval": e.interval.map(|(low, high)| [low, high]) });
    json!({
        "round": estimate.round,
        "model_of_labels": estimate.n_labelled,
        "drawn": estimate.drawn,
        "answered": estimate.answered,
        "failed": estimate.failed,
        "open": estimate.open,
        "incomplete": estimate.is_incomplete(),
        "answered_share": estimate.answered_share,
        "fixed": estimate.fixed.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>(),
        "outputs": outputs.iter().zip(&estimate.outputs).map(|(name, e)| (name.clone(), one(e)))
            .collect::<serde_json::Map<_, _>>(),
        "relative": estimate.relative.as_ref().map(one),
    })
}

fn as_json(folder: &Folder, standing: &Standing, estimates: &Estimates) -> Value {
    let counts: serde_json::Map<String, Value> =
        standing.counts.iter().map(|(status, n)| (status.id().to_owned(), json!(n))).collect();
    let pending: Vec<Value> = standing
        .pending
        .iter()
        .map(|waiting| {
            json!({
                "id": waiting.id,
                "state": waiting.status.id(),
                "seconds": waiting.seconds,
                "owner": waiting.owner,
                "lease_seconds_left": waiting.left,
                "losses": waiting.loss.as_ref().map_or(0, |(_, n)| *n),
            })
        })
        .collect();
    json!({
        "problem": folder.subject().problem().id(),
        "labels": standing.labels,
        "points": counts,
        "never_asked_for": standing.adopted,
        "unusable": standing.unusable,
        "failures": standing.failures.iter().map(|(kind, n)| (kind.clone(), json!(n))).collect::<serde_json::Map<_, _>>(),
        "network": standing.network.as_ref().map(|(network, _)| network),
        "errors": standing.errors.last().map(|errors| json!({
            "kind": "cross-validation on points that were asked for",
            "outputs": folder.subject().outputs(),
            "n": errors.n,
            "rmse": errors.rmse,
            "r2": errors.r2,
            "weighted": errors.weighted,
        })),
        "estimates": {
            "level": LEVEL,
            "rounds": estimates.rounds.iter().map(|e| estimate_as_json(folder.subject().outputs(), e)).collect::<Vec<_>>(),
            "last_models": estimates.pooled.as_ref().map(|(e, n)| json!({
                "models": n, "relative_rmse": e.rmse, "interval": e.interval.map(|(low, high)| [low, high]),
            })),
        },
        "pending": pending,
    })
}
