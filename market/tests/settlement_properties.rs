//! What must hold for every settlement, whatever was traded, confirmed and metered.

use std::collections::BTreeMap;

use boltgrid_market::ledger::{Account, Ledger};
use boltgrid_market::settlement::{Contract, Delivery, Metered, SettledTrade, Settlement, settle};
use boltgrid_protocol::charter::TariffPrices;
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::{Energy, Interval, Price};
use proptest::collection::vec;
use proptest::prelude::*;

const MEMBERS: u32 = 6;
const FIRST_BUYER: u32 = 3;

/// One interval of a small grid: its clearing, which trades are firm, and what the meters showed.
#[derive(Clone, Debug)]
struct Grid {
    price: Price,
    prices: TariffPrices,
    loss_ppm: u32,
    trades: Vec<(TradeTerms, bool)>,
    meters: Vec<Option<Metered>>,
}

impl Grid {
    fn total(&self, of: impl Fn(&TradeTerms) -> bool) -> Energy {
        let sum = self.trades.iter().filter(|(terms, _)| of(terms));
        Energy::from_milliwatt_hours(
            sum.map(|(terms, _)| terms.energy_mwh.to_milliwatt_hours()).sum(),
        )
    }

    fn meter(&self, member: RosterIndex) -> Option<Metered> {
        self.meters[member.as_usize()]
    }

    /// What a member knows and computes.
    fn settle(&self, me: RosterIndex) -> Settlement {
        let firm = self.trades.iter().filter(|(_, confirmed)| *confirmed).map(|(terms, _)| terms);
        let contracts: Vec<_> = firm
            .filter(|terms| terms.seller == me || terms.buyer == me)
            .map(|terms| Contract {
                terms: *terms,
                counterparty: id(if terms.seller == me { terms.buyer } else { terms.seller }),
                seller_total: self.total(|other| other.seller == terms.seller),
                buyer_total: self.total(|other| other.buyer == terms.buyer),
                seller_committed: Energy::ZERO,
                buyer_committed: Energy::ZERO,
                seller: self.meter(terms.seller),
                buyer: self.meter(terms.buyer),
            })
            .collect();
        let delivery = Delivery {
            interval: Interval::from_number(1),
            me,
            metered: self.meter(me),
            prices: self.prices,
            loss_ppm: self.loss_ppm,
        };
        settle(&delivery, &contracts, &[]).expect("contracts of one clearing can be settled")
    }

    fn settlements(&self) -> Vec<(RosterIndex, Settlement)> {
        (0..MEMBERS).map(RosterIndex::new).map(|me| (me, self.settle(me))).collect()
    }
}

fn id(member: RosterIndex) -> ParticipantId {
    ParticipantId::from_bytes([u8::try_from(member.get()).expect("there are few members"); 32])
}

fn delivered(settlement: &Settlement, side: Side) -> i128 {
    let trades = settlement.trades.iter().filter(|trade| trade.side == side);
    trades.map(|trade| mwh(trade.delivered_mwh)).sum()
}

prop_compose! {
    fn price()(msat in -200_000_000_i64..500_000_000) -> Price {
        Price::from_msat_per_kwh(msat)
    }
}

prop_compose! {
    /// Registers near what was traded, so that all of over-, under- and full delivery happen.
    fn meter()(
        present in prop::bool::weighted(0.9),
        import in 0..6_000_000_u64,
        export in 0..6_000_000_u64,
    ) -> Option<Metered> {
        present.then_some(Metered {
            import: Energy::from_milliwatt_hours(import),
            export: Energy::from_milliwatt_hours(export),
        })
    }
}

prop_compose! {
    fn grid()(
        price in price(),
        (retail, feed_in) in (price(), price()),
        loss_ppm in prop_oneof![Just(0), Just(30_000), 0..500_000_u32],
        energies in vec(0..2_000_000_u64, 9),
        confirmed in vec(prop::bool::weighted(0.9), 9),
        meters in vec(meter(), MEMBERS as usize),
    ) -> Grid {
        let pairs = (0..FIRST_BUYER)
            .flat_map(|seller| (FIRST_BUYER..MEMBERS).map(move |buyer| (seller, buyer)));
        let trades = (0_u32..).zip(pairs).zip(energies).zip(confirmed);
        let trades = trades.filter(|((_, energy), _)| *energy > 0);
        Grid {
            price,
            prices: TariffPrices { retail_msat_per_kwh: retail, feed_in_msat_per_kwh: feed_in },
            loss_ppm,
            trades: trades.map(|(((index, (seller, buyer)), energy), confirmed)| {
                let terms = TradeTerms {
                    index,
                    seller: RosterIndex::new(seller),
                    buyer: RosterIndex::new(buyer),
                    energy_mwh: Energy::from_milliwatt_hours(energy),
                    price_msat_per_kwh: price,
                };
                (terms, confirmed)
            }).collect(),
            meters,
        }
    }
}

fn mwh(energy: Energy) -> i128 {
    i128::from(energy.to_milliwatt_hours())
}

proptest! {
    #[test]
    fn both_sides_of_every_trade_compute_the_same(grid in grid()) {
        let mut seen: BTreeMap<u32, SettledTrade> = BTreeMap::new();
        for (_, settlement) in grid.settlements() {
            for trade in settlement.trades {
                let Some(other) = seen.insert(trade.terms.index, trade) else { continue };
                prop_assert_eq!(trade.delivered_mwh, other.delivered_mwh);
                prop_assert_eq!(trade.due_msat.checked_neg(), Some(other.due_msat));
                prop_assert_eq!(trade.payer(), other.payer());
                prop_assert_eq!(trade.measured, other.measured);
                seen.remove(&trade.terms.index);
            }
        }
        prop_assert!(seen.is_empty(), "a trade was settled by one side only");
    }

    #[test]
    fn an_amount_due_is_price_times_delivered_to_the_millisatoshi(grid in grid()) {
        for (me, settlement) in grid.settlements() {
            for trade in settlement.trades {
                let price = i128::from(grid.price.to_msat_per_kwh());
                let amount = price.abs() * mwh(trade.delivered_mwh) / 1_000_000;
                let due = i128::from(trade.due_msat.to_millisatoshi());
                prop_assert_eq!(due.abs(), amount);
                let payer = if price < 0 { trade.terms.seller } else { trade.terms.buyer };
                prop_assert_eq!(trade.payer(), (amount > 0).then_some(payer));
                prop_assert!(due <= 0 || payer != me, "who pays does not receive");
            }
        }
    }

    #[test]
    fn nobody_is_credited_with_more_than_was_contracted_or_metered(grid in grid()) {
        for (me, settlement) in grid.settlements() {
            for trade in &settlement.trades {
                prop_assert!(trade.delivered_mwh <= trade.terms.energy_mwh);
                let whole = trade.deviation().checked_add(trade.delivered_mwh);
                prop_assert_eq!(whole, Some(trade.terms.energy_mwh));
            }
            let metered = grid.meter(me).unwrap_or_default();
            let arrives = metered.net_export().after_loss_floor(grid.loss_ppm);
            prop_assert!(delivered(&settlement, Side::Sell) <= mwh(arrives));
            prop_assert!(delivered(&settlement, Side::Buy) <= mwh(metered.net_import()));
        }
    }

    #[test]
    fn every_metered_milliwatt_hour_has_one_account(grid in grid()) {
        for (me, settlement) in grid.settlements() {
            let sold = delivered(&settlement, Side::Sell);
            let lost = mwh(settlement.losses_mwh);
            let bought = delivered(&settlement, Side::Buy);
            let supplied = i128::from(settlement.supplier_mwh.to_milliwatt_hours());
            let metered = grid.meter(me).unwrap_or_default();
            let net = mwh(metered.import) - mwh(metered.export);
            prop_assert_eq!(bought + supplied - sold - lost, net);
            // The supplier never stands in for what was delivered: it gives to who takes, and takes
            // from who gives.
            prop_assert!(supplied == 0 || (supplied > 0) == (net > 0));
        }
    }

    #[test]
    fn ledgers_sum_to_zero_and_mirror_each_other(grid in grid()) {
        let ledgers: Vec<_> = grid.settlements().iter().map(|(_, settlement)| {
            let mut ledger = Ledger::default();
            ledger.post(&settlement.entry().unwrap()).unwrap();
            ledger
        }).collect();
        for ledger in &ledgers {
            let energy = ledger.balances().map(|(_, balance)| balance.energy.to_milliwatt_hours());
            prop_assert_eq!(energy.sum::<i64>(), 0);
            let money = ledger.balances().map(|(_, balance)| balance.money.to_millisatoshi());
            prop_assert_eq!(money.sum::<i64>(), 0);
        }
        for a in 0..MEMBERS {
            for b in 0..MEMBERS {
                let [a, b] = [a, b].map(RosterIndex::new);
                let with = ledgers[a.as_usize()].balance(Account::Counterparty(id(b)));
                let back = ledgers[b.as_usize()].balance(Account::Counterparty(id(a)));
                prop_assert_eq!(with.energy.checked_neg(), Some(back.energy));
                prop_assert_eq!(with.money.checked_neg(), Some(back.money));
            }
        }
    }

    #[test]
    fn who_keeps_all_contracts_deviates_from_none(grid in grid()) {
        let mut kept = grid.clone();
        for member in 0..MEMBERS {
            let me = RosterIndex::new(member);
            let sold = grid.total(|terms| terms.seller == me).to_milliwatt_hours();
            let kept_ppm = u64::from(1_000_000 - grid.loss_ppm);
            kept.meters[me.as_usize()] = Some(Metered {
                import: grid.total(|terms| terms.buyer == me),
                export: Energy::from_milliwatt_hours((sold * 1_000_000).div_ceil(kept_ppm)),
            });
        }
        for (me, settlement) in kept.settlements() {
            prop_assert_eq!(settlement.deviation_mwh, Energy::ZERO);
            if kept.trades.iter().all(|(_, confirmed)| *confirmed) {
                prop_assert_eq!(settlement.supplier_mwh.to_milliwatt_hours(), 0, "member {}", me);
            }
        }
    }

    #[test]
    fn absurd_numbers_are_refused_or_settled_but_never_panic(
        registers in vec(any::<u64>(), 4),
        totals in vec(any::<u64>(), 3),
        prices in vec(any::<i64>(), 3),
        loss_ppm in any::<u32>(),
        i_sell in any::<bool>(),
    ) {
        let [seller, buyer] = [0, 1].map(RosterIndex::new);
        let energy = Energy::from_milliwatt_hours;
        let meter = |first: usize| {
            Some(Metered { import: energy(registers[first]), export: energy(registers[first + 1]) })
        };
        let price = |index: usize| Price::from_msat_per_kwh(prices[index]);
        let contract = Contract {
            terms: TradeTerms {
                index: 0,
                seller,
                buyer,
                energy_mwh: energy(totals[0]),
                price_msat_per_kwh: price(0),
            },
            counterparty: id(buyer),
            seller_total: energy(totals[1]),
            buyer_total: energy(totals[2]),
            seller_committed: Energy::ZERO,
            buyer_committed: Energy::ZERO,
            seller: meter(0),
            buyer: meter(2),
        };
        let delivery = Delivery {
            interval: Interval::from_number(u64::MAX),
            me: if i_sell { seller } else { buyer },
            metered: if i_sell { contract.seller } else { contract.buyer },
            prices: TariffPrices {
                retail_msat_per_kwh: price(1),
                feed_in_msat_per_kwh: price(2),
            },
            loss_ppm,
        };
        if let Ok(settlement) = settle(&delivery, &[contract], &[]) {
            prop_assert!(settlement.trades[0].delivered_mwh <= contract.terms.energy_mwh);
            prop_assert!(settlement.entry().is_ok());
        }
    }
}
