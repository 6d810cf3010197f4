//! The market task's part in settling late: what history holds of intervals that this node missed, once
//! the catch-up has found it. Not for: what is due for them; that is the market's.

use std::time::Duration;

use boltgrid_market::input::{Input, Past};
use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::units::Interval;
use tracing::warn;

use super::{MarketError, MarketTask};
use crate::clock;
use crate::store::ArchiveError;

/// Between two looks at history.
pub(super) const LOOK_BACK_EVERY: Duration = Duration::from_secs(5);

impl MarketTask {
    /// Settles what was missed, as far as history holds all that it takes.
    pub(super) async fn settle_missed(&mut self) -> Result<(), MarketError> {
        let missed: Vec<Interval> = self.market.missed().collect();
        self.ask_for_missed();
        for interval in missed {
            match self.past(interval) {
                Ok(Some(past)) => self.put(Input::Past(Box::new(past))).await?,
                Ok(None) => {}
                Err(error) => warn!(%error, %interval, "archive not readable"),
            }
        }
        Ok(())
    }

    /// What the archive holds of an interval; `None` without its book.
    fn past(&mut self, interval: Interval) -> Result<Option<Past>, ArchiveError> {
        let Some(book) = self.archive.book(interval)? else { return Ok(None) };
        let Ok(certificate) = BookCertificate::from_bytes(&book.certificate) else {
            return Ok(None);
        };
        let now = clock::now();
        let mut past = Past { certificate, orders: Vec::new(), readings: Vec::new() };
        for order in book.orders {
            if let Ok(Message::Order(order)) = self.gate.admit_past(order, now) {
                past.orders.push(order);
            }
        }
        for edge in [interval, interval.next()] {
            for (_, reading) in self.archive.readings(edge)? {
                if let Ok(Message::Reading(reading)) = self.gate.admit_past(reading, now) {
                    past.readings.push(reading);
                }
            }
        }
        Ok(Some(past))
    }
}
