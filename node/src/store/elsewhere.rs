//! A look into a store that a library keeps in SQLite: whether some bytes stand in it.
//! Not for: changing anything there.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

/// A library's store cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read: {source}")]
pub(crate) struct ElsewhereError {
    path: PathBuf,
    source: rusqlite::Error,
}

/// A table of a library's, with a namespace and a value in each row, but for some namespaces.
#[derive(Debug)]
pub(crate) struct KeptElsewhere {
    path: PathBuf,
    connection: Connection,
    query: String,
    without: [&'static str; 2],
}

impl KeptElsewhere {
    /// Opens the file to be read. `table` must be a name.
    ///
    /// # Errors
    ///
    /// [`ElsewhereError`].
    pub(crate) fn open(
        path: &Path,
        table: &str,
        without: [&'static str; 2],
    ) -> Result<Self, ElsewhereError> {
        let failed = |source| ElsewhereError { path: path.to_owned(), source };
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let query = format!(
            "SELECT EXISTS (SELECT 1 FROM {table} \
             WHERE primary_namespace NOT IN (?1, ?2) AND instr(value, ?3) > 0)"
        );
        let connection = connection.map_err(failed)?;
        Ok(Self { path: path.to_owned(), connection, query, without })
    }

    /// Whether some bytes stand in any value.
    ///
    /// # Errors
    ///
    /// [`ElsewhereError`].
    pub(crate) fn holds(&self, bytes: &[u8]) -> Result<bool, ElsewhereError> {
        let [one, other] = self.without;
        let found = self.connection.query_row(&self.query, (one, other, bytes), |row| row.get(0));
        found.map_err(|source| ElsewhereError { path: self.path.clone(), source })
    }
}
