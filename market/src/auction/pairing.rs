//! Who delivers to whom. Pairing changes neither price nor anyone's energy, only how many payments
//! there will be and between whom: first along the pairs that the orders name ([`super::named`]),
//! then what is left from the north-west corner.
//! Not for: how much anyone executes.

use std::cmp::Reverse;

use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::Energy;

use super::offer::{Offer, Ranked};
use super::{Trade, named};

/// What an order executes and is not paired yet. An order executes on one side only, as its buy
/// limits are below its sell limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) side: Side,
    pub(super) left: Energy,
}

/// The seats of all orders, by rank, and the trades made so far.
#[derive(Debug)]
pub(super) struct Pairing<'book> {
    pub(super) ranked: &'book Ranked<'book>,
    seats: Vec<Seat>,
    trades: Vec<Trade>,
}

/// Pairs what executed, with at most buyers + sellers − 1 trades beyond the named pairs. The trades
/// are by seller, then buyer, and no pair trades twice.
///
/// `naming` has the ranks of the orders that name somebody.
pub(super) fn pair(ranked: &Ranked<'_>, executed: &[Offer], naming: &[u32]) -> Vec<Trade> {
    let mut pairing = Pairing::new(ranked, executed);
    named::along_channels(&mut pairing, naming);
    named::along_preferences(&mut pairing, naming, executed);
    pairing.walk_from_north_west();
    pairing.into_trades()
}

impl<'book> Pairing<'book> {
    fn new(ranked: &'book Ranked<'book>, executed: &[Offer]) -> Self {
        let seats = vec![Seat { side: Side::Buy, left: Energy::ZERO }; ranked.len()];
        let mut pairing = Self { ranked, seats, trades: Vec::new() };
        for offer in executed.iter().filter(|offer| !offer.energy.is_zero()) {
            if let Some(seat) = pairing.seat_mut(offer.rank) {
                seat.side = offer.side;
                seat.left = seat.left.saturating_add(offer.energy);
            }
        }
        pairing
    }

    /// The seat of this rank, if it has energy left.
    pub(super) fn open_seat(&self, rank: u32) -> Option<Seat> {
        let seat = self.seats.get(usize::try_from(rank).ok()?)?;
        (!seat.left.is_zero()).then_some(*seat)
    }

    /// The seats on `side` that have energy left, by rank.
    fn open(&self, side: Side) -> impl Iterator<Item = (u32, Energy)> {
        (0..=u32::MAX)
            .zip(&self.seats)
            .filter(move |(_, seat)| seat.side == side && !seat.left.is_zero())
            .map(|(rank, seat)| (rank, seat.left))
    }

    /// What the order of this rank has left on `side`.
    pub(super) fn left(&self, rank: u32, side: Side) -> Energy {
        let seat = self.open_seat(rank).filter(|seat| seat.side == side);
        seat.map_or(Energy::ZERO, |seat| seat.left)
    }

    /// Pairs a seller and a buyer as far as both have energy left, up to `most`; says how far.
    pub(super) fn trade(&mut self, seller: u32, buyer: u32, most: Energy) -> Energy {
        let energy = most.min(self.left(seller, Side::Sell)).min(self.left(buyer, Side::Buy));
        if !energy.is_zero() {
            self.record(seller, buyer, energy);
            for rank in [seller, buyer] {
                if let Some(seat) = self.seat_mut(rank) {
                    seat.left = seat.left.saturating_sub(energy);
                }
            }
        }
        energy
    }

    /// Pairs all that is left: both sides by energy, the largest first, and each trade uses up its
    /// seller, its buyer or both. It leaves the seats as they are.
    fn walk_from_north_west(&mut self) {
        let (sellers, buyers) = (self.by_energy(Side::Sell), self.by_energy(Side::Buy));
        self.trades.reserve(sellers.len().saturating_add(buyers.len()));
        let (mut sellers, mut buyers) = (sellers.into_iter(), buyers.into_iter());
        let (mut sell, mut buy) = (sellers.next(), buyers.next());
        while let (Some((Reverse(supply), seller)), Some((Reverse(demand), buyer))) = (sell, buy) {
            self.record(seller, buyer, supply.min(demand));
            if supply <= demand {
                sell = sellers.next();
            } else {
                sell = Some((Reverse(supply.saturating_sub(demand)), seller));
            }
            if demand <= supply {
                buy = buyers.next();
            } else {
                buy = Some((Reverse(demand.saturating_sub(supply)), buyer));
            }
        }
    }

    fn by_energy(&self, side: Side) -> Vec<(Reverse<Energy>, u32)> {
        let mut open = Vec::with_capacity(self.seats.len());
        open.extend(self.open(side).map(|(rank, left)| (Reverse(left), rank)));
        open.sort_unstable();
        open
    }

    fn record(&mut self, seller: u32, buyer: u32, energy: Energy) {
        let participant = |rank| self.ranked.participant(rank);
        if let (Some(seller), Some(buyer)) = (participant(seller), participant(buyer)) {
            self.trades.push(Trade { seller, buyer, energy_mwh: energy });
        }
    }

    fn seat_mut(&mut self, rank: u32) -> Option<&mut Seat> {
        self.seats.get_mut(usize::try_from(rank).ok()?)
    }

    fn into_trades(mut self) -> Vec<Trade> {
        self.trades.sort_unstable_by_key(|trade| (trade.seller, trade.buyer));
        self.trades.dedup_by(|next, first| {
            let same = (next.seller, next.buyer) == (first.seller, first.buyer);
            if same {
                first.energy_mwh = first.energy_mwh.saturating_add(next.energy_mwh);
            }
            same
        });
        self.trades
    }
}
