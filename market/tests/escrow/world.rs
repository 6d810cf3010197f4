//! A payer, a payee and an arbiter, the mail between them, and a Lightning under them, all of which do
//! as a test likes: they lose, repeat and delay, and a node may crash after any effect.
//!
//! Lightning here keeps the promises that the engine rests on and no others: it begins a payment of a
//! hash at most once, gives a held one to whoever has the preimage, and gives it back at its deadline.

#![expect(clippy::unwrap_used, reason = "what cannot fail here fails the test by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_market::effect::{JournalEntry, Slot};
use boltgrid_market::escrow::{
    BLOCK_MS, Effect, Escrows, Happened, HoldInvoice, Incoming, Moment, Outgoing, Stage, View,
    Wanted, Willingness,
};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::escrow::{
    Condition, EscrowAnswer, EscrowQuestion, EscrowRefusal, EscrowTerms, Releases,
};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::lightning::{PaymentHash, Preimage};
use boltgrid_protocol::order::Side;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Msat, Power, Timestamp};

const CHARTER: &str = include_str!("../../../protocol/tests/charter.toml");
/// The interval in which everything begins.
const NOW: Interval = Interval::from_number(5_937_120);
/// The edges of the condition.
pub(crate) const FIRST: Interval = Interval::from_number(5_937_122);
pub(crate) const UNTIL: Interval = Interval::from_number(5_937_125);
/// What must be delivered.
pub(crate) const ENERGY_MWH: u64 = 1_000_000;
/// The height of the chain at the beginning.
const HEIGHT: u32 = 100;

pub(crate) const PAYER: usize = 0;
pub(crate) const PAYEE: usize = 1;
pub(crate) const ARBITER: usize = 2;

pub(crate) fn sat(sat: u64) -> Msat {
    Msat::from_satoshi_saturating(sat)
}

/// What travels between the nodes.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    Ask { from: usize, to: usize, question: EscrowQuestion },
    Answer { by: usize, to: usize, question: EscrowQuestion, answer: EscrowAnswer },
}

impl Parcel {
    pub(crate) fn to(&self) -> usize {
        match self {
            Self::Ask { to, .. } | Self::Answer { to, .. } => *to,
        }
    }
}

pub(crate) struct Node {
    key: Keypair,
    meter: Keypair,
    engine: Escrows,
    pub(crate) journal: BTreeMap<Slot, JournalEntry>,
    /// What it wants of Lightning and its archive, and forgets when it crashes.
    pub(crate) jobs: Vec<Wanted>,
    tokens: BTreeMap<u64, (usize, EscrowQuestion)>,
    pub(crate) told: Vec<View>,
    pub(crate) not_taken: Vec<&'static str>,
    /// After how many effects it crashes.
    pub(crate) doom: Option<usize>,
}

/// A payment as Lightning knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flight {
    Held { claim_before: u32, is_told: bool },
    Claimed,
    GivenBack { by_payee: bool },
}

pub(crate) struct World {
    pub(crate) charter: Arc<Charter>,
    rosters: Rosters,
    pub(crate) willing: Willingness,
    pub(crate) nodes: Vec<Node>,
    pub(crate) mail: Vec<Parcel>,
    pub(crate) flights: BTreeMap<PaymentHash, Flight>,
    pub(crate) begun: usize,
    invoices: BTreeMap<PaymentHash, (Msat, u32)>,
    pub(crate) now: Timestamp,
    started: Timestamp,
    /// Blocks beside those that time brings.
    pub(crate) more_blocks: u32,
    /// What the subject's meter showed between the edges, once it did.
    pub(crate) metered: Option<(usize, u64)>,
    /// What the payer reads in the payee's invoice; the truth, unless a test forges it.
    pub(crate) forged: Option<HoldInvoice>,
    next_token: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let registrar = Keypair::from_seed(&[200; 32]);
        let (before, after) = CHARTER.split_once("registrars = [").unwrap();
        let (_, after) = after.split_once("]\nregistrar_threshold = 2").unwrap();
        let text = format!(
            "{before}registrars = [\"{}\"]\nregistrar_threshold = 1{after}",
            registrar.participant_id()
        );
        let charter = Arc::new(Charter::from_toml(&text).unwrap());
        let keys: Vec<_> = [1, 2, 3]
            .map(|seed| (Keypair::from_seed(&[seed; 32]), Keypair::from_seed(&[seed + 10; 32])))
            .to_vec();
        let rated = Power::from_watts(1_000_000).unwrap();
        let enrol = |(key, meter): &(Keypair, Keypair)| {
            let mut request = CertifiedEnrolment::request(Enrolment {
                grid: charter.grid_id(),
                participant: key.participant_id(),
                meter: meter.meter_key(),
                connection_point: key.participant_id().short(),
                outside: false,
                rated_import_mw: rated,
                rated_export_mw: rated,
                votes: true,
                valid_from: Interval::from_number(0),
                valid_until: Interval::from_number(u64::MAX),
            });
            request.sign(&registrar);
            request
        };
        let rosters = Rosters::new(Arc::clone(&charter), keys.iter().map(enrol).collect()).unwrap();
        let willing = Willingness { arbitrate_max: sat(1_000_000), accept_max: sat(1_000_000) };
        let now = charter.interval.start_of(NOW).plus_ms(1);
        let node = |(key, meter): (Keypair, Keypair)| Node {
            engine: Escrows::new(
                (Arc::clone(&charter), rosters.clone()),
                key.clone(),
                willing,
                &[],
            ),
            key,
            meter,
            journal: BTreeMap::new(),
            jobs: Vec::new(),
            tokens: BTreeMap::new(),
            told: Vec::new(),
            not_taken: Vec::new(),
            doom: None,
        };
        let nodes = keys.into_iter().map(node).collect();
        Self {
            charter,
            rosters,
            willing,
            nodes,
            mail: Vec::new(),
            flights: BTreeMap::new(),
            begun: 0,
            invoices: BTreeMap::new(),
            now,
            started: now,
            more_blocks: 0,
            metered: None,
            forged: None,
            next_token: 0,
        }
    }

    pub(crate) fn id(&self, node: usize) -> ParticipantId {
        self.nodes[node].key.participant_id()
    }

    fn place(&self, id: &ParticipantId) -> usize {
        (0..self.nodes.len()).find(|node| self.id(*node) == *id).unwrap()
    }

    pub(crate) fn height(&self) -> u32 {
        let blocks = self.now.ms_since(self.started) / BLOCK_MS;
        HEIGHT + u32::try_from(blocks).unwrap() + self.more_blocks
    }

    pub(crate) fn at(&self) -> Moment {
        Moment { now: self.now, height: Some(self.height()), may_sign: true }
    }

    /// A contract, or a bond.
    pub(crate) fn terms(&self, releases: Releases) -> EscrowTerms {
        let subject = match releases {
            Releases::Delivered => PAYEE,
            Releases::Missed => PAYER,
        };
        EscrowTerms {
            payee: self.id(PAYEE),
            arbiter: self.id(ARBITER),
            condition: Condition {
                subject: self.id(subject),
                side: Side::Sell,
                energy_mwh: Energy::from_milliwatt_hours(ENERGY_MWH),
                first: FIRST,
                until: UNTIL,
                releases,
            },
            amount_msat: sat(20_000),
            payment_hash: PaymentHash::default(),
            hold_blocks: 100,
            expires_at: self.now.plus_ms(400_000),
        }
    }

    pub(crate) fn preimage() -> Preimage {
        Preimage::from_bytes([5; 32])
    }

    pub(crate) fn propose(&mut self, terms: EscrowTerms) -> MessageHash {
        let at = self.at();
        let proposed = self.nodes[PAYER].engine.propose(at, terms, Self::preimage());
        let (escrow, effects) = proposed.unwrap();
        self.carry_out(PAYER, effects);
        escrow
    }

    /// Calls the engine of a node as its owner.
    pub(crate) fn own<T>(
        &mut self,
        node: usize,
        wish: impl FnOnce(&mut Escrows, Moment) -> Result<Vec<Effect>, T>,
    ) -> Result<(), T> {
        let at = self.at();
        let effects = wish(&mut self.nodes[node].engine, at)?;
        self.carry_out(node, effects);
        Ok(())
    }

    pub(crate) fn give(&mut self, node: usize, happened: Happened) {
        let at = self.at();
        let effects = self.nodes[node].engine.handle(at, happened);
        self.carry_out(node, effects);
    }

    /// Carries effects out in order, or crashes among them.
    fn carry_out(&mut self, node: usize, effects: Vec<Effect>) {
        for effect in effects {
            match &mut self.nodes[node].doom {
                Some(0) => return self.crash(node),
                Some(left) => *left -= 1,
                None => {}
            }
            match effect {
                Effect::Persist(entry) => {
                    let before = self.nodes[node].journal.insert(entry.slot, entry);
                    assert_eq!(before, None, "a slot is filled once");
                }
                Effect::Tell(view) => self.nodes[node].told.push(*view),
                Effect::NotTaken(why) => self.nodes[node].not_taken.push(why),
                Effect::Want(Wanted::Ask { to, question }) => {
                    let to = self.place(&to);
                    self.mail.push(Parcel::Ask { from: node, to, question });
                }
                Effect::Want(Wanted::Answer { token, answer }) => {
                    if let Some((to, question)) = self.nodes[node].tokens.remove(&token) {
                        self.mail.push(Parcel::Answer { by: node, to, question, answer });
                    }
                }
                Effect::Want(wanted) => {
                    let is_pay = |job: &Wanted| matches!(job, Wanted::Pay { .. });
                    let jobs = &self.nodes[node].jobs;
                    let is_busy = is_pay(&wanted) && jobs.iter().any(is_pay);
                    if !is_busy && !jobs.contains(&wanted) {
                        self.nodes[node].jobs.push(wanted);
                    }
                }
            }
        }
    }

    /// The node loses all but its journal, and starts again.
    pub(crate) fn crash(&mut self, node: usize) {
        let grid = (Arc::clone(&self.charter), self.rosters.clone());
        let willing = self.willing;
        let node = &mut self.nodes[node];
        let journal: Vec<_> = node.journal.values().cloned().collect();
        node.engine = Escrows::new(grid, node.key.clone(), willing, &journal);
        node.jobs.clear();
        node.tokens.clear();
        node.doom = None;
        // What Lightning told and was not stored is told again.
        for flight in self.flights.values_mut() {
            if let Flight::Held { is_told, .. } = flight {
                *is_told = false;
            }
        }
    }

    pub(crate) fn deliver(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Ask { from, to, question } => {
                let token = self.next_token;
                self.next_token += 1;
                self.nodes[to].tokens.insert(token, (from, question.clone()));
                let from = self.id(from);
                self.give(to, Happened::Asked { from, question, token });
            }
            Parcel::Answer { by, to, question, answer } => {
                let read = self.forged.or_else(|| {
                    let hash = Self::preimage().payment_hash();
                    let (amount, final_cltv_blocks) = *self.invoices.get(&hash)?;
                    Some(HoldInvoice {
                        payment_hash: hash,
                        amount_msat: Some(amount),
                        expires_at: self.now.plus_ms(1_000),
                        final_cltv_blocks,
                        is_direct: true,
                    })
                });
                let by = self.id(by);
                self.give(to, Happened::Answered { by, question, answer, read });
            }
        }
    }

    /// Lightning or the archive does what a node wants.
    pub(crate) fn work(&mut self, node: usize, wanted: Wanted) {
        let happened = match wanted {
            Wanted::Ask { .. } | Wanted::Answer { .. } => return,
            Wanted::Make { escrow, payment_hash, amount_msat, final_cltv_blocks, .. } => {
                self.invoices.insert(payment_hash, (amount_msat, final_cltv_blocks));
                Happened::Made { escrow, made: Ok(format!("lnbcrt{payment_hash}")) }
            }
            Wanted::Pay { escrow, payment_hash, begins, .. } => {
                let outcome = self.pay(payment_hash, begins);
                Happened::Paid { escrow, outcome }
            }
            Wanted::Claim { escrow, preimage } => {
                let flight = self.flights.get_mut(&preimage.payment_hash());
                let state = match flight {
                    Some(flight @ Flight::Held { .. }) => {
                        *flight = Flight::Claimed;
                        Incoming::Claimed
                    }
                    Some(Flight::Claimed) => Incoming::Claimed,
                    Some(Flight::GivenBack { .. }) | None => Incoming::Pending,
                };
                Happened::Received { escrow, state }
            }
            Wanted::GiveBack { escrow, payment_hash } => {
                self.give_back(payment_hash);
                Happened::Received { escrow, state: Incoming::GivenBack }
            }
            Wanted::Refuse(payment_hash) => return self.give_back(payment_hash),
            Wanted::Readings { escrow, subject, edges } => {
                let found = self.readings(&subject, edges);
                Happened::Readings { escrow, found }
            }
        };
        self.give(node, happened);
    }

    fn pay(&mut self, hash: PaymentHash, begins: bool) -> Outgoing {
        match self.flights.get(&hash) {
            None if begins => {
                let (_, blocks) = self.invoices[&hash];
                // What Lightning holds, it gives back 39 blocks before the time lock.
                let claim_before = self.height() + 1 + blocks - 39;
                self.begun += 1;
                self.flights.insert(hash, Flight::Held { claim_before, is_told: false });
                Outgoing::Pending
            }
            None => Outgoing::Unknown,
            Some(Flight::Held { .. }) => Outgoing::Pending,
            Some(Flight::Claimed) => Outgoing::Sent,
            Some(Flight::GivenBack { .. }) => Outgoing::Failed,
        }
    }

    fn give_back(&mut self, hash: PaymentHash) {
        let flight = self.flights.get_mut(&hash);
        assert_ne!(flight, Some(&mut Flight::Claimed), "what was claimed is never given back");
        if let Some(flight) = flight {
            *flight = Flight::GivenBack { by_payee: true };
        }
    }

    /// The payee's Lightning tells of what it holds.
    pub(crate) fn tell_held(&mut self) {
        let held = self.flights.iter_mut().find_map(|(hash, flight)| match flight {
            Flight::Held { claim_before, is_told } if !*is_told => {
                *is_told = true;
                Some((*hash, *claim_before))
            }
            Flight::Held { .. } | Flight::Claimed | Flight::GivenBack { .. } => None,
        });
        if let Some((payment_hash, claim_before_height)) = held {
            let amount_msat = self.invoices[&payment_hash].0;
            let told = Happened::Held { payment_hash, amount_msat, claim_before_height };
            self.give(PAYEE, told);
        }
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        let height = self.height();
        for flight in self.flights.values_mut() {
            if matches!(flight, Flight::Held { claim_before, .. } if height >= *claim_before) {
                *flight = Flight::GivenBack { by_payee: false };
            }
        }
        for node in 0..self.nodes.len() {
            self.give(node, Happened::Tick);
        }
    }

    fn readings(&self, subject: &ParticipantId, edges: [Interval; 2]) -> Vec<Vec<u8>> {
        let Some((of, moved)) = self.metered else { return Vec::new() };
        if self.id(of) != *subject {
            return Vec::new();
        }
        [0, moved]
            .into_iter()
            .zip(edges)
            .map(|(moved, edge)| self.reading(of, edge, moved))
            .collect()
    }

    /// A signed reading of a node's meter.
    pub(crate) fn reading(&self, of: usize, edge: Interval, moved: u64) -> Vec<u8> {
        let roster = self.rosters.clone().at(edge);
        let reading = Reading {
            at: self.charter.interval.start_of(edge),
            sequence: edge.to_number(),
            previous: MessageHash::default(),
            import_register_mwh: Energy::from_milliwatt_hours(7),
            export_register_mwh: Energy::from_milliwatt_hours(1_000 + moved),
            power_mw: Power::ZERO,
            potential_mw: None,
            voltage_mv: None,
            frequency_mhz: None,
        };
        let node = &self.nodes[of];
        let author = (&node.key.participant_id(), &node.meter);
        let signed = Verified::sign(&reading, edge, author, (&self.charter, &roster)).unwrap();
        signed.bytes().to_vec()
    }

    /// Everybody does everything that is to be done, once.
    pub(crate) fn settle(&mut self) {
        for parcel in std::mem::take(&mut self.mail) {
            self.deliver(parcel);
        }
        for node in 0..self.nodes.len() {
            for wanted in std::mem::take(&mut self.nodes[node].jobs) {
                self.work(node, wanted);
            }
        }
        self.tell_held();
    }

    /// The same, again and again while time passes, until `until`.
    pub(crate) fn run(&mut self, what: &str, mut until: impl FnMut(&Self) -> bool) {
        for _ in 0..20_000 {
            if until(self) {
                return;
            }
            self.settle();
            self.pass(1_000);
        }
        let stages: Vec<_> =
            (0..self.nodes.len()).map(|node| self.views(node).collect::<Vec<_>>()).collect();
        assert!(until(self), "never: {what}; {stages:#?}");
    }

    /// Passes over to an edge without anybody doing anything.
    pub(crate) fn jump_to(&mut self, edge: Interval) {
        let to = self.charter.interval.start_of(edge);
        self.pass(to.ms_since(self.now));
    }

    pub(crate) fn views(&self, node: usize) -> impl Iterator<Item = View> + '_ {
        self.nodes[node].engine.views()
    }

    pub(crate) fn stage(&self, node: usize) -> Option<Stage> {
        self.views(node).next().map(|view| view.stage)
    }

    pub(crate) fn flight(&self) -> Option<Flight> {
        self.flights.get(&Self::preimage().payment_hash()).copied()
    }

    pub(crate) fn refused(&self, why: EscrowRefusal) -> bool {
        self.stage(PAYER) == Some(Stage::Over(boltgrid_market::escrow::End::Refused(why)))
    }
}
