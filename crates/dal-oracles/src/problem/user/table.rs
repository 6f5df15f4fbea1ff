//! An oracle that is a table of inputs and outputs: its rows are the only points with labels.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use dal_core::{
    Dimension, LabelFailure, LabelFailureKind, OnRow, Oracle, OracleError, Stop, Value, check_unit_box, point_key,
};
use dal_files::edge::value;
use dal_files::number::{excerpt, short};
use dal_files::{Expect, FileError, Moves, Note, Source, Table};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1};

use super::error::ProblemFileError;
use super::inputs::Inputs;

/// What to do with rows of equal inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// Refuse the table, unless the outputs are equal too.
    #[default]
    Error,
    /// Keep the first.
    First,
    /// Keep the mean of their outputs.
    Mean,
}

/// A user's table, read once: where its inputs and outputs stand.
#[derive(Debug)]
pub(super) struct Rows {
    path: PathBuf,
    table: Table,
    /// Columns of the inputs, in order.
    inputs: Vec<usize>,
    /// Columns of the outputs, in order.
    outputs: Vec<usize>,
    /// Rows that say why they have no outputs, as `dal label --out` writes them.
    failed: HashSet<usize>,
    /// What was assumed of the file.
    notes: Vec<Note>,
}

impl Rows {
    /// Reads the table; `words` are the inputs that have levels.
    pub(super) fn read(
        path: &Path,
        inputs: &[String],
        words: &[String],
        outputs: &[String],
    ) -> Result<Self, ProblemFileError> {
        let names: Vec<String> = inputs.iter().chain(outputs).cloned().collect();
        let open = || -> Result<Self, FileError> {
            let expect = Expect::Named { sets: std::slice::from_ref(&names), words, bare: None };
            let (table, mut notes) = dal_files::read(Source::open(path)?, &expect)?;
            let (inputs, outputs) = (table.find(inputs)?, table.find(outputs)?);
            let failed = failed(&table, &outputs);
            if !failed.is_empty() {
                notes.push(Note::Failed { file: table.file().to_owned(), n: failed.len() });
            }
            Ok(Self { path: path.to_owned(), table, inputs, outputs, failed, notes })
        };
        open().map_err(|error| fault(path, &error))
    }

    fn rows(&self) -> impl Iterator<Item = usize> {
        (0..self.table.n_rows()).filter(|row| !self.failed.contains(row))
    }

    /// The smallest and largest number of an input, for a bound that is left to the data.
    pub(super) fn range(&self, input: usize) -> Result<(f64, f64), ProblemFileError> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for row in self.rows() {
            let v = self.table.number(row, self.inputs[input]).map_err(|error| fault(&self.path, &error))?;
            (low, high) = (low.min(v), high.max(v));
        }
        Ok((low, high))
    }

    /// A sentence on each input that the table's rows never vary.
    pub(super) fn constants(&self, inputs: &Inputs) -> Vec<String> {
        let of = inputs.names().iter().zip(inputs.space().dimensions());
        let sentence = |(name, dimension): (&String, &Dimension)| match *dimension {
            Dimension::Fixed { value } => Some(format!(
                "{}: column {name} holds {} in every row: this input is kept and not varied",
                self.file(),
                short(value)
            )),
            _ => None,
        };
        of.filter_map(sentence).collect()
    }

    /// The table's name for messages.
    pub(super) fn file(&self) -> &str {
        self.table.file()
    }
}

/// The rows without outputs whose column `failure` says why.
fn failed(table: &Table, outputs: &[usize]) -> HashSet<usize> {
    let Some(words) = table.find(&["failure"]).ok().and_then(|found| found.first().copied()) else {
        return HashSet::new();
    };
    let is_empty = |row: usize, column: usize| table.cell(row, column).trim().is_empty();
    let fails = |row: &usize| outputs.iter().all(|&column| is_empty(*row, column)) && !is_empty(*row, words);
    (0..table.n_rows()).filter(fails).collect()
}

fn fault(path: &Path, error: &FileError) -> ProblemFileError {
    ProblemFileError::Table { path: path.to_owned(), message: error.to_string() }
}

/// The oracle that looks points up in a table.
#[derive(Debug)]
pub struct TableOracle {
    inputs: Inputs,
    /// Row of `x` and `y` of each point, by the bits of its coordinates on the unit box.
    rows: HashMap<Box<[u64]>, usize>,
    x: Array2<f64>,
    y: Array2<f64>,
    /// The column of `x` with the most different values, and the rows in its order: those beside a point are together.
    by: usize,
    order: Vec<usize>,
    /// Where each row stands in the file.
    places: Vec<String>,
    name: String,
}

/// Why a point is no row.
enum Miss {
    /// None lies where it does.
    Nowhere,
    /// Two rows do, but for rounding, and differ in an output.
    Between { rows: [usize; 2], output: usize },
}

/// Coordinates on the unit box that lie no farther apart, 1e-12 of the range, are the same but for rounding.
const ROUNDING: f64 = 2e-12;

/// Inputs that a message about the nearest row names.
const NAMED: usize = 6;

impl TableOracle {
    /// Takes the rows; gives their distinct points, shape (n, columns), beside the oracle, and what was assumed.
    pub(super) fn new(
        rows: &Rows,
        inputs: &Inputs,
        duplicates: Duplicates,
    ) -> Result<(Self, Array2<f64>, Vec<Note>), ProblemFileError> {
        Self::open(rows, inputs, duplicates).map_err(|error| fault(&rows.path, &error))
    }

    fn open(from: &Rows, inputs: &Inputs, duplicates: Duplicates) -> Result<(Self, Array2<f64>, Vec<Note>), FileError> {
        let table = &from.table;
        let ranges = inputs.of_files();
        let n_outputs = from.outputs.len();
        let mut rows = HashMap::new();
        let (mut x, mut y, mut counts) = (Vec::new(), Vec::<f64>::new(), Vec::<f64>::new());
        let mut places = Vec::<usize>::new();
        let mut moved = Moves::default();
        let mut n_repeated = 0;
        for row in from.rows() {
            let mut values = Vec::with_capacity(from.inputs.len());
            for (index, &column) in from.inputs.iter().enumerate() {
                let cell = table.cell(row, column);
                let dimension = &ranges.space.dimensions()[index];
                let placed = value(dimension, &ranges.levels[index], &cell, table.dialect().decimal)
                    .map_err(|fault| table.cell_error(row, column, fault.to_string()))?;
                values.push(placed.value);
                placed.moved.into_iter().for_each(|by| moved.onto_bound(by));
            }
            let answer: Vec<f64> =
                from.outputs.iter().map(|&column| table.number(row, column)).collect::<Result<_, _>>()?;
            let unit =
                ranges.space.to_unit(&values).map_err(|e| table.cell_error(row, from.inputs[0], e.to_string()))?;
            match rows.entry(point_key(&unit)) {
                Entry::Vacant(entry) => {
                    entry.insert(counts.len());
                    x.extend(unit);
                    y.extend(answer);
                    counts.push(1.0);
                    places.push(row);
                }
                Entry::Occupied(entry) => {
                    n_repeated += 1;
                    let known_row = *entry.get();
                    let known = &mut y[known_row * n_outputs..(known_row + 1) * n_outputs];
                    match duplicates {
                        Duplicates::First => {}
                        Duplicates::Error if *known == answer[..] => {}
                        Duplicates::Error => {
                            let differs = (0..n_outputs).find(|&k| known[k] != answer[k]).unwrap_or_default();
                            let remedy = "set duplicates = \"mean\" or \"first\"";
                            let earlier = places[known_row];
                            return Err(table.contradiction(earlier, row, from.outputs[differs], remedy));
                        }
                        Duplicates::Mean => {
                            counts[known_row] += 1.0;
                            let n = counts[known_row];
                            known.iter_mut().zip(&answer).for_each(|(mean, v)| *mean += (v - *mean) / n);
                        }
                    }
                }
            }
        }
        let shape = |columns, values| Array2::from_shape_vec((counts.len(), columns), values).expect("whole rows");
        let (x, y) = (shape(ranges.space.n_columns(), x), shape(n_outputs, y));
        let mut notes = from.notes.clone();
        moved.say(table.file(), &mut notes);
        if n_repeated > 0 {
            let what = match duplicates {
                Duplicates::Error => "and its outputs, counted once",
                Duplicates::First => "left out (duplicates = \"first\")",
                Duplicates::Mean => "averaged with it (duplicates = \"mean\")",
            };
            notes.push(Note::Repeated { file: table.file().to_owned(), n: n_repeated, what: what.to_owned() });
        }
        let places = places.into_iter().map(|row| table.at(row).to_string()).collect();
        let different = |column: ArrayView1<'_, f64>| column.iter().map(|v| v.to_bits()).collect::<HashSet<_>>().len();
        let by = (0..x.ncols()).max_by_key(|&column| different(x.column(column))).unwrap_or_default();
        let mut order: Vec<usize> = (0..x.nrows()).collect();
        order.sort_by(|&a, &b| x[[a, by]].total_cmp(&x[[b, by]]));
        let (inputs, name) = (inputs.clone(), table.file().to_owned());
        let oracle = Self { inputs, rows, x: x.clone(), y, by, order, places, name };
        Ok((oracle, x, notes))
    }

    /// The row that a point is: the same coordinates, or the same but for rounding. That may be several rows; they have
    /// to say the same then.
    ///
    /// # Errors
    /// Why it is none.
    fn find(&self, point: ArrayView1<'_, f64>) -> Result<usize, Miss> {
        if let Some(&row) = self.rows.get(&point_key(point)) {
            return Ok(row);
        }
        let is_near = |row: &usize| self.x.row(*row).iter().zip(point).all(|(a, b)| (a - b).abs() <= ROUNDING);
        // Of a wide range neighbouring whole numbers lie that near, too, and are others all the same.
        let wholes = |point: ArrayView1<'_, f64>| -> Option<Vec<i64>> {
            let values = self.inputs.space().to_physical(point).ok()?;
            let whole = |value: &Value| if let Value::Integer(v) = value { Some(*v) } else { None };
            Some(values.iter().filter_map(whole).collect())
        };
        let value = point[self.by];
        let begin = self.order.partition_point(|&row| self.x[[row, self.by]] < value - ROUNDING);
        let beside = self.order[begin..].iter().take_while(|&&row| self.x[[row, self.by]] <= value + ROUNDING).copied();
        let mut near: Vec<usize> =
            beside.filter(is_near).filter(|&row| wholes(self.x.row(row)) == wholes(point)).collect();
        near.sort_unstable();
        let Some((&first, others)) = near.split_first() else { return Err(Miss::Nowhere) };
        let contradicts = |&row: &usize| {
            let differs = (0..self.y.ncols()).find(|&k| self.y[[row, k]] != self.y[[first, k]]);
            differs.map(|output| Miss::Between { rows: [first, row], output })
        };
        others.iter().find_map(contradicts).map_or(Ok(first), Err)
    }

    /// Moves a point that is a row but for rounding onto that row, and counts the values that this changes; another
    /// point stays as it is.
    pub(in crate::problem) fn move_onto_row(&self, mut point: ArrayViewMut1<'_, f64>, moves: &mut Moves) {
        let Ok(row) = self.find(point.view()) else { return };
        for (value, there) in point.iter_mut().zip(self.x.row(row)) {
            // The unit box is 2 wide.
            let by = (*value - there).abs() / 2.0;
            if by > 0.0 {
                moves.onto_row(by);
            }
            *value = *there;
        }
    }

    fn refusal(&self, point: ArrayView1<'_, f64>, miss: &Miss) -> LabelFailure {
        let message = match *miss {
            Miss::Nowhere => self.describe(point).unwrap_or_else(|| format!("the table {} has no such row", self.name)),
            Miss::Between { rows, output } => {
                let [first, other] =
                    rows.map(|row| format!("{} of {}", short(self.y[[row, output]]), self.places[row]));
                format!(
                    "the table {} has rows that are both this point but for rounding (1e-12 of a range) and differ: {first} \
                     and {other}; give the inputs of one of them exactly",
                    self.name
                )
            }
        };
        LabelFailure::new(LabelFailureKind::Refused, message)
    }

    /// Says in physical values which point the table lacks, and how far away its nearest row is.
    fn describe(&self, point: ArrayView1<'_, f64>) -> Option<String> {
        let square = |row: &ArrayView1<'_, f64>| row.iter().zip(point).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let (nearest, row) = self.x.outer_iter().enumerate().min_by(|a, b| square(&a.1).total_cmp(&square(&b.1)))?;
        let space = self.inputs.space();
        let (wanted, there) = (space.to_physical(point).ok()?, space.to_physical(row).ok()?);
        let files = self.inputs.of_files();
        let shown = |index: usize, value: &Value| {
            excerpt(&dal_files::points::shown(&space.dimensions()[index], &files.levels[index], value))
        };
        let differ: Vec<usize> = (0..wanted.len()).filter(|&index| wanted[index] != there[index]).collect();
        let say = |say: &dyn Fn(usize) -> String| {
            let mut said: Vec<String> = differ.iter().take(NAMED).map(|&index| say(index)).collect();
            if differ.len() > NAMED {
                said.push(format!("{} more", differ.len() - NAMED));
            }
            said.join(", ")
        };
        let lacks = say(&|index| format!("{} = {}", files.names[index], shown(index, &wanted[index])));
        let has = say(&|index| {
            let away = match (&wanted[index], &there[index]) {
                (Value::Number(a), Value::Number(b)) => format!(" ({} away)", few_digits((a - b).abs())),
                (Value::Integer(a), Value::Integer(b)) => format!(" ({} away)", a.abs_diff(*b)),
                _ => String::new(),
            };
            format!("{} = {}{away}", files.names[index], shown(index, &there[index]))
        });
        Some(format!("the table {} has no row at {lacks}; the nearest, {}, has {has}", self.name, self.places[nearest]))
    }
}

/// A distance with as many digits as help.
fn few_digits(v: f64) -> String {
    short(format!("{v:.5e}").parse().unwrap_or(v))
}

impl Oracle for TableOracle {
    fn n_inputs(&self) -> usize {
        self.x.ncols()
    }

    fn n_outputs(&self) -> usize {
        self.y.ncols()
    }

    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs())?;
        for (i, point) in x.outer_iter().enumerate() {
            let answer = match self.find(point) {
                Ok(row) => Ok(self.y.row(row).to_slice().expect("labels are row-major")),
                Err(miss) => Err(self.refusal(point, &miss)),
            };
            if on_row(i, answer).is_break() {
                break;
            }
        }
        Ok(())
    }
}
