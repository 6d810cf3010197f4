//! Forwards of one interval: what was delivered of each, from where it stands in both stacks (P23,
//! P29).

use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::{Energy, OutOfRange, Price, SignedMsat};
use serde::{Deserialize, Serialize};

use super::{Delivery, Metered, SettlementError, signed};

/// One interval of a forward, with all that decides what was delivered of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardContract {
    /// The hash of the acceptance it was made by.
    pub acceptance: MessageHash,
    /// What this participant does.
    pub side: Side,
    /// Who does the other.
    pub counterparty: ParticipantId,
    /// How much was contracted.
    pub energy_mwh: Energy,
    /// At what price.
    pub price_msat_per_kwh: Price,
    /// What the seller had sold ahead before.
    pub seller_before: Energy,
    /// What the buyer had bought ahead before.
    pub buyer_before: Energy,
    /// The seller's meter; `None` when its readings did not come in time.
    pub seller: Option<Metered>,
    /// The buyer's meter; `None` when its readings did not come in time.
    pub buyer: Option<Metered>,
}

impl ForwardContract {
    /// What was delivered: as much as both stacks reach into its range. `None` without both meters.
    #[must_use]
    pub fn delivered(&self, loss_ppm: u32) -> Option<Energy> {
        let given = self.seller?.net_export().after_loss_floor(loss_ppm);
        let taken = self.buyer?.net_import();
        let by_seller = given.saturating_sub(self.seller_before);
        let by_buyer = taken.saturating_sub(self.buyer_before);
        Some(by_seller.min(by_buyer).min(self.energy_mwh))
    }

    /// The range it takes of this participant's own stack.
    fn range(&self) -> (Energy, Energy) {
        let before = match self.side {
            Side::Sell => self.seller_before,
            Side::Buy => self.buyer_before,
        };
        (before, before.saturating_add(self.energy_mwh))
    }
}

/// What became of one interval of a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledForward {
    /// The hash of the acceptance it was made by.
    pub acceptance: MessageHash,
    /// Whether this participant bought or sold.
    pub side: Side,
    /// Who did the other.
    pub counterparty: ParticipantId,
    /// What was contracted.
    pub energy_mwh: Energy,
    /// At what price.
    pub price_msat_per_kwh: Price,
    /// What was delivered; zero where it could not be measured.
    pub delivered_mwh: Energy,
    /// What is due, to this participant positive.
    pub due_msat: SignedMsat,
    /// Whether both meters' readings came in time; without them nothing is due.
    pub measured: bool,
}

impl SettledForward {
    /// What was contracted and not delivered.
    #[must_use]
    pub const fn deviation(&self) -> Energy {
        self.energy_mwh.saturating_sub(self.delivered_mwh)
    }
}

/// Settles the forwards of an interval.
pub(super) fn settle_forwards(
    delivery: &Delivery,
    forwards: &[ForwardContract],
) -> Result<Vec<SettledForward>, OutOfRange> {
    let settle = |forward: &ForwardContract| {
        // My own meter is known here; what a contract says about it has no say.
        let forward = match forward.side {
            Side::Sell => ForwardContract { seller: delivery.metered, ..*forward },
            Side::Buy => ForwardContract { buyer: delivery.metered, ..*forward },
        };
        let delivered = forward.delivered(delivery.loss_ppm);
        let delivered_mwh = delivered.unwrap_or_default();
        let price = forward.price_msat_per_kwh;
        let to_me = (forward.side == Side::Sell) != price.is_negative();
        Ok(SettledForward {
            acceptance: forward.acceptance,
            side: forward.side,
            counterparty: forward.counterparty,
            energy_mwh: forward.energy_mwh,
            price_msat_per_kwh: price,
            delivered_mwh,
            due_msat: signed(price.amount_floor(delivered_mwh)?, to_me),
            measured: delivered.is_some(),
        })
    };
    forwards.iter().map(settle).collect()
}

/// Checks that this participant's forwards on one side lie one on the other, and below what its
/// order says is committed, or a kilowatt-hour would count twice.
pub(super) fn apart(
    forwards: &[ForwardContract],
    side: Side,
    committed: Option<Energy>,
) -> Result<(), SettlementError> {
    let mine = forwards.iter().filter(|forward| forward.side == side);
    let mut ranges: Vec<_> = mine.map(ForwardContract::range).collect();
    ranges.sort_unstable();
    let overlap = ranges.windows(2).any(|pair| match pair {
        [(_, top), (before, _)] => top > before,
        _ => false,
    });
    let top = ranges.last().map_or(Energy::ZERO, |(_, top)| *top);
    if overlap || committed.is_some_and(|committed| top > committed) {
        return Err(SettlementError::StackOverlaps);
    }
    Ok(())
}
