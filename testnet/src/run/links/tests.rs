//! Datagrams through a real proxy on the loopback interface.

use std::net::Ipv4Addr;
use std::time::Duration;

use boltgrid::clock;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::*;
use crate::run::faults::{LinkChoice, LinkEffect};

/// How long a datagram of this machine may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A node that listens, its links, and a dialler that is node 1 of them.
async fn grid() -> (UdpSocket, Links, UdpSocket) {
    let node = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let links = Links::open(&[node.local_addr().unwrap(); 2], 1).await.unwrap();
    links.node_is(1, Some(std::process::id()));
    let dialler = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    dialler.connect(links.addresses()[0]).await.unwrap();
    (node, links, dialler)
}

async fn heard(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 64];
    let received = timeout(DEADLINE, socket.recv_from(&mut buffer)).await.unwrap();
    let (length, from) = received.unwrap();
    (buffer[..length].to_vec(), from)
}

/// Polls until so many datagrams had this fate.
async fn eventually(links: &Links, fate: fn(&LinksRow) -> u64, times: u64) {
    let counted = async {
        while fate(&links.row()) < times {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, counted).await.unwrap();
}

#[tokio::test]
async fn datagrams_go_both_ways_through_the_proxy() {
    let (node, links, dialler) = grid().await;
    dialler.send(b"hello").await.unwrap();
    let (bytes, from) = heard(&node).await;
    assert_eq!(bytes, b"hello");
    assert_ne!(from, dialler.local_addr().unwrap());
    node.send_to(b"yes?", from).await.unwrap();
    let (bytes, from) = heard(&dialler).await;
    assert_eq!((bytes.as_slice(), from), (&b"yes?"[..], links.addresses()[0]));
    assert_eq!(links.row(), LinksRow { datagrams_passed: 2, ..LinksRow::default() });
}

#[tokio::test]
async fn a_cut_link_lets_nothing_through_until_it_heals() {
    let (node, links, dialler) = grid().await;
    let groups = vec![vec![0], vec![1]];
    let choice = LinkChoice::Between { groups, one_way: false };
    let cut = LinkEffect::Cut { flap_ms: None };
    let number = links.weather().begin(choice, cut, clock::now());
    dialler.send(b"lost").await.unwrap();
    eventually(&links, |row| row.datagrams_cut, 1).await;
    assert!(links.weather().end(number));
    dialler.send(b"heard").await.unwrap();
    assert_eq!(heard(&node).await.0, b"heard");
}

#[tokio::test]
async fn what_is_delayed_arrives_later() {
    let (node, links, dialler) = grid().await;
    let delay = LinkEffect::Delay { delay_ms: 50, jitter_ms: 0 };
    links.weather().begin(LinkChoice::All, delay, clock::now());
    let sent = std::time::Instant::now();
    dialler.send(b"late").await.unwrap();
    assert_eq!(heard(&node).await.0, b"late");
    assert!(sent.elapsed() >= Duration::from_millis(50));
    assert_eq!(links.row().datagrams_delayed, 1);
}

#[tokio::test]
async fn somebody_who_is_no_node_is_in_no_group() {
    let (node, links, dialler) = grid().await;
    links.node_is(1, None);
    let choice = LinkChoice::Of(vec![1]);
    links.weather().begin(choice, LinkEffect::Cut { flap_ms: None }, clock::now());
    dialler.send(b"heard").await.unwrap();
    assert_eq!(heard(&node).await.0, b"heard");
}
