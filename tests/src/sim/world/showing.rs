//! Readings that are shown to counterparties only: sent directly, and again until they arrive or count
//! no more, as the node's network does. Not for: whom they are shown; that is the market's.

use std::sync::Arc;

use boltgrid_market::input::Input;
use boltgrid_protocol::envelope::Header;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::message::{EntryRejected, Message};
use boltgrid_protocol::seal::Shown;
use boltgrid_protocol::units::Timestamp;

use super::gossip::QUESTION_KEY;
use super::{What, World};

/// Between two tries.
const AGAIN_MS: u64 = 700;

impl World {
    /// A node begins to show a reading of its own.
    pub(super) fn start_showing(&mut self, from: usize, to: &ParticipantId, shown: Box<Shown>) {
        let edge = Header::peek(&shown.reading).expect("a market signs readings").interval;
        if self.honest[from] {
            let here = self.here(from);
            self.checks.shown(here, (edge, to), &self.nodes[from].journal);
        }
        let until = self.founding.charter.interval.schedule(edge.previous()).readings_by;
        if let Some(to) = self.founding.node_of(to) {
            self.show(from, to, shown, until);
        }
    }

    /// Shows a reading once, and plans to do so again where it gets lost.
    pub(super) fn show(&mut self, from: usize, to: usize, shown: Box<Shown>, until: Timestamp) {
        if !self.nodes[from].is_up() || self.local(from) > until {
            return;
        }
        let key = QUESTION_KEY + self.sequence;
        let after_ms = self.journey(from, to, key).next().filter(|_| self.nodes[to].is_up());
        match after_ms {
            Some(ms) => self.after(ms, What::Shown { to, from, shown }),
            None => self.after(AGAIN_MS, What::Show { from, to, shown, until }),
        }
    }

    /// A reading arrives that its author shows.
    pub(super) fn take_shown(&mut self, to: usize, from: usize, shown: Shown) {
        if !self.nodes[to].is_up() {
            return;
        }
        let (local, author) = (self.local(to), self.founding.participants[from]);
        let reading: Arc<[u8]> = shown.reading.clone().into();
        let opened = shown.open(&author, |bytes| {
            let id = self.message(&bytes.into());
            let admitted: Option<&Message> = self.admission.admit(id, local);
            admitted.cloned().ok_or(EntryRejected::Stale)
        });
        match opened {
            Ok(opened) => {
                let id = self.message(&reading);
                self.nodes[to].archive.push_back((opened.reading().interval(), id));
                self.counts.shown += 1;
                self.note(to, || format!("is shown a reading by {from}"));
                self.input(to, Input::Shown(Box::new(opened)), None);
            }
            Err(_) => self.counts.refused += 1,
        }
    }
}
