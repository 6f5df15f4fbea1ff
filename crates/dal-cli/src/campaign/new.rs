//! `dal new`: begins a campaign.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use dal_campaign::{CampaignFile, Folder, Subject};

use super::now;
use crate::Done;
use crate::output::outln;

/// A problem in, a folder out.
#[derive(clap::Args)]
#[command(
    after_help = "The folder gets `campaign.toml`, which explains its keys and may be edited at any time, and `log`, to which everything is
appended that is said in the campaign. The problem file stays where it is.

Examples:
  dal new beam --problem beam.toml                 a campaign in the folder beam
  dal new beam --problem beam.toml --initial 20 --batch 5 --budget 100 --seed 1
  dal new . --problem problem.toml                 in the folder that the problem file is in"
)]
pub struct Args {
    /// The campaign's folder; made if it is not there.
    folder: PathBuf,
    /// The problem file: inputs, outputs, and who answers (docs/problems.md).
    #[arg(long, value_name = "FILE")]
    problem: PathBuf,
    /// What all random numbers come from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Points of the design at the beginning [default: 10 and 5 for each input].
    #[arg(long, value_name = "N")]
    initial: Option<usize>,
    /// Points of a round.
    #[arg(long, value_name = "N", default_value_t = 10)]
    batch: usize,
    /// The rule that chooses (see `dal strategies`).
    #[arg(long, value_name = "ID", default_value = "qbc-diversity")]
    strategy: String,
    /// Points that `dal run` asks for in all.
    #[arg(long, value_name = "N")]
    budget: Option<usize>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let subject = Subject::open(&args.problem)?;
    let root = &args.folder;
    let made = !root.exists();
    std::fs::create_dir_all(root).with_context(|| format!("{}: cannot be made", root.display()))?;
    let begin = || -> Result<Folder> {
        let problem = relative(root, &args.problem)?;
        let mut file = CampaignFile::new(problem, subject.names().len());
        file.seed = args.seed;
        file.batch = args.batch;
        file.strategy.clone_from(&args.strategy);
        file.budget = args.budget;
        file.initial = args.initial.unwrap_or(file.initial);
        Ok(Folder::begin(root, &file, now())?)
    };
    let folder = begin().inspect_err(|_| {
        // Nothing is left behind of a campaign that could not begin, unless there is something in the folder.
        if made {
            let _ = std::fs::remove_dir(root);
        }
    })?;
    let (inputs, outputs) = (subject.names().len(), subject.outputs().len());
    let settings = folder.settings();
    outln!(
        "{}: a campaign on `{}` ({inputs} input{}, {outputs} output{}) has begun",
        root.display(),
        subject.problem().id(),
        if inputs == 1 { "" } else { "s" },
        if outputs == 1 { "" } else { "s" }
    );
    outln!(
        "first {} points spread over the space, then rounds of {} by `{}`; {} explains and changes that",
        settings.initial,
        settings.batch,
        settings.strategy,
        root.join("campaign.toml").display()
    );
    outln!(
        "next: dal run {0} --budget {1}, or dal ask {0} and dal tell {0} FILE",
        root.display(),
        3 * settings.initial
    );
    Ok(Done::Fully)
}

/// The way from a folder to a file.
fn relative(folder: &Path, file: &Path) -> Result<PathBuf> {
    let whole = |path: &Path| path.canonicalize().with_context(|| format!("{}: cannot be found", path.display()));
    let (from, to) = (whole(folder)?, whole(file)?);
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[shared..].iter().map(|_| Component::ParentDir);
    Ok(up.chain(to[shared..].iter().copied()).collect())
}
