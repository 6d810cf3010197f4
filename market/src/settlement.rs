//! What was delivered and who owes what, computed alike by both sides from both meters.
//!
//! A meter's net energy of an interval is what its registers moved. A seller can deliver its net
//! export less the lines' losses, a buyer its net import; each is shared over all that the clearing
//! gave it, whether confirmed or not, and the smaller share counts. What was traded ahead comes first,
//! each forward where it stands in both stacks. The rest of what a meter showed
//! is between its owner and the supplier, at the tariff. All rounding is down, so nobody pays for
//! what did not flow. Not for: how amounts due are paid.

mod ahead;
mod correction;
mod entry;

use boltgrid_protocol::charter::TariffPrices;
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::{
    Energy, Interval, MILLION, Msat, NetEnergy, OutOfRange, SignedMsat, scale_floor,
};
use serde::{Deserialize, Serialize};

pub use ahead::{ForwardContract, SettledForward};
pub use correction::{Correction, NoCorrection};
pub use entry::NoEntry;

/// What one participant's registers moved over one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metered {
    /// Energy taken.
    pub import: Energy,
    /// Energy given.
    pub export: Energy,
}

impl Metered {
    /// What was taken on balance; zero for somebody who gave.
    #[must_use]
    pub const fn net_import(&self) -> Energy {
        self.import.saturating_sub(self.export)
    }

    /// What was given on balance; zero for somebody who took.
    #[must_use]
    pub const fn net_export(&self) -> Energy {
        self.export.saturating_sub(self.import)
    }
}

/// One confirmed trade, with all that decides what was delivered of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    /// What both sides signed.
    pub terms: TradeTerms,
    /// The other side.
    pub counterparty: ParticipantId,
    /// All that this seller sells in the clearing, confirmed or not.
    pub seller_total: Energy,
    /// All that this buyer buys in the clearing, confirmed or not.
    pub buyer_total: Energy,
    /// What the seller's order says it sold ahead: that part of its export is spoken for.
    pub seller_committed: Energy,
    /// What the buyer's order says it bought ahead.
    pub buyer_committed: Energy,
    /// The seller's meter; `None` when its readings did not come in time.
    pub seller: Option<Metered>,
    /// The buyer's meter; `None` when its readings did not come in time.
    pub buyer: Option<Metered>,
}

impl Contract {
    /// What was delivered: the contracted energy, scaled by what the seller's meter gave less
    /// losses and by what the buyer's meter took, beyond what each traded ahead, whichever is less. `None` without both meters.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] when a side's total is zero, so that there is nothing to scale by.
    pub fn delivered(&self, loss_ppm: u32) -> Result<Option<Energy>, OutOfRange> {
        let (Some(seller), Some(buyer)) = (self.seller, self.buyer) else { return Ok(None) };
        let contracted = self.terms.energy_mwh;
        let arriving = seller.net_export().after_loss_floor(loss_ppm);
        let given = arriving.saturating_sub(self.seller_committed).min(self.seller_total);
        let taken = buyer.net_import().saturating_sub(self.buyer_committed).min(self.buyer_total);
        let by_seller = contracted.share_floor(given, self.seller_total)?;
        let by_buyer = contracted.share_floor(taken, self.buyer_total)?;
        Ok(Some(by_seller.min(by_buyer)))
    }
}

/// One participant's interval, to be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The interval.
    pub interval: Interval,
    /// Whose interval.
    pub me: RosterIndex,
    /// Its meter; `None` when the meter gave no readings.
    pub metered: Option<Metered>,
    /// The supplier's prices in the interval.
    pub prices: TariffPrices,
    /// The charter's line losses.
    pub loss_ppm: u32,
}

/// What became of one trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledTrade {
    /// What both sides signed.
    pub terms: TradeTerms,
    /// Whether this participant bought or sold.
    pub side: Side,
    /// Who did the other.
    pub counterparty: ParticipantId,
    /// What was delivered; zero where it could not be measured.
    pub delivered_mwh: Energy,
    /// What is due, to this participant positive.
    pub due_msat: SignedMsat,
    /// Whether both meters' readings came in time; without them nothing is due.
    pub measured: bool,
}

impl SettledTrade {
    /// What was contracted and not delivered.
    #[must_use]
    pub const fn deviation(&self) -> Energy {
        self.terms.energy_mwh.saturating_sub(self.delivered_mwh)
    }

    /// Who pays: the buyer, or the seller where the price is negative; `None` if nothing is due.
    #[must_use]
    pub fn payer(&self) -> Option<RosterIndex> {
        let payer = if self.terms.price_msat_per_kwh.is_negative() {
            self.terms.seller
        } else {
            self.terms.buyer
        };
        (self.due_msat != SignedMsat::ZERO).then_some(payer)
    }
}

/// One participant's settled interval.
///
/// Invariant: metered = traded + lost + supplied, to the milliwatt-hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The interval.
    pub interval: Interval,
    /// What the meter took on balance; `None` when it gave no readings.
    pub metered_mwh: Option<NetEnergy>,
    /// The confirmed trades.
    pub trades: Vec<SettledTrade>,
    /// The forwards.
    pub forwards: Vec<SettledForward>,
    /// What the lines lost of this participant's export on the way to buyers.
    pub losses_mwh: Energy,
    /// The rest of what the meter took, from the supplier; given to it, where negative.
    pub supplier_mwh: NetEnergy,
    /// What is due from the supplier for that at the tariff; to it, where negative.
    pub supplier_due_msat: SignedMsat,
    /// What was contracted in confirmed trades and forwards and not delivered.
    pub deviation_mwh: Energy,
}

/// Why an interval cannot be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettlementError {
    /// A contract of others.
    #[error("trade {0} is not between this participant and another")]
    NotMine(u32),
    /// Contracts that the clearing cannot have given.
    #[error("trade {0} exceeds what its seller or its buyer trades in the clearing")]
    AboveTotal(u32),
    /// Forwards that this participant cannot have signed.
    #[error("the forwards overlap in this participant's own stack")]
    StackOverlaps,
    /// An amount does not fit its type.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
}

/// Settles one participant's interval: its confirmed trades with the other sides, the rest with the
/// supplier.
///
/// # Errors
///
/// [`SettlementError`] when `contracts` cannot be this participant's, or an amount is beyond
/// [`Msat::MAX`].
pub fn settle(
    delivery: &Delivery,
    contracts: &[Contract],
    forwards: &[ForwardContract],
) -> Result<Settlement, SettlementError> {
    let trades = contracts
        .iter()
        .map(|contract| settle_trade(delivery, contract))
        .collect::<Result<Vec<_>, _>>()?;
    within_totals(contracts, delivery.me)?;
    for side in [Side::Sell, Side::Buy] {
        ahead::apart(forwards, side, own_committed(contracts, delivery.me, side))?;
    }
    let forwards = ahead::settle_forwards(delivery, forwards)?;
    let delivered = |side| delivered(&trades, &forwards, side);
    let sold = delivered(Side::Sell)?;
    let sold_gross = before_losses_ceil(sold, delivery.loss_ppm)?;
    let bought = delivered(Side::Buy)?;
    let rest = match delivery.metered {
        Some(metered) => Some(supply(delivery, metered, sold_gross, bought)?),
        None => None,
    };
    Ok(Settlement {
        interval: delivery.interval,
        metered_mwh: rest.map(|rest| rest.metered),
        losses_mwh: sold_gross.saturating_sub(sold),
        supplier_mwh: rest.map_or(NetEnergy::ZERO, |rest| rest.energy),
        supplier_due_msat: rest.map_or(SignedMsat::ZERO, |rest| rest.due),
        deviation_mwh: trades
            .iter()
            .map(SettledTrade::deviation)
            .chain(forwards.iter().map(SettledForward::deviation))
            .fold(Energy::ZERO, Energy::saturating_add),
        trades,
        forwards,
    })
}

fn settle_trade(delivery: &Delivery, contract: &Contract) -> Result<SettledTrade, SettlementError> {
    let terms = contract.terms;
    // My own meter is known here; what a contract says about it has no say.
    let (side, contract) = match (terms.seller == delivery.me, terms.buyer == delivery.me) {
        (true, false) => (Side::Sell, Contract { seller: delivery.metered, ..*contract }),
        (false, true) => (Side::Buy, Contract { buyer: delivery.metered, ..*contract }),
        _ => return Err(SettlementError::NotMine(terms.index)),
    };
    let delivered = contract.delivered(delivery.loss_ppm)?;
    let delivered_mwh = delivered.unwrap_or_default();
    let price = terms.price_msat_per_kwh;
    let to_me = (side == Side::Sell) != price.is_negative();
    Ok(SettledTrade {
        terms,
        side,
        counterparty: contract.counterparty,
        delivered_mwh,
        due_msat: signed(price.amount_floor(delivered_mwh)?, to_me),
        measured: delivered.is_some(),
    })
}

/// Checks that no side of any contract trades more than the clearing gave it, or shares of what its
/// meter showed would add up to more than that.
fn within_totals(contracts: &[Contract], me: RosterIndex) -> Result<(), SettlementError> {
    let (mut sold, mut bought) = (Energy::ZERO, Energy::ZERO);
    for Contract { terms, seller_total, buyer_total, .. } in contracts {
        let mine = if terms.seller == me { &mut sold } else { &mut bought };
        *mine = mine.saturating_add(terms.energy_mwh);
        let (sells, buys) =
            if terms.seller == me { (sold, terms.energy_mwh) } else { (terms.energy_mwh, bought) };
        if sells > *seller_total || buys > *buyer_total {
            return Err(SettlementError::AboveTotal(terms.index));
        }
    }
    Ok(())
}

fn delivered(
    trades: &[SettledTrade],
    forwards: &[SettledForward],
    side: Side,
) -> Result<Energy, OutOfRange> {
    let trades = trades.iter().map(|trade| (trade.side, trade.delivered_mwh));
    let forwards = forwards.iter().map(|forward| (forward.side, forward.delivered_mwh));
    trades
        .chain(forwards)
        .filter(|(of, _)| *of == side)
        .try_fold(Energy::ZERO, |sum, (_, energy)| sum.checked_add(energy).ok_or(OutOfRange))
}

/// What this participant's own order said it had traded ahead; `None` where it traded nothing since.
fn own_committed(contracts: &[Contract], me: RosterIndex, side: Side) -> Option<Energy> {
    contracts.iter().find_map(|contract| match side {
        Side::Sell => (contract.terms.seller == me).then_some(contract.seller_committed),
        Side::Buy => (contract.terms.buyer == me).then_some(contract.buyer_committed),
    })
}

/// What is between a participant and its supplier.
#[derive(Clone, Copy)]
struct Rest {
    metered: NetEnergy,
    energy: NetEnergy,
    due: SignedMsat,
}

/// What a meter showed beyond the delivered trades, at the tariff.
fn supply(
    delivery: &Delivery,
    metered: Metered,
    sold_gross: Energy,
    bought: Energy,
) -> Result<Rest, OutOfRange> {
    // What was delivered never exceeds what the meter showed, so neither difference is cut off.
    let import = metered.net_import().saturating_sub(bought);
    let export = metered.net_export().saturating_sub(sold_gross);
    let TariffPrices { retail_msat_per_kwh: retail, feed_in_msat_per_kwh: feed_in } =
        delivery.prices;
    let for_import = signed(retail.amount_floor(import)?, retail.is_negative());
    let for_export = signed(feed_in.amount_floor(export)?, !feed_in.is_negative());
    Ok(Rest {
        metered: NetEnergy::between(metered.net_import(), metered.net_export())?,
        energy: NetEnergy::between(import, export)?,
        due: for_import.checked_add(for_export).ok_or(OutOfRange)?,
    })
}

fn signed(amount: Msat, to_me: bool) -> SignedMsat {
    if to_me { SignedMsat::receivable(amount) } else { SignedMsat::payable(amount) }
}

/// The smallest metered export of which `delivered` arrives after losses of `loss_ppm`.
///
/// # Errors
///
/// [`OutOfRange`] when it does not fit, or everything is lost on the way.
pub fn before_losses_ceil(delivered: Energy, loss_ppm: u32) -> Result<Energy, OutOfRange> {
    if delivered.is_zero() {
        return Ok(Energy::ZERO);
    }
    let kept_ppm = MILLION.saturating_sub(u64::from(loss_ppm));
    let export_mwh = scale_floor(delivered.to_milliwatt_hours(), MILLION, kept_ppm)?;
    let export = Energy::from_milliwatt_hours(export_mwh);
    if export.after_loss_floor(loss_ppm) >= delivered {
        Ok(export)
    } else {
        export.checked_add(Energy::from_milliwatt_hours(1)).ok_or(OutOfRange)
    }
}

impl Settlement {
    /// What all trades and forwards together bring this participant.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] beyond 63 bits.
    pub fn trades_due(&self) -> Result<SignedMsat, OutOfRange> {
        let dues = self.trades.iter().map(|trade| trade.due_msat);
        let dues = dues.chain(self.forwards.iter().map(|forward| forward.due_msat));
        let add = |sum: SignedMsat, due| sum.checked_add(due).ok_or(OutOfRange);
        dues.into_iter().try_fold(SignedMsat::ZERO, add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltgrid_protocol::units::Price;

    const SELLER: RosterIndex = RosterIndex::new(3);
    const BUYER: RosterIndex = RosterIndex::new(5);
    const LOSS_PPM: u32 = 30_000;

    const fn mwh(mwh: u64) -> Energy {
        Energy::from_milliwatt_hours(mwh)
    }

    fn contract(price_msat: i64, exported: u64, imported: u64) -> Contract {
        Contract {
            terms: TradeTerms {
                index: 0,
                seller: SELLER,
                buyer: BUYER,
                energy_mwh: mwh(1_000_000),
                price_msat_per_kwh: Price::from_msat_per_kwh(price_msat),
            },
            counterparty: ParticipantId::from_bytes([9; 32]),
            seller_total: mwh(1_000_000),
            buyer_total: mwh(2_000_000),
            seller_committed: Energy::ZERO,
            buyer_committed: Energy::ZERO,
            seller: Some(Metered { import: Energy::ZERO, export: mwh(exported) }),
            buyer: Some(Metered { import: mwh(imported), export: Energy::ZERO }),
        }
    }

    fn settled(me: RosterIndex, contract: &Contract) -> Settlement {
        let metered = if me == SELLER { contract.seller } else { contract.buyer };
        let prices = TariffPrices {
            retail_msat_per_kwh: Price::from_msat_per_kwh(300_000),
            feed_in_msat_per_kwh: Price::from_msat_per_kwh(-30_000),
        };
        let interval = Interval::from_number(1);
        let delivery = Delivery { interval, me, metered, prices, loss_ppm: LOSS_PPM };
        settle(&delivery, &[*contract], &[]).unwrap()
    }

    #[test]
    fn the_buyer_pays_for_what_both_meters_saw() {
        // 600 000 of 1 030 928 exported arrive on the buyer's other trades' account, too.
        let contract = contract(200_000, 1_030_928, 1_200_000);
        let sale = settled(SELLER, &contract);
        let trade = sale.trades[0];
        assert_eq!(trade.delivered_mwh, mwh(600_000), "the buyer took 60 % of what it bought");
        assert_eq!(trade.due_msat, SignedMsat::from_millisatoshi(120_000));
        assert_eq!(trade.payer(), Some(BUYER));
        assert_eq!(sale.deviation_mwh, mwh(400_000));
        // 600 000 / 0.97 leave the seller's meter; the other 412 371 go to the supplier.
        assert_eq!(sale.losses_mwh, mwh(18_557));
        assert_eq!(sale.supplier_mwh, NetEnergy::from_milliwatt_hours(-412_371));
        assert_eq!(sale.supplier_due_msat, SignedMsat::from_millisatoshi(-12_371));
        let purchase = settled(BUYER, &contract);
        assert_eq!(purchase.trades[0].due_msat, SignedMsat::from_millisatoshi(-120_000));
        assert_eq!(purchase.supplier_mwh, NetEnergy::from_milliwatt_hours(600_000));
        assert_eq!(purchase.supplier_due_msat, SignedMsat::from_millisatoshi(-180_000));
    }

    #[test]
    fn at_a_negative_price_the_seller_pays() {
        let contract = contract(-150_000, 1_100_000, 2_000_000);
        let sale = settled(SELLER, &contract);
        assert_eq!(sale.trades[0].due_msat, SignedMsat::from_millisatoshi(-150_000));
        assert_eq!(sale.trades[0].payer(), Some(SELLER));
        let purchase = settled(BUYER, &contract);
        assert_eq!(purchase.trades[0].due_msat, SignedMsat::from_millisatoshi(150_000));
    }

    #[test]
    fn a_seller_that_took_energy_delivered_nothing() {
        let mut contract = contract(200_000, 500_000, 2_000_000);
        contract.seller = Some(Metered { import: mwh(500_001), export: mwh(500_000) });
        let sale = settled(SELLER, &contract);
        assert_eq!(sale.trades[0].delivered_mwh, Energy::ZERO);
        assert_eq!(sale.trades[0].payer(), None);
        assert_eq!(sale.supplier_mwh, NetEnergy::from_milliwatt_hours(1));
    }

    #[test]
    fn without_both_meters_nothing_is_due_and_all_is_supplied() {
        let mut contract = contract(200_000, 1_100_000, 2_000_000);
        contract.buyer = None;
        let sale = settled(SELLER, &contract);
        assert!(!sale.trades[0].measured);
        assert_eq!(sale.trades[0].due_msat, SignedMsat::ZERO);
        assert_eq!(sale.supplier_mwh, NetEnergy::from_milliwatt_hours(-1_100_000));
        let purchase = settled(BUYER, &contract);
        assert_eq!(purchase.metered_mwh, None);
        assert_eq!(purchase.supplier_due_msat, SignedMsat::ZERO);
        assert!(purchase.entry().is_ok());
    }

    #[test]
    fn contracts_that_cannot_be_are_refused() {
        let contract = contract(200_000, 1_100_000, 2_000_000);
        let delivery = |me| Delivery {
            interval: Interval::from_number(1),
            me,
            metered: contract.seller,
            prices: TariffPrices {
                retail_msat_per_kwh: Price::ZERO,
                feed_in_msat_per_kwh: Price::ZERO,
            },
            loss_ppm: 0,
        };
        let refused = settle(&delivery(RosterIndex::new(4)), &[contract], &[]);
        assert_eq!(refused, Err(SettlementError::NotMine(0)));
        let twice = settle(&delivery(SELLER), &[contract, contract], &[]);
        assert_eq!(twice, Err(SettlementError::AboveTotal(0)));
    }

    #[test]
    fn what_is_exported_before_losses_is_the_least_that_arrives() {
        for delivered in [1, 2, 33, 970_000, 1_000_001] {
            let export = before_losses_ceil(mwh(delivered), LOSS_PPM).unwrap();
            assert!(export.after_loss_floor(LOSS_PPM) >= mwh(delivered));
            let less = export.saturating_sub(mwh(1));
            assert!(less.after_loss_floor(LOSS_PPM) < mwh(delivered));
        }
        assert_eq!(before_losses_ceil(Energy::ZERO, u32::MAX), Ok(Energy::ZERO));
        assert_eq!(before_losses_ceil(mwh(1), u32::MAX), Err(OutOfRange));
    }
}
