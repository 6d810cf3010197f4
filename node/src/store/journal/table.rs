//! The journal's one table in SQLite: a slot is a primary key, so it can be filled once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boltgrid_market::effect::{JournalEntry, Slot};
use boltgrid_protocol::units::Interval;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use super::{JournalError, LastReading, LightningMark};

/// Version of the file, kept in SQLite's `user_version`; zero is a new file. It grows with every new
/// table and with every new kind of slot, so that an older program refuses what it would misread.
const SCHEMA: i64 = 2;
/// What makes a file of each version out of one of the version before it.
const STEPS: [&str; 2] = [CREATE, ADD_LIGHTNING];
const CREATE: &str = "
    CREATE TABLE signed (
        interval INTEGER NOT NULL,
        kind     INTEGER NOT NULL,
        place    INTEGER NOT NULL,
        bytes    BLOB    NOT NULL,
        PRIMARY KEY (interval, kind, place)
    ) STRICT, WITHOUT ROWID;";
/// One row: how far Lightning's own store was. Some files of version 1 have it already.
const ADD_LIGHTNING: &str = "
    CREATE TABLE IF NOT EXISTS lightning (
        only  INTEGER PRIMARY KEY CHECK (only = 0),
        line  BLOB    NOT NULL,
        count INTEGER NOT NULL
    ) STRICT;";

/// `PRAGMA synchronous` reads back as this number when it is FULL.
const SYNCHRONOUS_FULL: i64 = 2;

/// The open file.
pub(super) struct Table {
    connection: Connection,
}

impl Table {
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let opened = Self::open_unchecked(path);
        if let Err(JournalError::Sqlite(cause)) = &opened
            && is_damage(cause)
        {
            let (path, problem) = (path.to_owned(), cause.to_string());
            return Err(JournalError::Damaged { path, problem });
        }
        opened
    }

    fn open_unchecked(path: &Path) -> Result<Self, JournalError> {
        let mut connection = Connection::open(path)?;
        make_durable(&connection, path)?;
        let problem: String =
            connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if problem != "ok" {
            return Err(JournalError::Damaged { path: path.to_owned(), problem });
        }
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let Some(steps) = usize::try_from(found).ok().and_then(|done| STEPS.get(done..)) else {
            return Err(JournalError::Schema { path: path.to_owned(), found, known: SCHEMA });
        };
        if !steps.is_empty() {
            take(&mut connection, steps)?;
            if found > 0 {
                tracing::info!(from = found, to = SCHEMA, "the journal was brought up to date");
            }
        }
        Ok(Self { connection })
    }

    pub(super) fn lightning_mark(&self) -> Result<Option<LightningMark>, JournalError> {
        let row = self
            .connection
            .prepare_cached("SELECT line, count FROM lightning")?
            .query_row([], |row| {
                let (line, count): ([u8; 16], i64) = (row.get(0)?, row.get(1)?);
                let count = u64::try_from(count)
                    .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(1, count))?;
                Ok(LightningMark { line, count })
            })
            .optional()?;
        Ok(row)
    }

    pub(super) fn put_lightning_mark(&self, mark: &LightningMark) -> Result<(), JournalError> {
        // No counter that grows once a second gets beyond 63 bits.
        let count = i64::try_from(mark.count).unwrap_or(i64::MAX);
        self.connection
            .prepare_cached(
                "INSERT INTO lightning (only, line, count) VALUES (0, ?1, ?2)
                 ON CONFLICT (only) DO UPDATE SET line = ?1, count = ?2",
            )?
            .execute(params![mark.line, count])?;
        Ok(())
    }

    pub(super) fn record(&mut self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let transaction = self.connection.transaction()?;
        for JournalEntry { slot, bytes } in entries {
            let key = Key::of(*slot)?;
            let filled = transaction
                .prepare_cached(
                    "INSERT INTO signed (interval, kind, place, bytes) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![key.interval, key.kind, key.place, bytes.as_ref()])?;
            if filled == 0 && read(&transaction, &key)?.as_ref() != Some(bytes) {
                return Err(JournalError::SlotTaken { slot: *slot });
            }
        }
        Ok(transaction.commit()?)
    }

    pub(super) fn get(&self, slot: Slot) -> Result<Option<Arc<[u8]>>, JournalError> {
        Ok(read(&self.connection, &Key::of(slot)?)?)
    }

    pub(super) fn load_since(&self, interval: Interval) -> Result<Vec<JournalEntry>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT interval, kind, place, bytes FROM signed
             WHERE interval >= ?1 AND kind <> ?2
             ORDER BY interval, kind, place",
        )?;
        let rows = statement.query_map(params![column(interval), ESCROW], entry)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn load_escrows(&self) -> Result<Vec<JournalEntry>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT interval, kind, place, bytes FROM signed WHERE kind = ?1
             ORDER BY interval, place",
        )?;
        let rows = statement.query_map(params![ESCROW], entry)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn load_last_signed_by_both(
        &self,
        before: Interval,
        intervals: u64,
    ) -> Result<Vec<JournalEntry>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT interval, kind, place, bytes FROM signed
             WHERE interval < ?1 AND kind NOT IN (?2, ?3, ?6) AND interval + ?4 > (
                 SELECT interval FROM signed WHERE kind = ?5 AND interval < ?1
                 ORDER BY interval DESC LIMIT 1)
             ORDER BY interval, kind, place",
        )?;
        let intervals = i64::try_from(intervals).unwrap_or(i64::MAX);
        let parameters =
            params![column(before), PAYMENT, SUMMARY, intervals, COUNTERSIGNED, ESCROW];
        let rows = statement.query_map(parameters, entry)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn load_payments(&self) -> Result<Vec<JournalEntry>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT interval, kind, place, bytes FROM signed
             WHERE kind IN (?1, ?2) AND interval >= COALESCE(
                 (SELECT interval FROM signed WHERE kind = ?2 ORDER BY interval DESC LIMIT 1), 0)
             ORDER BY interval, kind, place",
        )?;
        let rows = statement.query_map(params![PAYMENT, SUMMARY], entry)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn last_reading(&self) -> Result<Option<LastReading>, JournalError> {
        let last = self
            .connection
            .prepare_cached(
                "SELECT interval, kind, place, bytes FROM signed WHERE kind = ?1
                 ORDER BY interval DESC LIMIT 1",
            )?
            .query_row(params![READING], entry)
            .optional()?;
        Ok(last.map(|JournalEntry { slot, bytes }| (slot.interval(), bytes)))
    }

    pub(super) fn prune_before(&self, interval: Interval) -> Result<usize, JournalError> {
        let pruned = self
            .connection
            .prepare_cached(
                "DELETE FROM signed WHERE interval < ?1
                 AND NOT (kind = ?2 AND interval = (
                     SELECT interval FROM signed WHERE kind = ?2 ORDER BY interval DESC LIMIT 1))
                 AND NOT (kind IN (?3, ?4) AND interval >= COALESCE((
                     SELECT interval FROM signed WHERE kind = ?4 ORDER BY interval DESC LIMIT 1), 0))",
            )?
            .execute(params![column(interval), READING, PAYMENT, SUMMARY])?;
        Ok(pruned)
    }

    /// Closes the file in order; whatever fails now is mended at the next opening.
    pub(super) fn close(self) {
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the journal did not close in order");
        }
    }
}

/// Takes steps from one version to the next, all or none.
fn take(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()
}

/// Sets what durability rests on, and reads it back.
fn make_durable(connection: &Connection, path: &Path) -> Result<(), JournalError> {
    let refused = |setting, value: String| {
        let path: PathBuf = path.to_owned();
        JournalError::NotDurable { path, setting, value }
    };
    // The folder is locked, so the index of the write-ahead log can stay in our own memory.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(refused("journal_mode", mode));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On macOS, a plain fsync does not reach the disk.
    connection.pragma_update(None, "fullfsync", true)?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if synchronous != SYNCHRONOUS_FULL {
        return Err(refused("synchronous", synchronous.to_string()));
    }
    Ok(())
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn read(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Arc<[u8]>>> {
    connection
        .prepare_cached(
            "SELECT bytes FROM signed WHERE interval = ?1 AND kind = ?2 AND place = ?3",
        )?
        .query_row(params![key.interval, key.kind, key.place], |row| blob(row, 0))
        .optional()
}

fn entry(row: &Row<'_>) -> rusqlite::Result<JournalEntry> {
    let interval: i64 = row.get(0)?;
    let interval = u64::try_from(interval)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, interval))?;
    let kind: u8 = row.get(1)?;
    let slot = slot(kind, Interval::from_number(interval), row.get(2)?)
        .ok_or_else(|| rusqlite::Error::IntegralValueOutOfRange(1, kind.into()))?;
    Ok(JournalEntry { slot, bytes: blob(row, 3)? })
}

fn blob(row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<[u8]>> {
    Ok(Arc::from(row.get_ref(column)?.as_blob()?))
}

/// A slot as the columns of its row.
struct Key {
    interval: i64,
    kind: u8,
    place: u32,
}

const ORDER: u8 = 0;
const ACK: u8 = 1;
const PROPOSAL: u8 = 2;
const PREVOTE: u8 = 3;
const PRECOMMIT: u8 = 4;
const CONFIRM: u8 = 5;
const READING: u8 = 6;
const COUNTERSIGNED: u8 = 7;
const OFFER: u8 = 8;
const ACCEPTANCE: u8 = 9;
const REPLY: u8 = 10;
const PAYMENT: u8 = 11;
const SUMMARY: u8 = 12;
const ESCROW: u8 = 13;

impl Key {
    fn of(slot: Slot) -> Result<Self, JournalError> {
        let (kind, place) = match slot {
            Slot::Order(_) => (ORDER, 0),
            Slot::Ack(_) => (ACK, 0),
            Slot::Proposal(_, view) => (PROPOSAL, view),
            Slot::Prevote(_, view) => (PREVOTE, view),
            Slot::Precommit(_, view) => (PRECOMMIT, view),
            Slot::Confirm(_, trade) => (CONFIRM, trade),
            Slot::Reading(_) => (READING, 0),
            Slot::Countersigned(_, trade) => (COUNTERSIGNED, trade),
            Slot::Offer(_, number) => (OFFER, number),
            Slot::Acceptance(_, number) => (ACCEPTANCE, number),
            Slot::Reply(_, number) => (REPLY, number),
            Slot::Payment(_, number) => (PAYMENT, number),
            Slot::Summary(_) => (SUMMARY, 0),
            Slot::Escrow(_, number) => (ESCROW, number),
        };
        let interval = i64::try_from(slot.interval().to_number())
            .map_err(|_| JournalError::IntervalTooLarge(slot.interval()))?;
        Ok(Self { interval, kind, place })
    }
}

fn slot(kind: u8, interval: Interval, place: u32) -> Option<Slot> {
    Some(match kind {
        ORDER => Slot::Order(interval),
        ACK => Slot::Ack(interval),
        PROPOSAL => Slot::Proposal(interval, place),
        PREVOTE => Slot::Prevote(interval, place),
        PRECOMMIT => Slot::Precommit(interval, place),
        CONFIRM => Slot::Confirm(interval, place),
        READING => Slot::Reading(interval),
        COUNTERSIGNED => Slot::Countersigned(interval, place),
        OFFER => Slot::Offer(interval, place),
        ACCEPTANCE => Slot::Acceptance(interval, place),
        REPLY => Slot::Reply(interval, place),
        PAYMENT => Slot::Payment(interval, place),
        SUMMARY => Slot::Summary(interval),
        ESCROW => Slot::Escrow(interval, place),
        _ => return None,
    })
}

/// An interval as a bound of a range; beyond the largest that can be stored, that one.
fn column(interval: Interval) -> i64 {
    i64::try_from(interval.to_number()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_waits_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let table = Table::open(&dir.path().join("journal")).unwrap();
        let pragma = |name| -> String {
            let value: rusqlite::types::Value =
                table.connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
            format!("{value:?}")
        };
        assert_eq!(pragma("journal_mode"), r#"Text("wal")"#);
        assert_eq!(pragma("synchronous"), "Integer(2)");
        assert_eq!(pragma("locking_mode"), r#"Text("exclusive")"#);
    }

    #[test]
    fn every_kind_of_slot_is_a_key_of_its_own() {
        let interval = Interval::from_number(7);
        let slots = [
            Slot::Order(interval),
            Slot::Ack(interval),
            Slot::Proposal(interval, 1),
            Slot::Prevote(interval, 1),
            Slot::Precommit(interval, 1),
            Slot::Confirm(interval, 1),
            Slot::Reading(interval),
            Slot::Countersigned(interval, 1),
            Slot::Offer(interval, 1),
            Slot::Acceptance(interval, 1),
            Slot::Reply(interval, 1),
            Slot::Payment(interval, 1),
            Slot::Summary(interval),
            Slot::Escrow(interval, 1),
        ];
        for original in slots {
            let key = Key::of(original).unwrap();
            assert_eq!(slot(key.kind, interval, key.place), Some(original));
        }
        assert_eq!(slot(14, interval, 0), None);
    }
}
