//! The data of a selection: tables of plain numbers, or a problem's points and answers under their names.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use dal_campaign::design::Known;
use dal_core::{SeedPath, Value};
use dal_files::number::is_no_value;
use dal_files::points::shown;
use dal_files::{Bare, Expect, FileError, Member, Note, Points, Source, Table, read_together};
use dal_oracles::Problem;
use ndarray::{Array2, Array3, Axis};
use serde_json::json;

use super::Args;
use crate::data::{check_points, say_notes};
use crate::output::say;
use crate::problem::{Columns, find_problem};

/// What a strategy is shown, and how its picks are told.
pub(super) struct Given {
    /// Pool points: on a problem's unit box, or as they came.
    pub(super) pool: Array2<f64>,
    /// Where each pool point stands in what the user knows as the pool.
    pub(super) rows: Vec<usize>,
    /// Labelled points, in the pool's columns.
    pub(super) x: Option<Array2<f64>>,
    /// Their answers; in a problem's model units where it has them.
    pub(super) y: Option<Array2<f64>>,
    /// Members' predictions, shape (members, pool points, outputs), in the same units.
    pub(super) members: Option<Array3<f64>>,
    /// What the pool is called in messages.
    pub(super) pool_name: String,
    /// Names of the values that tell a point.
    pub(super) names: Vec<String>,
    /// Whether the pool was drawn from a space, which may have fewer points than are wanted.
    pub(super) is_drawn: bool,
    /// Labelled points that have no answer.
    pub(super) n_failed: usize,
    problem: Option<(Problem, Columns)>,
}

impl Given {
    pub(super) fn read(args: &Args) -> Result<Self> {
        match &args.problem {
            Some(name) => Self::of_problem(args, find_problem(name, &args.problem_settings)?),
            None => Self::of_numbers(args),
        }
    }

    /// The problem, where there is one.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref().map(|(problem, _)| problem)
    }

    /// A pool point as values under the names.
    pub(super) fn values(&self, at: usize) -> Result<Vec<serde_json::Value>> {
        let point = self.pool.row(at);
        let Some((problem, columns)) = &self.problem else { return Ok(point.iter().map(|v| json!(v)).collect()) };
        let inputs = columns.inputs(problem);
        let value = |(index, value): (usize, &Value)| match value {
            Value::Number(v) => json!(v),
            Value::Integer(v) => json!(v),
            Value::Level(_) => json!(shown(&inputs.space.dimensions()[index], &inputs.levels[index], value)),
        };
        Ok(inputs.space.to_physical(point)?.iter().enumerate().map(value).collect())
    }

    fn of_numbers(args: &Args) -> Result<Self> {
        let Some(pool) = &args.pool else {
            bail!(
                "--pool is missing: give the pool's points, or a problem with --problem, whose space is then sampled"
            );
        };
        for (given, flag) in [(args.labelled.is_some(), "--labelled"), (args.pool_size.is_some(), "--pool-size")] {
            if given {
                bail!("{flag}: needs --problem, which says what the columns are");
            }
        }
        if !args.problem_settings.is_empty() {
            bail!("--problem-set: there is no --problem");
        }
        let mut members = Vec::new();
        let mut add = |path: &Path, columns_like, rows_like| -> Result<usize> {
            members.push(Member { source: Source::open(path)?, expect: Expect::Free, columns_like, rows_like });
            Ok(members.len() - 1)
        };
        let x = args.labelled_x.as_deref().map(|path| add(path, None, None)).transpose()?;
        let y = args.labelled_y.as_deref().map(|path| add(path, None, x)).transpose()?;
        let pool_at = add(pool, x, None)?;
        let (tables, notes) = read_together(members)?;
        say_notes(notes);
        let numbers = |at: Option<usize>| at.map(|at| tables[at].numbers()).transpose();
        let (x, y, values) = (numbers(x)?, numbers(y)?, tables[pool_at].numbers()?);
        let names = match tables[pool_at].header() {
            Some(names) => names.to_vec(),
            None => (0..values.ncols()).map(|i| format!("x{i}")).collect(),
        };
        let mut given = Self {
            rows: (0..values.nrows()).collect(),
            pool: values,
            x,
            y,
            members: None,
            pool_name: pool.display().to_string(),
            names,
            is_drawn: false,
            n_failed: 0,
            problem: None,
        };
        given.read_members(args, None)?;
        Ok(given)
    }

    fn of_problem(args: &Args, problem: Problem) -> Result<Self> {
        let columns = Columns::of(&problem);
        // Rows without an answer need not be points.
        let within = |path: &Path, points: Points, wanted: &dyn Fn(usize) -> bool| -> Result<Rows> {
            let outside: Vec<&String> =
                points.outside.iter().filter(|(row, _)| wanted(*row)).map(|(_, reason)| reason).collect();
            match outside[..] {
                [] => Ok(Rows { x: points.x, outside: points.outside.into_iter().map(|(row, _)| row).collect() }),
                [reason] => bail!("{}, {reason}; take the row out", path.display()),
                [reason, ..] => bail!(
                    "{}, {reason}; {} rows in all are no points of `{}`: take them out",
                    path.display(),
                    outside.len(),
                    problem.id()
                ),
            }
        };
        let points = |path: &Path, wanted: &dyn Fn(usize) -> bool| -> Result<Rows> {
            let (mut points, mut notes) = dal_files::points(Source::open(path)?, &columns.inputs(&problem))?;
            problem.onto_rows(&mut points, &mut notes);
            say_notes(notes);
            within(path, points, wanted)
        };
        let (x_file, y_file) = (args.labelled_x.as_deref(), args.labelled_y.as_deref());
        let (mut x, y) = match &args.labelled {
            // Inputs and answers of one table are read in one way.
            Some(both) => {
                let (inputs, outputs) = (columns.inputs(&problem), output_names(&problem));
                let (mut points, places, mut notes) = dal_files::points_beside(Source::open(both)?, &inputs, &outputs)?;
                problem.onto_rows(&mut points, &mut notes);
                // Other columns are usual in a file of labels.
                say_notes(notes.into_iter().filter(|note| !matches!(note, Note::Ignored { .. })));
                let y = answers(&points.table, &places)?;
                let x = within(both, points, &|row| y[row].is_some())?;
                (Some(x), Some(y))
            }
            None => {
                let y = y_file.map(|path| answers_of(path, &problem)).transpose()?;
                let answered = |row: usize| y.as_ref().is_none_or(|y| y.get(row).is_none_or(Option::is_some));
                (x_file.map(|path| points(path, &answered)).transpose()?, y)
            }
        };
        if let (Some(x), Some(y), Some(x_file), Some(y_file)) = (&x, &y, x_file, y_file)
            && x.x.nrows() != y.len()
        {
            bail!(
                "{} has {} rows, {} has {}; each labelled point needs a row in both",
                x_file.display(),
                x.x.nrows(),
                y_file.display(),
                y.len()
            );
        }
        let (mut labels, mut failed, mut n_failed) = (None, Known::default(), 0);
        if let Some(y) = y {
            let known: Vec<usize> = (0..y.len()).filter(|&row| y[row].is_some()).collect();
            if known.len() < y.len() {
                say!(
                    "note: {} of {} labelled rows have no answer: nothing is learned from them, and their points are no \
                     candidates",
                    y.len() - known.len(),
                    y.len()
                );
            }
            if let Some(rows) = &x {
                let is_failed = |row: &usize| y[*row].is_none() && !rows.outside.contains(row);
                (0..y.len()).filter(is_failed).for_each(|row| {
                    n_failed += 1;
                    failed.insert(&rows.x.row(row).to_vec());
                });
            }
            x = x.map(|rows| Rows { x: rows.x.select(Axis(0), &known), outside: HashSet::new() });
            let values: Vec<f64> = y.into_iter().flatten().flatten().collect();
            labels = Some(Array2::from_shape_vec((known.len(), problem.outputs().len()), values)?);
        }
        check_points("--pool-size", args.pool_size)?;
        let (pool, pool_name, is_file) = match (&args.pool, problem.candidates()) {
            (Some(path), _) => (points(path, &|_| true)?.x, path.display().to_string(), true),
            (None, Some(table)) => (table.clone(), format!("the table of `{}`", problem.id()), false),
            (None, None) => {
                let n = args.pool_size.unwrap_or(super::POOL_SIZE);
                let seeds = SeedPath::root(args.seed).purpose("select").purpose("pool");
                say!("note: the pool is {n} points drawn from the space of `{}` with seed {}", problem.id(), args.seed);
                (problem.space().sample(n, &seeds), format!("{n} points of `{}`", problem.id()), false)
            }
        };
        if args.pool_size.is_some() && (is_file || problem.candidates().is_some()) {
            bail!("--pool-size: the pool is {pool_name}; leave this out");
        }
        let rows = (0..pool.nrows()).collect();
        let names = columns.names().to_vec();
        let is_drawn = !is_file && problem.candidates().is_none();
        let x = x.map(|rows| rows.x);
        let (y, members) = (labels, None);
        let mut given = Self { pool, rows, x, y, members, pool_name, names, is_drawn, n_failed, problem: None };
        given.read_members(args, Some(problem.outputs().len()))?;
        given.leave_out(&failed, is_file)?;
        let (y, members) = problem.scaling().given_in_model_units(given.y.take(), given.members.take())?;
        Ok(Self { y, members, problem: Some((problem, columns)), ..given })
    }

    fn read_members(&mut self, args: &Args, n_outputs: Option<usize>) -> Result<()> {
        let Some(path) = &args.members else { return Ok(()) };
        let n_outputs = self.y.as_ref().map(Array2::ncols).or(n_outputs);
        self.members = Some(dal_files::members(Source::open(path)?, self.pool.nrows(), n_outputs)?);
        Ok(())
    }

    /// Takes points out of the pool that failed before, and, of a pool that is not the user's own choice, those that
    /// are labelled; of one that was drawn all but the first of equal points.
    fn leave_out(&mut self, failed: &Known, is_file: bool) -> Result<()> {
        let mut seen = Known::default();
        if let Some(x) = self.x.as_ref().filter(|_| !is_file) {
            x.outer_iter().for_each(|point| {
                seen.insert(&point.to_vec());
            });
        }
        let n_labelled = self.x.as_ref().map_or(0, Array2::nrows);
        let mut n_equal = 0;
        let mut open = Vec::with_capacity(self.pool.nrows());
        let labelled = seen.clone();
        for (at, point) in self.pool.outer_iter().enumerate() {
            let point = point.to_vec();
            if failed.holds(&point) || labelled.holds(&point) {
                continue;
            }
            if self.is_drawn && !seen.insert(&point) {
                n_equal += 1;
                continue;
            }
            open.push(at);
        }
        if n_equal > 0 {
            say!("note: {n_equal} of them are the same as others, so that {} different ones are left", open.len());
        }
        if open.is_empty() {
            let labelled = if n_labelled > 0 { "labelled already, or " } else { "" };
            bail!("{}: every point is {labelled}without an answer", self.pool_name);
        }
        if open.len() < self.pool.nrows() {
            self.pool = self.pool.select(Axis(0), &open);
            self.members = self.members.take().map(|members| members.select(Axis(1), &open));
            self.rows = open;
        }
        Ok(())
    }
}

/// Points of a table, and those of its rows that are none.
struct Rows {
    x: Array2<f64>,
    outside: HashSet<usize>,
}

/// What the outputs of a problem may be called in a table: by their names, or `y0`, `y1`, ….
fn output_names(problem: &Problem) -> [Vec<String>; 2] {
    let names: Vec<String> = problem.outputs().iter().map(|output| output.name.clone()).collect();
    let numbered = (0..names.len()).map(|k| format!("y{k}")).collect();
    [names, numbered]
}

/// The answers of a table of its own; none for a row that has none.
fn answers_of(path: &Path, problem: &Problem) -> Result<Vec<Option<Vec<f64>>>> {
    let sets = output_names(problem);
    let [names, numbered] = &sets;
    let bare = Some(Bare { names, within: (f64::MIN, f64::MAX) });
    // Rows without an answer hold words or nothing there, which decides nothing about how the others are written.
    let expect = Expect::Named { sets: &sets, words: &[], bare };
    let (table, notes) = dal_files::read(Source::open(path)?, &expect)?;
    say_notes(notes);
    let places = table.find(names).or_else(|error| table.find(numbered).map_err(|_| error))?;
    answers(&table, &places)
}

/// The answers in these columns; none for a row that has none.
fn answers(table: &Table, places: &[usize]) -> Result<Vec<Option<Vec<f64>>>> {
    let answer = |row: usize| -> Result<Option<Vec<f64>>, FileError> {
        if places.iter().all(|&place| is_missing(table, row, place)) {
            return Ok(None);
        }
        places.iter().map(|&place| table.number(row, place)).collect::<Result<_, _>>().map(Some)
    };
    (0..table.n_rows()).map(answer).collect::<Result<_, _>>().with_context(|| "the answers of labelled points")
}

fn is_missing(table: &Table, row: usize, place: usize) -> bool {
    is_no_value(&table.cell(row, place))
}
