//! Labels that are there already: in the file that an export would replace, and what `--adopt` takes over.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use dal_bench::take_old;
use dal_core::{Stop, every};
use dal_files::write::{Out, record};
use dal_files::{Points, Source};
use dal_oracles::Problem;
use dal_store::{Answers, Store, StoreError, answer_keys, merge_answers, old_labels};
use ndarray::{Axis, aview1};

use super::lines::line as as_line;
use crate::answers::tell_taken;
use crate::output::say;
use crate::problem::Columns;

/// Labels of an earlier call that are compared with those of a problem whose answers are not kept.
const COMPARED: usize = 32;

/// Labels that a file of `dal label --out` holds.
struct Earlier {
    points: Points,
    /// One per point.
    labels: Vec<Vec<f64>>,
    /// The line of each.
    lines: Vec<u64>,
}

/// Reads such a file; `None` for one that holds none yet.
fn read(path: &Path, problem: &Problem) -> Result<Option<Earlier>> {
    let shown = path.display().to_string();
    let found = old_labels(path, problem.outputs().len())?;
    let last = fs::read_to_string(path).map(|text| (text.lines().count(), text.ends_with('\n')));
    for &line in &found.skipped {
        // What is behind the last line feed was being written when a program was stopped.
        if !matches!(last, Ok((n, false)) if n == line) {
            bail!("{shown}, line {line}: is no label of `{}`; take the line out, or name another file", problem.id());
        }
    }
    if found.rows.is_empty() {
        return Ok(None);
    }
    let (mut labels, mut lines) = (Vec::new(), Vec::new());
    // The points alone, for the reader of points.
    let mut text = record(found.names.iter().map(|name| Out::Text(name)));
    let numbers = (2u64..).filter(|line| !found.skipped.contains(&(*line as usize)));
    for ((cells, label), line) in found.rows.into_iter().zip(numbers) {
        text += &record(cells.iter().map(|cell| Out::Text(cell)));
        labels.push(label);
        lines.push(line);
    }
    let columns = Columns::of(problem);
    let source = Source::from_bytes(shown.clone(), text.as_bytes());
    let (points, _) = dal_files::points(source, &columns.inputs(problem))?;
    if let Some((row, reason)) = points.outside.first() {
        bail!(
            "{shown}, line {}: {}; the file is another problem's, or bounds have changed: name another file",
            lines[*row],
            reason
        );
    }
    Ok(Some(Earlier { points, labels, lines }))
}

/// Refuses to replace a file that holds something else, or labels that would be lost with it.
pub(super) fn check_replaceable(path: &Path, problem: &Problem, kept: Option<&Answers>, head: &str) -> Result<()> {
    let shown = path.display();
    match fs::read(path) {
        Err(_) => return Ok(()),
        // Nothing, or a header that was being written when a program was stopped.
        Ok(bytes) if !bytes.contains(&b'\n') && head.as_bytes().starts_with(&bytes) => return Ok(()),
        Ok(_) => {}
    }
    let Some(earlier) = read(path, problem)? else { return Ok(()) };
    let n_outputs = problem.outputs().len();
    let today: Vec<Option<Vec<f64>>> = match (kept, problem.asking()) {
        (Some(kept), Some(asking)) => {
            let known = |point| kept.get(&asking.line(point).ok()?)?.ok();
            earlier.points.x.outer_iter().map(known).collect()
        }
        _ => {
            let n = earlier.labels.len().min(COMPARED);
            let mut today = vec![None; n];
            let mut keep = every(|row, answer| today[row] = answer.ok().map(<[f64]>::to_vec));
            let x = earlier.points.x.select(Axis(0), &(0..n).collect::<Vec<_>>());
            problem.oracle()?.label(x.view(), &Stop::new(), &mut keep)?;
            drop(keep);
            today
        }
    };
    let unknown = today.iter().filter(|label| label.is_none()).count();
    if unknown > 0 && problem.asking().is_some() {
        bail!(
            "{shown}: holds {unknown} labels that the kept answers of `{}` do not know, of another program or version \
             say; take them over with --adopt {shown} if they are this one's, or name another file with --out",
            problem.id()
        );
    }
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(f64::MIN_POSITIVE);
    for ((label, today), line) in earlier.labels.iter().zip(&today).zip(&earlier.lines) {
        if !today.as_ref().is_some_and(|today| today.iter().zip(label).all(|(&a, &b)| close(a, b))) {
            bail!(
                "{shown}, line {line}: its label is {}, but `{}` says {}: the file is another problem's, or was made \
                 with other settings; name another with --out",
                as_line(Ok(label), n_outputs).trim_end(),
                problem.variant_id(),
                today
                    .as_ref()
                    .map_or("that it has none".into(), |today| as_line(Ok(today), n_outputs).trim_end().to_owned())
            );
        }
    }
    Ok(())
}

/// The header of a file of labels of these points, as a line.
pub(super) fn head(points: &Points, n_outputs: usize) -> String {
    let outputs: Vec<String> = (0..n_outputs).map(|j| format!("y{j}")).collect();
    let names = points.names.iter().chain(&outputs).map(|name| Out::Text(name));
    record([Out::Text("row")].into_iter().chain(names))
}

/// Takes answers over into those of a problem: from a file of `dal label --out`, from a store or a search of an older
/// version, or from another folder of answers.
pub(super) fn adopt(path: &Path, problem: &Problem, kept: Option<&Answers>) -> Result<()> {
    let (Some(kept), Some(asking)) = (kept, problem.asking()) else {
        bail!("--adopt: no answers of `{}` are kept, because they cost nothing", problem.id());
    };
    let shown = path.display();
    let before = kept.len();
    if path.is_dir() {
        match Store::open(path) {
            Ok(store) => tell_taken(problem.id(), &take_old(&store, problem, kept)?, &mut |text| say!("{text}")),
            Err(StoreError::NotAStore { .. }) => {
                let keys = answer_keys(path)?;
                if !keys.iter().any(|(_, key)| key == kept.key()) {
                    bail!("{shown}: is no store, and no folder of answers of `{}`", problem.id());
                }
                let into = kept.folder().parent().unwrap_or(Path::new("."));
                merge_answers(path, into)?;
                kept.refresh()?;
            }
            Err(error) => return Err(error.into()),
        }
    } else if is_journal(path) {
        for (x, label) in dal_tune::old_labels(path, problem)? {
            put(kept, &asking.line(aview1(&x))?, &label)?;
        }
        kept.sync()?;
    } else if let Some(earlier) = read(path, problem)? {
        for ((point, label), line) in earlier.points.x.outer_iter().zip(&earlier.labels).zip(&earlier.lines) {
            put(kept, &asking.line(point).with_context(|| format!("{shown}, line {line}"))?, label)?;
        }
        kept.sync()?;
    }
    say!("{shown}: {} answers taken over, {before} were known", kept.len() - before);
    Ok(())
}

/// Keeps a label, unless another of its point is kept.
fn put(kept: &Answers, point: &str, label: &[f64]) -> Result<()> {
    if kept.get(point).and_then(Result::ok).is_some_and(|known| known != label) {
        say!("{point}: another label is kept, which stays");
        return Ok(());
    }
    Ok(kept.put(point, Ok(label))?)
}

/// Whether a file is the journal of a search, whose first line is an object of JSON.
fn is_journal(path: &Path) -> bool {
    let mut first = [0];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok()) && first == *b"{"
}
