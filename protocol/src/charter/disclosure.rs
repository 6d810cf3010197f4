//! Who sees a member's readings: what the charter says about it.
//!
//! Not for: how a reading is sealed and shown ([`crate::seal`]), or masked ([`crate::masking`]).

use serde::{Deserialize, Serialize};

use super::Charter;
use crate::envelope::Kind;
use crate::id::RosterIndex;
use crate::roster::Roster;

/// Who sees what a meter showed (P40, P42). A charter that says nothing is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disclosure {
    /// Every member: readings are gossiped.
    #[default]
    Open,
    /// Those who trade with the member in the interval: readings are shown to them directly, and what
    /// is gossiped is a seal that binds the meter and shows nothing.
    Counterparty,
    /// The same, and the sites of a feeder say under masks what each took, so that everybody can add
    /// them up and hold the sum against the feeder's meter, which shows no household and is open.
    Masked,
}

impl Disclosure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Counterparty, Self::Masked];

    /// Its word in charters and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Counterparty => "counterparty",
            Self::Masked => "masked",
        }
    }

    /// Whether every member sees every reading. Where not, those of sites are sealed and shown.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether the sites of a feeder are added up under masks (P42).
    #[must_use]
    pub const fn is_masked(self) -> bool {
        matches!(self, Self::Masked)
    }

    /// Whether every member sees the readings of this one: where they are masked, those of a feeder's
    /// meter (P42).
    #[must_use]
    pub fn opens(self, member: RosterIndex, (charter, roster): (&Charter, &Roster)) -> bool {
        match self {
            Self::Open => true,
            Self::Counterparty => false,
            Self::Masked => roster.is_feeders_meter(member, charter),
        }
    }

    /// Whether a kind of message may be gossiped by somebody, if it is one that ever is. Whose readings
    /// may be, [`Self::opens`] says.
    #[must_use]
    pub const fn lets_gossip(self, kind: Kind) -> bool {
        match kind {
            Kind::Reading => self.is_open() || self.is_masked(),
            Kind::Seal => !self.is_open(),
            Kind::Share => self.is_masked(),
            Kind::Order
            | Kind::Ack
            | Kind::Proposal
            | Kind::Vote
            | Kind::TradeConfirm
            | Kind::Evidence
            | Kind::PeerRecord
            | Kind::Offer
            | Kind::Acceptance
            | Kind::Reply
            | Kind::Invoice
            | Kind::Deed => true,
        }
    }
}
