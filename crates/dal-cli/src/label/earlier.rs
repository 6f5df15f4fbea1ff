//! Labels that are there already: in the file that an export would replace, and what `--adopt` takes over.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use dal_bench::take_old;
use dal_core::{LabelFailure, LabelFailureKind, Stop, every};
use dal_files::{Labelled, Labels, Points, Source};
use dal_oracles::Problem;
use dal_store::{Answers, Store, StoreError, answer_keys, merge_answers};
use ndarray::{Array2, aview1};

use super::lines::{Answer, FAILURE, ROW, line as as_line, output_names, own_column};
use super::rounded::{Known, input_row};
use crate::answers::tell_taken;
use crate::data::say_notes;
use crate::output::say;
use crate::problem::Columns;

/// Labels of an earlier call that are compared with those of a problem whose answers are not kept.
const COMPARED: usize = 32;

/// What to do about a point with two labels in a file that is adopted.
const ONE_LABEL: &str = "a point has one label: take one of the rows out; points that a spreadsheet has rounded to the \
                         same numbers are told apart by the points that were asked, --input FILE";

/// Reads a file of `dal label --out`, of this version or an earlier one, as written or as a spreadsheet saved it;
/// `None` for one that holds no row yet.
fn read(path: &Path, problem: &Problem) -> Result<Option<Labelled>> {
    let (source, n_torn) = without_torn_line(Source::open(path)?);
    if n_torn > 0 {
        say!("{}: its last line, of {n_torn} bytes, has no end and is left out", path.display());
    }
    if source.bytes().is_empty() {
        return Ok(None);
    }
    let columns = Columns::of(problem);
    let own = output_names(problem);
    let earlier: Vec<String> = (0..own.len()).map(|j| format!("y{j}")).collect();
    let failure = own_column(FAILURE, problem);
    let labels = Labels { outputs: &[own, earlier], row: ROW, failure: &failure };
    let found = dal_files::labelled(source, &columns.inputs(problem), &labels)
        .with_context(|| format!("no file of labels of `{}`", problem.id()))?;
    let Some((mut labelled, mut notes)) = found else { return Ok(None) };
    problem.onto_rows(&mut labelled.points, &mut notes);
    say_notes(notes);
    let lost = labelled.points.outside.iter().find(|(row, _)| labelled.answers[*row].is_ok());
    if let Some((_, reason)) = lost {
        bail!("{}: {reason}; the file is another problem's, or bounds have changed: name another file", path.display());
    }
    Ok(Some(labelled))
}

/// The file without what was being written when a program was stopped. Only version 0.1.0 wrote line by line: with line
/// feeds alone, commas, and no column of failures.
fn without_torn_line(source: Source) -> (Source, usize) {
    let bytes = source.bytes();
    let end = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    let first = &bytes[..bytes.iter().position(|&b| b == b'\n').unwrap_or(0)];
    let is_old = first.starts_with(b"row,") && !first.ends_with(b",failure") && !bytes.contains(&b'\r');
    if !is_old || end == bytes.len() {
        return (source, 0);
    }
    let n_torn = bytes.len() - end;
    (Source::from_bytes(source.file().to_owned(), &bytes[..end]), n_torn)
}

/// Refuses to replace a file that holds something else, or labels that would be lost with it. A spreadsheet may have
/// rounded what it saved: a number says what it shows.
pub(super) fn check_replaceable(
    path: &Path,
    problem: &Problem,
    kept: Option<&Answers>,
    head: &str,
    points: Option<&Points>,
) -> Result<()> {
    let shown = path.display();
    match std::fs::read(path) {
        Err(_) => return Ok(()),
        // Nothing, or a header that was being written when a program was stopped.
        Ok(bytes) if !bytes.contains(&b'\n') && head.as_bytes().starts_with(&bytes) => return Ok(()),
        Ok(_) => {}
    }
    let found =
        read(path, problem).with_context(|| format!("{shown}: is not replaced; name another file with --out"))?;
    let Some(earlier) = found else { return Ok(()) };
    let labels: Vec<(usize, &[f64])> = labels(&earlier).collect();
    let close = |row: usize, a: &[f64], b: &[f64]| {
        let halves = &earlier.label_rounding[row];
        a.iter().zip(b).zip(halves).all(|((&a, &b), half)| {
            let (a, b): (f64, f64) = (a, b);
            (a - b).abs() <= (1e-6 * a.abs().max(b.abs())).max(half * (1.0 + 1e-9)).max(f64::MIN_POSITIVE)
        })
    };
    // The row, its label in the file, and what is known of the point.
    type Compared<'a> = (usize, &'a [f64], Option<Vec<f64>>);
    let mut compared: Vec<Compared<'_>> = Vec::new();
    if let (Some(kept), Some(asking)) = (kept, problem.asking()) {
        let known = Known::of(kept, problem, &earlier);
        let at = |point| kept.get(&asking.line(point).ok()?)?.ok();
        for &(row, label) in &labels {
            let exact = at(earlier.points.x.row(row));
            let of_input = || at(input_row(&earlier, row, points?, problem)?);
            let answer = exact.or_else(of_input).or_else(|| known.near(row, label).map(|(_, label)| label));
            compared.push((row, label, answer));
        }
        let unknown = compared.iter().filter(|(_, _, answer)| answer.is_none()).count();
        if unknown > 0 {
            bail!(
                "{shown}: holds {unknown} labels that the kept answers of `{}` do not know, of another program or \
                 version say; take them over with --adopt {shown} if they are this one's, or name another file with --out",
                problem.id()
            );
        }
    } else {
        let some = &labels[..labels.len().min(COMPARED)];
        let mut x = Array2::zeros((some.len(), earlier.points.x.ncols()));
        for (&(row, _), mut to) in some.iter().zip(x.outer_iter_mut()) {
            let meant = points.and_then(|points| input_row(&earlier, row, points, problem));
            to.assign(&meant.unwrap_or_else(|| earlier.points.x.row(row)));
        }
        let mut today = vec![None; some.len()];
        let mut keep = every(|row, answer| today[row] = answer.ok().map(<[f64]>::to_vec));
        problem.oracle()?.label(x.view(), &Stop::new(), &mut keep)?;
        drop(keep);
        compared.extend(some.iter().zip(today).map(|(&(row, label), answer)| (row, label, answer)));
    }
    for (row, label, today) in compared {
        if !today.as_ref().is_some_and(|today| close(row, today, label)) {
            let n_outputs = label.len();
            bail!(
                "{shown}, {}: its label is {}, but `{}` says {}: the file is another problem's, or was made \
                 with other settings; name another with --out",
                earlier.points.table.at(row),
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

/// The rows that have a label.
fn labels(earlier: &Labelled) -> impl Iterator<Item = (usize, &[f64])> {
    earlier.answers.iter().enumerate().filter_map(|(row, answer)| Some((row, answer.as_deref().ok()?)))
}

/// Takes answers over into those of a problem: from a file of `dal label --out`, from a store or a search of an older
/// version, or from another folder of answers. Rows of a file that are those of `points`, rounded, are taken for those.
pub(super) fn adopt(path: &Path, problem: &Problem, kept: Option<&Answers>, points: Option<&Points>) -> Result<()> {
    let (Some(kept), Some(asking)) = (kept, problem.asking()) else {
        bail!("--adopt: no answers of `{}` are kept, because they cost nothing", problem.id());
    };
    let shown = path.display();
    let before: HashMap<String, bool> = kept.rows().into_iter().map(|(line, answer)| (line, answer.is_ok())).collect();
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
            put(kept, &asking.line(aview1(&x))?, Ok(&label))?;
        }
        kept.sync()?;
    } else if let Some(earlier) = read(path, problem)? {
        let known = Known::of(kept, problem, &earlier);
        let is_outside = |row: usize| earlier.points.outside.iter().any(|(other, _)| *other == row);
        let (mut n_matched, mut n_as_written) = (0, 0);
        let mut told: Vec<(String, Result<&[f64], LabelFailure>)> = Vec::new();
        let mut first: HashMap<String, usize> = HashMap::new();
        for (row, answer) in earlier.answers.iter().enumerate().filter(|(row, _)| !is_outside(*row)) {
            let exact = earlier.points.x.row(row);
            let line = |point| asking.line(point).with_context(|| format!("{shown}, {}", earlier.points.table.at(row)));
            let own = line(exact)?;
            let label = match answer {
                Ok(label) => label,
                Err(words) => {
                    told.push((own, Err(failure(words))));
                    continue;
                }
            };
            let is_known = kept.get(&own).is_some_and(|known| known.is_ok());
            if is_known || known.near(row, label).is_none() {
                let meant = points.and_then(|points| input_row(&earlier, row, points, problem));
                let as_written = meant.is_none() && !is_known && shows_few_digits(&earlier, row);
                let meant = meant.map_or(Ok(own.clone()), line)?;
                if let Some(&known_row) = first.get(&meant) {
                    match earlier.contradiction(known_row, row, ONE_LABEL) {
                        Some(contradiction) => return Err(contradiction.into()),
                        None => continue,
                    }
                }
                n_as_written += usize::from(as_written);
                n_matched += usize::from(meant != own);
                first.insert(meant.clone(), row);
                told.push((meant, Ok(label)));
            }
        }
        for (point, answer) in told {
            if answer.is_ok() || kept.get(&point).is_none() {
                put(kept, &point, answer.as_ref().map(|label| *label))?;
            }
        }
        if n_matched > 0 {
            say!("note: {shown}: {n_matched} of its points are rounded and were taken for the rows of --input");
        }
        if n_as_written > 0 {
            let remedy = if points.is_some() {
                "no row of --input agrees with them"
            } else {
                "if a spreadsheet has rounded them, adopt the file together with the points that were asked, --input FILE, \
                 or their labels are those of other points"
            };
            say!(
                "note: {shown}: {n_as_written} of its points show few digits and are taken as they are written; {remedy}"
            );
        }
        kept.sync()?;
    }
    // A label that takes a failure's place is one, too.
    let rows = kept.rows();
    let taken = rows.iter().filter(|(line, answer)| before.get(line) != Some(&answer.is_ok())).count();
    say!("{shown}: {taken} answers taken over; {} are kept now", rows.len());
    Ok(())
}

/// Whether a number of a row's point is written with fewer digits than tell numbers apart.
fn shows_few_digits(earlier: &Labelled, row: usize) -> bool {
    let halves = earlier.points.places.iter().zip(&earlier.point_rounding[row]);
    halves.into_iter().any(|(&column, &half)| {
        let value = earlier.points.table.number(row, column).unwrap_or(0.0);
        half > 1e-13 * value.abs()
    })
}

/// The failure that the words of an export state.
fn failure(words: &str) -> LabelFailure {
    let (kind, message) = words.split_once(": ").unwrap_or(("", words));
    match LabelFailureKind::of_id(kind.trim()) {
        Some(kind) => LabelFailure::new(kind, message),
        None => LabelFailure::new(LabelFailureKind::Missing, words),
    }
}

/// Keeps a label, unless another of its point is kept.
fn put(kept: &Answers, point: &str, answer: Answer<'_>) -> Result<()> {
    if let (Some(Ok(known)), Ok(label)) = (kept.get(point), answer)
        && known != label
    {
        let shown = |label: &[f64]| as_line(Ok(label), label.len()).trim_end().to_owned();
        say!("{point}: its label is {}, but another is kept, {}, which stays", shown(label), shown(&known));
        return Ok(());
    }
    Ok(kept.put(point, answer)?)
}

/// Whether a file is the journal of a search, whose first line is an object of JSON.
fn is_journal(path: &Path) -> bool {
    let mut first = [0];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok()) && first == *b"{"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_back() {
        for kind in LabelFailureKind::ALL {
            let written = LabelFailure::new(kind, "exit status 3: no mesh");
            assert_eq!(failure(&written.to_string()), written);
        }
        assert_eq!(failure("no idea").kind, LabelFailureKind::Missing);
    }

    #[test]
    fn only_an_old_file_loses_a_line_without_an_end() {
        let cut = |text: &str| without_torn_line(Source::from_bytes("y.csv", text)).1;
        assert_eq!(cut("row,x0,y0\n0,0.5,1.5\n1,0.25,1."), 9);
        for text in ["row,x0,y0\n0,0.5,1.5\n", "row,x0,y0,failure\n0,0.5,1.5,", "row,x0,y0\r\n0,0.5,1.5", "x0,y0\n0,1"]
        {
            assert_eq!(cut(text), 0, "{text:?}");
        }
    }
}
