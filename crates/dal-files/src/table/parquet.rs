//! Parquet tables, through the row reader of `parquet` without Arrow.

use super::Table;
use crate::error::FileError;

/// The table of a Parquet file.
#[cfg(not(feature = "parquet"))]
pub(super) fn table(file: String, _: Vec<u8>) -> Result<Table, FileError> {
    Err(FileError::Kind {
        file,
        what: "is a Parquet file, which this build does not read".into(),
        remedy: "build with the feature `parquet`, or give the table as CSV".into(),
    })
}

/// The table of a Parquet file. The reader panics on some damaged files; that must not end the program.
#[cfg(feature = "parquet")]
pub(super) fn table(file: String, bytes: Vec<u8>) -> Result<Table, FileError> {
    let name = file.clone();
    let reading = std::panic::AssertUnwindSafe(move || read(name, bytes));
    std::panic::catch_unwind(reading)
        .unwrap_or_else(|_| Err(FileError::Damaged { file, what: "the Parquet reader gave up on it".into() }))
}

#[cfg(feature = "parquet")]
fn read(file: String, bytes: Vec<u8>) -> Result<Table, FileError> {
    use csv::StringRecord;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    let damaged =
        |error: parquet::errors::ParquetError| FileError::Damaged { file: file.clone(), what: error.to_string() };
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).map_err(damaged)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let header: Vec<String> = schema.root_schema().get_fields().iter().map(|field| field.name().to_owned()).collect();
    let mut rows = Vec::new();
    for row in reader.get_row_iter(None).map_err(damaged)? {
        let row = row.map_err(damaged)?;
        let cells = row.get_column_iter().map(|(_, field)| match field {
            // These are shown with other digits or quotes than the value has; single precision keeps its few digits.
            Field::Float(v) => v.to_string(),
            Field::Double(v) => format!("{v:?}"),
            Field::Str(text) => text.clone(),
            Field::Null => String::new(),
            other => other.to_string(),
        });
        let cells: StringRecord = cells.collect();
        if cells.len() != header.len() {
            return Err(FileError::Damaged { file, what: format!("row {} has {} values", rows.len(), cells.len()) });
        }
        rows.push(cells);
    }
    Table::of_rows(file, header, rows)
}

#[cfg(all(test, feature = "parquet"))]
mod tests {
    use crate::{At, Expect, FileError, Source, Table, read};
    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// Two rows: a material, a count, a number with all its digits, one in single precision that may be null.
    fn written(compression: Compression) -> Vec<u8> {
        let schema =
            "message table { required binary material (UTF8); required int64 n; required double a; optional float y; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let words: Vec<ByteArray> = ["steel", "carbon"].map(ByteArray::from).to_vec();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&words, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[2, 3], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[0.1 + 0.2, 1e-20], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<FloatType>().write_batch(&[1.5], Some(&[1, 0]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        bytes
    }

    fn open(bytes: &[u8]) -> Result<Table, FileError> {
        let sets = [["a", "n", "y"].map(str::to_owned).to_vec()];
        let expect = Expect::Named { sets: &sets, words: &[], bare: None };
        read(Source::from_bytes("t.parquet", bytes), &expect).map(|(table, _)| table)
    }

    #[test]
    fn columns_are_found_by_name_in_every_pure_compression() {
        for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::GZIP(Default::default())] {
            let table = open(&written(compression)).unwrap();
            let places = table.find(&["a", "n", "y", "material"]).unwrap();
            assert_eq!(table.number(0, places[0]).unwrap(), 0.1 + 0.2);
            assert_eq!(table.number(1, places[0]).unwrap(), 1e-20);
            assert_eq!((table.number(1, places[1]).unwrap(), table.number(0, places[2]).unwrap()), (3.0, 1.5));
            assert_eq!((table.cell(1, places[3]).as_ref(), table.at(1)), ("carbon", At::Row(1)));
            let error = table.number(1, places[2]).unwrap_err().to_string();
            assert!(error.contains("t.parquet, row 1, column y: the cell is empty"), "{error}");
        }
    }

    #[test]
    fn damage_is_an_error_or_another_table() {
        let good = written(Compression::SNAPPY);
        for end in (0..good.len()).step_by(3) {
            assert!(open(&good[..end]).is_err(), "{end} bytes were taken");
        }
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            if let Ok(table) = open(&bytes) {
                assert!(table.n_rows() > 0);
            }
        }
    }
}
