//! Both sides of a firm trade compute the same due (P23), nobody owes beyond its own order's limits
//! (P17), and every ledger sums to zero.
//!
//! Not for: trades of which one side does not know that they are firm; it settles without them.

use std::collections::BTreeMap;

use boltgrid_market::ledger::Ledger;
use boltgrid_market::settlement::{SettledTrade, Settlement};
use boltgrid_protocol::units::Interval;

use super::{Facts, Findings, Guarantee, Here};

/// Everything that honest nodes settled.
#[derive(Debug, Default)]
pub(super) struct Settlements {
    ledgers: BTreeMap<usize, (Option<Interval>, Ledger)>,
    /// Measured trades by interval and index: what the one side that settled computed.
    open: BTreeMap<(Interval, u32), (usize, SettledTrade)>,
}

impl Settlements {
    pub(super) fn settled(
        &mut self,
        facts: &mut Facts,
        findings: &mut Findings,
        here: Here,
        settled: &Settlement,
    ) {
        let interval = settled.interval;
        self.post(findings, here, settled);
        for trade in settled.trades.iter().filter(|trade| trade.measured) {
            let price = i128::from(trade.terms.price_msat_per_kwh.to_msat_per_kwh());
            let delivered = i128::from(trade.delivered_mwh.to_milliwatt_hours());
            let due = i128::from(trade.due_msat.to_millisatoshi());
            let most = price.abs() * i128::from(trade.terms.energy_mwh.to_milliwatt_hours());
            if due.abs() != price.abs() * delivered / 1_000_000 || due.abs() > most / 1_000_000 {
                let what = format!("trade {} is due {due} msat", trade.terms.index);
                findings.at(Guarantee::OwnOrder, here, interval, what);
            }
            self.compare(facts, findings, here, (interval, trade));
        }
        self.open.retain(|(of, _), _| of.plus(8) > interval);
    }

    /// Compares with what the other side computed.
    fn compare(
        &mut self,
        facts: &Facts,
        findings: &mut Findings,
        here: Here,
        (interval, trade): (Interval, &SettledTrade),
    ) {
        let other_is_honest =
            facts.node_of(&trade.counterparty).is_some_and(|node| facts.honest[node]);
        if !other_is_honest {
            return;
        }
        let key = (interval, trade.terms.index);
        let Some((node, other)) = self.open.get(&key).filter(|(node, _)| *node != here.node) else {
            self.open.insert(key, (here.node, *trade));
            return;
        };
        let same = trade.terms == other.terms
            && trade.delivered_mwh == other.delivered_mwh
            && trade.due_msat.checked_neg() == Some(other.due_msat);
        if !same {
            let what = format!(
                "trade {}: {} msat here, {} at node {node}",
                trade.terms.index,
                trade.due_msat.to_millisatoshi(),
                other.due_msat.to_millisatoshi()
            );
            findings.at(Guarantee::SameDue, here, interval, what);
        }
    }

    fn post(&mut self, findings: &mut Findings, here: Here, settled: &Settlement) {
        let (last, ledger) = self.ledgers.entry(here.node).or_default();
        if last.is_some_and(|last| last >= settled.interval) {
            // Settled before a restart.
            return;
        }
        *last = Some(settled.interval);
        let posted = settled.entry().is_ok_and(|entry| ledger.post(&entry).is_ok());
        let money: i128 =
            ledger.balances().map(|(_, balance)| i128::from(balance.money.to_millisatoshi())).sum();
        let energy: i128 = ledger
            .balances()
            .map(|(_, balance)| i128::from(balance.energy.to_milliwatt_hours()))
            .sum();
        if !posted || money != 0 || energy != 0 {
            let what = format!("its ledger is off by {money} msat and {energy} mWh");
            findings.at(Guarantee::SumsToZero, here, settled.interval, what);
        }
    }
}
