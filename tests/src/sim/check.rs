//! The checks: one file per guarantee of `protocol/PROTOCOL.md`, fed with everything that happens.
//!
//! They know what no node knows: who is honest, when each clock is wrong, everything ever signed.
//! They trust nothing that a market says about itself where they can see it for themselves.
//! Not for: what a run counts.

mod bars;
mod decision;
mod in_time;
mod inclusion;
mod one_book;
mod own_order;
mod private;
mod settlement;
mod signs_once;
mod sums;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use boltgrid_market::effect::JournalEntry;
use boltgrid_market::notice::Notice;
use boltgrid_protocol::charter::{Charter, Schedule};
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::units::{Interval, Timestamp};

use super::journal::Journal;

/// Most violations of one guarantee that are kept: one is enough to fail.
const KEPT_MAX: usize = 3;

/// What is guaranteed, in the words of PROTOCOL.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// Nobody owes what it did not sign, or beyond the limits of its own order (P17).
    OwnOrder,
    /// What binds is written first, and a slot is filled once (P21).
    SignsOnce,
    /// At most one book per interval is certified (P15, P16).
    OneBook,
    /// A kilowatt-hour is allocated once: one clearing binds a member in an interval (P17).
    AllocatedOnce,
    /// An order held by all honest voters at the gate is in the book; one seen by none is not (P14).
    Inclusion,
    /// All who clear a book get the same price, trades and digest (P22).
    SameClearing,
    /// Both sides of a firm trade compute the same amount due (P23).
    SameDue,
    /// Every ledger sums to zero, and so does the grid (P23).
    SumsToZero,
    /// Every node knows in time whether there is a decision (P10, P16).
    InTime,
    /// A decision comes while its assumptions hold (P15).
    Decision,
    /// Evidence reaches everyone (P20).
    EvidenceSpreads,
    /// An honest member is never barred (P20).
    NeverBarred,
    /// Where readings are not open, counterparties only see them (P40).
    ReadingsPrivate,
    /// Where readings are masked, a sum that is taken is what the meters of the cohort showed (P42).
    SumsTrue,
    /// Where readings are masked, what a feeder's sites don't show is noticed in three sums (P43).
    GapNoticed,
}

impl Guarantee {
    /// All guarantees.
    pub const ALL: [Self; 15] = [
        Self::OwnOrder,
        Self::SignsOnce,
        Self::OneBook,
        Self::AllocatedOnce,
        Self::Inclusion,
        Self::SameClearing,
        Self::SameDue,
        Self::SumsToZero,
        Self::InTime,
        Self::Decision,
        Self::EvidenceSpreads,
        Self::NeverBarred,
        Self::ReadingsPrivate,
        Self::SumsTrue,
        Self::GapNoticed,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::OwnOrder => {
                "no obligation without one's own signature and inside one's own order"
            }
            Self::SignsOnce => "what binds is on disk first, and nothing is signed anew",
            Self::OneBook => "at most one certified book per interval",
            Self::AllocatedOnce => "a kWh is allocated once",
            Self::Inclusion => {
                "orders held by all honest voters are in, those held by none are out"
            }
            Self::SameClearing => "all who clear a book clear the same",
            Self::SameDue => "both sides of a firm trade compute the same due",
            Self::SumsToZero => "ledgers sum to zero",
            Self::InTime => "decided or fallen back within the charter's time",
            Self::Decision => "a decision comes",
            Self::EvidenceSpreads => "equivocation is known to all within 5 s",
            Self::NeverBarred => "no honest member is barred",
            Self::ReadingsPrivate => "readings that are not open are shown to counterparties only",
            Self::SumsTrue => "a masked sum is what the cohort's meters showed",
            Self::GapNoticed => "what a feeder's sites do not show is noticed in three sums",
        }
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// A guarantee that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub guarantee: Guarantee,
    /// When, since the run started.
    pub at_ms: u64,
    /// At which node, if it is about one.
    pub node: Option<usize>,
    /// In which interval of the charter's count.
    pub interval: u64,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not held: {}: at {} ms", self.guarantee, self.at_ms)?;
        if let Some(node) = self.node {
            write!(f, ", node {node}")?;
        }
        write!(f, ", interval {}: {}", self.interval, self.what)
    }
}

/// Where and when something happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here {
    /// True time, since the run started.
    pub(super) at_ms: u64,
    /// The node.
    pub(super) node: usize,
    /// What its clock shows.
    pub(super) local: Timestamp,
}

/// What every check knows of the grid.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) charter: Arc<Charter>,
    rosters: Rosters,
    nodes: BTreeMap<ParticipantId, usize>,
    pub(super) participants: Vec<ParticipantId>,
    pub(super) honest: Vec<bool>,
    /// Whether to claim that at most `f` voters are faulty, even where it is not so.
    pub(super) pretend: bool,
}

impl Facts {
    pub(super) fn roster(&mut self, interval: Interval) -> Arc<Roster> {
        self.rosters.at(interval)
    }

    pub(super) fn schedule(&self, interval: Interval) -> Schedule {
        self.charter.interval.schedule(interval)
    }

    pub(super) fn node_of(&self, participant: &ParticipantId) -> Option<usize> {
        self.nodes.get(participant).copied()
    }

    /// The node at a place in the roster.
    pub(super) fn node_at(&self, roster: &Roster, index: RosterIndex) -> Option<usize> {
        self.node_of(&roster.participant(index)?)
    }

    pub(super) fn index_of(&self, roster: &Roster, node: usize) -> Option<RosterIndex> {
        roster.index_of(&self.participants[node])
    }

    /// Whether at most `f` of an interval's voters are faulty.
    pub(super) fn few_faulty(&mut self, interval: Interval) -> bool {
        let roster = self.roster(interval);
        let faulty = roster
            .voters()
            .iter()
            .filter(|voter| self.node_at(&roster, **voter).is_none_or(|node| !self.honest[node]));
        self.pretend || faulty.count() <= roster.faulty_max()
    }
}

/// Where violations go.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Violation>,
    counts: BTreeMap<Guarantee, u64>,
}

impl Findings {
    pub(super) fn add(
        &mut self,
        guarantee: Guarantee,
        (at_ms, node): (u64, Option<usize>),
        interval: Interval,
        what: String,
    ) {
        *self.counts.entry(guarantee).or_default() += 1;
        let same = self.kept.iter().filter(|it| it.guarantee == guarantee).count();
        if same < KEPT_MAX {
            let interval = interval.to_number();
            self.kept.push(Violation { guarantee, at_ms, node, interval, what });
        }
    }

    fn at(&mut self, guarantee: Guarantee, here: Here, interval: Interval, what: String) {
        self.add(guarantee, (here.at_ms, Some(here.node)), interval, what);
    }
}

/// How the nodes fared lately: who was up, in time and well connected.
#[derive(Debug)]
pub(super) struct Fitness {
    /// Per node, whether it was undisturbed.
    pub(super) fit: Vec<bool>,
    /// Per node, whether it was running all the time with its clock untouched, whatever the links.
    pub(super) steady: Vec<bool>,
}

/// All checks of one run.
#[derive(Debug)]
pub(super) struct Checks {
    facts: Facts,
    findings: Findings,
    own_orders: own_order::OwnOrders,
    one_book: one_book::OneBook,
    signs_once: signs_once::SignsOnce,
    inclusion: inclusion::Inclusion,
    settlement: settlement::Settlements,
    in_time: in_time::InTime,
    bars: bars::Bars,
    pub(super) sums: sums::Sums,
    /// How many intervals somebody decided.
    pub(super) decided: u64,
}

impl Checks {
    pub(super) fn new(
        charter: Arc<Charter>,
        rosters: Rosters,
        participants: Vec<ParticipantId>,
        honest: Vec<bool>,
    ) -> Self {
        let nodes = participants.iter().copied().zip(0..).collect();
        let facts = Facts { charter, rosters, nodes, participants, honest, pretend: false };
        Self {
            facts,
            findings: Findings::default(),
            own_orders: own_order::OwnOrders::default(),
            one_book: one_book::OneBook::default(),
            signs_once: signs_once::SignsOnce::default(),
            inclusion: inclusion::Inclusion::default(),
            settlement: settlement::Settlements::default(),
            in_time: in_time::InTime::default(),
            bars: bars::Bars::default(),
            sums: sums::Sums::default(),
            decided: 0,
        }
    }

    /// Claims the assumption about faulty voters even where it does not hold.
    pub(super) const fn pretend(&mut self) {
        self.facts.pretend = true;
    }

    /// A message exists that did not before.
    pub(super) fn seen(&mut self, at_ms: u64, message: &Message) {
        if let Message::Vote(vote) = message {
            self.one_book.voted(&mut self.facts, &mut self.findings, at_ms, vote);
        }
    }

    /// An honest node lets a message of its own leave.
    pub(super) fn left(&mut self, here: Here, message: &Message, journal: &Journal) {
        self.signs_once.left(&mut self.findings, here, message, journal);
        private::left(&mut self.facts, &mut self.findings, here, message);
        if let Message::Confirm(confirm) = message {
            let (facts, findings) = (&mut self.facts, &mut self.findings);
            self.own_orders.confirmed(facts, findings, here, (confirm, journal));
        }
    }

    /// An honest node shows a reading of its own to somebody.
    pub(super) fn shown(&mut self, here: Here, of: (Interval, &ParticipantId), journal: &Journal) {
        private::shown(&mut self.findings, here, of, journal);
    }

    /// An honest node stored what it signed or was given.
    pub(super) fn stored(&mut self, here: Here, entry: &JournalEntry, message: &Message) {
        let (facts, findings) = (&mut self.facts, &mut self.findings);
        self.own_orders.stored(here, entry, message);
        self.in_time.stored(facts, findings, here, entry.slot);
        self.inclusion.stored(facts, findings, (here, entry.slot, message), &self.bars);
    }

    /// A slot of an honest node's journal was filled with something else before.
    pub(super) fn filled_twice(&mut self, here: Here, interval: Interval, what: String) {
        self.findings.at(Guarantee::SignsOnce, here, interval, what);
    }

    /// Gossip came to an honest node and was given to its market.
    pub(super) fn heard(&mut self, here: Here, message: &Message) {
        self.inclusion.heard(&self.facts, here, message);
    }

    /// An honest node took a message as the first of its slot, or as proof against its author.
    /// When its author must be known to all, if it contradicts itself.
    pub(super) fn took(&mut self, here: Here, message: &Message) -> Option<u64> {
        self.bars.took(&self.facts, here, message)
    }

    /// An honest node told something.
    pub(super) fn told(&mut self, here: Here, notice: &Notice, journal: &Journal) {
        let (facts, findings) = (&mut self.facts, &mut self.findings);
        match notice {
            Notice::Cleared(cleared) => {
                self.one_book.cleared(facts, findings, here, cleared);
                self.in_time.cleared(here, cleared.interval);
            }
            Notice::NoDecision(interval) => {
                self.in_time.fell_back(facts, findings, here, *interval);
            }
            Notice::Confirmed { interval, terms } => {
                self.own_orders.bound(facts, findings, here, (*interval, terms, journal));
                self.one_book.bound(findings, here, *interval, terms);
            }
            Notice::Settled(settled) => self.settlement.settled(facts, findings, here, settled),
            Notice::NotSettled(interval, error) => {
                let what = format!("it cannot settle: {error}");
                findings.at(Guarantee::SumsToZero, here, *interval, what);
            }
            Notice::Barred { culprit, until, .. } => {
                self.bars.barred(facts, findings, here, (culprit, *until));
            }
            Notice::Summed(sum) => self.sums.told(facts, findings, here, (sum, &self.one_book)),
            Notice::NotTaken(_)
            | Notice::Passed(_)
            | Notice::Placed { .. }
            | Notice::Lapsed { .. }
            | Notice::Abstains(_)
            | Notice::Returned { .. }
            | Notice::Offered(_)
            | Notice::Accepted { .. }
            | Notice::AcceptanceRefused { .. }
            | Notice::AcceptanceVoid { .. }
            | Notice::ForwardMade(_)
            | Notice::Payment(_) => {}
        }
    }

    /// A node stopped, and forgot what it had not stored.
    pub(super) fn stopped(&mut self, node: usize) {
        self.inclusion.forget(node);
        self.in_time.forget(node);
        self.bars.forget(node);
    }

    /// Since when those are known to somebody that all must know by now.
    pub(super) fn evidence_since(&self, at_ms: u64) -> Vec<u64> {
        self.bars.since(at_ms)
    }

    /// Evidence must have spread by now; `fitness` is by the moments of [`Self::evidence_since`].
    pub(super) fn evidence_due(&mut self, at_ms: u64, fitness: &BTreeMap<u64, Fitness>) {
        self.bars.due(&self.facts, &mut self.findings, at_ms, fitness);
    }

    /// An interval's delivery has begun: everyone knows what there is to know.
    pub(super) fn closed(&mut self, at_ms: u64, interval: Interval, fitness: &Fitness) {
        self.decided += u64::from(self.one_book.entries(interval).is_some());
        let (facts, findings) = (&mut self.facts, &mut self.findings);
        self.in_time.closed(facts, findings, (at_ms, interval), fitness);
        self.inclusion.closed(facts, findings, (at_ms, interval), (&self.one_book, &self.bars));
        decision::closed(facts, findings, (at_ms, interval), (fitness, &self.in_time));
    }

    /// How many equivocations reached honest nodes.
    pub(super) const fn caught(&self) -> u64 {
        self.bars.caught
    }

    /// What did not hold.
    pub(super) fn into_violations(self) -> (Vec<Violation>, BTreeMap<Guarantee, u64>) {
        (self.findings.kept, self.findings.counts)
    }

    /// Whether a guarantee did not hold.
    pub(super) fn failed(&self, guarantee: Guarantee) -> bool {
        self.findings.counts.contains_key(&guarantee)
    }
}
