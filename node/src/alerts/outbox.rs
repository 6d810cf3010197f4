//! What is yet to be told, and to whom: kept on disk until it was, and told in the order in which it
//! happened.
//!
//! A receiver that fails is tried again with growing pauses, and holds up no other. What is too old is
//! dropped, and the rest when there is too much; that is counted, and told with the list of alerts.
//! Not for: sending ([`super::send`]).

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use boltgrid_protocol::units::Timestamp;
use serde::{Deserialize, Serialize};

use super::day::Day;
use super::rule::{Standing, Turn};

/// Alerts that wait at most; the oldest goes first.
const WAITING_MAX: usize = 1_000;
/// Alerts that were told are remembered, so many of them.
const TOLD_MAX: usize = 100;
/// What could not be told for a week is no news.
const OLD_MS: u64 = 7 * 86_400_000;
/// The first pause after a receiver failed; doubled with each further failure …
const PAUSE_MIN_MS: u64 = 5_000;
/// … up to this.
const PAUSE_MAX_MS: u64 = 600_000;

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// By which it is known.
    pub number: u64,
    /// The rule's name.
    pub rule: String,
    /// What is told of it.
    pub turn: Turn,
    /// What was seen.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// Whether it is told in quiet hours.
    pub urgent: bool,
}

/// An alert and the receivers that have not been told yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    alert: Alert,
    receivers: Vec<String>,
}

/// A receiver that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// When it is tried again.
    pub next: Timestamp,
    /// Why it failed last.
    pub why: String,
    pause_ms: u64,
}

/// What is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    next_number: u64,
    waiting: VecDeque<Waiting>,
    told: VecDeque<Alert>,
    dropped: u64,
    standing: BTreeMap<String, Standing>,
    day: Option<Day>,
}

/// Why alerts are not kept.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The file does not read or write.
    #[error("alerts cannot be kept in {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is something else in the file.
    #[error("{path} does not hold alerts ({source}); move it away to begin anew")]
    Garbled {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// All alerts that wait.
#[derive(Debug)]
pub struct Outbox {
    path: PathBuf,
    kept: Kept,
    failing: BTreeMap<String, Failing>,
}

impl Outbox {
    /// Reads what waits from a file, which need not be there.
    ///
    /// # Errors
    ///
    /// [`OutboxError`].
    pub fn open(path: &Path) -> Result<Self, OutboxError> {
        let kept = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| OutboxError::Garbled { path: path.to_owned(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(source) => return Err(OutboxError::Io { path: path.to_owned(), source }),
        };
        Ok(Self { path: path.to_owned(), kept, failing: BTreeMap::new() })
    }

    /// Where a rule stood last.
    #[must_use]
    pub fn standing(&self, rule: &str) -> Standing {
        self.kept.standing.get(rule).copied().unwrap_or_default()
    }

    /// Remembers where a rule stands; of rules that are no more nothing is remembered.
    pub fn stand(&mut self, rule: &str, standing: Standing) {
        if standing == Standing::default() {
            self.kept.standing.remove(rule);
        } else {
            self.kept.standing.insert(rule.to_owned(), standing);
        }
    }

    /// How the day began.
    pub(super) const fn day(&self) -> Option<Day> {
        self.kept.day
    }

    /// Remembers how the day began. Returns whether that is new.
    pub(super) fn set_day(&mut self, day: Option<Day>) -> bool {
        let is_new = self.kept.day != day;
        self.kept.day = day;
        is_new
    }

    /// Forgets what waits for receivers and stands by rules that are no more.
    pub fn retain(&mut self, rules: &[&str], receivers: &[&str]) {
        self.kept.standing.retain(|rule, _| rules.contains(&rule.as_str()));
        for waiting in &mut self.kept.waiting {
            waiting.receivers.retain(|receiver| receivers.contains(&receiver.as_str()));
        }
        self.kept.waiting.retain(|waiting| !waiting.receivers.is_empty());
    }

    /// Puts an alert down for some receivers.
    pub fn add(
        &mut self,
        (rule, urgent): (&str, bool),
        (turn, text): (Turn, String),
        at: Timestamp,
        receivers: Vec<String>,
    ) {
        let number = self.kept.next_number;
        self.kept.next_number = number.wrapping_add(1);
        if self.kept.waiting.len() >= WAITING_MAX && self.kept.waiting.pop_front().is_some() {
            self.kept.dropped = self.kept.dropped.saturating_add(1);
        }
        let alert = Alert { number, rule: rule.to_owned(), turn, text, at, urgent };
        if !receivers.is_empty() {
            self.kept.waiting.push_back(Waiting { alert, receivers });
        }
    }

    /// What to tell a receiver now: the first that waits for it, if the receiver is not failing. In
    /// quiet hours only what is urgent.
    #[must_use]
    pub fn next_for(&self, receiver: &str, now: Timestamp, is_quiet: bool) -> Option<&Alert> {
        if self.failing.get(receiver).is_some_and(|failing| now < failing.next) {
            return None;
        }
        let of_receiver =
            |waiting: &&Waiting| waiting.receivers.iter().any(|name| name == receiver);
        let waiting = self.kept.waiting.iter().filter(of_receiver).map(|waiting| &waiting.alert);
        waiting.into_iter().find(|alert| alert.urgent || !is_quiet)
    }

    /// A receiver has been told an alert.
    pub fn told(&mut self, receiver: &str, number: u64) {
        self.failing.remove(receiver);
        let Some(place) =
            self.kept.waiting.iter().position(|waiting| waiting.alert.number == number)
        else {
            return;
        };
        let Some(waiting) = self.kept.waiting.get_mut(place) else { return };
        waiting.receivers.retain(|name| name != receiver);
        if waiting.receivers.is_empty()
            && let Some(done) = self.kept.waiting.remove(place)
        {
            if self.kept.told.len() >= TOLD_MAX {
                self.kept.told.pop_front();
            }
            self.kept.told.push_back(done.alert);
        }
    }

    /// A receiver has failed. Returns whether it had not before.
    pub fn failed(&mut self, receiver: &str, why: String, now: Timestamp) -> bool {
        let before = self.failing.get(receiver).map(|failing| failing.pause_ms);
        let pause_ms = before.map_or(PAUSE_MIN_MS, |pause| (pause * 2).min(PAUSE_MAX_MS));
        let failing = Failing { next: now.plus_ms(pause_ms), why, pause_ms };
        self.failing.insert(receiver.to_owned(), failing);
        before.is_none()
    }

    /// Drops what is too old. Returns how many.
    pub fn drop_old(&mut self, now: Timestamp) -> usize {
        let before = self.kept.waiting.len();
        self.kept.waiting.retain(|waiting| now.ms_since(waiting.alert.at) < OLD_MS);
        let dropped = before - self.kept.waiting.len();
        self.kept.dropped =
            self.kept.dropped.saturating_add(u64::try_from(dropped).unwrap_or(u64::MAX));
        dropped
    }

    /// How many alerts wait, how many were dropped ever, and those that were told last, oldest first.
    #[must_use]
    pub fn list(&self) -> (usize, u64, Vec<Alert>) {
        (self.kept.waiting.len(), self.kept.dropped, self.kept.told.iter().cloned().collect())
    }

    /// Why a receiver fails, if it does.
    #[must_use]
    pub fn failing(&self, receiver: &str) -> Option<&Failing> {
        self.failing.get(receiver)
    }

    /// How many alerts wait for a receiver.
    #[must_use]
    pub fn waiting_for(&self, receiver: &str) -> usize {
        let waits = |waiting: &&Waiting| waiting.receivers.iter().any(|name| name == receiver);
        self.kept.waiting.iter().filter(waits).count()
    }

    /// What to write, and where: blocks in [`Draft::write`] only.
    ///
    /// # Errors
    ///
    /// [`OutboxError`].
    pub fn draft(&self) -> Result<Draft, OutboxError> {
        let bytes = serde_json::to_vec(&self.kept)
            .map_err(|source| OutboxError::Garbled { path: self.path.clone(), source })?;
        Ok(Draft { path: self.path.clone(), bytes })
    }
}

/// The outbox as it is to be on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Draft {
    /// Writes it in place of what was there, whole or not at all. Blocks.
    ///
    /// # Errors
    ///
    /// [`OutboxError`].
    pub fn write(&self) -> Result<(), OutboxError> {
        let new = self.path.with_extension("new");
        let write = || {
            let mut file = fs::File::create(&new)?;
            file.write_all(&self.bytes)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|source| OutboxError::Io { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_ms(second * 1_000)
    }

    fn outbox(dir: &tempfile::TempDir) -> Outbox {
        Outbox::open(&dir.path().join("alerts.json")).unwrap()
    }

    fn add(outbox: &mut Outbox, rule: &str, urgent: bool, receivers: &[&str]) {
        let receivers = receivers.iter().map(|&name| name.to_owned()).collect();
        outbox.add((rule, urgent), (Turn::Begins, "seen".to_owned()), at(0), receivers);
    }

    fn next(outbox: &Outbox, receiver: &str, second: u64, is_quiet: bool) -> Option<String> {
        outbox.next_for(receiver, at(second), is_quiet).map(|alert| alert.rule.clone())
    }

    #[test]
    fn what_waits_and_what_stands_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = outbox(&dir);
        add(&mut first, "one", false, &["phone", "mail"]);
        let standing = Standing { told_at: Some(at(3)), ..Standing::default() };
        first.stand("one", standing);
        first.told("mail", 0);
        first.draft().unwrap().write().unwrap();
        let again = outbox(&dir);
        assert_eq!(next(&again, "phone", 0, false), Some("one".to_owned()));
        assert_eq!(next(&again, "mail", 0, false), None);
        assert_eq!(again.standing("one"), standing);
        assert_eq!(again.standing("two"), Standing::default());
    }

    #[test]
    fn a_receiver_that_fails_is_tried_again_later_and_holds_up_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = outbox(&dir);
        add(&mut outbox, "one", false, &["phone", "mail"]);
        add(&mut outbox, "two", false, &["phone"]);
        assert!(outbox.failed("phone", "no answer".to_owned(), at(0)));
        assert_eq!(next(&outbox, "phone", 4, false), None);
        assert_eq!(next(&outbox, "mail", 4, false), Some("one".to_owned()));
        assert_eq!(next(&outbox, "phone", 5, false), Some("one".to_owned()));
        assert!(!outbox.failed("phone", "no answer".to_owned(), at(5)));
        assert_eq!(next(&outbox, "phone", 14, false), None);
        // Pauses end growing.
        let mut now = 15;
        for _ in 0..20 {
            outbox.failed("phone", "no answer".to_owned(), at(now));
            now += 600;
            assert_eq!(next(&outbox, "phone", now, false), Some("one".to_owned()));
        }
        outbox.told("mail", 0);
        outbox.told("phone", 0);
        assert_eq!(next(&outbox, "phone", now, false), Some("two".to_owned()));
        assert_eq!(outbox.list().2.len(), 1);
    }

    #[test]
    fn in_quiet_hours_only_what_is_urgent_is_told_and_the_rest_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = outbox(&dir);
        add(&mut outbox, "calm", false, &["phone"]);
        add(&mut outbox, "fire", true, &["phone"]);
        assert_eq!(next(&outbox, "phone", 0, true), Some("fire".to_owned()));
        outbox.told("phone", 1);
        assert_eq!(next(&outbox, "phone", 0, true), None);
        assert_eq!(next(&outbox, "phone", 0, false), Some("calm".to_owned()));
    }

    #[test]
    fn what_is_too_much_or_too_old_is_dropped_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = outbox(&dir);
        for number in 0..=WAITING_MAX {
            add(&mut outbox, &number.to_string(), false, &["phone"]);
        }
        assert_eq!(next(&outbox, "phone", 0, false), Some("1".to_owned()));
        assert_eq!((outbox.list().0, outbox.list().1), (WAITING_MAX, 1));
        assert_eq!(outbox.drop_old(at(7 * 86_400 - 1)), 0);
        assert_eq!(outbox.drop_old(at(7 * 86_400)), WAITING_MAX);
        assert_eq!((outbox.list().0, outbox.list().1), (0, 1_001));
    }

    #[test]
    fn what_nobody_wants_any_more_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = outbox(&dir);
        add(&mut outbox, "one", false, &["phone", "gone"]);
        add(&mut outbox, "two", false, &["gone"]);
        outbox.stand("gone", Standing { told_at: Some(at(3)), ..Standing::default() });
        outbox.retain(&["one", "two"], &["phone"]);
        assert_eq!((outbox.list().0, outbox.waiting_for("phone")), (1, 1));
        assert_eq!(outbox.standing("gone"), Standing::default());
    }

    #[test]
    fn a_file_with_something_else_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("alerts.json"), "{").unwrap();
        let error = Outbox::open(&dir.path().join("alerts.json")).unwrap_err().to_string();
        assert!(error.contains("alerts.json") && error.contains("move it away"), "{error}");
    }
}
