//! The verbs of a campaign: `new`, `design`, `ask`, `tell`, `withdraw`, `undo`, `run`, `status`, `audit`, `predict`,
//! `export`, `report`, `watch`.

pub mod ask;
pub mod audit;
pub mod design;
pub mod export;
mod judging;
pub mod new;
mod page;
pub mod predict;
pub mod report;
pub mod run;
pub mod status;
pub mod tell;
pub mod tune;
pub mod undo;
pub mod watch;
pub mod withdraw;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};
use dal_campaign::{CampaignError, Folder, HeldOut, Target, Trainer};
use dal_core::{Clock, Stop};
use dal_files::Note;

use crate::output::say;

/// Seconds since 1970: what leases and reports of a campaign go by.
fn now() -> Clock {
    // No number of a result comes from here: see `dal_campaign::words::Word::at`.
    #[allow(clippy::disallowed_methods)]
    Arc::new(|| since_1970(SystemTime::now()))
}

/// 0 for a clock that was never set.
fn since_1970(now: SystemTime) -> f64 {
    now.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A campaign to be looked at.
fn read(folder: &Path) -> Result<Folder> {
    Ok(Folder::read(folder, now())?)
}

/// A campaign to be added to.
fn write(folder: &Path) -> Result<Folder> {
    Ok(Folder::write(folder, now())?)
}

/// A campaign whose models learn what is held out, too, from now on, and what the model without it says of its error,
/// which is said: of each output with its interval where `intervals` are wanted. That model is trained where it is not
/// there yet; its choice of network is said in the log, as the last model is one of the same.
fn learn_all(root: &Path, intervals: bool, trainer: Trainer<'_>) -> Result<(Folder, Option<HeldOut>)> {
    let mut folder = read(root)?;
    let (apart, _) = folder.standing().held_out;
    let found = match apart {
        0 => None,
        _ => {
            let model = match folder.kept_model()? {
                Some(model) => model,
                None => {
                    let model = write(root)?.trained(trainer, &Stop::new())?;
                    // With the choice of network, and without the lock.
                    folder = read(root)?;
                    model
                }
            };
            folder.held_out_of(&model, &|_| intervals)?
        }
    };
    let guess = found.as_ref().and_then(|found| found.relative.map(|e| (found.n_labelled, e)));
    let guess = guess.map_or(String::new(), |(n, e)| {
        let interval = e.interval.map_or(String::new(), |(low, high)| format!(" ({low:.3e} to {high:.3e})"));
        format!(
            "; that of the model of {n} labels without them, about {:.3e}{interval} standard deviations, is an upper guess",
            e.rmse
        )
    });
    match apart {
        0 => say!("note: no point with an answer is held out, so that --learn-all changes nothing"),
        _ => say!(
            "note: the model learns the {apart} points that were held out, too, so that they say nothing of its error{guess}"
        ),
    }
    folder.learn_all();
    Ok((folder, found))
}

/// Networks on as many threads as are wanted, or as there are processors.
fn trainer(threads: Option<usize>) -> Result<Trainer<'static>> {
    if threads == Some(0) {
        bail!("--threads 0: at least one thread must train");
    }
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Trainer::Networks { threads: threads.unwrap_or_else(all) })
}

/// Says what was assumed of a file.
fn tell_notes(notes: &[Note]) {
    notes.iter().for_each(|note| say!("note: {note}"));
}

/// `24h`, `90min`, `2days`.
fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; write it as in 90min, 8h, 2days"))?;
    if time.is_zero() { Err("it is no time at all".into()) } else { Ok(time) }
}

/// The error that is wanted, where it is given.
fn target(words: &[String]) -> Result<Option<Target>> {
    if words.is_empty() {
        return Ok(None);
    }
    Target::parse(words).map(Some).map_err(|problem| anyhow!("--target {}: {problem}", words.join(",")))
}

/// The same, refused where it makes no sense or names no output of this campaign.
fn target_of(folder: &Folder, words: &[String]) -> Result<Option<Target>> {
    let target = target(words)?;
    if let Some(target) = &target {
        target.check(Some(folder.subject().outputs())).map_err(|problem| anyhow!("--{problem}"))?;
    }
    Ok(target)
}

/// `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, as in material=steel")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// The inputs that are held fixed.
fn fixed(folder: &Folder, pairs: &[(String, String)]) -> Result<Vec<(String, dal_campaign::words::Cell)>> {
    let mut fixed: Vec<(String, dal_campaign::words::Cell)> = Vec::new();
    for (name, value) in pairs {
        if fixed.iter().any(|(known, _)| known == name) {
            return Err(anyhow!("--fix {name} is given twice"));
        }
        fixed.push((name.clone(), dal_campaign::tell::parse_value(folder, name, value)?));
    }
    Ok(fixed)
}

/// A stop is no error: it is said and counts as an interruption.
fn is_stop(error: &CampaignError) -> bool {
    matches!(error, CampaignError::Stopped)
}

#[cfg(test)]
mod clock_tests {
    use super::*;

    #[test]
    fn a_clock_may_stand_anywhere() {
        let hour = Duration::from_secs(3600);
        assert_eq!(since_1970(UNIX_EPOCH - hour), 0.0);
        assert_eq!(since_1970(UNIX_EPOCH + hour), 3600.0);
        assert!(since_1970(UNIX_EPOCH + Duration::from_secs(1 << 60)).is_finite());
    }
}
