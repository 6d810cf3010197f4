//! A made-up interval in which everything is as it should be, for tests to break in one place.
//!
//! `bus1` sells 600 mWh to `bus2` and 400 to `bus3` at 100 sat/kWh; all of it is delivered but a
//! quarter of the second trade, since `bus3` takes only 300 mWh. A hundredth is lost on the lines.

use std::collections::BTreeSet;

use boltgrid::status::{
    IntervalOutcome, IntervalReport, SettlementReport, StepReport, TradeReport, TradeState,
};

use super::{Observation, SiteObservation};

/// The price in msat per kWh.
pub(crate) const PRICE: i64 = 100_000;

fn trade(index: u32, side: &str, counterparty: &str, energy_mwh: u64) -> TradeReport {
    let delivered: u32 = if index == 0 { 600 } else { 300 };
    let due = i64::from(delivered / 10);
    TradeReport {
        interval: 7,
        index,
        side: side.to_owned(),
        counterparty: counterparty.to_owned(),
        energy_mwh,
        price_msat_per_kwh: PRICE,
        state: TradeState::Confirmed,
        delivered_mwh: Some(u64::from(delivered)),
        due_msat: Some(if side == "sell" { due } else { -due }),
    }
}

fn step(side: &str, energy_mwh: u64, limit_msat_per_kwh: i64) -> StepReport {
    StepReport { side: side.to_owned(), source: "load".to_owned(), energy_mwh, limit_msat_per_kwh }
}

fn settlement(trades: &[TradeReport], metered_mwh: i64, losses_mwh: u64) -> SettlementReport {
    let traded: i64 = trades
        .iter()
        .map(|trade| {
            let delivered = i64::try_from(trade.delivered_mwh.unwrap()).unwrap();
            if trade.side == "buy" { delivered } else { -delivered }
        })
        .sum();
    SettlementReport {
        metered_mwh: Some(metered_mwh),
        losses_mwh,
        supplier_mwh: metered_mwh - traded + i64::try_from(losses_mwh).unwrap(),
        supplier_due_msat: 0,
        deviation_mwh: 0,
        trades_due_msat: trades.iter().filter_map(|trade| trade.due_msat).sum(),
        is_balanced: true,
        settled_ms: Some(100),
    }
}

fn site(
    name: &str,
    own_order: Vec<StepReport>,
    own_trades: Vec<TradeReport>,
    metered_mwh: i64,
    losses_mwh: u64,
) -> SiteObservation {
    let settlement = settlement(&own_trades, metered_mwh, losses_mwh);
    SiteObservation {
        name: name.to_owned(),
        participant: name.to_owned(),
        is_rogue: false,
        present: true,
        due_back: None,
        cut_off: false,
        skewed: false,
        report: Some(IntervalReport {
            interval: 7,
            outcome: IntervalOutcome::Decided,
            view: Some(0),
            decide_ms: Some(400),
            orders: 3,
            book_hash: Some("book".to_owned()),
            clearing_digest: Some("digest".to_owned()),
            price_msat_per_kwh: Some(PRICE),
            volume_mwh: 1000,
            trades: 2,
            own_order,
            own_trades,
            settlement: Some(settlement),
        }),
        flowed_mwh: Some(metered_mwh + 1),
        meter_tolerance_mwh: 5,
    }
}

/// The interval.
pub(crate) fn observation() -> Observation {
    let sells = vec![trade(0, "sell", "bus2", 600), trade(1, "sell", "bus3", 400)];
    Observation {
        interval: 7,
        quorum: 3,
        is_rough: false,
        is_split: false,
        late: BTreeSet::new(),
        sites: vec![
            site("bus1", vec![step("sell", 1000, 80_000)], sells, -1010, 9),
            site(
                "bus2",
                vec![step("buy", 700, 250_000)],
                vec![trade(0, "buy", "bus1", 600)],
                650,
                0,
            ),
            site("bus3", vec![step("buy", 400, PRICE)], vec![trade(1, "buy", "bus1", 400)], 300, 0),
        ],
    }
}

/// What a node says in the interval, to be changed.
pub(crate) fn report(observation: &mut Observation, site: usize) -> &mut IntervalReport {
    observation.sites[site].report.as_mut().unwrap()
}

/// The same as after an interval without decision.
pub(crate) fn fallen_back() -> Observation {
    let mut observation = observation();
    for site in &mut observation.sites {
        let report = site.report.as_mut().unwrap();
        let metered = report.settlement.as_ref().unwrap().metered_mwh.unwrap();
        *report = IntervalReport {
            interval: 7,
            outcome: IntervalOutcome::NoDecision,
            view: None,
            decide_ms: None,
            orders: 0,
            book_hash: None,
            clearing_digest: None,
            price_msat_per_kwh: None,
            volume_mwh: 0,
            trades: 0,
            own_order: report.own_order.clone(),
            own_trades: Vec::new(),
            settlement: Some(settlement(&[], metered, 0)),
        };
    }
    observation
}
