//! From both meters to what is due: the market settles an interval and hands it to the payments.
//!
//! Not for: the arithmetic ([`crate::settlement`]), or how what is due is paid ([`crate::payments`]).

use std::sync::Arc;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::invoice::Cause;
use boltgrid_protocol::units::Timestamp;

use super::Market;
use crate::contracted;
use crate::effect::Effect;
use crate::forwards::Forwards;
use crate::notice::Notice;
use crate::payments::{DueId, Proof};
use crate::readings::Readings;
use crate::round::Round;
use crate::settlement::{Contract, Delivery, ForwardContract, Settlement, SettlementError, settle};

/// What an interval is settled with.
pub(super) struct Desk<'a> {
    pub(super) charter: &'a Charter,
    pub(super) readings: &'a Readings,
    pub(super) forwards: &'a Forwards,
}

/// All that a settlement follows from.
pub(super) struct Bill<'a> {
    me: &'a ParticipantId,
    delivery: Delivery,
    contracts: Vec<Contract>,
    forwards: Vec<ForwardContract>,
}

impl Desk<'_> {
    /// What there is to settle in a round, for this participant at this place of its roster.
    pub(super) fn bill<'a>(
        &self,
        round: &Round,
        (me, place): (&'a ParticipantId, RosterIndex),
    ) -> Bill<'a> {
        let delivery = Delivery {
            interval: round.interval,
            me: place,
            metered: self.readings.metered(me, round.interval),
            prices: self.charter.tariff.at(round.schedule.delivery_starts),
            loss_ppm: self.charter.connection.loss_ppm,
        };
        Bill {
            me,
            delivery,
            contracts: contracted::contracts(round, place, self.readings),
            forwards: contracted::forwards(round, me, self.forwards, self.readings),
        }
    }
}

impl Bill<'_> {
    /// Whether all readings are there.
    pub(super) fn is_measured(&self) -> bool {
        self.delivery.metered.is_some() && are_measured(&self.contracts, &self.forwards)
    }

    /// What it comes to.
    pub(super) fn settle(&self) -> Result<Settlement, SettlementError> {
        settle(&self.delivery, &self.contracts, &self.forwards)
    }

    /// What shows each due.
    pub(super) fn proofs(&self, desk: &Desk<'_>, round: &Round) -> Vec<(Cause, Proof)> {
        let parties = (self.contracts.as_slice(), self.forwards.as_slice());
        proofs(round, self.me, parties, (desk.readings, desk.forwards))
    }
}

impl Market {
    /// Settles the intervals whose delivery has ended, once all readings are there or too late.
    pub(super) fn settle(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        let (readings, forwards) = (&self.readings, &self.forwards);
        let desk = Desk { charter: &self.charter, readings, forwards };
        for round in self.rounds.values_mut() {
            let Some(place) = round.seat.me.filter(|_| now >= round.schedule.delivery_ends) else {
                continue;
            };
            // A feeder's meter has no site, so nothing of what it shows is anybody's bill (P39).
            if round.settled || round.seat.roster.is_feeders_meter(place, &round.seat.charter) {
                continue;
            }
            let bill = desk.bill(round, (&self.participant, place));
            if !bill.is_measured() && now <= round.schedule.readings_by {
                continue;
            }
            round.settled = true;
            let settlement = match bill.settle() {
                Ok(settlement) => settlement,
                Err(error) => {
                    effects.push(Effect::Tell(Notice::NotSettled(round.interval, error)));
                    continue;
                }
            };
            let settled = self.payments.settled(now, &settlement, bill.proofs(&desk, round));
            effects.push(Effect::Tell(Notice::Settled(Box::new(settlement))));
            effects.extend(settled);
        }
        effects
    }

    /// Notes what others will owe us at worst for forwards of intervals that begin soon or have
    /// begun (P34).
    pub(super) fn note_risks_ahead(&mut self, now: Timestamp) {
        let begun = |round: &&Round| !round.settled && now >= round.schedule.gate;
        for round in self.rounds.values().filter(begun) {
            for held in self.forwards.of(round.interval) {
                let forward = &held.forward;
                let sells = forward.seller == self.participant;
                if sells == forward.price_msat_per_kwh.is_negative() {
                    continue;
                }
                let other = if sells { forward.buyer } else { forward.seller };
                let cause = Cause::Forward { acceptance: held.acceptance };
                let id = DueId { interval: round.interval, cause };
                let worst = (forward.energy_mwh, forward.price_msat_per_kwh);
                self.payments.trust_ahead(id, other, worst);
            }
        }
    }
}

fn are_measured(contracts: &[Contract], forwards: &[ForwardContract]) -> bool {
    contracts
        .iter()
        .map(|contract| (contract.seller, contract.buyer))
        .chain(forwards.iter().map(|forward| (forward.seller, forward.buyer)))
        .all(|(seller, buyer)| seller.is_some() && buyer.is_some())
}

/// What shows each of our trades and forwards: both sides' readings at both edges, and what both
/// signed (P35).
fn proofs(
    round: &Round,
    me: &ParticipantId,
    (contracts, forwards): (&[Contract], &[ForwardContract]),
    (readings, held): (&Readings, &Forwards),
) -> Vec<(Cause, Proof)> {
    let read = |other: &ParticipantId| {
        let both = [me, other].map(|member| readings.signed(member, round.interval));
        both.into_iter().flatten()
    };
    let proof = |messages: Vec<Arc<[u8]>>, other: &ParticipantId| {
        messages.into_iter().chain(read(other)).map(|bytes| bytes.to_vec()).collect()
    };
    let trades = contracts.iter().map(|contract| {
        let index = contract.terms.index;
        (Cause::Trade { index }, proof(round.confirms(index), &contract.counterparty))
    });
    let forwards = forwards.iter().map(|forward| {
        let acceptance = forward.acceptance;
        let reply = held.of(round.interval).find(|held| held.acceptance == acceptance);
        let reply = reply.map(|held| Arc::clone(&held.reply)).into_iter().collect();
        (Cause::Forward { acceptance }, proof(reply, &forward.counterparty))
    });
    trades.chain(forwards).collect()
}
