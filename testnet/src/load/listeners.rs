//! Subscribers: a WebSocket each, which listens to readings and prices and answers pings, and no more.
//! Not for: calls.

use std::collections::BTreeMap;
use std::io;

use boltgrid::access::secret::Secret;
use boltgrid::rpc::code::Code;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use soketto::handshake::client::Header;
use soketto::handshake::{Client, ServerResponse};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

/// How many are opened at the same time.
const OPENED_AT_ONCE: usize = 20;
/// What each subscribes to.
const TOPICS: [&str; 2] = ["meter.subscribe_readings", "market.subscribe_prices"];
/// What news of prices are called.
const PRICES: &str = "market.prices";
/// Subscriptions that a WebSocket may have.
const SUBSCRIPTIONS_MAX: u64 = 16;
/// How many are asked for too much.
const TOO_MANY: u64 = 4;

/// Why somebody does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// No connection.
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
    /// No WebSocket.
    #[error("no WebSocket: {0}")]
    Handshake(#[from] soketto::handshake::Error),
    /// No longer.
    #[error("the WebSocket broke: {0}")]
    Broken(#[from] soketto::connection::Error),
    /// Refused.
    #[error("the node refuses: {0}")]
    Refused(String),
}

/// An open WebSocket.
pub(super) struct Listener {
    sender: soketto::Sender<Compat<TcpStream>>,
    receiver: soketto::Receiver<Compat<TcpStream>>,
}

/// What a message says, as much of it as is counted.
#[derive(Deserialize)]
struct Message {
    id: Option<u64>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    error: Option<Value>,
}

/// What one subscriber heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// News of any kind.
    pub(super) news: u64,
    /// Intervals whose price was told, each as often as it was.
    pub(super) prices: BTreeMap<u64, u64>,
    /// Why it heard no more before the end; none where it did.
    pub(super) ended: Option<String>,
}

impl Listener {
    async fn open((address, token): (&str, &Secret)) -> Result<Self, ListenError> {
        let bearer = format!("Bearer {}", token.reveal());
        let headers = [Header { name: "Authorization", value: bearer.as_bytes() }];
        let stream = TcpStream::connect(address).await?.compat();
        let mut client = Client::new(stream, address, "/rpc");
        client.set_headers(&headers);
        match client.handshake().await? {
            ServerResponse::Accepted { .. } => {}
            other @ (ServerResponse::Redirect { .. } | ServerResponse::Rejected { .. }) => {
                return Err(ListenError::Refused(format!("{other:?}")));
            }
        }
        let (sender, receiver) = client.into_builder().finish();
        Ok(Self { sender, receiver })
    }

    async fn subscribe(&mut self, id: u64, method: &str) -> Result<(), ListenError> {
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        self.sender.send_text(call.to_string()).await?;
        Ok(self.sender.flush().await?)
    }

    async fn next(&mut self) -> Result<Message, ListenError> {
        let mut bytes = Vec::new();
        self.receiver.receive_data(&mut bytes).await?;
        serde_json::from_slice(&bytes).map_err(|error| ListenError::Refused(error.to_string()))
    }

    /// Listens until then.
    async fn hear(mut self, until: Instant) -> Heard {
        let mut heard = Heard::default();
        while let Ok(message) = timeout_at(until, self.next()).await {
            match message {
                Ok(message) => heard.note(&message),
                Err(error) => heard.ended = Some(error.to_string()),
            }
            if heard.ended.is_some() {
                break;
            }
        }
        heard
    }
}

impl Heard {
    fn note(&mut self, message: &Message) {
        let Some(method) = &message.method else { return };
        if let Some(error) = message.params.get("error") {
            self.ended = Some(error.to_string());
            return;
        }
        self.news += 1;
        if method == PRICES {
            let interval = message.params["result"]["interval"].as_str();
            if let Some(interval) = interval.and_then(|it| it.parse().ok()) {
                *self.prices.entry(interval).or_default() += 1;
            }
        }
    }
}

/// Opens so many that have subscribed.
pub(super) async fn listen(
    place: (&str, &Secret),
    count: usize,
) -> Result<Vec<Listener>, ListenError> {
    let opened = stream::iter(0..count).map(|_| subscribed(place)).buffer_unordered(OPENED_AT_ONCE);
    opened.try_collect().await
}

async fn subscribed(place: (&str, &Secret)) -> Result<Listener, ListenError> {
    let mut listener = Listener::open(place).await?;
    for (id, topic) in (0..).zip(TOPICS) {
        listener.subscribe(id, topic).await?;
        loop {
            let message = listener.next().await?;
            if let Some(error) = message.error {
                return Err(ListenError::Refused(error.to_string()));
            }
            if message.id == Some(id) {
                break;
            }
        }
    }
    Ok(listener)
}

/// Listens with all of them until then.
pub(super) async fn hear(listening: Vec<Listener>, until: Instant) -> Vec<Heard> {
    let mut open = JoinSet::new();
    for listener in listening {
        open.spawn(listener.hear(until));
    }
    open.join_all().await
}

/// Has one WebSocket subscribe more often than it may; returns how often it could, and how often it was refused for
/// this reason.
pub(super) async fn too_many(place: (&str, &Secret)) -> Result<(u64, u64), ListenError> {
    let mut listener = Listener::open(place).await?;
    for id in 0..SUBSCRIPTIONS_MAX + TOO_MANY {
        listener.subscribe(id, TOPICS[1]).await?;
    }
    let (mut subscribed, mut refused) = (0, 0);
    while subscribed + refused < SUBSCRIPTIONS_MAX + TOO_MANY {
        let message = listener.next().await?;
        if message.id.is_none() {
            continue;
        }
        match message.error {
            None => subscribed += 1,
            Some(why) if why["code"] == Code::TooManySubscriptions.number() => refused += 1,
            Some(why) => return Err(ListenError::Refused(why.to_string())),
        }
    }
    Ok((subscribed, refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_counted_and_the_last_of_a_dropped_subscriber_ends_it() {
        let read = |value: Value| serde_json::from_value::<Message>(value).unwrap();
        let mut heard = Heard::default();
        heard.note(&read(json!({ "jsonrpc": "2.0", "id": 1, "result": 7 })));
        assert_eq!(heard, Heard::default(), "an answer is no news");
        for interval in ["7", "8", "8"] {
            let params = json!({ "subscription": 1, "result": { "interval": interval } });
            heard.note(&read(json!({ "method": PRICES, "params": params })));
        }
        heard.note(&read(json!({ "method": "meter.readings", "params": { "result": {} } })));
        assert_eq!((heard.news, &heard.prices), (4, &[(7, 1), (8, 2)].into()));
        let slow = json!({ "error": { "code": Code::TooSlow.number() } });
        heard.note(&read(json!({ "method": PRICES, "params": slow })));
        assert!(heard.ended.is_some_and(|it| it.contains("-32029")));
    }
}
