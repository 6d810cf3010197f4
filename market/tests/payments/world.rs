//! Two nodes' payments, the mail between them, and a Lightning between them, all of which do as a
//! test likes: they lose, repeat and delay, and a node may crash after any effect.
//!
//! Lightning here keeps the promises that the engine rests on and no others: it begins a payment of a
//! hash at most once, forgets none, and tells of an outcome again until somebody has taken it.

#![expect(clippy::unwrap_used, reason = "what cannot fail here fails the test by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_market::effect::{Effect, JournalEntry, Slot};
use boltgrid_market::notice::Notice;
use boltgrid_market::payments::{
    Bolt11, CreditTerms, Dispute, DueId, Happened, Means, Outcome, Payments, Told, Wanted,
};
use boltgrid_market::settlement::{Contract, Delivery, Metered, Settlement, settle};
use boltgrid_protocol::charter::{Charter, TariffPrices};
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::invoice::{Cause, Invoice, InvoiceRefusal, InvoiceWord};
use boltgrid_protocol::lightning::{PaymentHash, Preimage};
use boltgrid_protocol::message::{Gatekeeper, Message};
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Msat, Power, Price, Timestamp};

const CHARTER: &str = include_str!("../../../protocol/tests/charter.toml");
/// The first interval that is settled.
pub(crate) const FIRST: Interval = Interval::from_number(5_937_120);

pub(crate) fn msat(msat: u64) -> Msat {
    Msat::from_millisatoshi(msat).unwrap()
}

/// What travels between the nodes.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    Ask { to: usize, invoice: Arc<[u8]> },
    Word { to: usize, hash: PaymentHash, word: InvoiceWord },
}

/// What a node wants of its Lightning, and forgets when it crashes.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Make { due: DueId, tranche: u32, amount: Msat, expires_at: Timestamp },
    Pay { hash: PaymentHash },
    Inquire { hash: PaymentHash, inquiry: u32 },
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) key: Keypair,
    pub(crate) engine: Payments,
    pub(crate) journal: BTreeMap<Slot, JournalEntry>,
    pub(crate) jobs: Vec<Job>,
    /// What its Lightning told and it has not taken yet.
    pub(crate) events: Vec<(PaymentHash, bool)>,
    pub(crate) told: Vec<Told>,
    pub(crate) settled: Vec<Settlement>,
    /// After how many effects it crashes.
    pub(crate) doom: Option<usize>,
}

/// A payment as Lightning knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flight {
    Pending,
    Sent,
    Failed,
}

/// An invoice as Lightning knows it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) payee: usize,
    pub(crate) due: DueId,
    pub(crate) tranche: u32,
    pub(crate) amount: Msat,
    pub(crate) expires_at: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Lightning {
    pub(crate) made: BTreeMap<PaymentHash, Made>,
    pub(crate) flights: BTreeMap<PaymentHash, Flight>,
    number: u64,
}

pub(crate) struct World {
    pub(crate) charter: Arc<Charter>,
    rosters: Rosters,
    pub(crate) roster: Arc<Roster>,
    gate: Gatekeeper,
    means: Means,
    pub(crate) nodes: Vec<Node>,
    pub(crate) mail: Vec<Parcel>,
    pub(crate) lightning: Lightning,
    pub(crate) now: Timestamp,
    /// A payment that somebody on its way holds.
    pub(crate) stuck: Option<PaymentHash>,
    /// What the payer's node reads in every BOLT11 text; the truth, unless a test forges it.
    pub(crate) forged: Option<Bolt11>,
}

pub(crate) const CREDIT: CreditTerms = CreditTerms { first_msat: Msat::ZERO, most_msat: Msat::MAX };

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
        let mut keys: Vec<_> = [1, 2].map(|seed| Keypair::from_seed(&[seed; 32])).to_vec();
        keys.sort_by_key(Keypair::participant_id);
        let rated = Power::from_watts(1_000_000).unwrap();
        let enrol = |key: &Keypair| {
            let mut request = CertifiedEnrolment::request(Enrolment {
                grid: charter.grid_id(),
                participant: key.participant_id(),
                meter: key.meter_key(),
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
        let mut rosters =
            Rosters::new(Arc::clone(&charter), keys.iter().map(enrol).collect()).unwrap();
        let means = Means::Lightning(CREDIT);
        let node = |key: Keypair| Node {
            engine: Payments::new(
                means,
                Arc::clone(&charter),
                rosters.clone(),
                key.clone(),
                Vec::new(),
            )
            .0,
            key,
            journal: BTreeMap::new(),
            jobs: Vec::new(),
            events: Vec::new(),
            told: Vec::new(),
            settled: Vec::new(),
            doom: None,
        };
        let nodes = keys.into_iter().map(node).collect();
        Self {
            roster: rosters.at(FIRST),
            gate: Gatekeeper::new(Arc::clone(&charter), rosters.clone()),
            now: charter.interval.schedule(FIRST).delivery_ends,
            charter,
            rosters,
            means,
            nodes,
            mail: Vec::new(),
            lightning: Lightning::default(),
            stuck: None,
            forged: None,
        }
    }

    pub(crate) fn id(&self, node: usize) -> ParticipantId {
        self.nodes[node].key.participant_id()
    }

    /// The settlement of a trade of the first node's energy to the second, as `me` reckons it.
    pub(crate) fn settlement(
        &self,
        me: usize,
        place: u64,
        (delivered, price): (u64, i64),
    ) -> Settlement {
        let energy = Energy::from_milliwatt_hours(delivered);
        let seller = Metered { import: Energy::ZERO, export: energy };
        let buyer = Metered { import: energy, export: Energy::ZERO };
        let zero = Price::ZERO;
        let delivery = Delivery {
            interval: FIRST.plus(place),
            me: RosterIndex::new(u32::try_from(me).unwrap()),
            metered: Some(if me == 0 { seller } else { buyer }),
            prices: TariffPrices { retail_msat_per_kwh: zero, feed_in_msat_per_kwh: zero },
            loss_ppm: 0,
        };
        let contract = Contract {
            terms: TradeTerms {
                index: 3,
                seller: RosterIndex::new(0),
                buyer: RosterIndex::new(1),
                energy_mwh: energy,
                price_msat_per_kwh: Price::from_msat_per_kwh(price),
            },
            counterparty: self.id(1 - me),
            seller_total: energy,
            buyer_total: energy,
            seller_committed: Energy::ZERO,
            buyer_committed: Energy::ZERO,
            seller: Some(seller),
            buyer: Some(buyer),
        };
        settle(&delivery, &[contract], &[]).unwrap()
    }

    /// Both nodes settle an interval in which so much was delivered at that price.
    pub(crate) fn settle(&mut self, place: u64, trade: (u64, i64)) {
        for me in [0, 1] {
            self.settle_at(me, place, trade);
        }
    }

    pub(crate) fn settle_at(&mut self, me: usize, place: u64, trade: (u64, i64)) {
        let settlement = self.settlement(me, place, trade);
        self.nodes[me].settled.push(settlement.clone());
        self.take(me, &settlement);
    }

    fn take(&mut self, me: usize, settlement: &Settlement) {
        let cause = Cause::Trade { index: 3 };
        let proofs = vec![(cause, vec![b"readings and confirms".to_vec()])];
        let effects = self.nodes[me].engine.settled(self.now, settlement, proofs);
        self.carry_out(me, effects);
    }

    pub(crate) fn input(&mut self, node: usize, happened: Happened) {
        let effects = self.nodes[node].engine.handle(self.now, happened);
        self.carry_out(node, effects);
    }

    /// A node's owner forgives a counterparty; how many dues that were, and how much.
    pub(crate) fn forgive(&mut self, node: usize, whom: ParticipantId) -> Option<(usize, u64)> {
        let before = self.nodes[node].told.len();
        let effects = self.nodes[node].engine.forgive(self.now, whom);
        self.carry_out(node, effects);
        self.nodes[node].told[before..].iter().find_map(|told| {
            let Told::Forgiven { dues, unpaid_msat, .. } = told else { return None };
            Some((dues.len(), unpaid_msat.to_millisatoshi()))
        })
    }

    /// Time passes, and both nodes look at the clock.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        for node in [0, 1] {
            let effects = self.nodes[node].engine.advance(self.now);
            self.carry_out(node, effects);
        }
    }

    fn carry_out(&mut self, node: usize, effects: Vec<Effect>) {
        for effect in effects {
            match &mut self.nodes[node].doom {
                Some(0) => return self.crash(node),
                Some(left) => *left -= 1,
                None => {}
            }
            match effect {
                Effect::Persist(entry) => {
                    let earlier = self.nodes[node].journal.insert(entry.slot, entry.clone());
                    assert!(earlier.is_none(), "{:?} filled twice", entry.slot);
                }
                Effect::Payment(wanted) => self.want(node, wanted),
                Effect::Tell(Notice::Payment(told)) => self.nodes[node].told.push(*told),
                Effect::Tell(_) => {}
                other @ (Effect::Gossip(..)
                | Effect::SendTo { .. }
                | Effect::Show { .. }
                | Effect::Judge { .. }
                | Effect::FetchOrders { .. }
                | Effect::FetchCertificate { .. }
                | Effect::PublishOffer(_)
                | Effect::AskReply { .. }
                | Effect::AnswerReply { .. }
                | Effect::AskOrder(_)) => unreachable!("{other:?} is not about payments"),
            }
        }
    }

    fn want(&mut self, node: usize, wanted: Wanted) {
        let now = self.now;
        let jobs = &mut self.nodes[node].jobs;
        match wanted {
            Wanted::Make { due, tranche, amount_msat, expiry_ms } => {
                let expires_at = now.plus_ms(expiry_ms);
                jobs.push(Job::Make { due, tranche, amount: amount_msat, expires_at });
            }
            Wanted::Pay { payment_hash, .. } => jobs.push(Job::Pay { hash: payment_hash }),
            Wanted::Inquire { payment_hash, inquiry } => {
                jobs.push(Job::Inquire { hash: payment_hash, inquiry });
            }
            Wanted::Send { invoice, .. } => self.mail.push(Parcel::Ask { to: 1 - node, invoice }),
            Wanted::Answer { word, token } => {
                let mut hash = [0; 32];
                hash[..8].copy_from_slice(&token.to_be_bytes());
                let hash = PaymentHash::from_bytes(hash);
                self.mail.push(Parcel::Word { to: 1 - node, hash, word });
            }
        }
    }

    /// A node loses everything but its journal, and starts again.
    pub(crate) fn crash(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        it.jobs.clear();
        it.doom = None;
        let journal = it.journal.values().cloned().collect();
        let (charter, rosters) = (Arc::clone(&self.charter), self.rosters.clone());
        it.engine = Payments::new(self.means, charter, rosters, it.key.clone(), journal).0;
        for settlement in it.settled.clone() {
            self.take(node, &settlement);
        }
    }

    pub(crate) fn deliver(&mut self, parcel: &Parcel) {
        match parcel {
            Parcel::Ask { to, invoice } => {
                let Ok(Message::Invoice(invoice)) = self.gate.admit(Arc::clone(invoice), self.now)
                else {
                    unreachable!("nothing else is sent")
                };
                self.ask(*to, invoice);
            }
            Parcel::Word { to, hash, word } => {
                let from = self.id(1 - to);
                self.input(*to, Happened::Word { from, payment_hash: *hash, word: *word });
            }
        }
    }

    /// Asks a node for its word on an invoice. The hashes of this Lightning fit a token.
    pub(crate) fn ask(&mut self, to: usize, invoice: Verified<Invoice>) {
        let hash = invoice.body().payment_hash;
        let made = self.lightning.made.get(&hash);
        let truth = made.map(|made| Bolt11 {
            payment_hash: hash,
            amount_msat: Some(made.amount),
            expires_at: made.expires_at,
        });
        let read = self.forged.or(truth);
        let mut token = [0; 8];
        token.copy_from_slice(&hash.as_bytes()[..8]);
        let token = u64::from_be_bytes(token);
        self.input(to, Happened::Asked { invoice: Box::new(invoice), read, token });
    }

    /// Lightning makes an invoice out of nothing.
    pub(crate) fn make(&mut self, made: Made) -> PaymentHash {
        self.lightning.number += 1;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.lightning.number.to_be_bytes());
        let hash = PaymentHash::from_bytes(hash);
        self.lightning.made.insert(hash, made);
        hash
    }

    /// Lightning does a job.
    pub(crate) fn work(&mut self, node: usize, job: Job) {
        match job {
            Job::Make { due, tranche, amount, expires_at } => {
                let hash = self.make(Made { payee: node, due, tranche, amount, expires_at });
                let amount_msat = Some(amount);
                let read = Bolt11 { payment_hash: hash, amount_msat, expires_at };
                let bolt11 = format!("lnbcrt{}", hash.short());
                self.input(node, Happened::Made { due, tranche, bolt11, read });
            }
            Job::Pay { hash } => {
                self.lightning.flights.entry(hash).or_insert(Flight::Pending);
            }
            Job::Inquire { hash, inquiry } => {
                let outcome = match self.lightning.flights.get(&hash) {
                    None => Outcome::Unknown,
                    Some(Flight::Pending) => Outcome::Pending,
                    Some(Flight::Failed) => Outcome::Failed,
                    Some(Flight::Sent) => sent(hash),
                };
                let payment_hash = hash;
                self.input(node, Happened::Known { payment_hash, inquiry, outcome });
            }
        }
    }

    /// A payment that is on its way arrives, or fails.
    pub(crate) fn land(&mut self, hash: PaymentHash, arrives: bool) {
        let made = self.lightning.made[&hash].clone();
        let flight = self.lightning.flights.get_mut(&hash).unwrap();
        assert_eq!(*flight, Flight::Pending);
        *flight = if arrives { Flight::Sent } else { Flight::Failed };
        if arrives {
            self.nodes[made.payee].events.push((hash, true));
        }
        self.nodes[1 - made.payee].events.push((hash, arrives));
    }

    pub(crate) fn pending(&self) -> Vec<PaymentHash> {
        let pending = self.lightning.flights.iter().filter(|(_, it)| **it == Flight::Pending);
        pending.map(|(hash, _)| *hash).filter(|hash| self.stuck != Some(*hash)).collect()
    }

    /// A node is told of an outcome; Lightning does not know yet that it was.
    pub(crate) fn tell(&mut self, node: usize, (hash, arrived): (PaymentHash, bool)) {
        let made = self.lightning.made[&hash].clone();
        let happened = if made.payee == node {
            Happened::Received { payment_hash: hash, amount_msat: made.amount }
        } else {
            let outcome = if arrived { sent(hash) } else { Outcome::Failed };
            Happened::Told { payment_hash: hash, outcome }
        };
        self.input(node, happened);
    }

    /// Everything works from now on, until nothing is left to do or `ms` have passed.
    pub(crate) fn go_well_for(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        self.nodes.iter_mut().for_each(|node| node.doom = None);
        while self.now < until {
            for parcel in std::mem::take(&mut self.mail) {
                self.deliver(&parcel);
            }
            for node in [0, 1] {
                for job in std::mem::take(&mut self.nodes[node].jobs) {
                    self.work(node, job);
                }
            }
            for hash in self.pending() {
                self.land(hash, true);
            }
            for node in [0, 1] {
                for event in std::mem::take(&mut self.nodes[node].events) {
                    self.tell(node, event);
                }
            }
            let next = (0..2).filter_map(|node| self.nodes[node].engine.next_moment(self.now));
            let step = next.min().map_or(ms, |next| next.ms_since(self.now)).clamp(50, 60_000);
            self.pass(step);
        }
    }

    /// What a node has paid, as Lightning knows it.
    pub(crate) fn paid_by(&self, payer: usize) -> u64 {
        let made = &self.lightning.made;
        let sent = self.lightning.flights.iter().filter(|(_, it)| **it == Flight::Sent);
        sent.map(|(hash, _)| &made[hash])
            .filter(|made| made.payee != payer)
            .map(|made| made.amount.to_millisatoshi())
            .sum()
    }

    /// What a node owes by all it has settled.
    pub(crate) fn owed_by(&self, payer: usize) -> u64 {
        let trades = self.nodes[payer].settled.iter().flat_map(|it| &it.trades);
        let dues = trades.map(|trade| trade.due_msat.to_millisatoshi());
        dues.filter(|due| *due < 0).map(i64::unsigned_abs).sum()
    }

    pub(crate) fn disputes(&self, node: usize) -> Vec<&Dispute> {
        let told = self.nodes[node].told.iter();
        told.filter_map(|told| if let Told::Disputed(it) = told { Some(&**it) } else { None })
            .collect()
    }

    pub(crate) fn refusals(&self, node: usize) -> Vec<InvoiceRefusal> {
        let why =
            |told: &Told| if let Told::Refused { why, .. } = told { Some(*why) } else { None };
        self.nodes[node].told.iter().filter_map(why).collect()
    }

    /// Signs an invoice as a node that may be hostile.
    pub(crate) fn forge(
        &self,
        node: usize,
        interval: Interval,
        body: &Invoice,
    ) -> Verified<Invoice> {
        let key = &self.nodes[node].key;
        let author = (&key.participant_id(), key);
        Verified::sign(body, interval, author, (&self.charter, &self.roster)).unwrap()
    }
}

fn sent(hash: PaymentHash) -> Outcome {
    Outcome::Sent { preimage: Preimage::from_bytes(*hash.as_bytes()), fee_msat: Msat::ZERO }
}
