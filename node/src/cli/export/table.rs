//! A file of rows, written page by page: CSV, or Parquet with a row group a page. What is not finished yet is
//! called `.part`, so that nobody takes it for whole.
//! Not for: where the rows come from.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use crate::cli::error::CliError;

/// The form of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    /// Lines of values with commas between them, after a line with the columns' names.
    #[default]
    Csv,
    /// Columns with types, compressed.
    Parquet,
}

impl Format {
    /// The end of a file's name.
    pub(super) const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// A file being written.
pub(super) struct Table {
    path: PathBuf,
    part: PathBuf,
    body: Body,
    rows: u64,
}

enum Body {
    Csv(Box<csv::Writer<File>>),
    Parquet(Box<Typed>),
}

/// A Parquet file: the types of columns by their names, and the writer once their order is known.
struct Typed {
    types: Vec<Column>,
    file: Option<File>,
    writer: Option<SerializedFileWriter<File>>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    kind: Kind,
    may_lack: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Boolean,
    Text,
}

impl Column {
    /// The columns of a row, by their names.
    fn of<T: JsonSchema>() -> Vec<Self> {
        let settings = SchemaSettings::draft07().for_serialize();
        let settings = settings.with(|it| it.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<T>().to_value();
        let fields = schema["properties"].as_object().into_iter().flatten();
        fields.map(|(name, about)| Self::new(name, about)).collect()
    }

    fn new(name: &str, about: &Value) -> Self {
        let listed = about["type"].as_array().into_iter().flatten();
        let any = about["anyOf"].as_array().into_iter().flatten().map(|it| &it["type"]);
        let kinds: Vec<&str> = std::iter::once(&about["type"])
            .chain(listed)
            .chain(any)
            .filter_map(Value::as_str)
            .collect();
        let kind = if kinds.contains(&"integer") || about.get("pattern").is_some() {
            Kind::Integer
        } else if kinds.contains(&"boolean") {
            Kind::Boolean
        } else {
            Kind::Text
        };
        Self { name: name.to_owned(), kind, may_lack: kinds.contains(&"null") }
    }

    /// As in the schema of a Parquet file.
    fn declared(&self) -> String {
        let how_often = if self.may_lack { "OPTIONAL" } else { "REQUIRED" };
        let (kind, more) = match self.kind {
            Kind::Integer => ("INT64", ""),
            Kind::Boolean => ("BOOLEAN", ""),
            Kind::Text => ("BYTE_ARRAY", " (STRING)"),
        };
        format!("{how_often} {kind} {}{more};", self.name)
    }
}

impl Table {
    /// Begins a file that must not be there yet.
    pub(super) fn create<T: JsonSchema>(path: PathBuf, format: Format) -> Result<Self, CliError> {
        let part = path.with_extension(format!("{}.part", format.ending()));
        let file =
            File::create(&part).map_err(|source| CliError::Write { path: part.clone(), source })?;
        let body = match format {
            Format::Csv => Body::Csv(Box::new(csv::Writer::from_writer(file))),
            Format::Parquet => {
                let types = Column::of::<T>();
                Body::Parquet(Box::new(Typed { types, file: Some(file), writer: None }))
            }
        };
        Ok(Self { path, part, body, rows: 0 })
    }

    /// Adds rows.
    pub(super) fn add<T: Serialize>(&mut self, rows: &[T]) -> Result<(), CliError> {
        let added = match &mut self.body {
            Body::Csv(writer) => {
                rows.iter().try_for_each(|row| writer.serialize(row)).map_err(Into::into)
            }
            Body::Parquet(_) if rows.is_empty() => Ok(()),
            Body::Parquet(typed) => typed.add(rows),
        };
        added.map_err(|source| CliError::Write { path: self.part.clone(), source })?;
        self.rows = self.rows.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// How many rows there are.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file and gives it its name.
    pub(super) fn finish(self) -> Result<PathBuf, CliError> {
        let Self { path, part, body, .. } = self;
        let ended = match body {
            Body::Csv(writer) => writer.into_inner().map_err(|it| io::Error::other(it.to_string())),
            Body::Parquet(typed) => typed.finish(),
        };
        let named = ended.and_then(|file| file.sync_all()).and_then(|()| fs::rename(&part, &path));
        named.map_err(|source| CliError::Write { path: part, source })?;
        Ok(path)
    }
}

impl Typed {
    /// Adds a row group.
    fn add<T: Serialize>(&mut self, rows: &[T]) -> Result<(), io::Error> {
        let mut text = csv::Writer::from_writer(Vec::new());
        rows.iter().try_for_each(|row| text.serialize(row))?;
        let text = text.into_inner().map_err(|it| io::Error::other(it.to_string()))?;
        let mut text = csv::Reader::from_reader(text.as_slice());
        let head: Vec<String> = text.headers()?.iter().map(str::to_owned).collect();
        let records = text.into_records().collect::<Result<Vec<_>, _>>()?;
        if self.writer.is_none() {
            let place = |it: &Column| head.iter().position(|name| *name == it.name);
            self.types.sort_by_key(place);
            self.begin()?;
        }
        let writer = self.writer.as_mut().expect("it was begun above, if not before");
        let mut group = writer.next_row_group()?;
        for (place, column) in self.types.iter().enumerate() {
            let values: Vec<&str> =
                records.iter().map(|record| record.get(place).unwrap_or_default()).collect();
            let mut chunk = group.next_column()?.expect("there are as many as were declared");
            write(chunk.untyped(), column, &values)?;
            chunk.close()?;
        }
        group.close()?;
        Ok(())
    }

    fn begin(&mut self) -> Result<(), ParquetError> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let columns: String = self.types.iter().map(Column::declared).collect();
        let schema = Arc::new(parse_message_type(&format!("message export {{ {columns} }}"))?);
        let about = concat!("boltgrid ", env!("CARGO_PKG_VERSION")).to_owned();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(about)
            .build();
        self.writer = Some(SerializedFileWriter::new(file, schema, Arc::new(properties))?);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<File, io::Error> {
        self.begin()?;
        let writer = self.writer.take().expect("it was begun above, if not before");
        Ok(writer.into_inner()?)
    }
}

/// Writes the values of one column of a row group.
fn write(
    writer: &mut ColumnWriter<'_>,
    column: &Column,
    values: &[&str],
) -> Result<(), ParquetError> {
    let is_there = |value: &&&str| !column.may_lack || !value.is_empty();
    let levels: Vec<i16> = values.iter().map(|it| i16::from(is_there(&it))).collect();
    let levels = column.may_lack.then_some(levels.as_slice());
    let there = values.iter().filter(is_there);
    let unfit = |value: &str| {
        ParquetError::General(format!("{value:?} of {} does not fit its type", column.name))
    };
    match writer {
        ColumnWriter::Int64ColumnWriter(writer) => {
            let numbers = there.map(|it| it.parse::<i64>().map_err(|_| unfit(it)));
            writer.write_batch(&numbers.collect::<Result<Vec<_>, _>>()?, levels, None)?;
        }
        ColumnWriter::BoolColumnWriter(writer) => {
            let truths = there.map(|it| it.parse::<bool>().map_err(|_| unfit(it)));
            writer.write_batch(&truths.collect::<Result<Vec<_>, _>>()?, levels, None)?;
        }
        ColumnWriter::ByteArrayColumnWriter(writer) => {
            let texts: Vec<ByteArray> =
                there.map(|it| ByteArray::from(it.as_bytes().to_vec())).collect();
            writer.write_batch(&texts, levels, None)?;
        }
        ColumnWriter::Int32ColumnWriter(_)
        | ColumnWriter::Int96ColumnWriter(_)
        | ColumnWriter::FloatColumnWriter(_)
        | ColumnWriter::DoubleColumnWriter(_)
        | ColumnWriter::FixedLenByteArrayColumnWriter(_) => {
            return Err(ParquetError::General(format!("{} has no type of ours", column.name)));
        }
    }
    Ok(())
}

/// Whether a file is there, under its own name.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;
    use crate::rpc::past::ChannelPastReport;
    use crate::rpc::payment::{PaymentReport, PaymentStage};
    use crate::store::ChannelChange;

    fn payment(interval: u64, preimage: Option<&str>) -> PaymentReport {
        PaymentReport {
            interval,
            trade: preimage.is_none().then_some(3),
            forward: None,
            counterparty: "ab".repeat(32),
            is_received: preimage.is_none(),
            tranche: 1,
            tranches: 2,
            amount_msat: 20_001,
            fee_msat: 0,
            payment_hash: "cd".repeat(32),
            preimage: preimage.map(str::to_owned),
            stage: PaymentStage::Paid,
            at_unix_ms: 1_780_000_000_000,
        }
    }

    fn written<T: Serialize + JsonSchema>(
        format: Format,
        pages: &[&[T]],
    ) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("it.{}", format.ending()));
        let mut table = Table::create::<T>(path.clone(), format).unwrap();
        for page in pages {
            table.add(page).unwrap();
            assert!(!is_there(&path), "it is not whole yet");
        }
        assert_eq!(table.rows(), pages.iter().map(|it| it.len() as u64).sum::<u64>());
        assert_eq!(table.finish().unwrap(), path);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        (folder, path)
    }

    #[test]
    fn pages_become_one_csv_with_one_head() {
        let (_folder, path) = written(
            Format::Csv,
            &[&[payment(9, None)], &[payment(8, Some("ef")), payment(7, None)]],
        );
        let mut reader = csv::Reader::from_path(path).unwrap();
        assert_eq!(reader.headers().unwrap().get(0), Some("interval"));
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let firsts: Vec<&str> = rows.iter().map(|it| it.get(0).unwrap()).collect();
        assert_eq!(firsts, ["9", "8", "7"]);
    }

    #[test]
    fn pages_become_one_parquet_file_with_types_and_nothing_where_nothing_is() {
        let (_folder, path) = written(
            Format::Parquet,
            &[&[payment(9, None), payment(8, Some("ef"))], &[payment(7, None)]],
        );
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        let field = |row: usize, name: &str| {
            let mut columns = rows[row].get_column_iter();
            columns.find(|it| it.0 == name).map(|it| it.1.clone()).unwrap()
        };
        assert_eq!(rows.len(), 3);
        assert_eq!(
            rows[0].get_column_iter().next().unwrap().0,
            "interval",
            "in the order of the CSV"
        );
        assert_eq!((field(0, "interval"), field(2, "interval")), (Field::Long(9), Field::Long(7)));
        assert_eq!((field(0, "trade"), field(1, "trade")), (Field::Long(3), Field::Null));
        assert_eq!(
            (field(0, "preimage"), field(1, "preimage")),
            (Field::Null, Field::Str("ef".to_owned()))
        );
        assert_eq!(
            (field(0, "is_received"), field(1, "is_received")),
            (Field::Bool(true), Field::Bool(false))
        );
        assert_eq!(field(0, "stage"), Field::Str("paid".to_owned()));
        assert_eq!(field(0, "amount_msat"), Field::Long(20_001));
    }

    #[test]
    fn a_file_without_rows_is_whole_too() {
        let (_folder, path) = written::<PaymentReport>(Format::Parquet, &[&[]]);
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
        let (_folder, path) = written::<PaymentReport>(Format::Csv, &[]);
        assert_eq!(fs::read(path).unwrap(), b"");
    }

    #[test]
    fn text_with_commas_and_quotes_survives() {
        let closed = ChannelPastReport {
            interval: 7,
            at_unix_ms: 9,
            channel: "01".repeat(16),
            counterparty: None,
            change: ChannelChange::Closed,
            reason: Some("\"fees, fees\"\nand more".to_owned()),
        };
        let (_folder, path) = written(Format::Csv, &[std::slice::from_ref(&closed)]);
        let mut reader = csv::Reader::from_path(path).unwrap();
        let row = reader.records().next().unwrap().unwrap();
        assert_eq!(row.get(5), Some("\"fees, fees\"\nand more"));
        let (_folder, path) = written(Format::Parquet, &[&[closed]]);
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let row = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
        let reason = row.get_column_iter().find(|it| it.0 == "reason").unwrap().1.clone();
        assert_eq!(reason, Field::Str("\"fees, fees\"\nand more".to_owned()));
    }
}
