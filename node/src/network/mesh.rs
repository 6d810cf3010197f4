//! Gossipsub's settings: whom it sends to, how much it takes, and what it remembers. The scores are in
//! [`super::scoring`].

use std::collections::HashSet;
use std::time::Duration;

use boltgrid_protocol::agreement::Proposal;
use boltgrid_protocol::envelope::Payload;
use boltgrid_protocol::id::GridId;
use boltgrid_protocol::topic::Topic;
use libp2p::gossipsub::{
    self, IdentTopic, MaxCountSubscriptionFilter, MessageAuthenticity, MessageId,
    WhitelistSubscriptionFilter,
};

use super::scoring;

/// Between two heartbeats of gossip.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(700);
/// Heartbeats for which a message is kept, and within which it must be judged: 8.4 s.
const HISTORY_HEARTBEATS: usize = 12;
/// Heartbeats for which a message is offered to those who have not seen it: 2.1 s.
const GOSSIP_HEARTBEATS: usize = 3;
/// For how long a message that comes again is known; later the author's budget knows it.
const DUPLICATES_KNOWN_FOR: Duration = Duration::from_secs(120);
/// Most bytes of one gossip frame: the largest message and what is written round it. Each topic's
/// own limit is lower and is counted where it is exceeded (see [`super::screening`]).
const TRANSMIT_MAX: usize = Proposal::LIMIT + 8 * 1024;
/// Messages of one gossip frame. Nodes send one at a time.
const MESSAGES_PER_FRAME_MAX: usize = 64;
/// Neighbours of a mesh: as many as wanted, at least and at most, …
const MESH: (usize, usize, usize) = (8, 5, 12);
/// … of whom so many are dialled by us, so that those who come to us are not all that we hear …
const MESH_DIALLED_MIN: usize = 3;
/// … and so many are those with the best scores, where there are too many: the neighbours by the
/// ring.
const MESH_BEST: usize = 6;
/// Offers of messages taken from one peer between two heartbeats; an honest one makes one a topic.
const OFFERS_MAX: usize = 10;
/// Messages asked of one peer between two heartbeats: a burst of a whole grid's votes.
const ASKED_MAX: usize = 2000;
/// How often a peer is sent the same message because it asks for it.
const SENT_AGAIN_MAX: u32 = 3;
/// Who offers a message must deliver it within this time. It is short, since nobody else is asked
/// for the message meanwhile.
const DELIVERED_WITHIN: Duration = Duration::from_secs(2);
/// The bytes of one message's name in an offer.
const OFFERED_BYTES: usize = 24;
/// A control frame is at most this long. Nodes send offers of [`ASKED_MAX`] messages; if fewer fitted,
/// they would cut each other off.
const CONTROL_MAX: usize = 64 * 1024;
const _: () = assert!(ASKED_MAX * OFFERED_BYTES < CONTROL_MAX);
/// Who was sent away from a mesh stays away for so long.
const AWAY: Duration = Duration::from_secs(60);
/// Who comes back sooner than this after it was sent away is punished twice.
const AWAY_MIN: Duration = Duration::from_secs(10);
/// Messages waiting to be sent to one peer, and how long they may wait: own and others'.
const WAITING_MAX: usize = 2000;
const OWN_WAIT: Duration = Duration::from_secs(5);
const OTHERS_WAIT: Duration = Duration::from_secs(3);
/// "I have this one, do not send it" is said of proposals only. What it is about is not verified
/// yet, so a flood of smaller junk must not make us say it to everybody.
const IDONTWANT_BYTES_MIN: usize = 4096;

type TopicFilter = MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>;
/// Gossip whose topics are a closed list.
pub type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, TopicFilter>;

/// A gossip topic of a grid, as gossipsub names it.
#[must_use]
pub fn gossip_topic(topic: Topic, grid: &GridId) -> IdentTopic {
    IdentTopic::new(topic.name(grid))
}

/// A message's name: a hash of topic and bytes, so that nothing but the content tells two apart.
#[must_use]
pub fn message_id(topic: &str, data: &[u8]) -> MessageId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(topic.as_bytes()).update(&[0]).update(data);
    let mut id = [0; 20];
    hasher.finalize_xof().fill(&mut id);
    MessageId::new(&id)
}

/// Gossip that has joined all topics of a grid and no others.
pub(super) fn gossip(grid: &GridId) -> Gossip {
    let topics = Topic::ALL.map(|topic| gossip_topic(topic, grid));
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(
            topics.iter().map(IdentTopic::hash).collect::<HashSet<_>>(),
        ),
        max_subscribed_topics: topics.len(),
        // Each once, and once no longer.
        max_subscriptions_per_request: topics.len().saturating_mul(2),
    };
    let mut gossip =
        Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config(), filter)
            .expect("anonymous authenticity and anonymous validation go together");
    gossip
        .with_peer_score(scoring::parameters(&topics), scoring::thresholds())
        .expect("the parameters are constant and valid, and scoring is switched on once");
    for topic in &topics {
        gossip.subscribe(topic).expect("the whitelist holds all topics");
    }
    gossip
}

fn config() -> gossipsub::Config {
    let (wanted, least, most) = MESH;
    gossipsub::ConfigBuilder::default()
        .validate_messages()
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(|message| message_id(message.topic.as_str(), &message.data))
        // Own messages go to all who listen, so that no mesh can hold them back.
        .flood_publish(true)
        .heartbeat_initial_delay(HEARTBEAT)
        .heartbeat_interval(HEARTBEAT)
        .history_length(HISTORY_HEARTBEATS)
        .history_gossip(GOSSIP_HEARTBEATS)
        .duplicate_cache_time(DUPLICATES_KNOWN_FOR)
        .max_transmit_size(TRANSMIT_MAX)
        .max_publish_messages(MESSAGES_PER_FRAME_MAX)
        .max_control_message_size(CONTROL_MAX)
        .mesh_n(wanted)
        .mesh_n_low(least)
        .mesh_n_high(most)
        .mesh_outbound_min(MESH_DIALLED_MIN)
        .retain_scores(MESH_BEST)
        .max_ihave_messages_heartbeat(OFFERS_MAX)
        .max_control_messages_sent(ASKED_MAX)
        .gossip_retransimission(SENT_AGAIN_MAX)
        .iwant_followup_time(DELIVERED_WITHIN)
        // Nobody is told of peers by those who leave a mesh: an attacker would name its own.
        .prune_peers(0)
        .prune_backoff(AWAY)
        .graft_flood_threshold(AWAY_MIN)
        .connection_handler_queue_len(WAITING_MAX)
        .publish_queue_duration(OWN_WAIT)
        .forward_queue_duration(OTHERS_WAIT)
        .idontwant_message_size_threshold(IDONTWANT_BYTES_MIN)
        .idontwant_on_publish(false)
        .build()
        .expect("the configuration is constant and valid")
}
