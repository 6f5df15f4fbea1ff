//! Labels as cells of CSV.

use anyhow::Result;

use crate::output::number;

/// A first cell and others as CSV, without the end of the line.
pub(super) fn line_of<'a>(first: &'a str, others: impl Iterator<Item = &'a str>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(std::iter::once(first).chain(others))?;
    Ok(String::from_utf8(writer.into_inner()?)?.trim_end_matches('\n').to_owned())
}

pub(super) fn header(n_outputs: usize) -> String {
    (0..n_outputs).map(|j| format!("y{j}")).collect::<Vec<_>>().join(",")
}

pub(super) fn cells(label: Option<&[f64]>, n_outputs: usize) -> String {
    match label {
        Some(values) => values.iter().map(|&v| number(v)).collect::<Vec<_>>().join(","),
        // One empty cell alone would be a blank line, which readers of CSV skip.
        None if n_outputs == 1 => "\"\"".into(),
        None => ",".repeat(n_outputs - 1),
    }
}
