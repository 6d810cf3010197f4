//! As much as one key allows: many valid messages of every kind, and nonsense beside them.

use std::sync::Arc;

use boltgrid_market::effect::Effect;
use boltgrid_protocol::agreement::{Ack, Stage, Vote};
use boltgrid_protocol::bitmap::Bitmap;
use boltgrid_protocol::confirm::{TradeConfirm, TradeTerms};
use boltgrid_protocol::envelope::Payload;
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::id::{BookHash, ClearingDigest, MessageHash, RosterIndex};
use boltgrid_protocol::order::{Order, Side, Source, Step};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Energy, Interval, Power, Timestamp};

use super::{Deed, Rogue, gossip};

/// Different orders of one interval.
const ORDERS: u8 = 24;
/// Different acks.
const ACKS: u8 = 8;
/// Different books voted for in every stage of every view.
const BOOKS: u8 = 2;
/// Different readings of one instant.
const READINGS: u8 = 8;
/// Proofs against itself.
const EVIDENCE: usize = 12;
/// Members who get confirms of trades that never were.
const CONFIRMS: u32 = 16;
/// Nonsense on every topic, of rising length.
const NONSENSE: u8 = 4;
/// How much longer each piece of nonsense is than the one before.
const NONSENSE_STEP: usize = 300;

impl Rogue {
    /// Plans all the spam of one interval, spread over it.
    pub(super) fn plan_spam(&mut self, now: Timestamp, interval: Interval) {
        let schedule = self.hand.charter.interval.schedule(interval);
        let orders = self.spam_orders(interval);
        let evidence = self.spam_evidence(&orders, interval);
        let readings = self.spam_readings(interval);
        self.memory.at(interval).spam_orders.clone_from(&orders);
        let early = schedule.orders_open.max(now);
        let gate = schedule.gate.max(now);
        let orders = orders.into_iter().map(|bytes| gossip(Topic::Orders, bytes)).collect();
        self.spread(early, gate, orders);
        self.spread(early, schedule.delivery_starts, nonsense(interval));
        let mut late = self.spam_acks(interval);
        late.extend(self.spam_votes(interval));
        late.extend(self.spam_confirms(interval));
        late.extend(evidence);
        self.spread(gate, schedule.delivery_starts, late);
        self.spread(schedule.delivery_starts, schedule.delivery_ends, readings);
    }

    fn spread(&mut self, from: Timestamp, to: Timestamp, deeds: Vec<Deed>) {
        let span_ms = to.ms_since(from);
        let count = u64::try_from(deeds.len()).unwrap_or(u64::MAX).max(1);
        for (number, deed) in (0_u64..).zip(deeds) {
            let after_ms = span_ms.saturating_mul(number).div_euclid(count);
            self.plan(from.plus_ms(after_ms), deed);
        }
    }

    fn said<T: Payload>(&mut self, body: &T, interval: Interval) -> Option<Arc<[u8]>> {
        let signed = self.hand.sign(body, interval)?;
        Some(Arc::clone(signed.bytes()))
    }

    fn spam_orders(&mut self, interval: Interval) -> Vec<Arc<[u8]>> {
        let limit_msat_per_kwh = self.hand.charter.price.ceiling_msat_per_kwh;
        (1..=ORDERS)
            .filter_map(|number| {
                let step = |side, source| Step {
                    side,
                    source,
                    energy_mwh: Energy::from_milliwatt_hours(number.into()),
                    limit_msat_per_kwh,
                };
                let order = |step| Order { steps: vec![step], ..Order::default() };
                // Whoever may not take may give.
                self.said(&order(step(Side::Buy, Source::Load)), interval)
                    .or_else(|| self.said(&order(step(Side::Sell, Source::Pv)), interval))
            })
            .collect()
    }

    fn spam_evidence(&mut self, orders: &[Arc<[u8]>], interval: Interval) -> Vec<Deed> {
        let pairs: Vec<_> = orders
            .windows(2)
            .take(EVIDENCE)
            .map(|pair| Evidence { first: pair[0].to_vec(), second: pair[1].to_vec() })
            .collect();
        let said = pairs.iter().filter_map(|evidence| self.said(evidence, interval));
        said.map(|bytes| gossip(Topic::Evidence, bytes)).collect()
    }

    fn spam_acks(&mut self, interval: Interval) -> Vec<Deed> {
        let members = self.hand.roster(interval).members().len();
        (0..ACKS)
            .filter_map(|number| {
                let mut held = Bitmap::empty(members);
                held.insert(RosterIndex::new(number.into()));
                let root = MessageHash::from_bytes([number; 32]);
                self.said(&Ack { held, root }, interval)
            })
            .map(|bytes| gossip(Topic::Acks, bytes))
            .collect()
    }

    fn spam_votes(&mut self, interval: Interval) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for view in 0..self.hand.charter.interval.views {
            for stage in [Stage::Prevote, Stage::Precommit] {
                for number in 0..=BOOKS {
                    let book = (number > 0).then(|| BookHash::from_bytes([number; 32]));
                    let said = self.said(&Vote { view, stage, book }, interval);
                    deeds.extend(said.map(|bytes| gossip(Topic::Votes, bytes)));
                }
            }
        }
        deeds
    }

    fn spam_confirms(&mut self, interval: Interval) -> Vec<Deed> {
        let roster = self.hand.roster(interval);
        let Some(me) = self.hand.place(interval) else { return Vec::new() };
        let others = (0..CONFIRMS).map(RosterIndex::new).filter(|other| *other != me);
        let mut deeds = Vec::new();
        for other in others {
            let Some(to) = roster.participant(other) else { break };
            let confirm = TradeConfirm {
                book: BookHash::from_bytes([1; 32]),
                clearing: ClearingDigest::from_bytes([1; 32]),
                terms: TradeTerms {
                    index: other.get(),
                    seller: other,
                    buyer: me,
                    energy_mwh: Energy::from_milliwatt_hours(u64::MAX),
                    price_msat_per_kwh: self.hand.charter.price.floor_msat_per_kwh,
                },
            };
            let said = self.said(&confirm, interval);
            deeds.extend(said.map(|bytes| Deed::Do(Effect::SendTo { to, bytes })));
        }
        deeds
    }

    fn spam_readings(&mut self, interval: Interval) -> Vec<Deed> {
        let at = self.hand.charter.interval.start_of(interval);
        (0..READINGS)
            .filter_map(|number| {
                let energy = Energy::from_milliwatt_hours(number.into());
                let reading = Reading {
                    at,
                    sequence: number.into(),
                    previous: MessageHash::default(),
                    import_register_mwh: energy,
                    export_register_mwh: energy,
                    power_mw: Power::ZERO,
                    potential_mw: None,
                    voltage_mv: None,
                    frequency_mhz: None,
                };
                let signed = self.hand.sign_metered(&reading, interval)?;
                Some(gossip(Topic::Readings, Arc::clone(signed.bytes())))
            })
            .collect()
    }
}

/// Bytes that are no message, other ones in every interval.
fn nonsense(interval: Interval) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for number in 0..NONSENSE {
        for topic in Topic::ALL {
            let text = format!("nonsense {number} of interval {interval} on {}", topic.word());
            let mut bytes = text.into_bytes();
            bytes.resize(bytes.len() + usize::from(number) * NONSENSE_STEP, number);
            deeds.push(gossip(topic, bytes.into()));
        }
    }
    deeds
}
