//! An oracle that is a table of inputs and outputs, CSV or Parquet: its rows are the only points with labels.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use dal_core::{LabelFailure, LabelFailureKind, OnRow, Oracle, OracleError, Stop, check_unit_box};
use ndarray::{Array2, ArrayView1, ArrayView2};

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

/// The oracle that looks points up in a table.
#[derive(Debug)]
pub struct TableOracle {
    /// Row of `y` of each point, by the bits of its coordinates on the unit box.
    rows: HashMap<Box<[u64]>, usize>,
    y: Array2<f64>,
    n_inputs: usize,
    name: String,
}

impl TableOracle {
    /// Reads the table; gives its distinct points, shape (n, columns), beside the oracle.
    pub(super) fn open(
        path: &Path,
        inputs: &Inputs,
        outputs: &[String],
        duplicates: Duplicates,
    ) -> Result<(Self, Array2<f64>), ProblemFileError> {
        let n_inputs = inputs.space().n_columns();
        let names: Vec<&str> = inputs.names().iter().chain(outputs).map(String::as_str).collect();
        let fault = |place: &str, problem: String| ProblemFileError::Data {
            path: path.to_owned(),
            place: place.to_owned(),
            problem,
        };
        let mut rows = HashMap::new();
        let (mut x, mut y, mut counts) = (Vec::new(), Vec::<f64>::new(), Vec::<f64>::new());
        let mut first_seen = Vec::<String>::new();
        for_each_row(path, &names, &mut |place, fields| {
            let (point, label) = fields.split_at(inputs.names().len());
            let mut values = Vec::with_capacity(point.len());
            for (index, field) in point.iter().enumerate() {
                let value = inputs.parse(index, field);
                values.push(value.map_err(|problem| fault(place, format!("column `{}`: {problem}", names[index])))?);
            }
            let mut answer = Vec::with_capacity(label.len());
            for (field, name) in label.iter().zip(outputs) {
                match field.trim().parse::<f64>() {
                    Ok(v) if v.is_finite() => answer.push(v),
                    _ => return Err(fault(place, format!("column `{name}`: `{field}` is not a finite number"))),
                }
            }
            let unit = inputs.space().to_unit(&values).map_err(|e| fault(place, e.to_string()))?;
            match rows.entry(key(unit.iter())) {
                Entry::Vacant(entry) => {
                    entry.insert(counts.len());
                    x.extend(unit);
                    y.extend(answer);
                    counts.push(1.0);
                    first_seen.push(place.to_owned());
                }
                Entry::Occupied(entry) => {
                    let row = *entry.get();
                    let known = &mut y[row * outputs.len()..(row + 1) * outputs.len()];
                    match duplicates {
                        Duplicates::First => {}
                        Duplicates::Error if *known == answer[..] => {}
                        Duplicates::Error => {
                            let problem = format!(
                                "the inputs are those of {}, the outputs differ; set duplicates = \"mean\" or \"first\"",
                                first_seen[row]
                            );
                            return Err(fault(place, problem));
                        }
                        Duplicates::Mean => {
                            counts[row] += 1.0;
                            known.iter_mut().zip(&answer).for_each(|(mean, v)| *mean += (v - *mean) / counts[row]);
                        }
                    }
                }
            }
            Ok(())
        })?;
        let n = counts.len();
        if n == 0 {
            return Err(fault("the whole file", "it has no rows".into()));
        }
        let shape = |columns, values| Array2::from_shape_vec((n, columns), values).expect("rows were added whole");
        let oracle = Self { rows, y: shape(outputs.len(), y), n_inputs, name: path.display().to_string() };
        Ok((oracle, shape(n_inputs, x)))
    }
}

/// Bits that are equal exactly where the coordinates are; adding zero makes −0 and 0 one.
fn key<'a>(point: impl Iterator<Item = &'a f64>) -> Box<[u64]> {
    point.map(|v| (v + 0.0).to_bits()).collect()
}

impl Oracle for TableOracle {
    fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    fn n_outputs(&self) -> usize {
        self.y.ncols()
    }

    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs)?;
        for (i, point) in x.outer_iter().enumerate() {
            let answer = match self.rows.get(&key(point.iter())) {
                Some(&row) => Ok(self.y.row(row).to_slice().expect("labels are row-major")),
                None => Err(self.refusal(point)),
            };
            if on_row(i, answer).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl TableOracle {
    fn refusal(&self, point: ArrayView1<'_, f64>) -> LabelFailure {
        let message = format!("the table {} has no row at the unit-box point {point}", self.name);
        LabelFailure::new(LabelFailureKind::Refused, message)
    }
}

/// The smallest and largest number in a column, for a bound that is left to the data.
pub(super) fn range(path: &Path, column: &str) -> Result<(f64, f64), ProblemFileError> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for_each_row(path, &[column], &mut |place, fields| match fields[0].trim().parse::<f64>() {
        Ok(v) if v.is_finite() => {
            (low, high) = (low.min(v), high.max(v));
            Ok(())
        }
        _ => Err(ProblemFileError::Data {
            path: path.to_owned(),
            place: place.to_owned(),
            problem: format!("column `{column}`: `{}` is not a finite number", fields[0]),
        }),
    })?;
    Ok((low, high))
}

type OnFields<'a> = dyn FnMut(&str, &[&str]) -> Result<(), ProblemFileError> + 'a;

/// Hands out the wanted columns of each row, with words for where it stands.
fn for_each_row(path: &Path, names: &[&str], on_fields: &mut OnFields<'_>) -> Result<(), ProblemFileError> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) {
        return for_each_parquet_row(path, names, on_fields);
    }
    let fault = |place: String, problem: String| ProblemFileError::Data { path: path.to_owned(), place, problem };
    let mut reader = csv::Reader::from_path(path).map_err(|e| fault("the whole file".into(), e.to_string()))?;
    let header = reader.headers().map_err(|e| fault("the header".into(), e.to_string()))?.clone();
    let columns = find_columns(path, names, &header.iter().map(str::trim).collect::<Vec<_>>())?;
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {
                let place = format!("line {}", record.position().map_or(0, csv::Position::line));
                on_fields(&place, &columns.iter().map(|&column| &record[column]).collect::<Vec<_>>())?;
            }
            Err(e) => {
                let place = e.position().map_or("a row".to_owned(), |position| format!("line {}", position.line()));
                return Err(fault(place, e.to_string()));
            }
        }
    }
}

fn find_columns(path: &Path, names: &[&str], header: &[&str]) -> Result<Vec<usize>, ProblemFileError> {
    let find = |name: &&str| {
        let fault = |problem| ProblemFileError::Data { path: path.to_owned(), place: "the header".into(), problem };
        let mut found = header.iter().enumerate().filter(|(_, column)| *column == name).map(|(at, _)| at);
        let at = found.next().ok_or_else(|| fault(format!("no column `{name}`; it has {}", header.join(", "))))?;
        if found.next().is_some() { Err(fault(format!("two columns `{name}`"))) } else { Ok(at) }
    };
    names.iter().map(find).collect()
}

#[cfg(not(feature = "parquet"))]
fn for_each_parquet_row(path: &Path, _: &[&str], _: &mut OnFields<'_>) -> Result<(), ProblemFileError> {
    Err(ProblemFileError::Data {
        path: path.to_owned(),
        place: "the whole file".into(),
        problem: "this build does not read Parquet: build with the feature `parquet`, or give the table as CSV".into(),
    })
}

/// The reader panics on some damaged files; that must not end the program, so it is an error like the others.
#[cfg(feature = "parquet")]
fn for_each_parquet_row(path: &Path, names: &[&str], on_fields: &mut OnFields<'_>) -> Result<(), ProblemFileError> {
    let reading = std::panic::AssertUnwindSafe(|| read_parquet_rows(path, names, on_fields));
    std::panic::catch_unwind(reading).unwrap_or_else(|_| {
        let problem = "the file is damaged: the Parquet reader gave up on it".into();
        Err(ProblemFileError::Data { path: path.to_owned(), place: "the whole file".into(), problem })
    })
}

#[cfg(feature = "parquet")]
fn read_parquet_rows(path: &Path, names: &[&str], on_fields: &mut OnFields<'_>) -> Result<(), ProblemFileError> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    let fault = |place: String, problem: String| ProblemFileError::Data { path: path.to_owned(), place, problem };
    let whole = |e: &dyn std::fmt::Display| fault("the whole file".into(), e.to_string());
    let file = std::fs::File::open(path).map_err(|e| whole(&e))?;
    let reader = SerializedFileReader::new(file).map_err(|e| whole(&e))?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let header: Vec<String> = schema.root_schema().get_fields().iter().map(|field| field.name().to_owned()).collect();
    let columns = find_columns(path, names, &header.iter().map(String::as_str).collect::<Vec<_>>())?;
    for (number, row) in reader.get_row_iter(None).map_err(|e| whole(&e))?.enumerate() {
        let place = format!("row {number}");
        let row = row.map_err(|e| fault(place.clone(), e.to_string()))?;
        let all: Vec<&Field> = row.get_column_iter().map(|(_, field)| field).collect();
        let text: Vec<String> = columns
            .iter()
            .map(|&column| match all[column] {
                // These two are shown with other digits or quotes than the value has.
                Field::Float(v) => v.to_string(),
                Field::Double(v) => v.to_string(),
                Field::Str(text) => text.clone(),
                Field::Null => String::new(),
                other => other.to_string(),
            })
            .collect();
        on_fields(&place, &text.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

#[cfg(all(test, feature = "parquet"))]
mod parquet_tests {
    use super::*;
    use crate::testing::all_labels;
    use dal_core::{Dimension, Scale};
    use ndarray::array;
    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// Three rows: a material, a count, a number with all its digits, an output in single precision, one that may be null.
    fn write(path: &Path, compression: Compression) {
        let schema = "message table { required binary material (UTF8); required int64 n; required double a; \
                      required float y; optional double z; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut writer = SerializedFileWriter::new(std::fs::File::create(path).unwrap(), schema, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let words: Vec<ByteArray> = ["steel", "carbon", "steel"].map(ByteArray::from).to_vec();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&words, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[2, 3, 4], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[0.1 + 0.2, 0.5, 1e-20], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<FloatType>().write_batch(&[1.5, 2.5, 3.25], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[1.0, 2.0], Some(&[1, 0, 1]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    }

    fn inputs() -> Inputs {
        Inputs::new(vec![
            ("a".into(), vec![], Dimension::Continuous { low: 0.0, high: 1.0, scale: Scale::Linear }),
            ("n".into(), vec![], Dimension::Integer { low: 2, high: 4 }),
            ("material".into(), vec!["steel".into(), "carbon".into()], Dimension::Categorical { n_levels: 2 }),
        ])
        .unwrap()
    }

    #[test]
    fn columns_of_every_common_type_are_read_in_every_pure_compression() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::LZ4_RAW,
            Compression::GZIP(Default::default()),
        ] {
            write(&path, compression);
            let (oracle, x) = TableOracle::open(&path, &inputs(), &["y".into()], Duplicates::Error).unwrap();
            assert_eq!(all_labels(&oracle, x.view()), array![[1.5], [2.5], [3.25]]);
            assert_eq!(x.column(0)[0], 2.0 * (0.1 + 0.2) - 1.0);
            assert_eq!(x.row(1).to_vec(), [0.0, 0.0, -1.0, 1.0]);
            assert_eq!(range(&path, "n").unwrap(), (2.0, 4.0));
        }
        let error = TableOracle::open(&path, &inputs(), &["z".into()], Duplicates::Error).unwrap_err().to_string();
        assert!(error.contains("row 1") && error.contains("`z`"), "{error}");
        let error = TableOracle::open(&path, &inputs(), &["w".into()], Duplicates::Error).unwrap_err().to_string();
        assert!(error.contains("no column `w`"), "{error}");
    }

    #[test]
    fn damage_is_an_error_or_another_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        write(&path, Compression::SNAPPY);
        let good = std::fs::read(&path).unwrap();
        let open = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            TableOracle::open(&path, &inputs(), &["y".into()], Duplicates::Error)
        };
        for end in (0..good.len()).step_by(3) {
            assert!(open(&good[..end]).is_err(), "{end} bytes were taken");
        }
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            if let Ok((oracle, x)) = open(&bytes) {
                all_labels(&oracle, x.view());
            }
        }
    }
}
