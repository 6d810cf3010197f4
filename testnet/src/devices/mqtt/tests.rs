//! The broker told and asked by a client of its own make: `rumqttc`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Packet, QoS};
use tokio::time::timeout;

use super::*;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

struct House {
    address: SocketAddr,
    stop: CancellationToken,
    _running: tokio::task::JoinSet<()>,
}

impl House {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let (broker, stops) = (Broker::new(), stop.clone());
        let mut running = tokio::task::JoinSet::new();
        running.spawn(async move { broker.serve(listener, stops).await });
        Self { address, stop, _running: running }
    }

    async fn client(&self, name: &str) -> Client {
        self.client_with(name, |_| ()).await
    }

    async fn client_with(&self, name: &str, set: impl FnOnce(&mut MqttOptions)) -> Client {
        let mut options =
            MqttOptions::new(name, self.address.ip().to_string(), self.address.port());
        options.set_keep_alive(Duration::from_secs(5));
        set(&mut options);
        let (client, events) = AsyncClient::new(options, 16);
        let mut client = Client { client, events };
        client.until(|packet| matches!(packet, Packet::ConnAck(_)).then_some(())).await;
        client
    }
}

struct Client {
    client: AsyncClient,
    events: EventLoop,
}

impl Client {
    /// Goes on until a packet is what is waited for.
    async fn until<T>(&mut self, wanted: impl Fn(&Packet) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Event::Incoming(packet) = self.events.poll().await.unwrap()
                    && let Some(found) = wanted(&packet)
                {
                    return found;
                }
            }
        };
        timeout(PATIENCE, waiting).await.expect("nothing comes")
    }

    async fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.client.subscribe(filter, qos).await.unwrap();
        self.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
    }

    async fn publish(&mut self, topic: &str, retain: bool, text: &str) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, text).await.unwrap();
        self.until(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    }

    /// The next message: its topic, its text, its quality of service and whether it is retained.
    async fn message(&mut self) -> (String, String, QoS, bool) {
        self.until(|packet| {
            let Packet::Publish(it) = packet else { return None };
            let text = String::from_utf8(it.payload.to_vec()).unwrap();
            Some((it.topic.clone(), text, it.qos, it.retain))
        })
        .await
    }

    /// How the connection ends.
    async fn lost(&mut self) -> ConnectionError {
        let waiting = async {
            loop {
                if let Err(error) = self.events.poll().await {
                    return error;
                }
            }
        };
        timeout(PATIENCE, waiting).await.expect("the connection stays")
    }
}

fn said(topic: &str, text: &str, qos: QoS, retained: bool) -> (String, String, QoS, bool) {
    (topic.to_owned(), text.to_owned(), qos, retained)
}

#[tokio::test]
async fn a_message_reaches_whoever_subscribed_and_is_retained_where_that_is_asked() {
    let house = House::start().await;
    let mut meter = house.client("meter").await;
    meter.publish("house/kept", true, "1").await;
    meter.publish("house/kept", true, "2").await;
    meter.publish("house/gone", true, "3").await;
    meter.publish("house/gone", true, "").await;
    meter.publish("house/passing", false, "4").await;
    let mut node = house.client("node").await;
    node.subscribe("house/+", QoS::AtLeastOnce).await;
    assert_eq!(node.message().await, said("house/kept", "2", QoS::AtLeastOnce, true));
    meter.publish("elsewhere/power", false, "5").await;
    meter.publish("house/kept", true, "6").await;
    assert_eq!(node.message().await, said("house/kept", "6", QoS::AtLeastOnce, false));
    let mut coarse = house.client("coarse").await;
    coarse.subscribe("#", QoS::AtMostOnce).await;
    assert_eq!(coarse.message().await, said("house/kept", "6", QoS::AtMostOnce, true));
    node.client.unsubscribe("house/+").await.unwrap();
    node.until(|packet| matches!(packet, Packet::UnsubAck(_)).then_some(())).await;
    node.subscribe("last", QoS::AtMostOnce).await;
    meter.publish("house/kept", true, "7").await;
    meter.publish("last", false, "8").await;
    assert_eq!(node.message().await, said("last", "8", QoS::AtMostOnce, false));
    house.stop.cancel();
    node.lost().await;
}

#[tokio::test]
async fn who_goes_without_a_word_leaves_its_last_will_and_who_takes_leave_does_not() {
    let house = House::start().await;
    let mut node = house.client("node").await;
    node.subscribe("+/LWT", QoS::AtMostOnce).await;
    let will = |topic: &'static str| {
        move |options: &mut MqttOptions| {
            options.set_last_will(LastWill::new(topic, "Offline", QoS::AtLeastOnce, true));
        }
    };
    let mut polite = house.client_with("polite", will("polite/LWT")).await;
    polite.client.disconnect().await.unwrap();
    polite.lost().await;
    let rude = house.client_with("rude", will("rude/LWT")).await;
    drop(rude);
    assert_eq!(node.message().await, said("rude/LWT", "Offline", QoS::AtMostOnce, false));
    // One that comes under the name of another takes its place.
    let mut first = house.client_with("same", will("first/LWT")).await;
    let mut second = house.client("same").await;
    first.lost().await;
    assert_eq!(node.message().await.0, "first/LWT");
    second.publish("second/LWT", false, "still here").await;
    assert_eq!(node.message().await.0, "second/LWT");
}

#[tokio::test]
async fn who_says_nothing_for_too_long_or_asks_for_too_much_is_sent_away() {
    let house = House::start().await;
    let mut node = house.client("node").await;
    node.subscribe("+/LWT", QoS::AtMostOnce).await;
    let silent = house
        .client_with("silent", |options| {
            // The client's own smallest; nobody polls it, so no ping is sent.
            options.set_keep_alive(Duration::from_secs(1));
            options.set_last_will(LastWill::new("silent/LWT", "", QoS::AtMostOnce, false));
        })
        .await;
    assert_eq!(node.message().await.0, "silent/LWT");
    drop(silent);
    let mut twice = house.client("twice").await;
    twice.client.publish("a", QoS::ExactlyOnce, false, "b").await.unwrap();
    twice.lost().await;
    let mut greedy = house.client("greedy").await;
    for number in 0..=64 {
        greedy.client.subscribe(format!("topic/{number}"), QoS::AtMostOnce).await.unwrap();
        let taken = greedy.until(|packet| {
            let Packet::SubAck(ack) = packet else { return None };
            Some(!ack.return_codes.contains(&rumqttc::SubscribeReasonCode::Failure))
        });
        assert_eq!(taken.await, number < 64, "{number}");
    }
}
