//! How the network is doing, for the status page, the metrics and the tests.

use std::collections::BTreeMap;
use std::time::Duration;

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::topic::Topic;
use libp2p::{Multiaddr, PeerId};

use super::refused::Refused;
use super::scoring::Scores;

/// Where something was refused: the word of a gossip topic, or one of these.
pub(super) const DIRECT: &str = "direct";
/// In the DHT.
pub(super) const RECORDS: &str = "records";
/// At a connection.
pub(super) const CONNECTIONS: &str = "connections";

/// What was refused: by place (`orders`, `acks`, `votes`, `readings`, `evidence`, `direct`, `records`
/// or `connections`) and reason. Both are closed lists, so it cannot grow.
pub type Refusals = BTreeMap<(&'static str, &'static str), u64>;

/// A snapshot of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkStatus {
    /// Where this node listens.
    pub listening: Vec<Multiaddr>,
    /// Peers that are connected, members or not.
    pub peers_connected: usize,
    /// Members of the current roster, without this node.
    pub members: usize,
    /// Members of whom an address is known.
    pub members_known: usize,
    /// Members that are connected.
    pub members_connected: usize,
    /// Members that we dialled, and that did not come to us.
    pub dialled: usize,
    /// Members that are neighbours by the ring: their connections are kept before all others.
    pub pinned: usize,
    /// Neighbours that are connected.
    pub pinned_connected: usize,
    /// Connected peers that are not members.
    pub strangers: usize,
    /// All other members, by participant.
    pub each: Vec<MemberState>,
    /// Peers that broke the rules too often and are kept away for now.
    pub banned: usize,
    /// The scores of the connected members; none where none is connected.
    pub scores: Option<Scores>,
    /// Bytes received on all streams since the start.
    pub bytes_in: u64,
    /// Bytes sent on all streams since the start.
    pub bytes_out: u64,
    /// Messages taken from gossip.
    pub heard: u64,
    /// Messages published.
    pub published: u64,
    /// Own messages and confirms that could not be sent in time.
    pub unsent: u64,
    /// Keys of the DHT under which standing offers are kept here.
    pub offer_keys: usize,
    /// What was refused, by place and reason.
    pub refused: Refusals,
}

/// Another member as the network sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// Who.
    pub participant: ParticipantId,
    /// The same key as libp2p names it.
    pub peer: PeerId,
    /// Where it was last said to be.
    pub addresses: Vec<Multiaddr>,
    /// For how long it has been connected; none while it is not.
    pub connected_for: Option<Duration>,
    /// Whether we dialled it.
    pub is_dialled: bool,
    /// Whether it is a neighbour by the ring.
    pub is_pinned: bool,
    /// Its score with gossip, while it is connected.
    pub score: Option<i32>,
}

impl NetworkStatus {
    /// How often something was refused at a place for a reason.
    #[must_use]
    pub fn refused(&self, place: &str, reason: &str) -> u64 {
        let found = self.refused.iter().find(|((at, why), _)| *at == place && *why == reason);
        found.map_or(0, |(_, count)| *count)
    }
}

/// What is counted along the way.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) heard: u64,
    pub(super) published: u64,
    pub(super) unsent: u64,
    refused: Refusals,
}

impl Tally {
    pub(super) fn refuse(&mut self, place: &'static str, refused: Refused) {
        let count = self.refused.entry((place, refused.reason())).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) const fn refused(&self) -> &Refusals {
        &self.refused
    }
}

/// Where gossip is counted.
pub(super) const fn place(topic: Topic) -> &'static str {
    topic.word()
}
