//! Reading tables of numbers: CSV with located errors, and NumPy arrays of members' predictions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ndarray::{Array2, Array3};

/// A table of numbers with its column names.
#[derive(Debug)]
pub struct NumberTable {
    /// Column names; `None` where the first line holds numbers already.
    pub header: Option<Vec<String>>,
    /// Shape (rows, columns).
    pub values: Array2<f64>,
}

/// Reads CSV with finite numbers in every cell; `-` is standard input. Lines of other than the first line's width, cells
/// that are no finite numbers and empty tables are errors that name the line (1-based, as editors count) and the column.
pub fn read_numbers(path: &Path) -> Result<NumberTable> {
    read_with_levels(path, &|_| &[])
}

/// As [`read_numbers`], where a column may hold words: `levels(name)` lists them, and each becomes its 0-based number.
pub fn read_with_levels<'a>(path: &Path, levels: &dyn Fn(&str) -> &'a [String]) -> Result<NumberTable> {
    let shown = path.display();
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(path).with_context(|| format!("{shown}: cannot be opened"))?)
    };
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(source);
    let mut header: Option<Vec<String>> = None;
    let mut width = None;
    let mut values = Vec::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("{shown}: cannot be read as CSV"))?;
        let line = record.position().map_or(0, csv::Position::line);
        let expected = *width.get_or_insert(record.len());
        if record.len() != expected {
            bail!("{shown}, line {line}: {} columns where the first line has {expected}", record.len());
        }
        if header.is_none() && values.is_empty() && record.iter().any(|cell| cell.parse::<f64>().is_err()) {
            header = Some(record.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect());
            continue;
        }
        for (column, cell) in record.iter().enumerate() {
            let name = match &header {
                Some(names) => names[column].clone(),
                None => format!("{}", column + 1),
            };
            let known = levels(&name);
            if !known.is_empty() {
                match known.iter().position(|level| level == cell) {
                    Some(level) => values.push(level as f64),
                    None => bail!("{shown}, line {line}, column {name}: {cell:?} is none of {}", known.join(", ")),
                }
                continue;
            }
            match cell.parse::<f64>() {
                Ok(value) if value.is_finite() => values.push(value),
                Ok(value) => bail!("{shown}, line {line}, column {name}: {value}; every value must be finite"),
                Err(_) => bail!("{shown}, line {line}, column {name}: {cell:?} is not a number"),
            }
        }
    }
    let columns = width.unwrap_or(0);
    if values.is_empty() {
        bail!("{shown}: holds no rows of numbers");
    }
    let values = Array2::from_shape_vec((values.len() / columns, columns), values).expect("rows have equal width");
    Ok(NumberTable { header, values })
}

/// Reads members' predictions, shape (members, points, outputs), from a NumPy file of 64- or 32-bit floats.
pub fn read_members(path: &Path) -> Result<Array3<f64>> {
    let shown = path.display();
    let open = || File::open(path).with_context(|| format!("{shown}: cannot be opened"));
    let wide = <Array3<f64> as ndarray_npy::ReadNpyExt>::read_npy(open()?);
    let members = match wide {
        Ok(members) => members,
        Err(first) => match <Array3<f32> as ndarray_npy::ReadNpyExt>::read_npy(open()?) {
            Ok(members) => members.mapv(f64::from),
            Err(_) => bail!("{shown}: is no NumPy array of floats with shape (members, pool points, outputs): {first}"),
        },
    };
    Ok(members)
}

/// Parses repeated `--set key=value`.
pub fn settings(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    let mut settings = BTreeMap::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            bail!("--set {pair}: write key=value");
        };
        if settings.insert(key.trim().to_owned(), value.trim().to_owned()).is_some() {
            bail!("--set {key}: given twice");
        }
    }
    Ok(settings)
}
