//! Points with their labels, or with the words why they have none, from a table that this program wrote and that may
//! have been through a spreadsheet since.

use crate::dialect::Separator;
use crate::error::{At, FileError, Note};
use crate::names::places;
use crate::number::number;
use crate::points::{Inputs, Points};
use crate::printed::half_widths;
use crate::source::Source;
use crate::table::{Expect, cells, read, wanted};
use crate::write::unguarded;

/// The columns of a table of labels, beside the points.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// The outputs' names, in order, or other names for all of them; the first that are there count.
    pub outputs: &'a [Vec<String>],
    /// The column that holds the number of a point, if there is one.
    pub row: &'a str,
    /// The column that says why a row has no label, if there is one.
    pub failure: &'a str,
}

/// One row of labels.
pub type Answer = Result<Vec<f64>, String>;

/// Points and what is said of them.
#[derive(Debug)]
pub struct Labelled {
    /// The points; rows outside are left to the caller.
    pub points: Points,
    /// For each point its label, or the words why it has none.
    pub answers: Vec<Answer>,
    /// The table's columns that hold labels, in the order of the outputs.
    pub outputs: Vec<usize>,
    /// The number that each row gives its point.
    pub rows: Vec<Option<usize>>,
    /// By how much each value of a point may lie beside the one that it was rounded from, in the order of
    /// [`Points::places`].
    pub point_rounding: Vec<Vec<f64>>,
    /// The same of each output.
    pub label_rounding: Vec<Vec<f64>>,
}

/// Reads points with labels; none where there is a header of them and no row.
///
/// # Errors
/// What [`points`](crate::points()) refuses; outputs that are missing; a row with neither a label nor words.
pub fn labelled(
    source: Source,
    inputs: &Inputs<'_>,
    labels: &Labels<'_>,
) -> Result<Option<(Labelled, Vec<Note>)>, FileError> {
    let with = |set: &Vec<String>| -> Vec<Vec<String>> {
        labels.outputs.iter().map(|outputs| [set.as_slice(), outputs].concat()).collect()
    };
    let sets: Vec<Vec<String>> = inputs.sets().iter().flat_map(with).collect();
    let words = [inputs.words(), vec![labels.failure.to_owned()]].concat();
    let text = source.clone();
    let (table, mut notes) = match read(source, &Expect::Named { sets: &sets, words: &words, bare: None }) {
        Ok(read) => read,
        Err(FileError::NoRows { .. }) if is_header(text.clone(), &sets)? => return Ok(None),
        Err(FileError::NoRows { file, .. }) => {
            let why = "its first line is no header of labels".to_owned();
            return Err(FileError::NoHeader { file, at: At::Line(1), why, remedy: wanted(&sets) });
        }
        Err(error) => return Err(error),
    };
    let column = |name: &str| match places(table.header().unwrap_or_default(), name)[..] {
        [place] => Some(place),
        _ => None,
    };
    let (row, failure) = (column(labels.row), column(labels.failure));
    let found = labels.outputs.iter().find_map(|outputs| table.find(outputs).ok());
    let outputs = match found {
        Some(outputs) => outputs,
        None => table.find(labels.outputs.first().map_or(&[][..], Vec::as_slice))?,
    };
    let decimal = table.dialect().decimal;
    let texts = |column: usize| -> Vec<String> {
        (0..table.n_rows()).map(|row| table.cell(row, column).into_owned()).collect()
    };
    let widths = |column: usize| half_widths(texts(column).iter().map(String::as_str), decimal);
    let all: Vec<Vec<f64>> = (0..table.n_columns()).map(widths).collect();
    let mut answers = Vec::with_capacity(table.n_rows());
    for row in 0..table.n_rows() {
        let words = failure.map(|column| unguarded(table.cell(row, column).trim()).to_owned()).unwrap_or_default();
        let is_empty = outputs.iter().all(|&column| table.cell(row, column).trim().is_empty());
        if is_empty && !words.is_empty() {
            answers.push(Err(words));
        } else {
            answers.push(Ok(outputs.iter().map(|&column| table.number(row, column)).collect::<Result<_, _>>()?));
        }
    }
    let whole = |text: &str| number(text, decimal).ok().filter(|v| v.fract() == 0.0 && (0.0..9e15).contains(v));
    let number_of = |at: usize| row.and_then(|column| whole(&table.cell(at, column))).map(|v| v as usize);
    let rows = (0..table.n_rows()).map(number_of).collect();
    let others: Vec<usize> = outputs.iter().copied().chain(row).chain(failure).collect();
    let (points, said) = Points::of_table(table, inputs, &others, |row, column| all[column][row])?;
    notes.extend(said);
    let of_row = |columns: &[usize], row: usize| columns.iter().map(|&column| all[column][row]).collect();
    let n = points.table.n_rows();
    let point_rounding = (0..n).map(|row| of_row(&points.places, row)).collect();
    let label_rounding = (0..n).map(|row| of_row(&outputs, row)).collect();
    Ok(Some((Labelled { points, answers, outputs, rows, point_rounding, label_rounding }, notes)))
}

impl Labelled {
    /// That two rows, which are the same point, have different labels; none where they are the same, or a row has none.
    pub fn contradiction(&self, earlier: usize, later: usize, remedy: &str) -> Option<FileError> {
        let (Ok(first), Ok(second)) = (&self.answers[earlier], &self.answers[later]) else { return None };
        let differs = first.iter().zip(second).position(|(a, b)| a != b)?;
        Some(self.points.table.contradiction(earlier, later, self.outputs[differs], remedy))
    }
}

/// Whether the first line of a text holds the names of one of the sets.
fn is_header(source: Source, sets: &[Vec<String>]) -> Result<bool, FileError> {
    let text = source.text()?;
    let first = text.lines().next().unwrap_or_default();
    let separators = [Separator::Comma, Separator::Semicolon, Separator::Tab];
    Ok(separators.into_iter().any(|separator| {
        let header = cells(first, separator);
        sets.iter().any(|set| set.iter().all(|name| places(&header, name).len() == 1))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::{Dimension, Scale, Space};

    fn read(text: &str) -> Result<Option<(Labelled, Vec<Note>)>, FileError> {
        let names = ["speed", "material"].map(str::to_owned).to_vec();
        let levels = vec![vec![], ["steel", "-2"].map(str::to_owned).to_vec()];
        let speed = Dimension::Continuous { low: 0.0, high: 2.0 * std::f64::consts::PI, scale: Scale::Linear };
        let space = Space::new(vec![speed, Dimension::Categorical { n_levels: 2 }]).unwrap();
        let inputs = Inputs { names: &names, levels: &levels, space: &space };
        let outputs = [vec!["drag".to_owned()], vec!["y0".to_owned()]];
        labelled(
            Source::from_bytes("y.csv", text),
            &inputs,
            &Labels { outputs: &outputs, row: "row", failure: "failure" },
        )
    }

    #[test]
    fn what_a_spreadsheet_saved_is_read() {
        let plain = "row,speed,material,drag,failure\n0,0.25,steel,1.5,\n7,6.283,-2,,crashed: no, really\n";
        let saved = "\u{feff}failure;material;\"drag\";row;speed\r\n;steel;1,5;0;0,250\r\n\"crashed: no, really\";-2;;7;6,2832\r\n";
        for text in [&plain.replace("no, really", "no").replace("6.283", "6.2832"), saved] {
            let (found, _) = read(text).unwrap().unwrap();
            assert_eq!(found.rows, [Some(0), Some(7)], "{text}");
            assert_eq!(found.answers[0], Ok(vec![1.5]));
            assert!(found.answers[1].as_ref().unwrap_err().starts_with("crashed: no"));
            assert!(found.points.outside.is_empty(), "2 pi is a bound, and 6.2832 lies beyond it by its rounding");
            assert_eq!(found.points.x[[1, 0]], 1.0);
        }
        assert!(read("row,speed,material,y0\n").unwrap().is_none(), "a header alone");
        assert!(read("row,speed,material,y0\n0,1,steel,2.5\n").unwrap().is_some(), "of an earlier version");
        let (found, _) = read("speed,material,drag\n1,steel,2.5\n1,steel,2.50\n1,steel,4\n").unwrap().unwrap();
        assert!(found.contradiction(0, 1, "").is_none());
        assert_eq!(
            found.contradiction(0, 2, "take one out").unwrap().to_string(),
            "y.csv, line 4, column drag: 4 differs from 2.5 of line 2, whose inputs are the same; take one out"
        );
        for (text, words) in [
            ("my notes\n", "no header of labels"),
            ("row,speed,material,drag\n0,1,steel,\n", "line 2, column drag: the cell is empty"),
            ("row,speed,drag\n0,1,2\n", "no column `material`"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }
}
