//! The answers of users' programs and models: where they are kept, and programs that an earlier `dal` left running.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use dal_bench::{Taken, answers_folder, damaged_bytes, kept_answers, remembering};
use dal_core::Stop;
use dal_oracles::Problem;
use dal_store::{Answers, Call, Calls};

use crate::output::say;

/// How long a program that is asked to end may take to do so, before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Flags of the commands that ask programs.
#[derive(clap::Args)]
pub struct AnswerArgs {
    /// Where the answers of your own programs and models are kept [default: NAME.answers beside the problem file
    /// NAME.toml].
    #[arg(id = "answers_folder", long = "answers", value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// End the programs that an earlier dal, killed on the way, left running; without this they are waited for.
    #[arg(long)]
    pub end_leftovers: bool,
}

impl AnswerArgs {
    /// The problem, asked through the answers that are kept of it, and these, a laboratory's included; none where
    /// answers cost nothing.
    pub fn open(&self, problem: Problem) -> Result<(Problem, Option<Arc<Answers>>)> {
        self.open_to(problem, false)
    }

    /// As [`open`](Self::open); whether points that the program refused are asked for again.
    pub fn open_to(&self, problem: Problem, asks_refused_again: bool) -> Result<(Problem, Option<Arc<Answers>>)> {
        let folder = self.folder.as_deref();
        let Some(memory) = remembering(&problem, folder)? else {
            let kept = kept_answers(&problem, folder)?;
            return Ok((problem, kept));
        };
        let memory = memory.asking_refused_again(asks_refused_again);
        let answers = Arc::clone(memory.answers());
        let dropped_bytes = damaged_bytes(&answers);
        if dropped_bytes > 0 {
            tell_damage(problem.id(), dropped_bytes, &mut |text| say!("{text}"));
        }
        Ok((problem.with_oracle(Arc::new(memory)), Some(answers)))
    }

    /// Names the programs that a killed `dal` left running on the answers of these problems: a list for each folder.
    pub fn name_leftovers<'a>(&self, problems: impl IntoIterator<Item = &'a Problem>) -> Result<Vec<Vec<Call>>> {
        let folders = problems.into_iter().filter_map(|problem| answers_folder(problem, self.folder.as_deref()));
        let mut all = Vec::new();
        for folder in folders.collect::<BTreeSet<PathBuf>>() {
            let left = Calls::of(&folder).leftovers()?;
            for call in &left {
                let (group, what, owner) = (call.group(), call.what(), call.owner().pid);
                say!("process group {group} still runs: {what}, started by dal as process {owner}, which is gone");
            }
            all.push(left);
        }
        Ok(all)
    }

    /// Names the programs that a killed `dal` left running on the answers of these problems, and waits until they have
    /// ended, or ends them. False if a stop came first.
    pub fn settle<'a>(&self, problems: impl IntoIterator<Item = &'a Problem>, stop: &Stop) -> Result<bool> {
        for left in self.name_leftovers(problems)? {
            if left.is_empty() {
                continue;
            }
            if self.end_leftovers {
                for call in left {
                    call.end(PATIENCE)?;
                }
                say!("ended");
                continue;
            }
            say!("waiting until it has ended; --end-leftovers ends it, Ctrl-C ends the waiting");
            for call in left {
                if !call.wait(&mut || stop.is_draining()) {
                    return Ok(false);
                }
                call.forget();
            }
        }
        Ok(true)
    }
}

/// Says what was taken over from a store of an older version.
pub fn tell_taken(problem: &str, taken: &Taken, say: &mut dyn FnMut(&str)) {
    if taken.new > 0 {
        say(&format!("{problem}: {} answers that an older version kept in the store are taken over", taken.new));
    }
    if taken.other_text {
        say(&format!(
            "{problem}: the store holds answers that an older version got with another text of the problem file; they \
             are left, because their points may mean something else now (docs/problems.md says how to take them over)"
        ));
    }
    if taken.dropped_bytes > 0 {
        tell_damage(problem, taken.dropped_bytes, say);
    }
    for reason in &taken.unreadable {
        say(&format!("{problem}: no answers could be taken over from a run: {reason}"));
    }
}

/// Says that some of the answers cannot be read.
pub fn tell_damage(problem: &str, dropped_bytes: u64, say: &mut dyn FnMut(&str)) {
    say(&format!(
        "{problem}: {dropped_bytes} bytes of its kept answers are cut short or damaged and left out; what they said is \
         asked for again"
    ));
}
