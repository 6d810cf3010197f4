//! What can be wrong with a scenario, said so that the file can be mended.

use std::{io, path::PathBuf};

use super::civil::CivilTime;

/// Why a scenario could not be loaded. Lines count from 1, the header included.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Neither the name of a built-in scenario nor a folder.
    #[error(
        "there is no scenario `{name}`: give `{builtin}` or a folder with grid.csv, devices.csv, lines.csv and profiles.csv"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// What is built in.
        builtin: &'static str,
    },
    /// A file is missing or cannot be read.
    #[error("cannot read {}: a scenario is a folder with grid.csv, devices.csv, lines.csv and profiles.csv", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not a table.
    #[error("{file}: not a table in UTF-8 with as many fields in each line as in the first")]
    Malformed {
        /// The file.
        file: &'static str,
        /// What the reader said, with the line.
        #[source]
        source: csv::Error,
    },
    /// The header lacks a column.
    #[error("{file} line 1: column `{column}` is missing; the columns must be {expected}")]
    MissingColumn {
        /// The file.
        file: &'static str,
        /// The column.
        column: &'static str,
        /// All columns of the format.
        expected: String,
    },
    /// A field holds what it cannot.
    #[error("{file} line {line}, column `{column}`: found `{value}`, expected {expected}")]
    Value {
        /// The file.
        file: &'static str,
        /// The line.
        line: u64,
        /// The column.
        column: String,
        /// The field.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A file holds no rows, or more than its format allows.
    #[error("{file}: found {rows} rows, expected {expected}")]
    Rows {
        /// The file.
        file: &'static str,
        /// How many there are.
        rows: usize,
        /// What would be right.
        expected: &'static str,
    },
    /// A line closes a loop; flows are computed for radial grids only.
    #[error(
        "lines.csv line {line}: `{from}` and `{to}` are joined already; remove the line, the grid must be a tree"
    )]
    Loop {
        /// The line of the file.
        line: u64,
        /// One end.
        from: String,
        /// The other end.
        to: String,
    },
    /// A bus has no path to the slack bus.
    #[error(
        "{file} line {line}: `{bus}` has no path to the slack bus `{slack_bus}`; join it in lines.csv"
    )]
    Unreachable {
        /// The file that names the bus.
        file: &'static str,
        /// The line that names it first.
        line: u64,
        /// The bus.
        bus: String,
        /// Where the transformer is.
        slack_bus: String,
    },
}

/// Why a time cannot be found in the profiles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not a time at all.
    #[error("`{text}` is not a time: write it as in `{first}`")]
    NotATime {
        /// What was given.
        text: String,
        /// The first time of the data.
        first: CivilTime,
    },
    /// Before the first or after the last row.
    #[error("`{text}` is outside the data: the profiles cover {first} to {end}")]
    OutsideData {
        /// What was given.
        text: String,
        /// The first time of the data.
        first: CivilTime,
        /// The end of the last row.
        end: CivilTime,
    },
}
