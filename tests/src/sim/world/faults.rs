//! What incidents do: starts, stops, full and lost disks, clocks that are set, links that fail.
//!
//! Not for: when they happen; the plan says that.

use std::sync::Arc;

use boltgrid_market::Market;
use boltgrid_market::abstention::ClockCheck;
use boltgrid_market::effect::JournalEntry;
use boltgrid_market::input::Input;
use boltgrid_market::payments::Means;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::units::Interval;
use boltgrid_testnet::rogue::Rogue;

use super::carry::name_of;
use super::{What, World};
use crate::sim::dice::{lot, to_index};
use crate::sim::flaw::Flaw;
use crate::sim::incident::{Event, Moment};
use crate::sim::node::{Doom, Mind};
use crate::sim::plan::INTERVAL_MS;

/// How long a node waits for the moment at which it is to be killed.
const DOOM_WITHIN_MS: u64 = 6_000;
/// A process that stood still for longer notices (P25), with the skew.
const PAUSE_MIN_MS: u64 = 1_000;
/// A clock that was set by more is noticed (P25).
const JUMP_MIN_MS: u64 = 500;
/// And so soon.
const NOTICED_AFTER_MS: u64 = 100;
/// A node that ended by itself is started again after this.
const RESTARTED_AFTER_MS: u64 = 2_000;
/// Intervals of silence after a journal was lost (P21).
const SILENT_INTERVALS: u64 = 4;
/// Intervals whose journal is taken up again, as in the node.
const TAKEN_UP_INTERVALS: u64 = 2;
/// Readings that an archive lost in a crash: those of the last moments.
const ARCHIVE_LOSES: usize = 3;

impl World {
    /// An incident of the plan begins.
    pub(super) fn strike(&mut self, number: usize) {
        let incident = self.plan.incidents[number];
        *self.counts.incidents.entry(incident.event.word()).or_default() += 1;
        let until_ms = self.now_ms + incident.for_ms;
        match incident.event {
            Event::Crash { node, moment, down_ms } => {
                self.note(node, || incident.to_string());
                if self.nodes[node].doom.is_none() {
                    let doom = Doom { moment, down_ms, sends_left: None };
                    self.nodes[node].doom = Some(doom);
                    let life = self.nodes[node].life;
                    let within_ms = if moment == Moment::AtRest { 0 } else { DOOM_WITHIN_MS };
                    self.after(within_ms, What::Kill { node, life });
                }
            }
            Event::DiskFull { node } => {
                self.note(node, || incident.to_string());
                self.nodes[node].disk_full_until_ms = until_ms;
            }
            Event::DiskLost { node } => {
                self.note(node, || incident.to_string());
                self.stop(node, 0);
                let life = self.nodes[node].life;
                self.nodes[node].journal.lose();
                self.nodes[node].archive.clear();
                let silent_until_ms = self.now_ms + SILENT_INTERVALS * INTERVAL_MS;
                self.nodes[node].silent_until_ms = silent_until_ms;
                self.put(silent_until_ms, What::Start { node, life });
            }
            Event::Pause { node } => {
                self.note(node, || incident.to_string());
                self.nodes[node].stands_until_ms = until_ms;
                let skew_max_ms = self.founding.charter.interval.clock_skew_max_ms;
                if incident.for_ms > PAUSE_MIN_MS + skew_max_ms {
                    self.put(until_ms, What::Clock { node, check: ClockCheck::Paused });
                }
            }
            Event::ClockStep { node, by_ms } => {
                self.note(node, || incident.to_string());
                self.nodes[node].clock.step(by_ms);
                let skew_max_ms = self.founding.charter.interval.clock_skew_max_ms;
                if by_ms.unsigned_abs() > JUMP_MIN_MS.max(skew_max_ms) {
                    let check = ClockCheck::Jumped { by_ms };
                    self.after(NOTICED_AFTER_MS, What::Clock { node, check });
                }
            }
            Event::ClockDrift { node, drift_ppm } => {
                self.note(node, || incident.to_string());
                self.nodes[node].clock.drift(self.now_ms, drift_ppm);
            }
            Event::Cut { .. } | Event::Loss { .. } | Event::Delay { .. } | Event::Copies { .. } => {
                self.network.expire(self.since_ms());
                self.network.begin(incident);
            }
        }
    }

    /// Writes what one step signed, in one transaction. Whether the node goes on.
    pub(super) fn write(&mut self, node: usize, entries: &[JournalEntry]) -> bool {
        if entries.is_empty() {
            return true;
        }
        self.counts.writes += 1;
        if self.nodes[node].disk_full_until_ms > self.now_ms {
            self.counts.writes_failed += 1;
            self.note(node, || "cannot write, and ends".to_owned());
            self.stop(node, RESTARTED_AFTER_MS);
            return false;
        }
        let doom = self.nodes[node].doom;
        match doom.map(|doom| (doom.moment, doom.down_ms)) {
            Some((Moment::BeforeWrite, down_ms)) => {
                self.stop(node, down_ms);
                false
            }
            Some((Moment::TornWrite, down_ms)) => {
                let draw = lot([self.plan.seed, node as u64, self.now_ms, 0]);
                let kept = to_index(draw % (entries.len() as u64 + 1));
                self.record(node, &entries[..kept]);
                self.stop(node, down_ms);
                false
            }
            Some((Moment::AfterWrite, down_ms)) => {
                self.record(node, entries);
                self.stop(node, down_ms);
                false
            }
            Some((Moment::BetweenSends, _)) => {
                self.record(node, entries);
                let draw = lot([self.plan.seed, node as u64, self.now_ms, 1]);
                let sends_left = u32::try_from(draw % 3).expect("a few");
                let doom = self.nodes[node].doom.as_mut();
                doom.into_iter().for_each(|doom| {
                    doom.sends_left.get_or_insert(sends_left);
                });
                true
            }
            Some((Moment::AtRest, _)) | None => {
                self.record(node, entries);
                true
            }
        }
    }

    fn record(&mut self, node: usize, entries: &[JournalEntry]) {
        let here = self.here(node);
        for entry in entries {
            self.note(node, || format!("stores {}", name_of(entry.slot)));
            let id = self.message(&entry.bytes);
            if self.honest[node]
                && let Some(message) = self.admission.message(id)
            {
                self.checks.stored(here, entry, message);
            }
        }
        if self.options.flaw == Some(Flaw::NoFsync) {
            self.nodes[node].journal.record_unsynced(self.now_ms, entries);
        } else if let Err(twice) = self.nodes[node].journal.record(entries)
            && self.honest[node]
        {
            let what = format!("{} is filled with something else", name_of(twice.0));
            self.checks.filled_twice(here, twice.0.interval(), what);
        }
    }

    /// Whether a node is killed before its next send.
    pub(super) fn dies(&mut self, node: usize) -> bool {
        let Some(doom) = &mut self.nodes[node].doom else { return false };
        let Some(sends_left) = &mut doom.sends_left else { return false };
        if *sends_left > 0 {
            *sends_left -= 1;
            return false;
        }
        let down_ms = doom.down_ms;
        self.stop(node, down_ms);
        true
    }

    /// A node is killed, if it was not before.
    pub(super) fn kill(&mut self, node: usize, life: u32) {
        if self.nodes[node].life == life
            && let Some(doom) = self.nodes[node].doom
        {
            self.stop(node, doom.down_ms);
        }
    }

    /// A node's process ends, and is started again after a while.
    fn stop(&mut self, node: usize, down_ms: u64) {
        self.note(node, || format!("is down for {down_ms} ms"));
        self.counts.stops += u64::from(self.nodes[node].is_up());
        self.nodes[node].stop(self.now_ms);
        self.checks.stopped(node);
        let kept = self.nodes[node].archive.len().saturating_sub(ARCHIVE_LOSES);
        self.nodes[node].archive.truncate(kept);
        let life = self.nodes[node].life;
        self.after(down_ms, What::Start { node, life });
    }

    /// A node starts, from what is on its disk.
    pub(super) fn start(&mut self, node: usize, life: u32) {
        let is_stale = self.nodes[node].life != life || self.nodes[node].is_up();
        if is_stale || self.nodes[node].silent_until_ms > self.now_ms {
            return;
        }
        self.note(node, || "starts".to_owned());
        let current = self.founding.charter.interval.interval_at(self.local(node));
        let oldest = current.minus(TAKEN_UP_INTERVALS);
        let journal = self.nodes[node].journal.load_since(oldest);
        let (charter, rosters) =
            (Arc::clone(&self.founding.charter), self.founding.rosters.clone());
        let key = self.founding.keys[node].clone();
        let role = self.plan.rogues.iter().find(|(rogue, _)| *rogue == node).map(|(_, role)| *role);
        self.nodes[node].mind = if let Some(role) = role {
            let others = self.plan.rogues.iter().filter(|(other, _)| *other != node);
            let accomplices = others.map(|(other, _)| self.founding.keys[*other].clone()).collect();
            let seed = lot([self.plan.seed, node as u64, 0, 2]);
            Mind::Rogue(Box::new(Rogue::new(role, seed, charter, rosters, key, accomplices)))
        } else {
            let mut market = Market::new(charter, rosters, key, journal, Means::Ledger);
            if self.options.flaw == Some(Flaw::NoLock) {
                market.ignore_locks();
            }
            Mind::Honest(Box::new(market))
        };
        self.nodes[node].up_since_ms = self.now_ms;
        self.take_up_archive(node, oldest);
        self.input(node, Input::Tick, None);
    }

    /// Puts back the evidence that bars somebody and the readings of intervals that are not settled
    /// yet, from archive and journal.
    fn take_up_archive(&mut self, node: usize, oldest: Interval) {
        let barring = oldest.minus(self.founding.charter.membership.bar_intervals);
        let admission = &self.admission;
        self.nodes[node].archive.retain(|(interval, id)| match admission.message(*id) {
            Some(Message::Evidence(_)) => *interval >= barring,
            _ => *interval >= oldest,
        });
        let archived: Vec<_> = self.nodes[node].archive.iter().map(|(_, id)| *id).collect();
        for id in archived {
            if let Some(message) = self.admission.message(id).cloned() {
                let heard = Input::Heard { message: Box::new(message), token: None };
                self.input(node, heard, None);
            }
        }
        self.send_last_reading(node);
    }
}
