//! What happens in a node, told at once to whoever listens: subscribers of JSON-RPC and open pages.
//!
//! Tasks tell it through one bounded channel and never wait for anybody: who listens too slowly misses
//! the oldest news, and is told how many.
//! Not for: keeping any of it (the history and the archive do), or anything that a task of the node
//! decides by.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::dispatcher::Log;
use crate::rpc::alert::ToldReport;
use crate::rpc::market::PriceReport;
use crate::rpc::meter::ReadingsReport;
use crate::rpc::payment::PaymentReport;
use crate::status::TradeReport;

/// News that a listener may be behind: some minutes of a node with a sample a second, or all trades and
/// payments of a busy interval.
const NEWS_MAX: usize = 1024;

/// Something that happened. Its JSON is that of the report in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum News {
    /// The site's meters were read.
    Readings(ReadingsReport),
    /// An interval was cleared, fell back to the tariff, or was learnt of from another member.
    Price(PriceReport),
    /// A trade of this node was cleared, confirmed or settled, or it lapsed.
    Trade(TradeReport),
    /// A payment of or to this node went a stage further.
    Payment(PaymentReport),
    /// A machine is to do something else.
    Decision(Log),
    /// An alert began, lasts or ended.
    Alert(ToldReport),
}

/// What news are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// [`News::Readings`].
    Readings,
    /// [`News::Price`].
    Prices,
    /// [`News::Trade`].
    Trades,
    /// [`News::Payment`].
    Payments,
    /// [`News::Decision`].
    Decisions,
    /// [`News::Alert`].
    Alerts,
}

impl News {
    /// What it is about.
    #[must_use]
    pub const fn topic(&self) -> Topic {
        match self {
            Self::Readings(_) => Topic::Readings,
            Self::Price(_) => Topic::Prices,
            Self::Trade(_) => Topic::Trades,
            Self::Payment(_) => Topic::Payments,
            Self::Decision(_) => Topic::Decisions,
            Self::Alert(_) => Topic::Alerts,
        }
    }
}

impl Topic {
    /// The word for it, as in `meter.subscribe_readings`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::Prices => "prices",
            Self::Trades => "trades",
            Self::Payments => "payments",
            Self::Decisions => "decisions",
            Self::Alerts => "alerts",
        }
    }
}

/// Where news are told and heard. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live(broadcast::Sender<Arc<News>>);

/// Somebody who listens, from the moment at which it was made.
#[derive(Debug)]
pub struct Listener(broadcast::Receiver<Arc<News>>);

/// Why there are no news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNews {
    /// The listener was too slow; the next ones are those after that.
    #[error("{0} news came faster than they were taken, and were missed")]
    Missed(u64),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

impl Default for Live {
    fn default() -> Self {
        Self(broadcast::Sender::new(NEWS_MAX))
    }
}

impl Live {
    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }

    /// Tells everybody who listens. Where nobody does, the news are not even made.
    pub(crate) fn tell(&self, news: impl FnOnce() -> News) {
        if self.0.receiver_count() > 0 {
            // Fails where the last one has gone since.
            drop(self.0.send(Arc::new(news())));
        }
    }
}

impl Listener {
    /// The next news. Nothing is lost where the future is dropped before it is done.
    ///
    /// # Errors
    ///
    /// [`NoNews`].
    pub async fn next(&mut self) -> Result<Arc<News>, NoNews> {
        self.0.recv().await.map_err(|why| match why {
            RecvError::Lagged(missed) => NoNews::Missed(missed),
            RecvError::Closed => NoNews::Stopping,
        })
    }

    /// The next news about a topic.
    ///
    /// # Errors
    ///
    /// [`NoNews`].
    pub async fn next_about(&mut self, topic: Topic) -> Result<Arc<News>, NoNews> {
        loop {
            let news = self.next().await?;
            if news.topic() == topic {
                return Ok(news);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(at_unix_ms: u64) -> News {
        News::Decision(Log {
            at_unix_ms,
            machine: "s19".to_owned(),
            set_point_mw: None,
            reason: String::new(),
        })
    }

    #[tokio::test]
    async fn who_listens_too_slowly_is_told_how_much_was_missed_and_nobody_waits() {
        let live = Live::default();
        let (mut slow, mut quick) = (live.listen(), live.listen());
        let told = u64::try_from(NEWS_MAX).unwrap() + 7;
        for number in 0..told {
            live.tell(|| decision(number));
            assert_eq!(*quick.next().await.unwrap(), decision(number));
        }
        assert_eq!(slow.next().await, Err(NoNews::Missed(7)));
        assert_eq!(*slow.next().await.unwrap(), decision(7), "and goes on with what there is");
        drop(live);
        assert_eq!(quick.next().await, Err(NoNews::Stopping));
    }

    #[tokio::test]
    async fn news_that_nobody_listens_to_are_not_made() {
        let live = Live::default();
        live.tell(|| unreachable!("nobody listens"));
        drop(live.listen());
        live.tell(|| unreachable!("nobody listens any more"));
        let mut listener = live.listen();
        live.tell(|| decision(1));
        assert_eq!(*listener.next_about(Topic::Decisions).await.unwrap(), decision(1));
    }

    #[test]
    fn news_are_written_as_the_report_in_them() {
        let shown = serde_json::to_value(decision(5)).unwrap();
        assert_eq!(shown["at_unix_ms"], "5");
        assert_eq!(shown["machine"], "s19");
    }
}
