//! `dal status`: where a campaign stands.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;
use dal_campaign::{Folder, ModelSource, Standing, Status};
use serde_json::{Value, json};

use super::judging::{Judging, worst_outputs};
use super::{read, target_of};
use crate::Done;
use crate::display::duration;
use crate::output::{Format, Rows, outln};

/// A folder in.
#[derive(clap::Args)]
#[command(
    after_help = "States: asked (no answer yet), running (a `dal run` is at it), done, failed (it has no answer, and
is never asked for again), lost (the machine or the program failed; it is asked for again),
withdrawn.

The error over the whole space is shown where something judges it: draws with known probabilities
(of the model that drew them), or points that are held out or audited (of the model of all labels,
once it is trained). Cross-validated errors are those of the points that were asked for. Below
stands what ended the last run, or how far its rules are.

Examples:
  dal status beam
  dal status beam --target 0.05                    how far the error is from a target
  dal status beam --format json"
)]
pub struct Args {
    /// The campaign's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The error that is wanted: in standard deviations, or of outputs in their units [default: `target` in
    /// campaign.toml].
    #[arg(long, value_name = "ERROR|NAME=ERROR,…", value_delimiter = ',')]
    target: Vec<String>,
    /// Rounds that must bring a gain over as many before [default: `no_gain` in campaign.toml].
    #[arg(long, value_name = "ROUNDS")]
    no_gain: Option<usize>,
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
    if args.no_gain == Some(0) {
        bail!("--no-gain 0: give a whole number from 1");
    }
    let folder = read(&args.folder)?;
    let standing = folder.standing();
    let n_outputs = folder.subject().outputs().len();
    // A program gets all of them.
    let listed = match args.format {
        StatusFormat::Table => worst_outputs(n_outputs, standing.errors.last()),
        StatusFormat::Json => (0..n_outputs).collect(),
    };
    let judging = Judging::of(&folder, target_of(&folder, &args.target)?, args.no_gain, listed)?;
    match args.format {
        StatusFormat::Table => show(&folder, &standing, &judging)?,
        StatusFormat::Json => outln!("{}", serde_json::to_string_pretty(&as_json(&folder, &standing, &judging))?),
    }
    Ok(Done::Fully)
}

fn show(folder: &Folder, standing: &Standing, judging: &Judging) -> Result<()> {
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
        let mut ids: Vec<String> = standing.unusable.iter().take(SHOWN).map(u64::to_string).collect();
        if let Some(more @ 1..) = standing.unusable.len().checked_sub(SHOWN) {
            ids.push(format!("and {more} more"));
        }
        outln!(
            "not used   {} points lie outside the problem file's ranges, or have a value that an output's transform cannot take: {}",
            standing.unusable.len(),
            ids.join(", ")
        );
    }
    match &standing.network {
        Some((network, n)) => outln!("network    {network}; chosen at {n} labels"),
        None if folder.settings().model == ModelSource::ProblemFile => {
            outln!("network    {}, of the problem file", folder.subject().problem().model());
        }
        None => outln!("network    none yet"),
    }
    if let Some(errors) = standing.errors.last() {
        outln!(
            "errors     in cross-validation at {} labels: on points that were asked for, not on the whole space",
            errors.n
        );
        let before = standing.errors.iter().rev().nth(1);
        let outputs = folder.subject().outputs();
        let listed = judging.listed();
        if listed.len() < outputs.len() {
            outln!("           the {} worst of {} outputs; --format json has all", listed.len(), outputs.len());
        }
        let rows = listed.iter().map(|&k| {
            let name = &outputs[k];
            let explained = errors.r2[k].map_or(Value::Null, |r2| json!(format!("{r2:.3}")));
            let before =
                before.and_then(|errors| errors.rmse.get(k)).map_or(Value::Null, |v| json!(format!("{v:.3e}")));
            vec![json!(name), json!(format!("{:.3e}", errors.rmse[k])), before, explained]
        });
        Rows { columns: vec!["output", "rmse", "a_round_ago", "r2"], rows: rows.collect() }.print(Format::Table)?;
    }
    judging.show(folder)?;
    if let Some(round) = &standing.last {
        outln!(
            "last round {}: {} points by `{}` at {} labels",
            round.round,
            round.all().count(),
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
    if let Some(auc) = standing.last.as_ref().and_then(|round| round.candidates.weighted) {
        outln!(
            "failures   the draw was less likely near points that failed (told apart with AUC {auc:.2} in cross-validation)"
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

fn as_json(folder: &Folder, standing: &Standing, judging: &Judging) -> Value {
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
        "held_out": standing.held_out.0,
        "audited": standing.held_out.1,
        "estimates": judging.as_json(folder.subject().outputs()),
        "ended": folder.ended(),
        "pending": pending,
    })
}
