//! Reading tables of numbers: CSV with located errors, and NumPy arrays of members' predictions.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use dal_core::{SettingCard, SettingError, Settings};
use ndarray::{Array2, Array3};

/// A table of numbers with its column names.
#[derive(Debug)]
pub struct NumberTable {
    /// Column names; `None` where the first line holds numbers already.
    pub header: Option<Vec<String>>,
    /// Shape (rows, columns).
    pub values: Array2<f64>,
}

/// A table as it is written, with its column names.
#[derive(Debug)]
pub struct TextTable {
    /// Column names; `None` where the first line holds numbers already.
    pub header: Option<Vec<String>>,
    /// 1-based line, as editors count, and cells of each row; as many cells as there are columns, and at least one row.
    pub rows: Vec<(u64, Vec<String>)>,
}

impl TextTable {
    /// The name of a column: the header's, or its 1-based number.
    pub fn name(&self, column: usize) -> String {
        self.header.as_ref().map_or_else(|| format!("{}", column + 1), |names| names[column].clone())
    }
}

/// Reads CSV; `-` is standard input. Lines of other than the first line's width and tables without a row are errors.
pub fn read_text(path: &Path) -> Result<TextTable> {
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
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("{shown}: cannot be read as CSV"))?;
        let line = record.position().map_or(0, csv::Position::line);
        let expected = *width.get_or_insert(record.len());
        if record.len() != expected {
            bail!("{shown}, line {line}: {} columns where the first line has {expected}", record.len());
        }
        let cells: Vec<String> = record.iter().map(str::to_owned).collect();
        if header.is_none() && rows.is_empty() && cells.iter().any(|cell| cell.parse::<f64>().is_err()) {
            header = Some(cells.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect());
        } else {
            rows.push((line, cells));
        }
    }
    if rows.is_empty() {
        bail!("{shown}: holds no rows of numbers");
    }
    Ok(TextTable { header, rows })
}

/// Reads CSV with finite numbers in every cell; `-` is standard input. Beside what [`read_text`] refuses, cells that are no
/// finite numbers are errors that name the line and the column.
pub fn read_numbers(path: &Path) -> Result<NumberTable> {
    let shown = path.display();
    let table = read_text(path)?;
    let mut values = Vec::new();
    for (line, cells) in &table.rows {
        for (column, cell) in cells.iter().enumerate() {
            match cell.parse::<f64>() {
                Ok(value) if value.is_finite() => values.push(value),
                Ok(value) => {
                    bail!("{shown}, line {line}, column {}: {value}; every value must be finite", table.name(column))
                }
                Err(_) => bail!("{shown}, line {line}, column {}: {cell:?} is not a number", table.name(column)),
            }
        }
    }
    let n_rows = table.rows.len();
    let values = Array2::from_shape_vec((n_rows, values.len() / n_rows), values).expect("rows have equal width");
    Ok(NumberTable { header: table.header, values })
}

/// Reads members' predictions, shape (members, points, outputs), from a NumPy file of 64- or 32-bit floats.
pub fn read_members(path: &Path) -> Result<Array3<f64>> {
    let shown = path.display();
    let open = || File::open(path).with_context(|| format!("{shown}: cannot be opened"));
    if let Some((promised, size)) = missing_bytes(path).with_context(|| format!("{shown}: cannot be opened"))? {
        bail!(
            "{shown}: its header promises {promised} bytes of numbers, the file has {size}: it is cut short or damaged"
        );
    }
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

/// Of a NumPy file of floats whose header promises more than the file holds: how many bytes of numbers it promises, and how large
/// the file is. Memory is asked for by the header, so a damaged one would end the program.
fn missing_bytes(path: &Path) -> Result<Option<(u128, u64)>> {
    let size = std::fs::metadata(path)?;
    if !size.is_file() {
        // A pipe has no size, and what is read of it here is lost.
        return Ok(None);
    }
    let mut start = Vec::new();
    File::open(path)?.take(1 << 12).read_to_end(&mut start)?;
    let text = String::from_utf8_lossy(&start);
    let behind = |key: &str, open: char, close: char| -> Option<&str> {
        text.split_once(key)?.1.split_once(open)?.1.split_once(close).map(|(value, _)| value)
    };
    // What is not found here, or is of another type, the reader refuses with a reason of its own.
    let item = match behind("'descr':", '\'', '\'') {
        Some("<f8" | ">f8") => 8,
        Some("<f4" | ">f4") => 4,
        _ => return Ok(None),
    };
    let Some(shape) = behind("'shape'", '(', ')') else { return Ok(None) };
    let sizes = shape.split(',').map(|size| size.trim().parse::<u128>().ok()).take_while(Option::is_some).flatten();
    let promised = sizes.fold(item, u128::saturating_mul);
    Ok((promised > u128::from(size.len())).then_some((promised, size.len())))
}

/// Parses repeated `--set key=value`, each value as its card takes it; an unknown key stays, for the owner of the settings
/// to refuse.
pub fn settings(pairs: &[String], cards: &[SettingCard]) -> Result<Settings> {
    let mut settings = Settings::default();
    for pair in pairs {
        let Some((key, text)) = pair.split_once('=') else {
            bail!("--set {pair}: write key=value");
        };
        let (key, text) = (key.trim(), text.trim());
        if settings.get(key).is_some() {
            bail!("--set {key}: given twice");
        }
        let card = cards.iter().find(|card| card.key == key);
        settings.insert(key, card.map_or_else(|| text.into(), |card| card.value_of(text)));
    }
    Ok(settings)
}

/// An error about what a flag or argument says: that of the setting it names is `--set`, of the id the id itself.
pub fn refused(error: SettingError) -> anyhow::Error {
    if error.key == "id" { error.into() } else { anyhow::anyhow!("--set {}: {error}", error.key) }
}
