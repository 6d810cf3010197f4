//! A broker for one house: MQTT 3.1.1 with wildcards, retained messages, last wills, keep-alive and
//! quality of service 0 and 1.
//!
//! Sessions end with their connection, so nothing is kept for a client that is away, and nothing is
//! sent twice. A client that asks for quality of service 2 is given 1, and one that publishes with it is
//! sent away. Nobody is asked for a password.
//! Not for: anything but the loopback interface of a testnet.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::{SinkExt as _, TryStreamExt as _};
use rumqttc::mqttbytes;
use rumqttc::{
    Codec, ConnAck, Connect, ConnectReturnCode, LastWill, Packet, Protocol, PubAck, Publish, QoS,
    SubAck, Subscribe, SubscribeReasonCode, UnsubAck, matches, valid_filter, valid_topic,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::super::ACCEPT_PAUSE;

/// Most clients; more than these wait.
const CLIENTS_MAX: usize = 16;
/// Largest packet, in bytes.
const PACKET_MAX: usize = 65_536;
/// Most retained messages; what would be one more is passed on and not retained.
const RETAINED_MAX: usize = 1_024;
/// Most filters of one client.
const FILTERS_MAX: usize = 64;
/// Messages that a client may be behind; then it is sent away.
const BEHIND_MAX: usize = 256;
/// How long a client may take to say who it is, or to take a packet.
const PACKET_TIME: Duration = Duration::from_secs(5);
/// A client is gone after so many halves of its keep-alive without a word.
const KEEP_ALIVE_HALVES: u32 = 3;

/// Why a client is sent away.
#[derive(Debug, thiserror::Error)]
enum Gone {
    #[error("it speaks something else: {0}")]
    NotMqtt(#[from] mqttbytes::Error),
    #[error("it takes too long")]
    Late,
    #[error("it does not take what is published fast enough")]
    Slow,
    #[error("another client has its name")]
    Replaced,
    #[error("it is refused: {0}")]
    Refused(&'static str),
}

/// A broker.
#[derive(Clone, Debug)]
pub(super) struct Broker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// By topic. Locked while something is published or subscribed to, so that a new subscriber gets
    /// each message once: as retained, or as published after it came.
    retained: Mutex<BTreeMap<String, Publish>>,
    published: broadcast::Sender<Publish>,
    /// What ends a client's connection, by its name.
    clients: Mutex<BTreeMap<String, CancellationToken>>,
}

impl Broker {
    pub(super) fn new() -> Self {
        let (published, _) = broadcast::channel(BEHIND_MAX);
        let (retained, clients) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { retained, published, clients }) }
    }

    /// Serves clients until it is stopped.
    pub(super) async fn serve(&self, listener: TcpListener, stop: CancellationToken) {
        let mut talks = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = talks.join_next() => {}
                accepted = listener.accept(), if talks.len() < CLIENTS_MAX => match accepted {
                    Ok((stream, _)) => {
                        let shared = Arc::clone(&self.shared);
                        talks.spawn(async move {
                            if let Err(gone) = shared.talk(stream).await {
                                debug!(%gone, "a client of a broker is sent away");
                            }
                        });
                    }
                    Err(error) => {
                        debug!(%error, "cannot accept a client of a broker");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        talks.shutdown().await;
    }
}

impl Shared {
    fn retained(&self) -> MutexGuard<'_, BTreeMap<String, Publish>> {
        self.retained.lock().expect("a panic in the broker ends the testnet")
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<String, CancellationToken>> {
        self.clients.lock().expect("a panic in the broker ends the testnet")
    }

    /// Passes a message on to all who subscribed, and keeps or forgets what is retained.
    fn publish(&self, message: Publish) {
        let mut retained = self.retained();
        if message.retain && message.payload.is_empty() {
            retained.remove(&message.topic);
        } else if message.retain
            && (retained.len() < RETAINED_MAX || retained.contains_key(&message.topic))
        {
            retained.insert(message.topic.clone(), message.clone());
        }
        // Whoever is subscribed already sees it as new, retained or not. Nobody may be.
        drop(self.published.send(Publish { retain: false, ..message }));
    }

    async fn talk(&self, stream: TcpStream) -> Result<(), Gone> {
        stream.set_nodelay(true).map_err(mqttbytes::Error::Io)?;
        let codec = Codec { max_incoming_size: PACKET_MAX, max_outgoing_size: PACKET_MAX };
        let mut link = Framed::new(stream, codec);
        let first = timeout(PACKET_TIME, link.try_next()).await.map_err(|_| Gone::Late)??;
        let Some(Packet::Connect(connect)) = first else {
            return Err(Gone::Refused("it does not begin with CONNECT"));
        };
        if let Some((code, why)) = refused(&connect) {
            send(&mut link, Packet::ConnAck(ConnAck::new(code, false))).await?;
            return Err(Gone::Refused(why));
        }
        let replaced = CancellationToken::new();
        let before = self.clients().insert(connect.client_id.clone(), replaced.clone());
        if let Some(before) = before {
            before.cancel();
        }
        let client = Client {
            shared: self,
            filters: Vec::new(),
            published: self.published.subscribe(),
            last_number: 0,
            idle_max: Duration::from_secs(connect.keep_alive.into()) * KEEP_ALIVE_HALVES / 2,
        };
        let ended = client.run(&mut link, &replaced).await;
        if !replaced.is_cancelled() {
            self.clients().remove(&connect.client_id);
        }
        // Who says goodbye leaves no last will.
        if let (Err(_), Some(LastWill { topic, message, qos, retain })) =
            (&ended, connect.last_will)
        {
            self.publish(Publish { retain, ..Publish::from_bytes(topic, qos, message) });
        }
        ended
    }
}

/// Why a client is not let in.
fn refused(connect: &Connect) -> Option<(ConnectReturnCode, &'static str)> {
    if connect.protocol != Protocol::V4 {
        return Some((ConnectReturnCode::RefusedProtocolVersion, "it speaks MQTT 5"));
    }
    let is_nameless = connect.client_id.is_empty();
    is_nameless.then_some((ConnectReturnCode::BadClientId, "it has no name"))
}

type Link = Framed<TcpStream, Codec>;

async fn send(link: &mut Link, packet: Packet) -> Result<(), Gone> {
    Ok(timeout(PACKET_TIME, link.send(packet)).await.map_err(|_| Gone::Late)??)
}

/// A client that is let in.
struct Client<'a> {
    shared: &'a Shared,
    filters: Vec<(String, QoS)>,
    published: broadcast::Receiver<Publish>,
    /// The number of the last packet that it was sent.
    last_number: u16,
    /// How long it may say nothing; zero is for ever.
    idle_max: Duration,
}

impl Client<'_> {
    /// Runs until the client says goodbye.
    async fn run(mut self, link: &mut Link, replaced: &CancellationToken) -> Result<(), Gone> {
        send(link, Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false))).await?;
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                () = replaced.cancelled() => return Err(Gone::Replaced),
                () = sleep_until(heard + self.idle_max), if !self.idle_max.is_zero() => {
                    return Err(Gone::Late);
                }
                message = self.published.recv() => {
                    let message = message.map_err(|_| Gone::Slow)?;
                    self.pass_on(link, message).await?;
                }
                packet = link.try_next() => {
                    heard = Instant::now();
                    let closed = || mqttbytes::Error::Io(io::ErrorKind::UnexpectedEof.into());
                    let packet = packet?.ok_or_else(closed)?;
                    if packet == Packet::Disconnect {
                        return Ok(());
                    }
                    self.take(link, packet).await?;
                }
            }
        }
    }

    async fn take(&mut self, link: &mut Link, packet: Packet) -> Result<(), Gone> {
        match packet {
            Packet::Publish(message) => {
                if message.qos == QoS::ExactlyOnce {
                    return Err(Gone::Refused("it publishes with quality of service 2"));
                }
                if message.topic.is_empty() || !valid_topic(&message.topic) {
                    return Err(Gone::Refused("it publishes to what is no topic"));
                }
                let (number, qos) = (message.pkid, message.qos);
                self.shared.publish(message);
                if qos == QoS::AtLeastOnce {
                    send(link, Packet::PubAck(PubAck::new(number))).await?;
                }
                Ok(())
            }
            Packet::Subscribe(wanted) => self.subscribe(link, wanted).await,
            Packet::Unsubscribe(unwanted) => {
                self.filters.retain(|(filter, _)| !unwanted.topics.contains(filter));
                send(link, Packet::UnsubAck(UnsubAck::new(unwanted.pkid))).await
            }
            Packet::PingReq => send(link, Packet::PingResp).await,
            // Nothing is sent twice, so that it arrived is no news.
            Packet::PubAck(_) => Ok(()),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp
            | Packet::Disconnect => Err(Gone::Refused("it says what no client says")),
        }
    }

    async fn subscribe(&mut self, link: &mut Link, wanted: Subscribe) -> Result<(), Gone> {
        let (mut codes, mut before, mut retained) = (Vec::new(), Vec::new(), Vec::new());
        {
            let kept = self.shared.retained();
            // What was published before is for what was subscribed to before.
            while let Ok(message) = self.published.try_recv() {
                before.extend(self.wanted(&message).map(|qos| Publish { qos, ..message }));
            }
            for filter in wanted.filters {
                let is_full = self.filters.len() >= FILTERS_MAX;
                if is_full || !valid_filter(&filter.path) {
                    codes.push(SubscribeReasonCode::Failure);
                    continue;
                }
                let qos = lower(filter.qos, QoS::AtLeastOnce);
                codes.push(SubscribeReasonCode::Success(qos));
                let fitting = kept.values().filter(|message| matches(&message.topic, &filter.path));
                retained
                    .extend(fitting.map(|it| Publish { qos: lower(qos, it.qos), ..it.clone() }));
                self.filters.retain(|(other, _)| *other != filter.path);
                self.filters.push((filter.path, qos));
            }
        }
        send(link, Packet::SubAck(SubAck::new(wanted.pkid, codes))).await?;
        for message in before.into_iter().chain(retained) {
            self.deliver(link, message).await?;
        }
        Ok(())
    }

    /// The quality of service by which the client wants a message, if it does.
    fn wanted(&self, message: &Publish) -> Option<QoS> {
        let fitting = self.filters.iter().filter(|(filter, _)| matches(&message.topic, filter));
        let most = fitting.map(|(_, qos)| *qos).max_by_key(|qos| *qos as u8)?;
        Some(lower(most, message.qos))
    }

    async fn pass_on(&mut self, link: &mut Link, message: Publish) -> Result<(), Gone> {
        let Some(qos) = self.wanted(&message) else { return Ok(()) };
        self.deliver(link, Publish { qos, ..message }).await
    }

    async fn deliver(&mut self, link: &mut Link, message: Publish) -> Result<(), Gone> {
        let pkid = if message.qos == QoS::AtMostOnce {
            0
        } else {
            self.last_number = self.last_number.checked_add(1).unwrap_or(1);
            self.last_number
        };
        send(link, Packet::Publish(Publish { pkid, dup: false, ..message })).await
    }
}

fn lower(one: QoS, other: QoS) -> QoS {
    if (one as u8) < (other as u8) { one } else { other }
}
