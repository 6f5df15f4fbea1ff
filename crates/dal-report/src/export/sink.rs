//! One table being written, as CSV (gzip or not) or Parquet.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::schema::{ColumnCard, ColumnKind};

/// A cell that a spreadsheet would take as a formula begins with one of these; so does a text that was guarded.
const GUARDED: [char; 7] = ['=', '+', '-', '@', '\'', '\t', '\r'];

/// A text as a cell of a CSV file: an apostrophe in front of what would begin a formula, and of an apostrophe.
pub(crate) fn guarded(text: &str) -> String {
    if text.starts_with(GUARDED) { format!("'{text}") } else { text.to_owned() }
}

/// The text behind [`guarded`].
pub(super) fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if text.starts_with(GUARDED) => text,
        _ => cell,
    }
}

/// How tables are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExportFormat {
    /// Comma-separated values after RFC 4180 in UTF-8, with a header.
    #[default]
    Csv,
    /// The same, gzip.
    CsvGz,
    /// Parquet, in builds with the feature `parquet`.
    Parquet,
}

impl ExportFormat {
    /// What its files end with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::CsvGz => "csv.gz",
            Self::Parquet => "parquet",
        }
    }
}

/// A table that takes row after row.
pub(super) struct Sink {
    columns: Vec<ColumnCard>,
    digits: Option<usize>,
    rows: usize,
    to: To,
}

enum To {
    Csv(Box<csv::Writer<BufWriter<File>>>),
    CsvGz(Box<csv::Writer<GzEncoder<BufWriter<File>>>>),
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::Parquet>),
}

impl Sink {
    /// A table with these columns; real numbers are rounded to so many significant digits.
    pub(super) fn new(
        file: File,
        format: ExportFormat,
        columns: Vec<ColumnCard>,
        digits: Option<usize>,
    ) -> io::Result<Self> {
        let file = BufWriter::new(file);
        let mut to = match format {
            ExportFormat::Csv => To::Csv(Box::new(csv::Writer::from_writer(file))),
            ExportFormat::CsvGz => {
                To::CsvGz(Box::new(csv::Writer::from_writer(GzEncoder::new(file, Compression::best()))))
            }
            #[cfg(feature = "parquet")]
            ExportFormat::Parquet => To::Parquet(Box::new(super::parquet::Parquet::new(file, &columns)?)),
            #[cfg(not(feature = "parquet"))]
            ExportFormat::Parquet => return Err(io::Error::new(io::ErrorKind::Unsupported, super::NO_PARQUET)),
        };
        let header = columns.iter().map(|column| guarded(&column.name));
        match &mut to {
            To::Csv(csv) => csv.write_record(header)?,
            To::CsvGz(csv) => csv.write_record(header)?,
            #[cfg(feature = "parquet")]
            To::Parquet(_) => drop(header),
        }
        Ok(Self { columns, digits, rows: 0, to })
    }

    pub(super) fn columns(&self) -> &[ColumnCard] {
        &self.columns
    }

    /// A row, one value per column; null where there is none.
    pub(super) fn row(&mut self, mut values: Vec<Value>) -> io::Result<()> {
        self.rows += 1;
        for (value, column) in values.iter_mut().zip(&self.columns) {
            if let (ColumnKind::Real, Some(digits)) = (column.kind, self.digits)
                && let Some(number) = value.as_f64()
            {
                *value = rounded(number, digits).into();
            }
        }
        match &mut self.to {
            To::Csv(csv) => Ok(csv.write_record(values.iter().zip(&self.columns).map(|(v, c)| cell(v, c.kind)))?),
            To::CsvGz(csv) => Ok(csv.write_record(values.iter().zip(&self.columns).map(|(v, c)| cell(v, c.kind)))?),
            #[cfg(feature = "parquet")]
            To::Parquet(parquet) => parquet.row(values),
        }
    }

    /// Writes what is left; returns how many rows there are.
    pub(super) fn finish(self) -> io::Result<usize> {
        let file = match self.to {
            To::Csv(csv) => csv.into_inner().map_err(|error| io::Error::other(error.to_string()))?,
            To::CsvGz(csv) => csv.into_inner().map_err(|error| io::Error::other(error.to_string()))?.finish()?,
            #[cfg(feature = "parquet")]
            To::Parquet(parquet) => parquet.finish()?,
        };
        let mut file = file;
        file.flush()?;
        Ok(self.rows)
    }
}

/// A number with so many significant digits.
fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value)
}

/// A value as a cell: numbers as the shortest text that reads back the same.
fn cell(value: &Value, kind: ColumnKind) -> String {
    match (value, kind) {
        (Value::Null, _) => String::new(),
        (_, ColumnKind::Json) => value.to_string(),
        (Value::Number(number), ColumnKind::Real) => {
            number.as_f64().map_or_else(|| number.to_string(), |number| format!("{number:?}"))
        }
        (Value::String(text), _) => guarded(text),
        (other, _) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_begins_a_formula_and_each_reads_back() {
        for text in ["=1+1", "+1", "-2", "@x", "\tx", "'", "'=1", "it's", "a=b", "", "''"] {
            let cell = guarded(text);
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
            assert_eq!(unguarded(&cell), text);
        }
    }

    #[test]
    fn numbers_are_rounded_to_digits_and_else_read_back() {
        assert_eq!(cell(&rounded(0.123_456_789, 4).into(), ColumnKind::Real), "0.1235");
        assert_eq!(cell(&rounded(-1.999_99e-12, 3).into(), ColumnKind::Real), "-2e-12");
        for value in [1.0 / 3.0, 1e300, -0.0, 5e-324_f64] {
            let text = cell(&value.into(), ColumnKind::Real);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{text}");
        }
    }
}
