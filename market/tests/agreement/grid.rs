//! Some markets, a clock and a loss-free network between them, in one thread: just enough to see
//! intervals decided. Faults at random belong to the simulator, not here.

#![expect(clippy::unwrap_used, reason = "what cannot fail here fails the test by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boltgrid_market::Market;
use boltgrid_market::effect::{Effect, JournalEntry, Slot};
use boltgrid_market::input::Input;
use boltgrid_market::notice::{ClearedInterval, Notice};
use boltgrid_market::payments::Means;
use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::charter::{Charter, Disclosure, Feeder};
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::envelope::{Header, Kind};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::message::Gatekeeper;
use boltgrid_protocol::order::{Order, Side, Source, Step};
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::seal::Shown;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Power, Price, Timestamp};

/// How long a message travels.
const DELAY_MS: u64 = 20;

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

/// One node: a market, what it stored, and what it told.
pub(crate) struct Node {
    pub(crate) key: Keypair,
    pub(crate) market: Option<Market>,
    pub(crate) journal: BTreeMap<Slot, JournalEntry>,
    pub(crate) notices: Vec<Notice>,
    gatekeeper: Gatekeeper,
}

/// What travels.
#[derive(Clone)]
enum Parcel {
    Bytes(Arc<[u8]>, Option<u64>),
    Certificate(Arc<[u8]>),
    Shown(ParticipantId, Box<Shown>),
}

pub(crate) struct Grid {
    pub(crate) charter: Arc<Charter>,
    pub(crate) rosters: Rosters,
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: Timestamp,
    /// Pairs of nodes that do not hear each other.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    mail: BTreeMap<(Timestamp, u64), (usize, Parcel)>,
    pub(crate) sent: u64,
    /// Whether sites are asked for orders in vain.
    pub(crate) no_orders: bool,
    /// A kind of message that gossip loses.
    pub(crate) loses: Option<Kind>,
    /// Which readings were shown: whose, to whom, and of which edge.
    pub(crate) shown: BTreeSet<(usize, usize, Interval)>,
    /// How many messages of each kind were gossiped.
    pub(crate) gossiped: BTreeMap<Kind, u64>,
    means: Means,
}

impl Grid {
    /// A grid of `count` voting members, some time before an interval's order window.
    pub(crate) fn new(count: u8) -> Self {
        Self::paying(count, Means::Ledger)
    }

    /// The same, with these means of payment.
    pub(crate) fn paying(count: u8, means: Means) -> Self {
        Self::made(count, means, Disclosure::Open)
    }

    /// The same, in which counterparties only see readings.
    pub(crate) fn private(count: u8) -> Self {
        Self::made(count, Means::Ledger, Disclosure::Counterparty)
    }

    /// The same, in which the sites of a feeder mask what they took. All members but the last are its
    /// sites, and the last one is its meter.
    pub(crate) fn masked(count: u8) -> Self {
        Self::made(count, Means::Ledger, Disclosure::Masked)
    }

    fn made(count: u8, means: Means, readings: Disclosure) -> Self {
        let registrar = Keypair::from_seed(&[200; 32]);
        let text = CHARTER.replace("REGISTRAR", &registrar.participant_id().to_string());
        let text = format!("readings = \"{}\"\n{text}", readings.word());
        let keys: Vec<_> = (0..count).map(|seed| Keypair::from_seed(&[seed + 1; 32])).collect();
        let last = keys.last().map(Keypair::participant_id);
        let is_meter = |key: &Keypair| readings.is_masked() && Some(key.participant_id()) == last;
        let point = |key: &Keypair| {
            if is_meter(key) { "lane".to_owned() } else { key.participant_id().short() }
        };
        let mut charter = Charter::from_toml(&text).unwrap();
        if readings.is_masked() {
            let connection_points = keys.iter().filter(|key| !is_meter(key)).map(point).collect();
            charter.feeders = vec![Feeder { name: "lane".to_owned(), connection_points }];
        }
        let charter = Arc::new(charter);
        let rated = |key: &Keypair| {
            if is_meter(key) { Power::ZERO } else { Power::from_watts(100_000).unwrap() }
        };
        let enrolments = keys
            .iter()
            .map(|key| {
                let mut request = CertifiedEnrolment::request(Enrolment {
                    grid: charter.grid_id(),
                    participant: key.participant_id(),
                    meter: key.meter_key(),
                    connection_point: point(key),
                    outside: false,
                    rated_import_mw: rated(key),
                    rated_export_mw: rated(key),
                    votes: !is_meter(key),
                    valid_from: Interval::from_number(0),
                    valid_until: Interval::from_number(u64::MAX),
                });
                request.sign(&registrar);
                request
            })
            .collect();
        let rosters = Rosters::new(Arc::clone(&charter), enrolments).unwrap();
        let mut grid = Self {
            charter,
            rosters,
            nodes: Vec::new(),
            now: Timestamp::from_unix_ms(1_700_000_000_000),
            cut: BTreeSet::new(),
            mail: BTreeMap::new(),
            sent: 0,
            no_orders: false,
            loses: None,
            shown: BTreeSet::new(),
            gossiped: BTreeMap::new(),
            means,
        };
        grid.nodes = keys.into_iter().map(|key| grid.node(key)).collect();
        (0..grid.nodes.len()).for_each(|index| grid.start(index));
        grid
    }

    fn node(&self, key: Keypair) -> Node {
        Node {
            key,
            market: None,
            journal: BTreeMap::new(),
            notices: Vec::new(),
            gatekeeper: Gatekeeper::new(Arc::clone(&self.charter), self.rosters.clone()),
        }
    }

    /// Starts a node from its journal.
    pub(crate) fn start(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let journal = node.journal.values().cloned().collect();
        let charter = Arc::clone(&self.charter);
        let (rosters, key) = (self.rosters.clone(), node.key.clone());
        node.market = Some(Market::new(charter, rosters, key, journal, self.means));
    }

    /// Kills a node: everything but its journal is gone.
    pub(crate) fn kill(&mut self, index: usize) {
        self.nodes[index].market = None;
    }

    /// The first interval whose order window is yet to open.
    pub(crate) fn next_interval(&self) -> Interval {
        let mut interval = self.charter.interval.interval_at(self.now);
        while self.charter.interval.schedule(interval).orders_open <= self.now {
            interval = interval.next();
        }
        interval
    }

    /// Runs until `end`, ticking every 10 ms.
    pub(crate) fn run_until(&mut self, end: Timestamp) {
        while self.now < end {
            self.now = self.now.plus_ms(10);
            while let Some(entry) = self.mail.first_entry().filter(|it| it.key().0 <= self.now) {
                let (to, parcel) = entry.remove();
                self.deliver(to, parcel);
            }
            for index in 0..self.nodes.len() {
                self.input(index, Input::Tick);
            }
        }
    }

    /// Runs through the market of one interval, up to its delivery.
    pub(crate) fn run_market(&mut self, interval: Interval) {
        let schedule = self.charter.interval.schedule(interval);
        self.run_until(schedule.delivery_starts.plus_ms(50));
    }

    fn deliver(&mut self, to: usize, parcel: Parcel) {
        let now = self.now;
        let input = match parcel {
            Parcel::Bytes(bytes, token) => {
                let message = self.nodes[to].gatekeeper.admit(bytes, now).unwrap();
                Input::Heard { message: Box::new(message), token }
            }
            Parcel::Shown(by, shown) => {
                let gate = &mut self.nodes[to].gatekeeper;
                Input::Shown(Box::new(shown.open(&by, |bytes| gate.admit(bytes, now)).unwrap()))
            }
            Parcel::Certificate(bytes) => {
                Input::Certificate(Box::new(BookCertificate::from_bytes(&bytes).unwrap()))
            }
        };
        self.input(to, input);
    }

    /// Hands a node an input and carries its effects out.
    pub(crate) fn input(&mut self, index: usize, input: Input) {
        let now = self.now;
        let Some(market) = &mut self.nodes[index].market else { return };
        for effect in market.handle(now, input) {
            self.carry_out(index, effect);
        }
    }

    fn carry_out(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::Persist(entry) => {
                let earlier = self.nodes[index].journal.insert(entry.slot, entry.clone());
                assert!(earlier.is_none_or(|it| it == entry), "{:?} filled twice", entry.slot);
            }
            Effect::Gossip(_, bytes) => {
                let kind = Header::peek(&bytes).unwrap().kind;
                *self.gossiped.entry(kind).or_default() += 1;
                if self.loses == Some(kind) {
                    return;
                }
                (0..self.nodes.len()).for_each(|to| self.post(index, to, &bytes));
            }
            Effect::SendTo { to, bytes } => {
                let to = self.index_of(&to);
                self.send(index, to, Parcel::Bytes(bytes, None));
            }
            Effect::FetchOrders { interval, authors, from } => {
                for from in from.iter().map(|from| self.index_of(from)).collect::<Vec<_>>() {
                    let market = self.nodes[from].market.as_ref();
                    let orders = market.map(|market| market.orders_of(interval, &authors));
                    for bytes in orders.into_iter().flatten() {
                        self.send(from, index, Parcel::Bytes(bytes, None));
                    }
                }
            }
            Effect::FetchCertificate { interval, from } => {
                for from in from.iter().map(|from| self.index_of(from)).collect::<Vec<_>>() {
                    let market = self.nodes[from].market.as_ref();
                    if let Some(bytes) = market.and_then(|market| market.certificate(interval)) {
                        self.send(from, index, Parcel::Certificate(bytes));
                    }
                }
            }
            Effect::AskOrder(_) if self.no_orders => {}
            Effect::AskOrder(interval) => {
                let order = order(index);
                self.input(index, Input::Place { interval, order });
            }
            Effect::Tell(notice) => self.nodes[index].notices.push(notice),
            Effect::Show { to, shown } => {
                let to = self.index_of(&to);
                let edge = Header::peek(&shown.reading).unwrap().interval;
                self.shown.insert((index, to, edge));
                let by = self.nodes[index].key.participant_id();
                self.send(index, to, Parcel::Shown(by, shown));
            }
            Effect::Judge { .. }
            | Effect::PublishOffer(_)
            | Effect::AskReply { .. }
            | Effect::AnswerReply { .. }
            | Effect::Payment(_) => {}
        }
    }

    /// Sends gossip from one node to another, unless the link between them is cut.
    pub(crate) fn post(&mut self, from: usize, to: usize, bytes: &Arc<[u8]>) {
        if from != to {
            self.send(from, to, Parcel::Bytes(Arc::clone(bytes), Some(0)));
        }
    }

    /// Hands a node what came directly.
    pub(crate) fn hand(&mut self, to: usize, bytes: &Arc<[u8]>) {
        self.deliver(to, Parcel::Bytes(Arc::clone(bytes), None));
    }

    fn send(&mut self, from: usize, to: usize, parcel: Parcel) {
        if self.cut.contains(&(from.min(to), from.max(to))) {
            return;
        }
        self.sent += 1;
        self.mail.insert((self.now.plus_ms(DELAY_MS), self.sent), (to, parcel));
    }

    /// Loses everything that is on its way.
    pub(crate) fn lose_mail(&mut self) {
        self.mail.clear();
    }

    pub(crate) fn index_of(&self, participant: &ParticipantId) -> usize {
        self.nodes.iter().position(|node| node.key.participant_id() == *participant).unwrap()
    }

    /// What each living node cleared for an interval.
    pub(crate) fn cleared(&self, interval: Interval) -> Vec<&ClearedInterval> {
        self.nodes.iter().filter_map(|node| node.cleared(interval)).collect()
    }

    /// Which leader a view has, as an index into the nodes.
    pub(crate) fn leader(&mut self, interval: Interval, view: u32) -> usize {
        let roster = self.rosters.at(interval);
        let leader = roster.leader(interval, view).unwrap();
        self.index_of(&roster.participant(leader).unwrap())
    }

    /// A gatekeeper of this grid.
    pub(crate) fn gatekeeper(&self) -> Gatekeeper {
        Gatekeeper::new(Arc::clone(&self.charter), self.rosters.clone())
    }

    /// The roster and charter, to forge messages with.
    pub(crate) fn roster(&mut self, interval: Interval) -> Arc<boltgrid_protocol::roster::Roster> {
        self.rosters.at(interval)
    }
}

impl Node {
    pub(crate) fn cleared(&self, interval: Interval) -> Option<&ClearedInterval> {
        self.notices.iter().find_map(|notice| {
            let Notice::Cleared(cleared) = notice else { return None };
            (cleared.interval == interval).then_some(&**cleared)
        })
    }

    pub(crate) fn confirmed(&self, interval: Interval) -> usize {
        let is = |notice: &&Notice| matches!(notice, Notice::Confirmed { interval: of, .. } if *of == interval);
        self.notices.iter().filter(is).count()
    }

    pub(crate) fn fell_back(&self, interval: Interval) -> bool {
        self.notices
            .iter()
            .any(|notice| matches!(notice, Notice::NoDecision(of) if *of == interval))
    }

    pub(crate) fn was_told(&self, why: &str) -> bool {
        self.notices.iter().any(|notice| matches!(notice, Notice::NotTaken(it) if *it == why))
    }
}

/// Even nodes sell, odd ones buy.
pub(crate) fn order(index: usize) -> Order {
    let (side, source, limit) = if index.is_multiple_of(2) {
        (Side::Sell, Source::Pv, 80_000)
    } else {
        (Side::Buy, Source::Load, 300_000)
    };
    let step = Step {
        side,
        source,
        energy_mwh: Energy::from_milliwatt_hours(1000 + index as u64),
        limit_msat_per_kwh: Price::from_msat_per_kwh(limit),
    };
    Order { steps: vec![step], ..Order::default() }
}
