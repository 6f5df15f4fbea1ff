//! Points that were chosen and answers that were kept, in physical values where those are known.

use std::collections::{BTreeSet, HashMap};

use dal_store::{EntryRecord, ProblemSpec, Run, Store};
use ndarray::{Array2, ArrayView1};
use serde_json::Value;

use super::Writing;
use super::schema::{ColumnCard, ColumnKind, table};
use crate::data::{ReportData, RunStatus};
use crate::error::ReportError;

/// A value of an input, in its unit.
#[derive(Debug, Clone, PartialEq)]
pub enum PhysicalValue {
    /// Of an input with any values.
    Real(f64),
    /// Of an input with whole numbers.
    Integer(i64),
    /// Of an input with levels.
    Level(String),
}

/// A problem in physical values.
pub struct PhysicalProblem {
    /// Its inputs.
    pub inputs: Vec<ColumnCard>,
    /// Its outputs.
    pub outputs: Vec<ColumnCard>,
    /// The values of a point of the unit box, one per input.
    pub values: Box<PhysicalValues>,
}

/// The values of a point of the unit box.
pub type PhysicalValues = dyn Fn(&[f64]) -> Option<Vec<PhysicalValue>>;

/// Finds a problem by how specifications of runs name it.
pub type PhysicalPoints<'a> = dyn Fn(&ProblemSpec) -> Option<PhysicalProblem> + 'a;

/// Writes `queries` and `labels` of every problem; returns the problems whose points stay on the unit box.
pub(super) fn write(writing: &mut Writing<'_>, store: &Store, data: &ReportData) -> Result<Vec<String>, ReportError> {
    let (queries, labels) = (writing.wants("queries"), writing.wants("labels"));
    let mut on_box = Vec::new();
    if !queries && !labels {
        return Ok(on_box);
    }
    let damaged: BTreeSet<&str> = data.unreadable.iter().map(|(name, _)| name.as_str()).collect();
    let mut problems: Vec<(ProblemSpec, Vec<usize>)> = Vec::new();
    for (i, run) in data.runs.iter().enumerate() {
        let is_there = !matches!(run.status, RunStatus::Absent | RunStatus::Damaged { .. });
        if !is_there || damaged.contains(run.name.as_str()) {
            continue;
        }
        let problem = (*store.run(&run.name)?.spec().problem).clone();
        match problems.iter_mut().find(|(known, _)| *known == problem) {
            Some((_, runs)) => runs.push(i),
            None => problems.push((problem, vec![i])),
        }
    }
    let mut stems = BTreeSet::new();
    for (problem, runs) in problems {
        let mut stem: String = problem
            .variant
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' })
            .collect();
        while !stems.insert(stem.to_ascii_lowercase()) {
            stem.push_str("-2");
        }
        let physical = writing.options.physical.and_then(|find| find(&problem));
        if physical.is_none() {
            on_box.push(problem.variant.clone());
        }
        let of_problem = OfProblem { problem, physical, stem, runs };
        if queries {
            of_problem.queries(writing, store, data)?;
        }
        // Answers of built-in problems cost nothing and are not kept.
        if labels && of_problem.problem.digest.is_some() {
            of_problem.labels(writing, store, data)?;
        }
    }
    Ok(on_box)
}

struct OfProblem {
    problem: ProblemSpec,
    physical: Option<PhysicalProblem>,
    /// For file names.
    stem: String,
    runs: Vec<usize>,
}

impl OfProblem {
    /// Columns for points with so many columns on the unit box.
    fn inputs(&self, n_columns: usize) -> Vec<ColumnCard> {
        let on_box = |i: usize| ColumnCard {
            name: format!("x{i}"),
            kind: ColumnKind::Real,
            unit: "unit box".into(),
            about: "column of the unit box [-1, 1]".into(),
        };
        self.physical.as_ref().map_or_else(|| (0..n_columns).map(on_box).collect(), |physical| physical.inputs.clone())
    }

    /// Names of the outputs: the problem's own, those that the sweep's record keeps, or `y0`, `y1`, ….
    fn outputs(&self, data: &ReportData, n_outputs: usize) -> Vec<ColumnCard> {
        let mut known = self.physical.as_ref().map(|physical| physical.outputs.clone()).unwrap_or_default();
        if known.len() != n_outputs {
            let own = data.sweeps.iter().find_map(|sweep| sweep.own_problems.get(&self.problem.variant));
            let column = |of: &dal_store::ColumnRecord| ColumnCard {
                name: of.name.clone(),
                kind: ColumnKind::Real,
                unit: of.unit.clone(),
                about: "output".into(),
            };
            known = own.map(|own| own.outputs.iter().map(column).collect()).unwrap_or_default();
        }
        let plain = |k: usize| ColumnCard {
            name: format!("y{k}"),
            kind: ColumnKind::Real,
            unit: String::new(),
            about: "output".into(),
        };
        if known.len() == n_outputs { known } else { (0..n_outputs).map(plain).collect() }
    }

    /// The values of a point's inputs.
    fn values(&self, x: ArrayView1<'_, f64>) -> Vec<Value> {
        let on_box = x.to_vec();
        match &self.physical {
            None => on_box.into_iter().map(Value::from).collect(),
            // A point that cannot be converted has no values, which is seen.
            Some(physical) => match (physical.values)(&on_box) {
                None => vec![Value::Null; physical.inputs.len()],
                Some(values) => values
                    .into_iter()
                    .map(|value| match value {
                        PhysicalValue::Real(value) => value.into(),
                        PhysicalValue::Integer(value) => value.into(),
                        PhysicalValue::Level(level) => level.into(),
                    })
                    .collect(),
            },
        }
    }

    fn queries(&self, writing: &mut Writing<'_>, store: &Store, data: &ReportData) -> Result<(), ReportError> {
        let mut open = None;
        for &i in &self.runs {
            let run = store.run(&data.runs[i].name)?;
            let (points, records) = (run.queries()?, run.records()?);
            if points.is_empty() {
                continue;
            }
            if open.is_none() {
                let columns = apart("queries", self.inputs(points.ncols()));
                open = Some(writing.begin("queries", &format!("queries-{}", self.stem), columns)?);
            }
            let Some((file, sink)) = &mut open else { continue };
            let places = records.iter().flat_map(|record| {
                let n = record.choice.as_ref().map_or(0, |choice| choice.n_queries);
                (0..n).map(move |row| (record.entry, row))
            });
            for ((entry, row), x) in places.zip(points.outer_iter()) {
                let mut values = vec![i.into(), entry.into(), row.into()];
                values.extend(self.values(x));
                sink.row(values).map_err(|error| writing.files.failed(file, error))?;
            }
        }
        match open {
            Some((file, sink)) => writing.end("queries", file, Some(self.problem.variant.clone()), sink),
            None => Ok(()),
        }
    }

    fn labels(&self, writing: &mut Writing<'_>, store: &Store, data: &ReportData) -> Result<(), ReportError> {
        let mut open = None;
        for &i in &self.runs {
            let run = store.run(&data.runs[i].name)?;
            let (Some(labels), records) = (run.labels()?, run.records()?) else { continue };
            let n_columns = run.queries()?.ncols();
            if labels.is_empty() || n_columns == 0 || labels.ncols() <= n_columns {
                continue;
            }
            if open.is_none() {
                let mut columns = self.inputs(n_columns);
                columns.extend(self.outputs(data, labels.ncols() - n_columns));
                open = Some(writing.begin("labels", &format!("labels-{}", self.stem), apart("labels", columns))?);
            }
            let Some((file, sink)) = &mut open else { continue };
            let failures: HashMap<(usize, usize), &str> = records
                .iter()
                .flat_map(|record| record.failed_labels.iter().map(|f| ((record.entry, f.row), f.kind.as_str())))
                .collect();
            for (place, row) in places(&run, &records, &labels)?.into_iter().zip(labels.outer_iter()) {
                let (x, y) = row.split_at(ndarray::Axis(0), n_columns);
                let failure = failures.get(&place).map_or("", |kind| kind);
                let mut values = vec![i.into(), place.0.into(), place.1.into(), failure.into()];
                values.extend(self.values(x));
                values.extend(y.iter().map(|v| if v.is_finite() { Value::from(*v) } else { Value::Null }));
                sink.row(values).map_err(|error| writing.files.failed(file, error))?;
            }
        }
        match open {
            Some((file, sink)) => writing.end("labels", file, Some(self.problem.variant.clone()), sink),
            None => Ok(()),
        }
    }
}

/// Batch and row of every point that was asked for, in the order of `labels.npy`.
fn places(run: &Run, records: &[EntryRecord], labels: &Array2<f64>) -> Result<Vec<(usize, usize)>, ReportError> {
    let mut sizes: Vec<usize> = run.checkpoint()?.batches.iter().map(|batch| batch.x.nrows()).collect();
    if sizes.iter().sum::<usize>() != labels.nrows() {
        // Of a run that is done the checkpoint is gone.
        sizes = records.iter().filter_map(|record| Some(record.choice.as_ref()?.n_queries)).collect();
        sizes.insert(0, labels.nrows().saturating_sub(sizes.iter().sum()));
    }
    Ok(sizes.into_iter().enumerate().flat_map(|(batch, n)| (0..n).map(move |row| (batch, row))).collect())
}

/// Columns whose names differ from the fixed ones of their table and from each other, whatever their case.
fn apart(name: &str, columns: Vec<ColumnCard>) -> Vec<ColumnCard> {
    let fixed = table(name).map(super::TableCard::columns).unwrap_or_default();
    let mut taken: BTreeSet<String> = fixed.into_iter().map(|column| column.name.to_lowercase()).collect();
    let named = |mut column: ColumnCard| {
        while column.name.is_empty() || !taken.insert(column.name.to_lowercase()) {
            column.name.push('_');
        }
        column
    };
    columns.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_are_apart() {
        let column = |name: &str| ColumnCard {
            name: name.into(),
            kind: ColumnKind::Real,
            unit: String::new(),
            about: String::new(),
        };
        let named = apart("queries", ["run", "a", "A", "", "entry"].map(column).to_vec());
        let names: Vec<&str> = named.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["run_", "a", "A_", "_", "entry_"]);
    }
}
