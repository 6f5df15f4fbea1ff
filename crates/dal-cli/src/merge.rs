//! `dal bench merge`: stores that were filled apart become one.

use std::path::PathBuf;

use anyhow::{Result, bail};
use dal_store::{Answers, Merged, Store, answer_keys, merge_answers};
use serde_json::json;

use crate::Done;
use crate::output::{Format, Rows, say};

/// `dal bench merge`.
#[derive(clap::Args)]
#[command(
    after_help = "A run that several stores hold must be equal in every byte of its results. Where it is not, nothing
of it is taken, its folders are listed, and the exit code is 1; --prefer decides. A damaged copy is
named, and a whole one counts. Of runs that are not over the furthest checkpoint is taken; where one
is begun in --into and failed elsewhere, it is left and listed. A run that a process is at work on
in --into is listed, and taken by a later merge. Answers of programs are merged by copying their
files; of two answers to one point both are listed, and the earlier counts. Interrupted and
repeated it comes to the same.

Examples:
  dal bench merge runs/cluster runs/desk --into runs/all
  dal bench merge runs/cluster runs/desk --into runs/all --prefer runs/desk
  dal bench merge runs/cluster --into runs/all --answers a/beam.answers --answers-into beam.answers"
)]
pub struct Args {
    /// The stores to be taken.
    #[arg(required = true)]
    stores: Vec<PathBuf>,
    /// The store that they are copied into; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// One of the stores: its form of a run counts where others differ. A form that --into holds is set aside.
    #[arg(long, value_name = "STORE")]
    prefer: Option<PathBuf>,
    /// Folders of answers to be taken.
    #[arg(long, value_name = "DIR", requires = "answers_into")]
    answers: Vec<PathBuf>,
    /// The folder of answers that they are copied into.
    #[arg(long, value_name = "DIR", requires = "answers")]
    answers_into: Option<PathBuf>,
    /// How what differs or is damaged is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let prefer = match &args.prefer {
        None => None,
        Some(prefer) => match args.stores.iter().position(|store| store == prefer) {
            None => bail!("--prefer {}: it is none of the stores to be merged; give one of them", prefer.display()),
            place => place,
        },
    };
    let stores = args.stores.iter().map(Store::open).collect::<Result<Vec<_>, _>>()?;
    let into = Store::open_or_create(&args.into)?;
    let merged = into.writer()?.merge(&stores, prefer)?;

    let mut rows = Vec::new();
    for differing in &merged.differing {
        let mut folders = differing.folders.iter().map(|folder| folder.display().to_string());
        rows.push(vec![json!("differing"), json!(folders.next()), json!(folders.collect::<Vec<_>>().join(", "))]);
    }
    for (path, error) in &merged.damaged {
        rows.push(vec![json!("damaged"), json!(path.display().to_string()), json!(error.to_string())]);
    }
    for (name, by) in &merged.elsewhere {
        rows.push(vec![json!("elsewhere"), json!(name), json!(format!("not taken: left to {by}; merge again later"))]);
    }
    for begun in &merged.begun_here {
        let folders: Vec<String> = begun.folders.iter().map(|folder| folder.display().to_string()).collect();
        let words = format!("not taken: it failed in {} and is begun here; --prefer decides", folders.join(", "));
        rows.push(vec![json!("begun"), json!(begun.name), json!(words)]);
    }
    if let Some(folder) = &args.answers_into {
        for from in &args.answers {
            let Merged { copied, known } = merge_answers(from, folder)?;
            say!("{}: {copied} files of answers copied, {known} known", from.display());
        }
        for (id, key) in answer_keys(folder)? {
            let answers = Answers::open(folder, key)?;
            for two in answers.contradictions() {
                let words = format!("{:?} counts; {:?} came later", two.counts, two.others);
                rows.push(vec![json!("contradiction"), json!(format!("{id}: {}", two.point)), json!(words)]);
            }
        }
    }
    let not_taken = merged.elsewhere.len() + merged.begun_here.len();
    let is_clean = merged.differing.is_empty() && merged.damaged.is_empty() && not_taken == 0;
    if !rows.is_empty() || args.format != Format::Table {
        Rows { columns: vec!["finding", "what", "words"], rows }.print(args.format)?;
    }
    let differing = match merged.differing.len() {
        0 => String::new(),
        n => format!("; {n} differ and were not taken (--prefer STORE decides)"),
    };
    let left = if not_taken > 0 { format!("; {not_taken} were left as they are") } else { String::new() };
    say!(
        "{} runs copied, {} known, {} checkpoints copied, {} damaged{differing}{left}",
        merged.copied,
        merged.known,
        merged.begun,
        merged.damaged.len()
    );
    Ok(if is_clean { Done::Fully } else { Done::Partly })
}
