//! A connection to an MQTT broker (version 3.1.1), in the clear or over TLS: meters are listened to over
//! it, and the node tells others over it.
//!
//! The packets are `rumqttc`'s; the connection is our own, since that library's TLS rests on crates with
//! known holes (ADR 23). Messages are taken at most once and published at least once.
//! Not for: connecting anew, or keeping what a broker has not taken; that is up to whoever tells or
//! listens.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes;
use rumqttc::{
    Connect, ConnectReturnCode, LastWill, Login, Packet, PubAck, Publish, QoS, Subscribe,
    SubscribeFilter, SubscribeReasonCode,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

use super::bus::Endpoint;
use super::server::MqttServer;
use super::tls::{Secure, TlsConfig, TlsError};

/// The largest message either way.
const MESSAGE_MAX: usize = 65_536;
/// How long connecting may take, the broker's word on it included.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long the broker may take to take what is sent.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// Where a broker is and how it is reached.
#[derive(Clone, Debug)]
pub struct Broker {
    place: Endpoint,
    secure: Option<Secure>,
}

impl Broker {
    /// Reads the files that `tls` names.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn new(server: &MqttServer, tls: Option<&TlsConfig>) -> Result<Self, TlsError> {
        Ok(Self { place: server.place.clone(), secure: Secure::of(server, tls)? })
    }
}

/// Who connects.
#[derive(Clone)]
pub struct Client {
    /// By which name the broker knows it; two of one name throw each other out.
    pub name: String,
    /// User and password, where the broker asks for them.
    pub login: Option<(String, String)>,
    /// A topic and a message that the broker publishes there, retained, once the client is lost.
    pub will: Option<(String, &'static str)>,
    /// How often the broker is asked whether it is there; twice that without an answer and it is not.
    pub keep_alive: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why there is no connection, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The broker was not reached, or is somebody else.
    #[error("connecting failed: {0}")]
    Unreached(#[source] io::Error),
    /// It does not let us in.
    #[error("the broker refuses the connection: {0:?}")]
    Refused(ConnectReturnCode),
    /// What it says is not MQTT, or not what it may say.
    #[error("the broker says what makes no sense: {0}")]
    Garbled(String),
    /// What was to be said is no message.
    #[error("this cannot be published: {0}")]
    Unsayable(#[source] mqttbytes::Error),
    /// It says and takes nothing any more.
    #[error("the broker does not answer")]
    Silent,
    /// The connection ended.
    #[error("the connection to the broker ended: {0}")]
    Lost(#[source] io::Error),
}

/// What a broker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A message.
    Message {
        /// In this topic.
        topic: String,
        /// The message.
        payload: Vec<u8>,
        /// Whether it was published before we listened, nobody knows when.
        is_retained: bool,
    },
    /// It hands on what is published in the topics that were asked for; or refuses one of them.
    Subscribed {
        /// Whether it hands on all of them.
        to_all: bool,
    },
    /// It has the message of this number.
    Taken(u16),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection. All of its functions may be given up at any time, and nothing is lost by that.
pub struct Session {
    stream: Box<dyn Stream>,
    unread: BytesMut,
    unsent: BytesMut,
    beat: Interval,
    awaits_pong: bool,
    number: u16,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Connects, and waits until the broker says that it lets us in.
    ///
    /// # Errors
    ///
    /// [`BrokerError`].
    pub async fn connect(broker: &Broker, client: &Client) -> Result<Self, BrokerError> {
        let connecting = async {
            let mut session = Self::open(broker, client.keep_alive).await?;
            session.say(&Packet::Connect(connect(client)))?;
            let packet = session.packet().await?;
            let Packet::ConnAck(ack) = packet else { return Err(not_now(&packet)) };
            if ack.code == ConnectReturnCode::Success {
                Ok(session)
            } else {
                Err(BrokerError::Refused(ack.code))
            }
        };
        let late = || BrokerError::Unreached(io::ErrorKind::TimedOut.into());
        timeout(CONNECT_TIME, connecting).await.map_err(|_| late())?
    }

    async fn open(broker: &Broker, keep_alive: Duration) -> Result<Self, BrokerError> {
        let Endpoint { host, port } = &broker.place;
        let stream = TcpStream::connect((host.as_str(), *port)).await;
        let stream = stream.map_err(BrokerError::Unreached)?;
        stream.set_nodelay(true).map_err(BrokerError::Unreached)?;
        let stream: Box<dyn Stream> = match &broker.secure {
            None => Box::new(stream),
            Some(secure) => {
                let shaken = secure.shake(&broker.place, stream).await;
                Box::new(shaken.map_err(BrokerError::Unreached)?)
            }
        };
        let mut beat = interval_at(Instant::now() + keep_alive, keep_alive);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (unread, unsent) = (BytesMut::new(), BytesMut::new());
        Ok(Self { stream, unread, unsent, beat, awaits_pong: false, number: 0 })
    }

    /// Asks for what is published in these topics; [`Said::Subscribed`] answers.
    ///
    /// # Errors
    ///
    /// [`BrokerError`].
    pub async fn subscribe(
        &mut self,
        topics: impl Iterator<Item = String>,
    ) -> Result<(), BrokerError> {
        let filters = topics.map(|topic| SubscribeFilter::new(topic, QoS::AtMostOnce));
        let mut subscribe = Subscribe::new_many(filters);
        subscribe.pkid = self.next_number();
        self.say(&Packet::Subscribe(subscribe))?;
        self.flush().await
    }

    /// Publishes a message and returns its number; [`Said::Taken`] says that the broker has it.
    ///
    /// # Errors
    ///
    /// [`BrokerError`].
    pub async fn publish(
        &mut self,
        topic: String,
        message: impl Into<Vec<u8>>,
        retain: bool,
    ) -> Result<u16, BrokerError> {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, message);
        (publish.pkid, publish.retain) = (self.next_number(), retain);
        let number = publish.pkid;
        self.say(&Packet::Publish(publish))?;
        self.flush().await?;
        Ok(number)
    }

    /// What the broker says next; meanwhile it is asked now and then whether it is there.
    ///
    /// # Errors
    ///
    /// [`BrokerError`], after which the session is of no use.
    pub async fn next(&mut self) -> Result<Said, BrokerError> {
        loop {
            match self.packet().await? {
                Packet::Publish(message) => {
                    match message.qos {
                        QoS::AtMostOnce => {}
                        QoS::AtLeastOnce => self.say(&Packet::PubAck(PubAck::new(message.pkid)))?,
                        // It was never asked for.
                        QoS::ExactlyOnce => return Err(not_now(&Packet::Publish(message))),
                    }
                    let (topic, payload) = (message.topic, message.payload.to_vec());
                    return Ok(Said::Message { topic, payload, is_retained: message.retain });
                }
                Packet::SubAck(ack) => {
                    let to_all = !ack.return_codes.contains(&SubscribeReasonCode::Failure);
                    return Ok(Said::Subscribed { to_all });
                }
                Packet::PubAck(ack) => return Ok(Said::Taken(ack.pkid)),
                Packet::PingResp => self.awaits_pong = false,
                other @ (Packet::Connect(_)
                | Packet::ConnAck(_)
                | Packet::PubRec(_)
                | Packet::PubRel(_)
                | Packet::PubComp(_)
                | Packet::Subscribe(_)
                | Packet::Unsubscribe(_)
                | Packet::UnsubAck(_)
                | Packet::PingReq
                | Packet::Disconnect) => return Err(not_now(&other)),
            }
        }
    }

    /// Says goodbye, so that no last will is published.
    ///
    /// # Errors
    ///
    /// [`BrokerError`].
    pub async fn leave(mut self) -> Result<(), BrokerError> {
        self.say(&Packet::Disconnect)?;
        self.flush().await?;
        self.stream.shutdown().await.map_err(BrokerError::Lost)
    }

    /// The next packet.
    async fn packet(&mut self) -> Result<Packet, BrokerError> {
        loop {
            self.flush().await?;
            match Packet::read(&mut self.unread, MESSAGE_MAX) {
                Ok(packet) => return Ok(packet),
                Err(mqttbytes::Error::InsufficientBytes(_)) => {}
                Err(error) => return Err(BrokerError::Garbled(error.to_string())),
            }
            tokio::select! {
                read = self.stream.read_buf(&mut self.unread) => {
                    if read.map_err(BrokerError::Lost)? == 0 {
                        return Err(BrokerError::Lost(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
                _ = self.beat.tick() => {
                    if self.awaits_pong {
                        return Err(BrokerError::Silent);
                    }
                    self.awaits_pong = true;
                    self.say(&Packet::PingReq)?;
                }
            }
        }
    }

    /// Puts a packet behind what is yet to be sent.
    fn say(&mut self, packet: &Packet) -> Result<(), BrokerError> {
        packet.write(&mut self.unsent, MESSAGE_MAX).map(drop).map_err(BrokerError::Unsayable)
    }

    async fn flush(&mut self) -> Result<(), BrokerError> {
        let (stream, unsent) = (&mut self.stream, &mut self.unsent);
        let flushing = async {
            while !unsent.is_empty() {
                if stream.write_buf(unsent).await? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
            }
            stream.flush().await
        };
        let flushed = timeout(WRITE_TIME, flushing).await;
        flushed.map_err(|_| BrokerError::Silent)?.map_err(BrokerError::Lost)
    }

    /// Zero is no number of a packet.
    const fn next_number(&mut self) -> u16 {
        self.number = if self.number == u16::MAX { 1 } else { self.number + 1 };
        self.number
    }
}

fn connect(client: &Client) -> Connect {
    let mut connect = Connect::new(client.name.clone());
    connect.keep_alive = u16::try_from(client.keep_alive.as_secs()).unwrap_or(u16::MAX);
    connect.login = client.login.as_ref().map(|(user, password)| Login::new(user, password));
    let will = |(topic, message): &(String, &'static str)| {
        LastWill::new(topic, *message, QoS::AtLeastOnce, true)
    };
    connect.last_will = client.will.as_ref().map(will);
    connect
}

/// A broker may not say this, or not now.
fn not_now(packet: &Packet) -> BrokerError {
    let text = format!("{packet:?}");
    let name = text.split(['(', ' ']).next().unwrap_or_default();
    BrokerError::Garbled(format!("{name} where there is none to be"))
}
