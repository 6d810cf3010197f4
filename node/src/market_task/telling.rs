//! The market task's part in what listeners are told: prices, this node's trades, and its payments.
//! Not for: keeping any of it; the history and the archive do.

use boltgrid_market::notice::Notice;
use boltgrid_market::payments::Told;
use boltgrid_protocol::units::Interval;

use super::MarketTask;
use crate::live::News;
use crate::rpc::market::PriceReport;
use crate::rpc::payment::PaymentReport;
use crate::status::{IntervalReport, TradeReport};

impl MarketTask {
    /// Tells what a notice, which the history has noted, means to listeners.
    pub(super) fn tell_listeners(&self, notice: &Notice) {
        match notice {
            Notice::Cleared(cleared) => {
                self.tell_price(cleared.interval);
                self.tell_trades(cleared.interval, |_| true);
            }
            Notice::NoDecision(interval) => self.tell_price(*interval),
            Notice::Confirmed { interval, terms } | Notice::Lapsed { interval, terms } => {
                self.tell_trades(*interval, |trade| trade.index == terms.index);
            }
            Notice::Settled(settlement) => {
                let is_settled = |trade: &TradeReport| {
                    settlement.trades.iter().any(|it| it.terms.index == trade.index)
                };
                self.tell_trades(settlement.interval, is_settled);
            }
            Notice::Payment(told) => {
                if let Told::Payment(payment) | Told::Ended(payment) = told.as_ref() {
                    self.live.tell(|| News::Payment(PaymentReport::from(payment)));
                }
            }
            Notice::NotTaken(_)
            | Notice::Placed { .. }
            | Notice::Passed(_)
            | Notice::Summed(_)
            | Notice::NotSettled(..)
            | Notice::Offered(_)
            | Notice::Accepted { .. }
            | Notice::AcceptanceRefused { .. }
            | Notice::AcceptanceVoid { .. }
            | Notice::ForwardMade(_)
            | Notice::Barred { .. }
            | Notice::Abstains(_)
            | Notice::Returned { .. } => {}
        }
    }

    fn tell_price(&self, interval: Interval) {
        self.with_report(interval, |report| {
            self.live.tell(|| News::Price(PriceReport::of(report, &self.charter)));
        });
    }

    fn tell_trades(&self, interval: Interval, is_meant: impl Fn(&TradeReport) -> bool) {
        self.with_report(interval, |report| {
            for trade in report.own_trades.iter().filter(|trade| is_meant(trade)) {
                self.live.tell(|| News::Trade(trade.clone()));
            }
        });
    }

    fn with_report(&self, interval: Interval, tell: impl FnOnce(&IntervalReport)) {
        if let Some(report) = self.history.borrow().interval(interval) {
            tell(report);
        }
    }
}
