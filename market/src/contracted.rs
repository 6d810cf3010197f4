//! What this node traded for one interval, with everything that its settlement needs.

use std::collections::BTreeSet;

use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::Interval;

use crate::forwards::Forwards;
use crate::readings::Readings;
use crate::round::Round;
use crate::settlement::{Contract, ForwardContract};

/// The firm trades of a round.
pub(crate) fn contracts(round: &Round, me: RosterIndex, readings: &Readings) -> Vec<Contract> {
    let roster = &round.seat.roster;
    let metered = |index| {
        let member = roster.participant(index)?;
        readings.metered(&member, round.interval)
    };
    round
        .firm_trades()
        .filter_map(|terms| {
            let other = if terms.seller == me { terms.buyer } else { terms.seller };
            Some(Contract {
                terms,
                counterparty: roster.participant(other)?,
                seller_total: round.total(|trade| trade.seller == terms.seller),
                buyer_total: round.total(|trade| trade.buyer == terms.buyer),
                seller_committed: round.committed(terms.seller).0,
                buyer_committed: round.committed(terms.buyer).1,
                seller: metered(terms.seller),
                buyer: metered(terms.buyer),
            })
        })
        .collect()
}

/// Those with whom this node traded for a round's interval, in the auction or ahead of it.
pub(crate) fn partners(
    round: &Round,
    me: &ParticipantId,
    forwards: &Forwards,
) -> BTreeSet<ParticipantId> {
    let roster = &round.seat.roster;
    let sides = round.firm_trades().flat_map(|terms| [terms.seller, terms.buyer]);
    let traded = sides.filter_map(|side| roster.participant(side)).filter(|side| side != me);
    traded.chain(ahead_with(round.interval, me, forwards)).collect()
}

/// Those with whom this node traded ahead for an interval.
pub(crate) fn ahead_with(
    interval: Interval,
    me: &ParticipantId,
    forwards: &Forwards,
) -> impl Iterator<Item = ParticipantId> {
    let sides = forwards.of(interval).flat_map(|held| [held.forward.seller, held.forward.buyer]);
    sides.filter(move |side| side != me)
}

/// The forwards of a round's interval.
pub(crate) fn forwards(
    round: &Round,
    me: &ParticipantId,
    forwards: &Forwards,
    readings: &Readings,
) -> Vec<ForwardContract> {
    let interval = round.interval;
    forwards
        .of(interval)
        .filter_map(|held| {
            let forward = &held.forward;
            let (side, counterparty) = if forward.seller == *me {
                (Side::Sell, forward.buyer)
            } else {
                (Side::Buy, forward.seller)
            };
            Some(ForwardContract {
                acceptance: held.acceptance,
                side,
                counterparty,
                energy_mwh: forward.energy_mwh,
                price_msat_per_kwh: forward.price_msat_per_kwh,
                seller_before: forward.seller_stack.before(interval)?,
                buyer_before: forward.buyer_stack.before(interval)?,
                seller: readings.metered(&forward.seller, interval),
                buyer: readings.metered(&forward.buyer, interval),
            })
        })
        .collect()
}
