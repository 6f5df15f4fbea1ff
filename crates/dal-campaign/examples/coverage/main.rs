//! Measures how often the intervals of estimated errors hold: the parts of `cargo xtask coverage`.
//!
//! `cargo run --release -p dal-campaign --example coverage -- PART PROBLEM DIR`, where PART is `frozen` (`--rounds
//! 2000 --pool 100000 --seeds 3 --seed 0`), `campaigns` (`--campaigns 25`) or `looks` (the models of `frozen`, trained
//! and labelled alone), and `coverage -- report DIR`. `zcat docs/results/coverage-rounds.csv.gz | coverage -- widths`
//! compares intervals by score and of uniform labels where both hold equally often. `--rule default` measures the rule
//! by which campaigns choose where no other is named, in place of `power-qbc`: its campaigns, and frozen models with
//! its power.
//!
//! Each part of a problem is a file of its own, written whole when it is done, so that a second call goes on with what
//! is missing.

mod campaigns;
mod frozen;
mod report;
mod widths;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use dal_core::{Oracle, Settings, Stop, every};
use dal_eval::UNSEEN;
use ndarray::Array2;

/// What goes wrong, in words.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// How much is measured.
struct Sizes {
    rounds: usize,
    pool: usize,
    seeds: usize,
    campaigns: usize,
    /// Seed of models, points and rounds.
    seed: usize,
    /// What draws.
    rule: Rule,
}

/// The rules that are measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// `power-qbc`, in half of the campaigns with distances, each with β = 1.
    PowerQbc,
    /// That of campaigns that name none.
    Default,
}

const USAGE: &str = "usage: coverage looks|frozen|campaigns PROBLEM DIR [--rounds N] [--pool N] [--seeds N] \
                     [--campaigns N] [--seed N] [--rule power-qbc|default], coverage report DIR, \
                     or coverage widths < ROUNDS.csv";

/// What the tables in a folder are of: they are not mixed with those of other definitions, another rule or other sizes.
const DEFINITIONS: usize = 2;

/// Whether the tables of a folder are of these definitions and sizes; a new folder's will be.
fn claim(dir: &Path, sizes: &Sizes) -> Outcome<()> {
    let rule = if sizes.rule == Rule::Default { ", the default rule" } else { "" };
    let Sizes { rounds, pool, seeds, campaigns, seed, .. } = sizes;
    let sizes = format!("{rounds} rounds, pool {pool}, {seeds} seeds from {seed}, {campaigns} campaigns");
    let (path, due) = (dir.join("definitions"), format!("{DEFINITIONS}, unseen {UNSEEN}{rule}, {sizes}\n"));
    match fs::read_to_string(&path) {
        Ok(found) if found == due => Ok(()),
        Err(_) if !dir.exists() => keep(&path, due.as_bytes()),
        _ => Err(format!(
            "{}: its tables are of other definitions than `{}`; use another folder",
            dir.display(),
            due.trim()
        )
        .into()),
    }
}

fn main() -> Outcome<()> {
    let mut words = Vec::new();
    let mut sizes =
        Sizes { rounds: 2000, pool: 100_000, seeds: frozen::SEEDS, campaigns: 25, seed: 0, rule: Rule::PowerQbc };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let size = match argument.as_str() {
            "--rounds" => &mut sizes.rounds,
            "--pool" => &mut sizes.pool,
            "--seeds" => &mut sizes.seeds,
            "--seed" => &mut sizes.seed,
            "--campaigns" => &mut sizes.campaigns,
            "--rule" => {
                sizes.rule = match arguments.next().as_deref() {
                    Some("power-qbc") => Rule::PowerQbc,
                    Some("default") => Rule::Default,
                    _ => return Err(USAGE.into()),
                };
                continue;
            }
            _ => {
                words.push(argument);
                continue;
            }
        };
        *size = arguments.next().ok_or(USAGE)?.parse()?;
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["looks" | "frozen" | "campaigns", _, dir] = words[..] {
        claim(Path::new(dir), &sizes)?;
    }
    match words[..] {
        ["looks", problem, dir] => frozen::look(problem, Path::new(dir), &sizes),
        ["frozen", problem, dir] => frozen::measure(problem, Path::new(dir), &sizes),
        ["campaigns", problem, dir] => campaigns::measure(problem, Path::new(dir), &sizes),
        ["report", dir] => report::write(Path::new(dir)),
        ["widths"] => widths::write(std::io::stdin().lock()),
        _ => Err(USAGE.into()),
    }
}

fn problem(id: &str) -> Outcome<dal_oracles::Problem> {
    Ok(dal_oracles::find(id, &Settings::default())?)
}

/// Labels of points of the unit box, shape (n, n_outputs).
fn label(oracle: &dyn Oracle, x: &Array2<f64>) -> Outcome<Array2<f64>> {
    let mut y = Array2::zeros((x.nrows(), oracle.n_outputs()));
    let mut failure = None;
    let mut keep = every(|row, answer| match answer {
        Ok(values) => y.row_mut(row).iter_mut().zip(values).for_each(|(y, &value)| *y = value),
        Err(error) => failure = Some(error),
    });
    oracle.label(x.view(), &Stop::new(), &mut keep)?;
    drop(keep);
    failure.map_or(Ok(y), |failure| Err(format!("{failure:?}").into()))
}

/// Writes a file whole or not at all.
fn keep(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let part: PathBuf = path.with_extension("part");
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(&part, bytes)?;
    Ok(fs::rename(&part, path)?)
}

/// A NumPy file of 16-bit integers.
fn npy(shape: &[usize], values: &[i16]) -> Vec<u8> {
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    let mut header = format!("{{'descr': '<i2', 'fortran_order': False, 'shape': ({},), }}", shape.join(", "));
    // Magic, version and length take ten bytes; all of it is a multiple of 64 and ends with a line break.
    let padding = 64 - (header.len() + 11) % 64;
    header.push_str(&" ".repeat(padding % 64));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

/// 1 000 ln(value / truth) in 16 bits, the least of them for what there is not.
fn coded(value: Option<f64>, truth: f64) -> i16 {
    let coded = value.map(|value| (1000.0 * (value / truth).ln()).round()).filter(|v| v.is_finite());
    coded.map_or(i16::MIN, |v| v.clamp(-32_767.0, 32_767.0) as i16)
}

fn share(hits: impl Iterator<Item = bool> + Clone) -> f64 {
    let n = hits.clone().count();
    hits.filter(|hit| *hit).count() as f64 / n as f64
}
