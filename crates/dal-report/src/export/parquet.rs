//! A table as Parquet, through the column writer of `parquet` without Arrow.

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::Value;

use super::schema::{ColumnCard, ColumnKind};

/// Rows that are written together.
const GROUP: usize = 65_536;

pub(super) struct Parquet {
    writer: SerializedFileWriter<BufWriter<File>>,
    kinds: Vec<ColumnKind>,
    /// One list per column.
    waiting: Vec<Vec<Value>>,
}

fn other(error: parquet::errors::ParquetError) -> io::Error {
    io::Error::other(error.to_string())
}

impl Parquet {
    pub(super) fn new(file: BufWriter<File>, columns: &[ColumnCard]) -> io::Result<Self> {
        let field = |column: &ColumnCard| {
            let (physical, logical) = match column.kind {
                ColumnKind::Text | ColumnKind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
                ColumnKind::Integer => (Physical::INT64, None),
                ColumnKind::Real => (Physical::DOUBLE, None),
                ColumnKind::Boolean => (Physical::BOOLEAN, None),
            };
            let builder = Type::primitive_type_builder(&column.name, physical).with_repetition(Repetition::OPTIONAL);
            builder.with_logical_type(logical).build().map(Arc::new).map_err(other)
        };
        let fields = columns.iter().map(field).collect::<io::Result<Vec<_>>>()?;
        let schema = Type::group_type_builder("table").with_fields(fields).build().map_err(other)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map_err(other)?;
        let kinds: Vec<ColumnKind> = columns.iter().map(|column| column.kind).collect();
        Ok(Self { writer, waiting: vec![Vec::new(); kinds.len()], kinds })
    }

    pub(super) fn row(&mut self, values: Vec<Value>) -> io::Result<()> {
        for (column, value) in self.waiting.iter_mut().zip(values) {
            column.push(value);
        }
        if self.waiting.first().is_some_and(|column| column.len() >= GROUP) { self.group() } else { Ok(()) }
    }

    fn group(&mut self) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(other)?;
        for (kind, values) in self.kinds.iter().zip(&mut self.waiting) {
            let values = std::mem::take(values);
            let Some(mut column) = group.next_column().map_err(other)? else { break };
            let there: Vec<i16> = values.iter().map(|value| i16::from(!value.is_null())).collect();
            let values = values.iter().filter(|value| !value.is_null());
            let there = Some(&there[..]);
            match kind {
                ColumnKind::Text | ColumnKind::Json => {
                    let text = |value: &Value| match (kind, value) {
                        (ColumnKind::Text, Value::String(text)) => ByteArray::from(text.as_str()),
                        _ => ByteArray::from(value.to_string().as_str()),
                    };
                    let texts: Vec<ByteArray> = values.map(text).collect();
                    column.typed::<ByteArrayType>().write_batch(&texts, there, None)
                }
                ColumnKind::Integer => {
                    let numbers: Vec<i64> = values.map(|value| value.as_i64().unwrap_or(i64::MAX)).collect();
                    column.typed::<Int64Type>().write_batch(&numbers, there, None)
                }
                ColumnKind::Real => {
                    let numbers: Vec<f64> = values.map(|value| value.as_f64().unwrap_or(f64::NAN)).collect();
                    column.typed::<DoubleType>().write_batch(&numbers, there, None)
                }
                ColumnKind::Boolean => {
                    let truths: Vec<bool> = values.map(|value| value.as_bool().unwrap_or_default()).collect();
                    column.typed::<BoolType>().write_batch(&truths, there, None)
                }
            }
            .map_err(other)?;
            column.close().map_err(other)?;
        }
        group.close().map_err(other)?;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<BufWriter<File>> {
        if self.waiting.first().is_some_and(|column| !column.is_empty()) {
            self.group()?;
        }
        self.writer.into_inner().map_err(other)
    }
}
