//! One node of the fleet: its process, what it last said, and what hinders it.
//! Not for: the others.

use std::fs;
use std::io;

use boltgrid::status::NodeStatus;
use boltgrid_protocol::units::Timestamp;
use jsonrpsee::http_client::HttpClient;

use super::FleetError;
use crate::run::founding::Place;
use crate::run::process::NodeProcess;
use crate::run::report::{NodeRow, Rejected, add_rejected};
use crate::run::spans::Spans;
use crate::run::usage::Usage;

/// From what a node came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// It was started again.
    Restarted,
    /// It ran all the time, and what hindered it is gone.
    Unhindered,
    /// It had reason to abstain: its clock was wrong, or it heard hardly anybody.
    Abstained,
}

/// One node.
#[derive(Debug)]
pub struct Member {
    /// Its place.
    pub place: Place,
    pub(super) client: HttpClient,
    pub(super) process: Option<NodeProcess>,
    /// Whether it stands still.
    is_paused: bool,
    /// Whether its disk is full, so that it may end by itself.
    pub is_disk_full: bool,
    /// How far its clock is ahead.
    skew_ms: i64,
    /// When its clock was wrong.
    pub skewed: Spans,
    /// Whether links left it with hardly anybody to hear.
    is_eclipsed: bool,
    /// When links left it without the others that it needs.
    pub cut_off: Spans,
    /// When anything else hindered it.
    pub hindered: Spans,
    /// When it was first seen ready since it was last started; none while it is not.
    pub ready_since: Option<Timestamp>,
    /// When and from what it last came back.
    pub back: Option<(Timestamp, Back)>,
    restarts: u32,
    /// What it last said.
    pub status: Option<NodeStatus>,
    /// Of the running process.
    pub(super) usage: Usage,
    /// What it held when the first interval had been observed.
    rss_kb_start: Option<u64>,
    /// Of the processes before.
    past: Past,
}

/// What a node's earlier processes did.
#[derive(Clone, Debug, Default)]
struct Past {
    usage: Usage,
    bytes_in: u64,
    bytes_out: u64,
    rejected: Rejected,
}

impl Member {
    pub(super) fn new(place: Place, client: HttpClient, process: Option<NodeProcess>) -> Self {
        Self {
            place,
            client,
            process,
            is_paused: false,
            is_disk_full: false,
            skew_ms: 0,
            skewed: Spans::default(),
            is_eclipsed: false,
            cut_off: Spans::default(),
            hindered: Spans::default(),
            ready_since: None,
            back: None,
            restarts: 0,
            status: None,
            usage: Usage::default(),
            rss_kb_start: None,
            past: Past::default(),
        }
    }

    /// Whether its process is meant to run.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Whether it can be asked.
    #[must_use]
    pub const fn answers(&self) -> bool {
        self.is_up() && !self.is_paused
    }

    /// Whether something keeps it from trading like the others, though its process may run.
    #[must_use]
    pub fn is_hindered(&self) -> bool {
        self.is_paused || self.is_disk_full || self.skew_ms != 0 || self.cut_off.is_so()
    }

    /// What is wrong with it now, in words.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        let mut note = |is_so: bool, text: &str| troubles.extend(is_so.then(|| text.to_owned()));
        note(!self.is_up(), "not running");
        note(self.is_paused, "paused");
        note(self.is_disk_full, "disk full");
        note(self.skew_ms != 0, &format!("clock off by {} ms", self.skew_ms));
        note(self.cut_off.is_so(), "cut off from the others");
        troubles
    }

    /// Notes what holds now.
    pub(super) fn note(&mut self, now: Timestamp) {
        let away = !self.is_up() || self.is_paused || self.is_disk_full || self.skew_ms != 0;
        self.hindered.note(away, now);
        self.skewed.note(self.skew_ms != 0, now);
        if self.is_hindered() {
            self.ready_since = None;
        }
    }

    /// Notes whether links leave it without the others that it needs, and even with hardly anybody.
    pub fn note_cut_off(&mut self, is_cut_off: bool, is_eclipsed: bool, now: Timestamp) {
        self.is_eclipsed |= is_eclipsed;
        if self.cut_off.is_so() && !is_cut_off {
            let eclipsed = std::mem::take(&mut self.is_eclipsed);
            let from = if eclipsed { Back::Abstained } else { Back::Unhindered };
            self.back = Some((now, from));
        }
        self.cut_off.note(is_cut_off, now);
        self.note(now);
    }

    /// Whether links leave it with hardly anybody to hear, so that it abstains.
    #[must_use]
    pub const fn is_eclipsed(&self) -> bool {
        self.is_eclipsed
    }

    /// Notes whether its disk is full.
    pub fn note_disk(&mut self, is_full: bool, now: Timestamp) {
        if self.is_disk_full && !is_full {
            self.back = Some((now, Back::Unhindered));
        }
        self.is_disk_full = is_full;
        self.note(now);
    }

    /// Steps its clock.
    ///
    /// # Errors
    ///
    /// What the operating system says of the file that tells the node.
    pub fn step_clock(&mut self, by_ms: i64, now: Timestamp) -> io::Result<()> {
        let Some(path) = &self.place.clock_offset else { return Ok(()) };
        self.skew_ms = self.skew_ms.saturating_add(by_ms);
        fs::write(path, self.skew_ms.to_string())?;
        if self.skew_ms == 0 {
            self.back = Some((now, Back::Abstained));
        }
        self.note(now);
        Ok(())
    }

    /// Notes the memory that it holds now that an interval has been observed, if it is the first one
    /// that finds it up.
    pub fn mark_start(&mut self) {
        if self.rss_kb_start.is_none() && self.usage.rss_kb > 0 {
            self.rss_kb_start = Some(self.usage.rss_kb);
        }
    }

    /// Notes that it says it is ready.
    pub(super) fn is_ready_at(&mut self, now: Timestamp) {
        if !self.is_hindered() {
            self.ready_since.get_or_insert(now);
        }
    }

    /// Notes that it runs again.
    pub(super) fn is_started_again(&mut self, process: NodeProcess, now: Timestamp) {
        self.process = Some(process);
        self.back = Some((now, Back::Restarted));
        self.restarts = self.restarts.saturating_add(1);
    }

    /// Lets it stand still. Returns whether it does now and did not before.
    pub(super) fn pause(&mut self) -> io::Result<bool> {
        let Some(process) = self.process.as_ref().filter(|_| !self.is_paused) else {
            return Ok(false);
        };
        process.pause()?;
        self.is_paused = true;
        self.ready_since = None;
        self.hindered.note(true, boltgrid::clock::now());
        Ok(true)
    }

    /// Lets it go on. Returns whether it does now and did not before.
    pub(super) fn resume(&mut self, now: Timestamp) -> io::Result<bool> {
        let Some(process) = self.process.as_ref().filter(|_| self.is_paused) else {
            return Ok(false);
        };
        process.resume()?;
        self.is_paused = false;
        self.back = Some((now, Back::Unhindered));
        Ok(true)
    }

    /// Lets it go on so that it can be stopped in order.
    pub(super) fn stop_pausing(&mut self) {
        if let Some(process) = self.process.as_ref().filter(|_| self.is_paused)
            && let Err(error) = process.resume()
        {
            tracing::debug!(%error, name = self.place.name, "is stopped while it stands still");
        }
    }

    /// Whether it was up and ready from `opens` on until now.
    #[must_use]
    pub fn is_present_since(&self, opens: Timestamp) -> bool {
        !self.is_hindered() && self.is_up() && self.ready_since.is_some_and(|since| since <= opens)
    }

    /// What it used and did over the whole run.
    #[must_use]
    pub fn row(&self) -> NodeRow {
        let network = self.status.as_ref().map(|status| &status.network);
        let of_network =
            |part: fn(&boltgrid::status::NetworkStatus) -> u64| network.map_or(0, part);
        let usage = self.past.usage.and_then(self.usage);
        NodeRow {
            site: self.place.name.clone(),
            participant: self.place.participant.to_string(),
            rss_kb_max: usage.rss_kb_max,
            rss_kb_start: self.rss_kb_start,
            rss_kb_end: (usage.rss_kb > 0).then_some(usage.rss_kb),
            cpu_ms: usage.cpu_ms,
            bytes_in: self.past.bytes_in.saturating_add(of_network(|it| it.bytes_in)),
            bytes_out: self.past.bytes_out.saturating_add(of_network(|it| it.bytes_out)),
            restarts: self.restarts,
        }
    }

    /// What its running process has used so far.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// What it rejected over the whole run.
    #[must_use]
    pub fn rejected(&self) -> Rejected {
        let mut sum = self.past.rejected.clone();
        if let Some(status) = &self.status {
            add_rejected(&mut sum, &status.network.rejected);
        }
        sum
    }

    /// Counts what the process did that is about to end, or has ended.
    pub(super) fn close_books(&mut self) {
        let NodeRow { bytes_in, bytes_out, .. } = self.row();
        let usage = self.past.usage.and_then(self.usage);
        self.past = Past { usage, bytes_in, bytes_out, rejected: self.rejected() };
        self.usage = Usage::default();
        self.is_paused = false;
        self.status = None;
        self.ready_since = None;
    }

    pub(super) fn failed(&self, source: io::Error) -> FleetError {
        FleetError::Process { name: self.place.name.clone(), source }
    }
}
