//! Each site's signed readings at interval edges, as the node's own reading task makes them: stored
//! before they leave, chained, one per edge whatever the clock does.
//!
//! Not for: meters that lie; those are a role.

use std::sync::Arc;

use boltgrid_market::effect::{JournalEntry, Slot};
use boltgrid_market::input::Input;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::MessageHash;
use boltgrid_protocol::message::{INTERVALS_BACK, Message};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::{Energy, Power};

use super::World;
use crate::sim::plan::INTERVAL_MS;

/// What a site that hides something hides in an interval: less than its rating.
const HIDDEN_MWH: u64 = 270_000;

impl World {
    /// Signs, stores and sends the reading of the edge that has just passed, if it is not done.
    pub(super) fn meter(&mut self, node: usize) {
        let timing = self.founding.charter.interval;
        let local = self.local(node);
        let interval = timing.interval_at(local);
        let edge = timing.start_of(interval);
        let started = self.nodes[node].clock.shows(self.nodes[node].up_since_ms);
        let last = self.nodes[node].journal.last_reading().cloned();
        let stored = last.as_ref().map(|entry| entry.slot.interval());
        if started > edge || stored.is_some_and(|stored| stored >= interval) {
            return;
        }
        let roster = self.founding.rosters.at(interval);
        let participant = self.founding.participants[node];
        if roster.index_of(&participant).is_none() {
            return;
        }
        let before = last.and_then(|entry| self.reading(&entry));
        let (import, export) = self.registers(node);
        let reading = Reading {
            at: edge,
            sequence: before.as_ref().map_or(0, |before| before.body().sequence + 1),
            previous: before.map_or(MessageHash::default(), |before| before.hash()),
            import_register_mwh: Energy::from_milliwatt_hours(import),
            export_register_mwh: Energy::from_milliwatt_hours(export),
            power_mw: Power::ZERO,
            potential_mw: None,
            voltage_mv: None,
            frequency_mhz: None,
        };
        let author = (&participant, &self.founding.keys[node]);
        let charter = Arc::clone(&self.founding.charter);
        let signed = Verified::sign(&reading, interval, author, (&charter, &roster))
            .expect("a member's reading of its own edge");
        let entry =
            JournalEntry { slot: Slot::Reading(interval), bytes: Arc::clone(signed.bytes()) };
        if self.write(node, &[entry]) {
            self.checks.sums.showed(node, interval, (import, export));
            self.input(node, Input::Metered(Box::new(signed)), None);
        }
    }

    /// What a node's meter shows by now: a feeder's all that its sites' do, and what they hide.
    fn registers(&mut self, node: usize) -> (u64, u64) {
        let now_ms = self.now_ms;
        if !self.plan.members[node].is_meter {
            return self.nodes[node].site.registers(now_ms);
        }
        let mut sum = (self.hidden_mwh(), 0);
        for site in 0..self.nodes.len() {
            let member = &self.plan.members[site];
            if !member.is_meter && !member.outside {
                let (import, export) = self.nodes[site].site.registers(now_ms);
                sum = (sum.0 + import, sum.1 + export);
            }
        }
        sum
    }

    /// What was taken by now that no site's meter shows.
    fn hidden_mwh(&self) -> u64 {
        let Some(from) = self.plan.hidden else { return 0 };
        let from = self.founding.charter.interval.start_of(self.founding.first.plus(from));
        self.now_ms.saturating_sub(from.to_unix_ms()) * HIDDEN_MWH / INTERVAL_MS
    }

    /// After a restart the last reading is sent again where others would still take it.
    pub(super) fn send_last_reading(&mut self, node: usize) {
        let current = self.founding.charter.interval.interval_at(self.local(node));
        let last = self.nodes[node].journal.last_reading().cloned();
        let last = last.and_then(|entry| self.reading(&entry));
        if let Some(last) = last.filter(|last| last.interval().plus(INTERVALS_BACK) >= current) {
            // It may have reached the disk though the node was told that it had not.
            let Reading { import_register_mwh, export_register_mwh, .. } = last.body();
            let registers = (
                import_register_mwh.to_milliwatt_hours(),
                export_register_mwh.to_milliwatt_hours(),
            );
            self.checks.sums.showed(node, last.interval(), registers);
            self.input(node, Input::MeteredBefore(Box::new(last)), None);
        }
    }

    fn reading(&mut self, entry: &JournalEntry) -> Option<Verified<Reading>> {
        let id = self.message(&entry.bytes);
        match self.admission.message(id) {
            Some(Message::Reading(reading)) => Some(reading.clone()),
            Some(_) | None => None,
        }
    }
}
