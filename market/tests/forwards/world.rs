//! A few markets without the rest of a node, and mail between them that tests lose and repeat.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_market::Market;
use boltgrid_market::effect::{Effect, JournalEntry, Slot};
use boltgrid_market::forwards::Terms;
use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_market::payments::Means;
use boltgrid_protocol::agreement::{Stage, Vote};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::forward::{Forward, Reply};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::message::{Gatekeeper, Message};
use boltgrid_protocol::offer::{Offer, Product};
use boltgrid_protocol::order::{Side, Source};
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Power, Price, Timestamp};

pub(crate) const MEMBERS: usize = 4;
/// What every connection point moves in a minute, each way.
pub(crate) const RATED_MWH: u64 = 10_000;

const CHARTER: &str = r#"
name = "test"
[interval]
interval_ms = 60000
gate_before_delivery_ms = 6500
orders_open_before_gate_ms = 2500
orders_close_before_gate_ms = 500
proposal_after_gate_ms = 300
view_ms = 800
views = 6
confirm_by_after_gate_ms = 6000
readings_by_after_delivery_ms = 3000
clock_skew_max_ms = 300
[price]
floor_msat_per_kwh = -200000
ceiling_msat_per_kwh = 400000
[connection]
import_capacity_w = 160000
export_capacity_w = 160000
loss_ppm = 30000
[membership]
registrars = ["REGISTRAR"]
registrar_threshold = 1
roster_epoch_intervals = 100
bar_intervals = 10
[tariff]
clock = { anchor_unix_ms = 0, anchor_local_ms = 0, speed = 1 }
base = { retail_msat_per_kwh = 300000, feed_in_msat_per_kwh = 80000 }
"#;

pub(crate) fn mwh(mwh: u64) -> Energy {
    Energy::from_milliwatt_hours(mwh)
}

/// An offer to sell so much PV in each of twenty intervals from the world's first on.
pub(crate) fn terms(world: &World, energy: u64) -> Terms {
    Terms {
        product: Product { side: Side::Sell, source: Source::Pv },
        energy_mwh: mwh(energy),
        minimum_mwh: mwh(1),
        price_msat_per_kwh: Price::from_msat_per_kwh(150_000),
        first: world.first,
        after: world.first.plus(20),
        expires_at: None,
    }
}

pub(crate) struct Node {
    pub(crate) key: Keypair,
    pub(crate) market: Market,
    pub(crate) journal: BTreeMap<Slot, JournalEntry>,
    pub(crate) notices: Vec<Notice>,
    published: Vec<Arc<[u8]>>,
}

/// Something on its way to a node.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) to: usize,
    pub(crate) from: usize,
    bytes: Arc<[u8]>,
}

pub(crate) struct World {
    pub(crate) charter: Arc<Charter>,
    rosters: Rosters,
    gate: Gatekeeper,
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: Timestamp,
    /// The interval from which things are offered, some minutes ahead.
    pub(crate) first: Interval,
    pub(crate) mail: Vec<Parcel>,
}

impl World {
    pub(crate) fn new() -> Self {
        let registrar = Keypair::from_seed(&[200; 32]);
        let text = CHARTER.replace("REGISTRAR", &registrar.participant_id().to_string());
        let charter = Arc::new(Charter::from_toml(&text).unwrap());
        let keys: Vec<_> =
            (1..).take(MEMBERS).map(|seed| Keypair::from_seed(&[seed; 32])).collect();
        let rated = Power::from_watts(600).unwrap();
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
        let enrolments = keys.iter().map(enrol).collect();
        let rosters = Rosters::new(Arc::clone(&charter), enrolments).unwrap();
        let now = Timestamp::from_unix_ms(1_700_000_000_000);
        let node = |key: Keypair| Node {
            market: Market::new(
                Arc::clone(&charter),
                rosters.clone(),
                key.clone(),
                Vec::new(),
                Means::Ledger,
            ),
            key,
            journal: BTreeMap::new(),
            notices: Vec::new(),
            published: Vec::new(),
        };
        Self {
            nodes: keys.into_iter().map(node).collect(),
            gate: Gatekeeper::new(Arc::clone(&charter), rosters.clone()),
            first: charter.interval.interval_at(now).plus(10),
            charter,
            rosters,
            now,
            mail: Vec::new(),
        }
    }

    /// Starts a node anew from its journal.
    pub(crate) fn restart(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let journal = node.journal.values().cloned().collect();
        node.market = Market::new(
            Arc::clone(&self.charter),
            self.rosters.clone(),
            node.key.clone(),
            journal,
            Means::Ledger,
        );
    }

    pub(crate) fn input(&mut self, index: usize, input: Input) {
        let effects = self.nodes[index].market.handle(self.now, input);
        self.persist(index, &effects);
        for effect in effects {
            self.carry_out(index, effect, None);
        }
    }

    fn persist(&mut self, index: usize, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Persist(entry) = effect {
                let earlier = self.nodes[index].journal.insert(entry.slot, entry.clone());
                assert!(earlier.is_none_or(|it| it == *entry), "{:?} filled twice", entry.slot);
            }
        }
    }

    fn carry_out(&mut self, index: usize, effect: Effect, asker: Option<usize>) {
        match effect {
            Effect::PublishOffer(bytes) => self.nodes[index].published.push(bytes),
            Effect::AskReply { to, bytes } => {
                let to = self.index_of(&to);
                self.mail.push(Parcel { to, from: index, bytes });
            }
            Effect::AnswerReply { bytes: Some(bytes), .. } => {
                let to = asker.expect("only who was asked answers");
                self.mail.push(Parcel { to, from: index, bytes });
            }
            Effect::Tell(notice) => self.nodes[index].notices.push(notice),
            Effect::Persist(_)
            | Effect::Gossip(..)
            | Effect::SendTo { .. }
            | Effect::Show { .. }
            | Effect::Judge { .. }
            | Effect::FetchOrders { .. }
            | Effect::FetchCertificate { .. }
            | Effect::AnswerReply { .. }
            | Effect::Payment(_)
            | Effect::AskOrder(_) => {}
        }
    }

    /// Lets time pass for all, after everybody has heard everybody, so that nobody abstains.
    pub(crate) fn wait(&mut self, ms: u64) {
        let current = self.charter.interval.interval_at(self.now);
        let roster = self.rosters.at(current);
        let charter = Arc::clone(&self.charter);
        let gate = (charter.as_ref(), roster.as_ref());
        let vote = Vote { view: 0, stage: Stage::Prevote, book: None };
        for from in 0..MEMBERS {
            let key = &self.nodes[from].key;
            let author = (&key.participant_id(), key);
            let vote = Verified::sign(&vote, current, author, gate).unwrap();
            for to in (0..MEMBERS).filter(|to| *to != from) {
                let message = Box::new(Message::Vote(vote.clone()));
                self.input(to, Input::Heard { message, token: None });
            }
        }
        self.now = self.now.plus_ms(ms);
        (0..MEMBERS).for_each(|who| self.input(who, Input::Tick));
    }

    /// Gives a parcel to its addressee; one that crashes has stored what it signed, and says nothing.
    pub(crate) fn deliver(&mut self, parcel: &Parcel, crashes: bool) {
        let message = self.gate.admit(Arc::clone(&parcel.bytes), self.now);
        let message = message.expect("honest members send what is valid");
        let input = if let Message::Acceptance(it) = message {
            Input::Asked { acceptance: Box::new(it), token: 0 }
        } else if let Message::Reply(it) = message {
            Input::Replied(Box::new(it))
        } else {
            unreachable!("nothing else is sent so")
        };
        let effects = self.nodes[parcel.to].market.handle(self.now, input);
        self.persist(parcel.to, &effects);
        if crashes {
            self.restart(parcel.to);
            return;
        }
        for effect in effects {
            self.carry_out(parcel.to, effect, Some(parcel.from));
        }
    }

    /// Delivers what is on its way, and not what follows from it.
    pub(crate) fn deliver_all(&mut self) {
        for parcel in std::mem::take(&mut self.mail) {
            self.deliver(&parcel, false);
        }
    }

    /// Delivers until nothing is on its way.
    pub(crate) fn settle_mail(&mut self) {
        while !self.mail.is_empty() {
            self.deliver_all();
        }
    }

    /// Publishes an offer of a node.
    pub(crate) fn offer(&mut self, index: usize, terms: Terms) -> Verified<Offer> {
        self.input(index, Input::Offer(terms));
        self.published(index)
    }

    /// The last offer that a node published.
    pub(crate) fn published(&mut self, index: usize) -> Verified<Offer> {
        let bytes = Arc::clone(self.nodes[index].published.last().expect("it has offered"));
        let Message::Offer(offer) = self.gate.admit(bytes, self.now).unwrap() else {
            unreachable!("only offers are published");
        };
        offer
    }

    /// Lets a node accept energy in some intervals, counted from the world's first.
    pub(crate) fn accept(
        &mut self,
        index: usize,
        offer: &Verified<Offer>,
        (first, after): (u64, u64),
        energy: u64,
    ) {
        let (first, after) = (self.first.plus(first), self.first.plus(after));
        let offer = Box::new(offer.clone());
        self.input(index, Input::Accept { offer, first, after, energy_mwh: mwh(energy) });
    }

    pub(crate) fn was_told(&self, index: usize, why: &str) -> bool {
        let is = |it: &Notice| matches!(it, Notice::NotTaken(reason) if *reason == why);
        self.nodes[index].notices.iter().any(is)
    }

    /// The forwards that a node's journal proves, with the author of the offer.
    pub(crate) fn replies(
        &mut self,
        index: usize,
    ) -> BTreeMap<MessageHash, (ParticipantId, Forward)> {
        let entries: Vec<_> = self.nodes[index].journal.values().cloned().collect();
        let mut forwards = BTreeMap::new();
        for entry in entries.iter().filter(|entry| matches!(entry.slot, Slot::Reply(..))) {
            let roster = self.rosters.at(self.first);
            let reply: Verified<Reply> =
                boltgrid_protocol::envelope::Signed::decode(Arc::clone(&entry.bytes))
                    .unwrap()
                    .verify(&self.charter, &roster)
                    .unwrap();
            let acceptance = reply.body().acceptance(&self.charter, &roster).unwrap();
            if let Some(forward) = Forward::of(&acceptance, &reply.body().word) {
                forwards.insert(acceptance.hash(), (reply.participant(), forward));
            }
        }
        forwards
    }

    pub(crate) fn index_of(&self, participant: &ParticipantId) -> usize {
        self.nodes.iter().position(|node| node.key.participant_id() == *participant).unwrap()
    }
}
