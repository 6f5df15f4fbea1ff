//! Which vector instructions every node of a cluster has: `dal bench kernels` says what one machine has, and Slurm
//! starts it on one node of each type.

use std::collections::BTreeSet;
use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use dal_nn::FastTrainer;

use super::slurm::{self, NodeType};
use crate::Done;
use crate::output::{outln, say};

/// Every name of instructions.
pub const KNOWN: [&str; 4] = ["avx512", "avx2", "neon", "portable"];
/// What nodes are taken to have that could not be asked: nearly every x86 processor of the last ten years has it.
const COMMON: &str = "avx2";
/// Options of sbatch that say where a user may run something: those that a probe needs, too.
const PLACE: [&str; 6] = ["--account=", "--partition=", "--qos=", "--reservation=", "--constraint=", "--clusters="];

/// `dal bench kernels`.
#[derive(clap::Args)]
#[command(after_help = "Prints the vector instructions that the engine cpu can use on this machine, the fastest first.
dal bench submit asks one node of each type in this way, and takes what all of them have.

Examples:
  dal bench kernels                         of this machine
  srun --nodelist=node7 dal bench kernels")]
pub struct Args {}

/// Runs `dal bench kernels`.
pub fn run(_: &Args) -> Result<Done> {
    outln!("{}", FastTrainer::paths().join("\n"));
    Ok(Done::Fully)
}

/// The instructions for machines that cannot be asked: this one's best, unless few have them.
pub fn guessed() -> String {
    let own = FastTrainer::paths();
    let common = own.iter().find(|path| **path == COMMON).or(own.first());
    common.map_or_else(|| "portable".to_owned(), |path| (*path).to_owned())
}

/// The best instructions that all nodes of a partition have, by asking one node of each type. Where a type cannot be
/// asked (no node of it is free, or all are down), it is said, and nothing better than the common ones is taken.
///
/// # Errors
/// Slurm that does not tell its nodes, or has none there.
pub fn common_to_nodes(sbatch_args: &[String]) -> Result<String> {
    let partition = sbatch_args.iter().rev().find_map(|arg| arg.strip_prefix("--partition="));
    let types = slurm::node_types(partition)?;
    if types.is_empty() {
        let place =
            partition.map_or("a default partition".to_owned(), |partition| format!("the partition {partition}"));
        bail!(
            "sinfo names no nodes of {place}: name one with --sbatch-arg=--partition=NAME, or say with --platform \
             which instructions its nodes have ({})",
            KNOWN.join(", ")
        );
    }
    let dal = std::env::current_exe().context("where this program lies")?;
    let place = sbatch_args.iter().filter(|arg| PLACE.iter().any(|option| arg.starts_with(option)));
    let place: Vec<OsString> = place.map(OsString::from).collect();
    let mut answers = Vec::new();
    let mut is_complete = true;
    for kind in &types {
        match ask(kind, &place, &dal.clone().into()) {
            Ok(paths) => {
                say!("nodes {}: {}", kind.words, paths.join(", "));
                answers.push(paths);
            }
            Err(words) => {
                say!("nodes {}: none could be asked for its instructions ({words})", kind.words);
                is_complete = false;
            }
        }
    }
    Ok(best(&answers, is_complete))
}

/// The first path of the first answer that all others have; without an answer of every type none that is rarer than
/// the common ones.
fn best(answers: &[Vec<String>], is_complete: bool) -> String {
    let Some((first, others)) = answers.split_first() else { return guessed() };
    let common: Vec<&String> = first.iter().filter(|path| others.iter().all(|other| other.contains(path))).collect();
    let path = match is_complete {
        true => common.first(),
        false => common.iter().find(|path| path.as_str() == COMMON).or(common.first()),
    };
    path.map_or_else(|| "portable".to_owned(), |path| (*path).clone())
}

/// What one node of a type says; the first two that have room are asked.
fn ask(kind: &NodeType, place: &[OsString], dal: &OsString) -> Result<Vec<String>, String> {
    let mut words = "all are down or taken".to_owned();
    for node in kind.free.iter().take(2) {
        match slurm::run_on(node, place, &[dal.clone(), "bench".into(), "kernels".into()]) {
            Ok(text) => {
                let known: BTreeSet<&str> = KNOWN.into();
                let paths: Vec<String> =
                    text.lines().map(str::trim).filter(|line| known.contains(line)).map(str::to_owned).collect();
                if !paths.is_empty() {
                    return Ok(paths);
                }
                words = format!("{node} says nothing of them");
            }
            Err(error) => words = format!("{node}: {error}"),
        }
    }
    Err(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_that_all_have_is_taken() {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (new, old) = (of(&["avx512", "avx2", "portable"]), of(&["avx2", "portable"]));
        assert_eq!(best(&[new.clone(), new.clone()], true), "avx512");
        assert_eq!(best(&[new.clone(), old.clone()], true), "avx2");
        assert_eq!(best(&[new.clone(), of(&["portable"])], true), "portable");
        assert_eq!(best(&[new.clone(), of(&["neon"])], true), "portable");
        // A type of which nothing is known.
        assert_eq!(best(&[new], false), "avx2");
        assert_eq!(best(&[of(&["portable"])], false), "portable");
        assert_eq!(best(&[], false), guessed());
        assert!(FastTrainer::paths().contains(&guessed().as_str()));
    }
}
