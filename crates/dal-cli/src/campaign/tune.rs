//! `dal tune` with a campaign's folder: a wider search for its network, on the labels that it has.

use std::path::Path;

use anyhow::{Result, bail};
use dal_campaign::{Compared, Trainer};
use serde_json::{Value, json};

use super::{is_stop, trainer, write};
use crate::Done;
use crate::bench::interrupts;
use crate::display::{Display, left};
use crate::output::{Format, Rows, outln, say};
use crate::tune::Args;

/// Networks that are compared beside the ladder's.
const NETWORKS: usize = 24;

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    if let Some(flag) = args.of_problems() {
        bail!("{flag} is of a problem's search; with a campaign's folder there are --networks, --jobs and --format");
    }
    let n_networks = args.networks.unwrap_or(NETWORKS);
    if n_networks == 0 {
        bail!("--networks 0: give a whole number from 1");
    }
    let Trainer::Networks { threads } = trainer(args.jobs)? else { bail!("a campaign's networks are trained here") };
    let mut folder = write(Path::new(&args.problem))?;
    let stop = interrupts("the trainings in progress")?;
    let display = Display::start();
    let mut on_event = |compared: &Compared| {
        let Compared { done, of, .. } = *compared;
        let per_network = display.elapsed().div_f64(done as f64);
        display.at(
            done as f64 / of as f64,
            &format!("{done} of {of} comparisons, {}", left(Some(per_network * (of - done) as u32))),
        );
    };
    let tuned = folder.tune(n_networks, threads, &stop, &mut on_event);
    display.finish();
    let tuned = match tuned {
        Err(error) if is_stop(&error) => {
            say!("stopped; nothing was chosen, and the same command begins anew");
            return Ok(Done::Interrupted);
        }
        other => other?,
    };
    let choice = &tuned.choice;
    let rows = choice.rungs.iter().enumerate().map(|(place, rung)| {
        let number =
            |value: Option<f64>| value.map_or(Value::Null, |v| json!(format!("{v:.4}").parse::<f64>().unwrap_or(v)));
        let mark = match (place == choice.chosen, Some(place) == tuned.before) {
            (true, true) => "chosen, as before",
            (true, false) => "chosen",
            (false, true) => "before",
            _ => "",
        };
        vec![
            json!(rung.model.to_string()),
            json!(rung.n_parameters),
            number(rung.loss),
            number(rung.standard_error),
            json!(mark),
        ]
    });
    let columns = vec!["network", "parameters", "error", "standard_error", "is"];
    Rows { columns, rows: rows.collect() }.print(args.format)?;
    if matches!(args.format, Format::Table) {
        outln!(
            "{} networks compared on {} labels; errors are mean squares in units of the outputs' spread, in cross-validation on \
             points that were asked for",
            tuned.n_networks,
            choice.n_labelled
        );
        outln!("the campaign uses the one that is chosen from its next training on");
    }
    Ok(Done::Fully)
}
