//! A report's data from the tables of an export.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::rows::{CircumstancesRow, DamagedRow, EntryRow, FailureRow, MemberRow, OutputRow, RunRow, SweepRow};
use super::schema::{ColumnKind, table};
use super::sink::unguarded;
use super::{FORMAT, SCHEMA, Schema};
use crate::data::{Entry, ReportData, RunStatus, RunSummary};
use crate::error::ReportError;

/// Whether a directory holds an export.
pub fn is_export(dir: &Path) -> bool {
    dir.join(SCHEMA).is_file()
}

/// The tables of the export in a directory, by their files; none where no such stands there.
pub(super) fn listed(dir: &Path) -> Vec<String> {
    let schema = fs::read_to_string(dir.join(SCHEMA)).ok().and_then(|text| serde_json::from_str::<Schema>(&text).ok());
    let files = schema.into_iter().flat_map(|schema| schema.tables).map(|table| table.file);
    files.filter(|file| Path::new(file).file_name().is_some_and(|name| name == file.as_str())).collect()
}

/// Reads an export: the page made of it is the page made of the store, as far as the tables were exported and in full
/// precision.
///
/// # Errors
/// A directory that holds no export, or one of another format; a table that is missing, cut short or says what it
/// should not, with file and line.
pub fn read_export(dir: &Path) -> Result<ReportData, ReportError> {
    let path = dir.join(SCHEMA);
    let text =
        fs::read_to_string(&path).map_err(|source| ReportError::Io { path: path.clone(), action: "read", source })?;
    let schema: Schema =
        serde_json::from_str(&text).map_err(|e| damaged(&path, Some(e.line() as u64), e.to_string()))?;
    if schema.format != FORMAT {
        let reason = format!("this export has format {}, this program reads {FORMAT}", schema.format);
        return Err(damaged(&path, None, reason));
    }
    let tables = Tables { dir, schema: &schema };
    let mut data = ReportData { source: schema.source.clone(), ..ReportData::default() };
    data.sweeps = tables.due::<SweepRow>("sweeps")?.into_iter().map(Into::into).collect();
    data.provenance = tables.due::<CircumstancesRow>("circumstances")?.into_iter().map(Into::into).collect();
    let circumstances: Vec<_> = data.provenance.iter().map(|(how, _)| Arc::new(how.clone())).collect();
    let runs = dir.join("runs");
    for (i, row) in tables.due::<RunRow>("runs")?.into_iter().enumerate() {
        if row.run != i {
            return Err(damaged(&runs, None, format!("run {} where {i} is due", row.run)));
        }
        let how = match row.circumstances {
            None => None,
            Some(row) => {
                let there = circumstances.get(row).cloned();
                let missing = || damaged(&runs, None, format!("run {i} is of row {row} of `circumstances`, not there"));
                Some(there.ok_or_else(missing)?)
            }
        };
        let looks_differ = row.looks_differ == Some(true);
        let run = row.into_run().map_err(|reason| damaged(&runs, None, reason))?;
        if looks_differ {
            data.planned_twice.insert(run.name.clone());
        }
        data.runs.push(RunSummary { circumstances: how, ..run });
    }
    let stands_in = schema.tables.iter().all(|table| table.name != "members");
    for row in tables.due::<EntryRow>("entries")? {
        let due = data.runs.get(row.run).map(|run| run.entries.len());
        if due != Some(row.entry) {
            let reason = format!("entry {} of run {} is out of order", row.entry, row.run);
            return Err(damaged(&dir.join("entries"), None, reason));
        }
        let run = &mut data.runs[row.run];
        if row.entry > run.protocol.steps {
            let reason =
                format!("run {} has an entry {}, more than its {} steps", row.run, row.entry, run.protocol.steps);
            return Err(damaged(&dir.join("entries"), None, reason));
        }
        run.entries.push(row.into_entry(stands_in).map_err(|reason| damaged(&dir.join("entries"), None, reason))?);
    }
    if let Some((a, b)) = same_cell_and_seed(&data) {
        let mut reason =
            format!("{} and {} are of one method, problem, pool ratio and seed, and both finished", a.name, b.name);
        if a.own && a.model.problem_digest.is_empty() {
            reason +=
                "; tables of older versions do not tell versions of a user's problem apart: export the store again";
        }
        return Err(damaged(&runs, None, reason));
    }
    tables.add::<MemberRow>("members", &mut data, |row| (row.run, row.entry), MemberRow::add_to)?;
    tables.add::<OutputRow>("outputs", &mut data, |row| (row.run, row.entry), OutputRow::add_to)?;
    tables.add::<FailureRow>("failures", &mut data, |row| (row.run, row.entry), FailureRow::add_to)?;
    let unreadable = tables.rows::<DamagedRow>("damaged")?.unwrap_or_default();
    data.unreadable = unreadable.into_iter().map(|row| (row.name, row.why)).collect();
    Ok(data)
}

/// Two finished runs that are of the same cell and seed, under one protocol, with one model: no store has such.
fn same_cell_and_seed(data: &ReportData) -> Option<(&RunSummary, &RunSummary)> {
    let mut known = HashMap::new();
    data.runs.iter().filter(|run| run.status == RunStatus::Done).find_map(|run| {
        let of_model = (&run.setting, &run.protocol, &run.model);
        let other = known.insert((of_model, &run.problem, &run.strategy, run.pool_ratio, run.seed), run);
        other.map(|other| (other, run))
    })
}

fn damaged(path: &Path, line: Option<u64>, reason: impl Into<String>) -> ReportError {
    ReportError::Export { path: path.to_owned(), line, reason: reason.into() }
}

struct Tables<'a> {
    dir: &'a Path,
    schema: &'a Schema,
}

impl Tables<'_> {
    fn due<R: DeserializeOwned>(&self, name: &str) -> Result<Vec<R>, ReportError> {
        let missing =
            || damaged(&self.dir.join(SCHEMA), None, format!("it lists no table `{name}`, which a report needs"));
        self.rows(name)?.ok_or_else(missing)
    }

    /// Adds rows to the entries that they belong to.
    fn add<R: DeserializeOwned>(
        &self,
        name: &str,
        data: &mut ReportData,
        place: impl Fn(&R) -> (usize, usize),
        add: impl Fn(R, &mut Entry) -> Result<(), String>,
    ) -> Result<(), ReportError> {
        for row in self.rows::<R>(name)?.unwrap_or_default() {
            let (run, entry) = place(&row);
            let to = data.runs.get_mut(run).and_then(|run| run.entries.get_mut(entry));
            let of = || format!("a row is of entry {entry} of run {run}, which is not there");
            let added = to.ok_or_else(of).and_then(|to| add(row, to));
            added.map_err(|reason| damaged(&self.dir.join(name), None, reason))?;
        }
        Ok(())
    }

    /// The rows of a table, if the export has it.
    fn rows<R: DeserializeOwned>(&self, name: &str) -> Result<Option<Vec<R>>, ReportError> {
        let (Some(listed), Some(card)) = (self.schema.tables.iter().find(|t| t.name == name), table(name)) else {
            return Ok(None);
        };
        let path = self.dir.join(&listed.file);
        let mut reader = csv::ReaderBuilder::new().from_reader(open(&path)?);
        let wrong = |error: csv::Error| damaged(&path, error.position().map(csv::Position::line), error.to_string());
        let header = reader.headers().map_err(wrong)?.clone();
        // Read as empty it would change figures without a word.
        let is_there = |name: &str| header.iter().any(|cell| cell == name);
        if let Some(lost) = listed.columns.iter().find(|column| !is_there(&column.name)) {
            let reason = format!("it has no column `{}`, which {SCHEMA} lists", lost.name);
            return Err(damaged(&path, Some(1), reason));
        }
        let columns: Vec<_> = card
            .columns()
            .into_iter()
            .map(|column| (header.iter().position(|cell| cell == column.name), column))
            .collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            let line = record.position().map(csv::Position::line);
            let mut object = Map::new();
            for (place, column) in &columns {
                // A table of an older version: what it did not know yet takes the field's default, as a null does not.
                if place.is_none() && column.kind != ColumnKind::Text {
                    continue;
                }
                let cell = place.and_then(|place| record.get(place)).unwrap_or_default();
                let value = value(cell, column.kind).ok_or_else(|| {
                    damaged(&path, line, format!("column {}: {cell:?} is no value of it", column.name))
                })?;
                object.insert(column.name.clone(), value);
            }
            let row = serde_json::from_value(Value::Object(object));
            rows.push(row.map_err(|error| damaged(&path, line, error.to_string()))?);
        }
        if rows.len() != listed.rows {
            let reason = format!("{} rows where {SCHEMA} says {}", rows.len(), listed.rows);
            return Err(damaged(&path, None, reason));
        }
        Ok(Some(rows))
    }
}

fn open(path: &PathBuf) -> Result<Box<dyn Read>, ReportError> {
    if path.extension().is_some_and(|extension| extension == "parquet") {
        return Err(damaged(path, None, "reports are made of CSV: export the store with --format csv"));
    }
    let file = File::open(path).map_err(|source| ReportError::Io { path: path.clone(), action: "read", source })?;
    let file = std::io::BufReader::new(file);
    Ok(if path.extension().is_some_and(|e| e == "gz") { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// A cell's value; `None` if it is none of its kind.
fn value(cell: &str, kind: ColumnKind) -> Option<Value> {
    if kind == ColumnKind::Text {
        return Some(unguarded(cell).into());
    }
    if cell.is_empty() {
        return Some(Value::Null);
    }
    match kind {
        ColumnKind::Text => None,
        ColumnKind::Integer => cell.parse::<u64>().ok().map(Value::from),
        ColumnKind::Real => cell.parse::<f64>().ok().filter(|v| v.is_finite()).map(Value::from),
        ColumnKind::Boolean => cell.parse::<bool>().ok().map(Value::from),
        ColumnKind::Json => serde_json::from_str(cell).ok(),
    }
}
