//! Subscriptions, over WebSocket: `meter.subscribe_readings`, `market.subscribe_prices`,
//! `market.subscribe_trades`, `payment.subscribe_payments`, `dispatch.subscribe_decisions` and
//! `alert.subscribe_alerts`. What comes is called by the noun and the topic, such as `market.prices`.
//!
//! Who takes news too slowly, or whose token is revoked, gets an error as the last of them; the node waits
//! for nobody.
//! Not for: what the news are ([`crate::live`]).

use std::time::Duration;

use jsonrpsee::core::{SubscriptionError, SubscriptionResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::{Extensions, PendingSubscriptionSink, SendTimeoutError, SubscriptionSink};
use serde_json::value::to_raw_value;

use super::alert::ToldReport;
use super::code::Code;
use super::market::PriceReport;
use super::meter::ReadingsReport;
use super::payment::PaymentReport;
use crate::clock;
use crate::dispatcher::Log;
use crate::http::guard::Standing;
use crate::live::{Live, NoNews, Topic};
use crate::status::TradeReport;

/// How long a subscriber may leave no room for the next of its messages.
const SLOW_TIME: Duration = Duration::from_secs(10);

/// What the site's meters show.
#[rpc(server, client, namespace = "meter", namespace_separator = ".")]
pub trait MeterLiveRpc {
    /// The site and all its meters, each time that they are read.
    #[subscription(
        name = "subscribe_readings" => "readings", unsubscribe = "unsubscribe_readings",
        item = ReadingsReport, with_extensions
    )]
    async fn subscribe_readings(&self) -> SubscriptionResult;
}

/// What happens in the market.
#[rpc(server, client, namespace = "market", namespace_separator = ".")]
pub trait MarketLiveRpc {
    /// The price of each interval when it is cleared, or when it falls back to the tariff; and of past
    /// intervals when they are learnt from other members.
    #[subscription(
        name = "subscribe_prices" => "prices", unsubscribe = "unsubscribe_prices",
        item = PriceReport, with_extensions
    )]
    async fn subscribe_prices(&self) -> SubscriptionResult;

    /// This node's trades: when they are cleared, confirmed or lapsed, and settled.
    #[subscription(
        name = "subscribe_trades" => "trades", unsubscribe = "unsubscribe_trades",
        item = TradeReport, with_extensions
    )]
    async fn subscribe_trades(&self) -> SubscriptionResult;
}

/// What becomes of payments.
#[rpc(server, client, namespace = "payment", namespace_separator = ".")]
pub trait PaymentLiveRpc {
    /// The payments of and to this node, at each stage.
    #[subscription(
        name = "subscribe_payments" => "payments", unsubscribe = "unsubscribe_payments",
        item = PaymentReport, with_extensions
    )]
    async fn subscribe_payments(&self) -> SubscriptionResult;
}

/// What machines are told.
#[rpc(server, client, namespace = "dispatch", namespace_separator = ".")]
pub trait DispatchLiveRpc {
    /// What each machine is to do, when that changes, and why.
    #[subscription(
        name = "subscribe_decisions" => "decisions", unsubscribe = "unsubscribe_decisions",
        item = Log, with_extensions
    )]
    async fn subscribe_decisions(&self) -> SubscriptionResult;
}

/// What the owner is told.
#[rpc(server, client, namespace = "alert", namespace_separator = ".")]
pub trait AlertLiveRpc {
    /// Alerts, when they begin, last or end, whether they have a receiver or not.
    #[subscription(
        name = "subscribe_alerts" => "alerts", unsubscribe = "unsubscribe_alerts",
        item = ToldReport, with_extensions
    )]
    async fn subscribe_alerts(&self) -> SubscriptionResult;
}

/// Tells subscribers what a topic's news are, until they have enough or are too slow.
async fn follow(
    live: &Live,
    topic: Topic,
    (pending, extensions): (PendingSubscriptionSink, &Extensions),
) -> SubscriptionResult {
    // From before it is accepted, so that nothing is lost in between.
    let mut listener = live.listen();
    let standing = extensions.get::<Standing>().cloned();
    // Who has gone before it was accepted misses nothing.
    let Ok(sink) = pending.accept().await else { return Ok(()) };
    loop {
        let news = tokio::select! {
            () = sink.closed() => return Ok(()),
            news = listener.next_about(topic) => news,
        };
        let news = match news {
            Ok(news) => news,
            Err(NoNews::Missed(missed)) => return Err(last(&too_slow(missed))),
            Err(NoNews::Stopping) => return Ok(()),
        };
        if let Some(Err(gone)) = standing.as_ref().map(|it| it.holds(clock::now())) {
            return Err(last(&Code::NotAllowed.because(gone.to_string())));
        }
        if tell(&sink, &*news).await? {
            return Ok(());
        }
    }
}

/// Sends one item. Returns whether the subscriber has gone.
async fn tell(
    sink: &SubscriptionSink,
    item: &impl serde::Serialize,
) -> Result<bool, SubscriptionError> {
    match sink.send_timeout(to_raw_value(item)?, SLOW_TIME).await {
        Ok(()) => Ok(false),
        Err(SendTimeoutError::Closed(_)) => Ok(true),
        Err(SendTimeoutError::Timeout(_)) => Err(last(&too_slow(1))),
    }
}

fn too_slow(missed: u64) -> ErrorObjectOwned {
    Code::TooSlow.because(format!(
        "{missed} or more news came faster than they were taken, and are missed; subscribe again, and \
         ask for what was missed by its interval"
    ))
}

/// The last message of a subscription, with the code and the message of every refusal.
fn last(why: &ErrorObjectOwned) -> SubscriptionError {
    to_raw_value(why).map_or_else(SubscriptionError::from, SubscriptionError::from_json)
}

#[async_trait]
impl MeterLiveRpcServer for Live {
    async fn subscribe_readings(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
    ) -> SubscriptionResult {
        follow(self, Topic::Readings, (pending, extensions)).await
    }
}

#[async_trait]
impl MarketLiveRpcServer for Live {
    async fn subscribe_prices(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
    ) -> SubscriptionResult {
        follow(self, Topic::Prices, (pending, extensions)).await
    }

    async fn subscribe_trades(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
    ) -> SubscriptionResult {
        follow(self, Topic::Trades, (pending, extensions)).await
    }
}

#[async_trait]
impl PaymentLiveRpcServer for Live {
    async fn subscribe_payments(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
    ) -> SubscriptionResult {
        follow(self, Topic::Payments, (pending, extensions)).await
    }
}

#[async_trait]
impl DispatchLiveRpcServer for Live {
    async fn subscribe_decisions(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
    ) -> SubscriptionResult {
        follow(self, Topic::Decisions, (pending, extensions)).await
    }
}

#[async_trait]
impl AlertLiveRpcServer for Live {
    async fn subscribe_alerts(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
    ) -> SubscriptionResult {
        follow(self, Topic::Alerts, (pending, extensions)).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::live::News;

    fn decision(at_unix_ms: u64) -> News {
        let (machine, reason) = ("s19".to_owned(), "surplus".to_owned());
        News::Decision(Log { at_unix_ms, machine, set_point_mw: Some(0), reason })
    }

    #[tokio::test]
    async fn a_subscriber_hears_of_its_topic_and_of_nothing_else() {
        let live = Live::default();
        let methods = DispatchLiveRpcServer::into_rpc(live.clone());
        let none = jsonrpsee::core::EmptyServerParams::new();
        let mut hears = methods.subscribe("dispatch.subscribe_decisions", none, 4).await.unwrap();
        let told = ToldReport {
            rule: "silent".to_owned(),
            turn: crate::alerts::rule::Turn::Begins,
            text: String::new(),
            at_unix_ms: 1,
        };
        live.tell(|| News::Alert(told));
        live.tell(|| decision(2));
        let (heard, _) = hears.next::<Log>().await.unwrap().unwrap();
        assert_eq!(News::Decision(heard), decision(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_subscriber_is_dropped_with_a_message_and_nobody_else_is_held_up() {
        let live = Live::default();
        let methods = DispatchLiveRpcServer::into_rpc(live.clone());
        let call =
            r#"{"jsonrpc":"2.0","id":1,"method":"dispatch.subscribe_decisions","params":[]}"#;
        let (_, mut slow) = methods.raw_json_request(call, 2).await.unwrap();
        let (_, mut quick) = methods.raw_json_request(call, 2).await.unwrap();
        let heard = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for number in 0..50 {
            live.tell(|| decision(number));
            let news = heard(quick.recv().await.unwrap().get());
            assert_eq!(news["method"], "dispatch.decisions");
            assert_eq!(news["params"]["result"]["at_unix_ms"], number.to_string());
        }
        tokio::time::sleep(2 * SLOW_TIME).await;
        let mut last = Value::Null;
        let mut next = async || {
            let news = tokio::time::timeout(2 * SLOW_TIME, slow.recv()).await;
            news.expect("a slow subscriber is dropped, and no longer told anything")
        };
        while let Some(news) = next().await {
            last = heard(news.get());
        }
        assert_eq!(last["params"]["error"]["code"], Code::TooSlow.number());
        assert!(last["params"]["error"]["message"].as_str().unwrap().contains("subscribe again"));
        live.tell(|| decision(99));
        assert_eq!(
            heard(quick.recv().await.unwrap().get())["params"]["result"]["at_unix_ms"],
            "99"
        );
    }
}
