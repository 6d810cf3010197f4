//! Reads one CSV file of a scenario and keeps what is needed to say where something is wrong.
//!
//! The only place where decimal text becomes numbers, and so the only float of the plant.

use csv::StringRecord;

use super::error::ScenarioError;

/// A decimal column: what it may hold and in which integer unit it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    /// Least value, in the unit of the file.
    pub(super) min: f64,
    /// Largest value, in the unit of the file.
    pub(super) max: f64,
    /// How many of the integer unit make one unit of the file.
    pub(super) per_unit: f64,
    /// What to ask for when the value is refused.
    pub(super) expected: &'static str,
}

/// A CSV file with a header.
#[derive(Debug)]
pub(super) struct Table<'a> {
    file: &'static str,
    header: StringRecord,
    reader: csv::Reader<&'a [u8]>,
    record: StringRecord,
}

impl<'a> Table<'a> {
    /// Opens `bytes` as the file named `file`, whose header must have the `required` columns.
    pub(super) fn open(
        file: &'static str,
        bytes: &'a [u8],
        required: &[&'static str],
    ) -> Result<Self, ScenarioError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
        let header =
            reader.headers().map_err(|source| ScenarioError::Malformed { file, source })?.clone();
        match required.iter().find(|name| header.iter().all(|column| column != **name)) {
            Some(column) => Err(ScenarioError::MissingColumn {
                file,
                column,
                expected: format!("`{}`", required.join("`, `")),
            }),
            None => Ok(Self { file, header, reader, record: StringRecord::new() }),
        }
    }

    /// The header.
    pub(super) const fn header(&self) -> &StringRecord {
        &self.header
    }

    /// The next row, or `None` after the last.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<'_>>, ScenarioError> {
        let file = self.file;
        let more = self
            .reader
            .read_record(&mut self.record)
            .map_err(|source| ScenarioError::Malformed { file, source })?;
        Ok(more.then_some(Row { file, header: &self.header, record: &self.record }))
    }
}

/// One row of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    file: &'static str,
    header: &'a StringRecord,
    record: &'a StringRecord,
}

impl<'a> Row<'a> {
    /// The line of the file, counted from 1.
    pub(super) fn line(self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// The field at `index`; the reader has made sure that every row is as long as the header.
    pub(super) fn at(self, index: usize) -> &'a str {
        self.record.get(index).unwrap_or_default()
    }

    /// The field in a required column; empty where it is empty.
    pub(super) fn text(self, column: &str) -> &'a str {
        self.at(self.index(column))
    }

    /// The field in a required column, which must not be empty.
    pub(super) fn name(self, column: &str) -> Result<&'a str, ScenarioError> {
        match self.text(column) {
            "" => Err(self.refuse(self.index(column), "a name")),
            name => Ok(name),
        }
    }

    /// The number in a required column, in the integer unit of `decimal`.
    pub(super) fn number(self, column: &str, decimal: Decimal) -> Result<i64, ScenarioError> {
        self.number_at(self.index(column), decimal)
    }

    /// The number at `index`, in the integer unit of `decimal`, rounded to the nearest.
    #[expect(
        clippy::float_arithmetic,
        clippy::cast_possible_truncation,
        reason = "decimal text becomes an integer here; every Decimal keeps within 53 bits"
    )]
    pub(super) fn number_at(self, index: usize, decimal: Decimal) -> Result<i64, ScenarioError> {
        match self.at(index).parse::<f64>() {
            Ok(value) if (decimal.min..=decimal.max).contains(&value) => {
                Ok((value * decimal.per_unit).round() as i64)
            }
            Ok(_) | Err(_) => Err(self.refuse(index, decimal.expected)),
        }
    }

    /// The error for the field in a required column.
    pub(super) fn refuse_column(self, column: &str, expected: impl Into<String>) -> ScenarioError {
        self.refuse(self.index(column), expected)
    }

    /// The error for the field at `index`.
    pub(super) fn refuse(self, index: usize, expected: impl Into<String>) -> ScenarioError {
        ScenarioError::Value {
            file: self.file,
            line: self.line(),
            column: self.header.get(index).unwrap_or_default().to_owned(),
            value: self.at(index).to_owned(),
            expected: expected.into(),
        }
    }

    fn index(self, column: &str) -> usize {
        self.header
            .iter()
            .position(|name| name == column)
            .expect("columns read by name are required when the table is opened")
    }
}
