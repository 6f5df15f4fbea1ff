//! `dal predict`: what the campaign's model says at points of a table.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use dal_campaign::subject::BESIDE;
use dal_core::Stop;
use dal_files::Source;
use dal_files::write::{Out, record};
use serde_json::{Map, Value, json};

use super::ask::{print_text, value};
use super::judging::in_words;
use super::{learn_all, read, tell_notes, trainer};
use crate::Done;
use crate::output::{outln, say};

/// The probability of an answer below which a failure is the likelier.
const DOUBTFUL: f64 = 0.5;

/// Points in, predictions out.
#[derive(clap::Args)]
#[command(
    after_help = "The table has the inputs' columns in physical values (or x0, x1, … of the unit box). For each row,
in order, the inputs are printed, of each output the prediction under its own name and the
members' standard deviation as NAME_sd, both in its own units, and `outside`: 1 where the point
lies beyond the values that were seen of an input, or farther from every labelled point than any
of them is from its nearest neighbour. The deviation says how much the networks disagree; it is no
error bar. Once forty points that were drawn with known probabilities or held out have answers,
NAME_lower and NAME_upper stand beside it: a 90 % interval, the deviation times what those points'
errors ask for. `dal status` says how often such intervals held on later draws.

The last column, `answers`, is the probability that the point has an answer at all, by the answered
and failed points that are nearest to it. It is empty while these do not tell failures apart better
than chance in cross-validation. Where it is low, the prediction is of something that may not be.

With --learn-all the model learns the points that are held out, too. That is for the end: the error
of the model without them, which is trained first where it is not there, is then an upper guess, and
is said.

Examples:
  dal predict beam --input x.csv > y.csv
  dal predict beam --input x.csv --format json
  dal predict beam --input x.csv --learn-all"
)]
pub struct Args {
    /// The campaign's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The points; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Learn the points that are held out, too.
    #[arg(long)]
    learn_all: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: PredictFormat,
    /// Threads that train [default: one per processor].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum PredictFormat {
    /// Comma-separated, with a header.
    #[default]
    Csv,
    /// One JSON array of objects.
    Json,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let source = Source::open(&args.input)?;
    let folder = match args.learn_all {
        true => learn_all(&args.folder, false, trainer(args.threads)?)?.0,
        false => read(&args.folder)?,
    };
    let predicted = folder.predict(source, trainer(args.threads)?, &Stop::new())?;
    tell_notes(&predicted.notes);
    if let Some(remark) = predicted.model.remark() {
        say!("note: {remark}");
    }
    let (names, outputs) = (folder.subject().names(), folder.subject().outputs());
    let mut n_bad = 0;
    // Of a campaign that was begun with names that are refused today two columns would be one.
    folder.subject().check_names()?;
    let mut objects = Vec::new();
    let [deviation, lower, upper] = BESIDE;
    let sd: Vec<String> = outputs.iter().map(|name| format!("{name}_{deviation}")).collect();
    let ends: Vec<[String; 2]> = match &predicted.calibration {
        Some(calibration) => {
            say!("note: {}", in_words(outputs, calibration));
            outputs.iter().map(|name| [lower, upper].map(|end| format!("{name}_{end}"))).collect()
        }
        None => Vec::new(),
    };
    if args.format == PredictFormat::Csv {
        let of = |(k, mean)| [mean, &sd[k]].into_iter().chain(ends.get(k).into_iter().flatten());
        let header = names.iter().chain(outputs.iter().enumerate().flat_map(of));
        print_text(&record(header.map(|name| Out::Exact(name)).chain([Out::Exact("outside"), Out::Exact("answers")])))?;
    }
    for row in &predicted.rows {
        let prediction = match row {
            Ok(prediction) => Some(prediction),
            Err(reason) => {
                say!("{reason}");
                n_bad += 1;
                None
            }
        };
        let interval = |k: usize| prediction.and_then(|p| p.intervals.get(k).copied().flatten());
        let moments = |k: usize| prediction.map(|p| (p.predicted.mean[k], p.predicted.sd.get(k).copied()));
        match args.format {
            PredictFormat::Csv => {
                let number = |v: Option<f64>| v.map_or(Out::Empty, Out::Number);
                let x = (0..names.len()).map(|i| prediction.map_or(Out::Empty, |p| dal_campaign::export::out(&p.x[i])));
                let y = (0..outputs.len()).flat_map(|k| {
                    let moments = moments(k);
                    let interval = interval(k);
                    let ends = [number(interval.map(|(low, _)| low)), number(interval.map(|(_, high)| high))];
                    let ends = ends.into_iter().take(if predicted.calibration.is_some() { 2 } else { 0 });
                    [number(moments.map(|(mean, _)| mean)), number(moments.and_then(|(_, sd)| sd))]
                        .into_iter()
                        .chain(ends)
                });
                let outside = prediction.map_or(Out::Empty, |p| Out::Whole(i64::from(p.outside)));
                let answers = number(prediction.and_then(|p| p.answers));
                print_text(&record(x.chain(y).chain([outside, answers])))?;
            }
            PredictFormat::Json => {
                let mut object = Map::new();
                if let Some(p) = prediction {
                    let x: Map<String, Value> = names.iter().cloned().zip(p.x.iter().map(value)).collect();
                    object.insert("x".into(), Value::Object(x));
                    for (k, name) in outputs.iter().enumerate() {
                        object.insert(name.clone(), json!(p.predicted.mean[k]));
                        object.insert(sd[k].clone(), json!(p.predicted.sd.get(k)));
                        if let Some([lower, upper]) = ends.get(k) {
                            object.insert(lower.clone(), json!(interval(k).map(|(low, _)| low)));
                            object.insert(upper.clone(), json!(interval(k).map(|(_, high)| high)));
                        }
                    }
                    object.insert("outside".into(), json!(p.outside));
                    object.insert("answers".into(), json!(p.answers));
                }
                objects.push(Value::Object(object));
            }
        }
    }
    if args.format == PredictFormat::Json {
        outln!("{}", serde_json::to_string_pretty(&objects)?);
    }
    let outside = predicted.rows.iter().flatten().filter(|p| p.outside).count();
    if outside > 0 {
        say!("note: {outside} of {} points lie outside what was seen", predicted.rows.len());
    }
    let doubtful = predicted.rows.iter().flatten().filter(|p| p.answers.is_some_and(|share| share < DOUBTFUL)).count();
    if let Some(auc) = predicted.auc.filter(|_| doubtful > 0) {
        say!(
            "note: {doubtful} of {} points are likelier to fail than to have an answer (`answers`; failed points are \
             told apart with AUC {auc:.2} in cross-validation)",
            predicted.rows.len()
        );
    }
    if n_bad == 0 {
        return Ok(Done::Fully);
    }
    say!("{n_bad} of {} rows are no points of the problem", predicted.rows.len());
    Ok(Done::Partly)
}
