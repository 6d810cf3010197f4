//! A rogue among honest markets, with a clock and a gossip without loss or delay between them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use boltgrid_market::Market;
use boltgrid_market::effect::{Effect, Verdict};
use boltgrid_market::input::Input;
use boltgrid_market::notice::{ClearedInterval, Notice};
use boltgrid_market::payments::Means;
use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::envelope::{Header, Kind, Payload, Verified};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::message::Gatekeeper;
use boltgrid_protocol::order::{Order, Side, Source, Step};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Energy, Interval, Power, Price, Timestamp};

use crate::rogue::{Deed, Rogue, Role};

/// Between two looks at the clock.
const STEP_MS: u64 = 50;

const CHARTER: &str = r#"
name = "test"
[interval]
interval_ms = 10000
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
loss_ppm = 0
[membership]
registrars = ["REGISTRAR"]
registrar_threshold = 1
roster_epoch_intervals = 8640
bar_intervals = 10
[tariff]
clock = { anchor_unix_ms = 0, anchor_local_ms = 0, speed = 1 }
base = { retail_msat_per_kwh = 300000, feed_in_msat_per_kwh = 80000 }
"#;

/// An honest market, its door, and what it told.
pub(super) struct Node {
    id: ParticipantId,
    market: Market,
    gatekeeper: Gatekeeper,
    seen: BTreeSet<Arc<[u8]>>,
    pub(super) notices: Vec<Notice>,
}

/// A deed and when it was done.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) at: Timestamp,
    pub(super) deed: Deed,
}

enum Parcel {
    Gossip(Topic, Arc<[u8]>),
    Direct(Arc<[u8]>),
    Certificate(Arc<[u8]>),
}

pub(super) struct Grid {
    pub(super) charter: Arc<Charter>,
    pub(super) roster: Arc<Roster>,
    pub(super) rogue: Rogue,
    key: Keypair,
    gatekeeper: Gatekeeper,
    nodes: Vec<(Keypair, Node)>,
    now: Timestamp,
    mail: VecDeque<(ParticipantId, Parcel)>,
    pub(super) deeds: Vec<Done>,
    /// Messages of the rogue that an honest gatekeeper refused.
    pub(super) refused: u64,
    /// Whether honest nodes hear no votes of each other, nor those that others pass on.
    pub(super) votes_held_up: bool,
    /// The latest edge that was metered.
    metered: Interval,
}

impl Grid {
    /// A grid of `members`, the first of them a rogue.
    pub(super) fn new(role: Role, members: u8, seed: u64) -> Self {
        Self::with_accomplices(role, members, seed, 0)
    }

    /// A grid in which the rogue holds the keys of some more members, who say nothing of their own.
    pub(super) fn with_accomplices(role: Role, members: u8, seed: u64, accomplices: usize) -> Self {
        let registrar = Keypair::from_seed(&[200; 32]);
        let text = CHARTER.replace("REGISTRAR", &registrar.participant_id().to_string());
        let charter = Arc::new(Charter::from_toml(&text).unwrap());
        let mut keys: Vec<_> =
            (0..members).map(|seed| Keypair::from_seed(&[seed + 1; 32])).collect();
        let enrolments = keys.iter().map(|key| enrolment(key, &charter, &registrar)).collect();
        let mut rosters = Rosters::new(Arc::clone(&charter), enrolments).unwrap();
        let now = Timestamp::from_unix_ms(1_700_000_000_000);
        let honest = keys.split_off(1 + accomplices);
        let key = keys.remove(0);
        let gatekeeper = Gatekeeper::new(Arc::clone(&charter), rosters.clone());
        let nodes = honest
            .into_iter()
            .map(|key| {
                let node = Node {
                    id: key.participant_id(),
                    market: Market::new(
                        Arc::clone(&charter),
                        rosters.clone(),
                        key.clone(),
                        Vec::new(),
                        Means::Ledger,
                    ),
                    gatekeeper: gatekeeper.clone(),
                    seen: BTreeSet::new(),
                    notices: Vec::new(),
                };
                (key, node)
            })
            .collect();
        Self {
            roster: rosters.at(charter.interval.interval_at(now)),
            rogue: Rogue::new(role, seed, Arc::clone(&charter), rosters, key.clone(), keys),
            key,
            gatekeeper,
            nodes,
            now,
            mail: VecDeque::new(),
            deeds: Vec::new(),
            refused: 0,
            votes_held_up: false,
            metered: charter.interval.interval_at(now),
            charter,
        }
    }

    pub(super) fn rogue_id(&self) -> ParticipantId {
        self.key.participant_id()
    }

    pub(super) fn honest(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().map(|(_, node)| node)
    }

    /// The first interval whose order window is yet to open.
    pub(super) fn next_interval(&self) -> Interval {
        let mut interval = self.charter.interval.interval_at(self.now);
        while self.charter.interval.schedule(interval).orders_open <= self.now {
            interval = interval.next();
        }
        interval
    }

    /// Waits until just before an interval whose first view the rogue leads.
    pub(super) fn start_where_rogue_leads(&mut self) -> Interval {
        let me = self.roster.index_of(&self.rogue_id());
        let mut interval = self.next_interval();
        while self.roster.leader(interval, 0) != me {
            interval = interval.next();
        }
        let opens = self.charter.interval.schedule(interval).orders_open;
        self.now = opens.minus_ms(500);
        self.metered = self.charter.interval.interval_at(self.now);
        interval
    }

    /// Runs until that many intervals have been delivered.
    pub(super) fn run_intervals(&mut self, count: u64) {
        let last = self.next_interval().plus(count - 1);
        let end = self.charter.interval.schedule(last).delivery_ends.plus_ms(500);
        while self.now < end {
            self.now = self.now.plus_ms(STEP_MS);
            self.meter();
            self.tell_rogue(Input::Tick);
            for place in 0..self.nodes.len() {
                self.tell(place, Input::Tick);
            }
            self.deliver();
        }
    }

    /// When the rogue first said something of this kind.
    pub(super) fn said_at(&self, kind: Kind, interval: Interval) -> Timestamp {
        let is = |bytes: &[u8]| {
            Header::peek(bytes).is_ok_and(|it| (it.kind, it.interval) == (kind, interval))
        };
        let found = self.deeds.iter().find(|done| match &done.deed {
            Deed::Do(Effect::Gossip(_, bytes)) | Deed::Whisper { bytes, .. } => is(bytes),
            Deed::Do(_) => false,
        });
        found.unwrap().at
    }

    /// Every meter shows its registers at an edge.
    fn meter(&mut self) {
        let edge = self.charter.interval.interval_at(self.now);
        if edge <= self.metered {
            return;
        }
        self.metered = edge;
        let keys: Vec<_> = self.nodes.iter().map(|(key, _)| key.clone()).collect();
        for (place, key) in keys.into_iter().enumerate() {
            let reading = self.reading(&key, place + 1, edge);
            self.tell(place, Input::Metered(Box::new(reading)));
        }
        let reading = self.reading(&self.key, 0, edge);
        self.tell_rogue(Input::Metered(Box::new(reading)));
    }

    /// Even members give what they sell, odd ones take what they buy.
    fn reading(&self, key: &Keypair, place: usize, edge: Interval) -> Verified<Reading> {
        let energy = |flows| {
            Energy::from_milliwatt_hours(edge.to_number() * if flows { 2000 } else { 1000 })
        };
        let gives = place.is_multiple_of(2);
        let reading = Reading {
            at: self.charter.interval.start_of(edge),
            sequence: edge.to_number(),
            previous: MessageHash::default(),
            import_register_mwh: energy(!gives),
            export_register_mwh: energy(gives),
            power_mw: Power::ZERO,
            potential_mw: None,
            voltage_mv: None,
            frequency_mhz: None,
        };
        let author = (&key.participant_id(), key);
        Verified::sign(&reading, edge, author, (&self.charter, &self.roster)).unwrap()
    }

    fn deliver(&mut self) {
        while let Some((to, parcel)) = self.mail.pop_front() {
            let place = self.nodes.iter().position(|(_, node)| node.id == to);
            match place {
                Some(place) => self.deliver_to(place, parcel),
                None if to == self.rogue_id() => self.deliver_to_rogue(parcel),
                None => {}
            }
        }
    }

    fn deliver_to(&mut self, place: usize, parcel: Parcel) {
        let node = &mut self.nodes[place].1;
        match parcel {
            Parcel::Gossip(topic, bytes) => {
                if !node.seen.insert(Arc::clone(&bytes)) {
                    return;
                }
                let Ok(message) = node.gatekeeper.admit(Arc::clone(&bytes), self.now) else {
                    self.refused += 1;
                    return;
                };
                let message = Box::new(message);
                if self.tell(place, Input::Heard { message, token: Some(0) }) {
                    let from = self.nodes[place].1.id;
                    self.publish(from, topic, &bytes);
                }
            }
            Parcel::Direct(bytes) => match node.gatekeeper.admit(bytes, self.now) {
                Ok(message) => {
                    let message = Box::new(message);
                    self.tell(place, Input::Heard { message, token: None });
                }
                Err(_) => self.refused += 1,
            },
            Parcel::Certificate(bytes) => {
                if let Ok(certificate) = BookCertificate::from_bytes(&bytes) {
                    self.tell(place, Input::Certificate(Box::new(certificate)));
                }
            }
        }
    }

    fn deliver_to_rogue(&mut self, parcel: Parcel) {
        let (bytes, token) = match parcel {
            Parcel::Gossip(_, bytes) => (bytes, Some(0)),
            Parcel::Direct(bytes) => (bytes, None),
            Parcel::Certificate(_) => return,
        };
        if let Ok(message) = self.gatekeeper.admit(bytes, self.now) {
            self.tell_rogue(Input::Heard { message: Box::new(message), token });
        }
    }

    fn publish(&mut self, from: ParticipantId, topic: Topic, bytes: &Arc<[u8]>) {
        if self.votes_held_up && topic == Topic::Votes && from != self.rogue_id() {
            return;
        }
        let members: Vec<_> =
            self.roster.members().iter().map(|it| it.enrolment.participant).collect();
        for to in members.into_iter().filter(|to| *to != from) {
            self.mail.push_back((to, Parcel::Gossip(topic, Arc::clone(bytes))));
        }
    }

    fn tell_rogue(&mut self, input: Input) {
        for deed in self.rogue.handle(self.now, input) {
            self.deeds.push(Done { at: self.now, deed: deed.clone() });
            match deed {
                Deed::Do(Effect::AskOrder(interval)) => {
                    self.tell_rogue(Input::Place { interval, order: order(0) });
                }
                Deed::Do(effect) => self.carry_out(self.rogue_id(), effect),
                Deed::Whisper { topic, bytes, to } => {
                    let parcel = |_: &_| Parcel::Gossip(topic, Arc::clone(&bytes));
                    self.mail.extend(to.iter().map(|it| (*it, parcel(it))));
                }
            }
        }
    }

    /// Whether a message that was heard is passed on.
    fn tell(&mut self, place: usize, input: Input) -> bool {
        let mut accepted = false;
        for effect in self.nodes[place].1.market.handle(self.now, input) {
            match effect {
                Effect::AskOrder(interval) => {
                    self.tell(place, Input::Place { interval, order: order(place + 1) });
                }
                Effect::Judge { verdict, .. } => accepted = verdict == Verdict::Accept,
                Effect::Tell(notice) => self.nodes[place].1.notices.push(notice),
                Effect::Persist(_)
                | Effect::Gossip(..)
                | Effect::SendTo { .. }
                | Effect::Show { .. }
                | Effect::FetchOrders { .. }
                | Effect::PublishOffer(_)
                | Effect::AskReply { .. }
                | Effect::AnswerReply { .. }
                | Effect::Payment(_)
                | Effect::FetchCertificate { .. } => {
                    self.carry_out(self.nodes[place].1.id, effect);
                }
            }
        }
        accepted
    }

    fn carry_out(&mut self, who: ParticipantId, effect: Effect) {
        match effect {
            Effect::Gossip(topic, bytes) => self.publish(who, topic, &bytes),
            Effect::SendTo { to, bytes } => self.mail.push_back((to, Parcel::Direct(bytes))),
            Effect::FetchOrders { interval, authors, from } => {
                for from in from {
                    let orders = match self.nodes.iter().find(|(_, node)| node.id == from) {
                        Some((_, node)) => node.market.orders_of(interval, &authors),
                        None => self.rogue.orders_of(interval, &authors),
                    };
                    self.mail.extend(orders.into_iter().map(|it| (who, Parcel::Direct(it))));
                }
            }
            Effect::FetchCertificate { interval, from } => {
                for from in from {
                    let found = match self.nodes.iter().find(|(_, node)| node.id == from) {
                        Some((_, node)) => node.market.certificate(interval),
                        None => self.rogue.certificate(interval),
                    };
                    self.mail.extend(found.map(|it| (who, Parcel::Certificate(it))));
                }
            }
            Effect::Persist(_)
            | Effect::Show { .. }
            | Effect::Judge { .. }
            | Effect::AskOrder(_)
            | Effect::PublishOffer(_)
            | Effect::AskReply { .. }
            | Effect::AnswerReply { .. }
            | Effect::Payment(_)
            | Effect::Tell(_) => {}
        }
    }
}

impl Node {
    pub(super) fn cleared(&self, interval: Interval) -> Option<&ClearedInterval> {
        self.notices.iter().find_map(|notice| {
            let Notice::Cleared(cleared) = notice else { return None };
            (cleared.interval == interval).then_some(&**cleared)
        })
    }
}

fn enrolment(key: &Keypair, charter: &Charter, registrar: &Keypair) -> CertifiedEnrolment {
    let mut request = CertifiedEnrolment::request(Enrolment {
        grid: charter.grid_id(),
        participant: key.participant_id(),
        meter: key.meter_key(),
        connection_point: key.participant_id().short(),
        outside: false,
        rated_import_mw: Power::from_watts(100_000).unwrap(),
        rated_export_mw: Power::from_watts(100_000).unwrap(),
        votes: true,
        valid_from: Interval::from_number(0),
        valid_until: Interval::from_number(u64::MAX),
    });
    request.sign(registrar);
    request
}

/// Even members sell, odd ones buy.
fn order(place: usize) -> Order {
    let (side, source, limit) = if place.is_multiple_of(2) {
        (Side::Sell, Source::Pv, 80_000)
    } else {
        (Side::Buy, Source::Load, 300_000)
    };
    let step = Step {
        side,
        source,
        energy_mwh: Energy::from_milliwatt_hours(1000 + place as u64),
        limit_msat_per_kwh: Price::from_msat_per_kwh(limit),
    };
    Order { steps: vec![step], ..Order::default() }
}

/// What a message says.
pub(super) fn body<T: Payload>(bytes: &[u8]) -> T {
    let header = boltgrid_protocol::codec::canonical(&Header::peek(bytes).unwrap());
    let mut fields = boltgrid_protocol::codec::canonical(&());
    fields.extend_from_slice(&bytes[header.len()..bytes.len() - 64]);
    boltgrid_protocol::codec::decode(&fields, fields.len()).unwrap()
}
