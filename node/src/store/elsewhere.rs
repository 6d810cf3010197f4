//! A store that a library keeps in SQLite: that it outlasts a power cut, and whether some bytes stand
//! in it. Not for: changing what is in it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

/// A library's store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ElsewhereError {
    /// It cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// It cannot be made durable.
    #[error(
        "{path} cannot have a write-ahead log, its journal mode stays {mode}: put the data folder on \
         a disk of this machine"
    )]
    NotDurable {
        /// The file.
        path: PathBuf,
        /// What SQLite has instead.
        mode: String,
    },
}

/// Gives a library's file a write-ahead log, and makes the file where there is none. To be called before
/// the library opens it.
///
/// A file keeps this mode. In the mode that SQLite begins with, a transaction is committed by removing
/// a journal from the folder, and the folder is synced only when the next one begins: after a power cut
/// the journal is there again, and what was committed last is undone.
///
/// # Errors
///
/// [`ElsewhereError`].
pub(crate) fn keep_write_ahead_log(path: &Path) -> Result<(), ElsewhereError> {
    let failed = |source| ElsewhereError::Read { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(failed)?;
    let set = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
    let mode: String = set.map_err(failed)?;
    if mode != "wal" {
        return Err(ElsewhereError::NotDurable { path: path.to_owned(), mode });
    }
    Ok(())
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
        let failed = |source| ElsewhereError::Read { path: path.to_owned(), source };
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
        found.map_err(|source| ElsewhereError::Read { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_there_keeps_what_it_has_and_commits_to_a_synced_log_from_now_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("library.sqlite");
        let before = Connection::open(&path).unwrap();
        before.execute_batch("CREATE TABLE kept (value); INSERT INTO kept VALUES (7)").unwrap();
        drop(before);
        keep_write_ahead_log(&path).unwrap();

        // As the library opens it: without a word about durability.
        let library = Connection::open(&path).unwrap();
        let read = |pragma| library.pragma_query_value(None, pragma, |row| row.get::<_, String>(0));
        assert_eq!(read("journal_mode").unwrap(), "wal");
        let synchronous: i64 =
            library.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!(synchronous, 2, "each commit is synced");
        let value: i64 = library.query_row("SELECT value FROM kept", [], |row| row.get(0)).unwrap();
        assert_eq!(value, 7);
    }

    #[test]
    fn where_no_log_can_be_kept_it_says_what_to_do() {
        let refused = keep_write_ahead_log(Path::new(":memory:")).unwrap_err().to_string();
        assert!(refused.contains("put the data folder on a disk of this machine"), "{refused}");
    }
}
