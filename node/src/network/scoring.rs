//! What gossipsub thinks of a peer: every number of the score, and why it is what it is.
//!
//! A score decides who sits in the mesh and who is spoken to; whom we disconnect is decided by
//! [`super::faults`], and a peer whose score sinks to [`GRAYLIST`] is banned as well. Three things
//! shape the numbers:
//!
//! * **Members stand above strangers.** A member has been enrolled, a stranger has made up a key. A
//!   stranger's score is below zero whatever it does, so it is never taken into a mesh: strangers
//!   cannot be all that a node hears. They are still told what is said, and may pass on what we
//!   lack.
//! * **Silence is no fault.** Orders come once an interval and evidence perhaps never, so who
//!   delivers little is not punished (P3 and P3b are off), and an honest member that does nothing
//!   at all keeps the score that it began with.
//! * **An address is no identity.** A household, a testnet or a whole village may sit behind one
//!   address, so how many come from it counts for nothing (P6 is off). What keeps many names of one
//!   attacker out is enrolment, and few places for strangers.

use std::collections::HashMap;
use std::time::Duration;

use libp2p::gossipsub::{IdentTopic, PeerScoreParams, PeerScoreThresholds, TopicScoreParams};

use super::peers::Standing;

/// What a member begins with. It covers a few faults of another version of this program.
const MEMBER: i32 = 100;
/// On top of that, for a neighbour by the ring: a mesh that is too large keeps them.
const PINNED: i32 = 50;
/// Who the owner says is to be trusted as a beginning.
const BOOTSTRAP: i32 = 0;
/// What a stranger begins with: more below zero than it can ever gain by deliveries.
const STRANGER: i32 = -50;
/// What one fault costs until it is forgotten.
const FAULT: i32 = 32;

/// Most that all deliveries together are worth: less than what a stranger lacks, and than what a
/// member has ahead of it.
const DELIVERIES_MAX: f64 = 40.0;
/// First deliveries on one topic that count, half a point each, so that a whole interval's votes are
/// worth no more than a few orders.
const FIRST_DELIVERIES_MAX: f64 = 20.0;
/// What is said once is worth something for an hour or so, which spans the quiet between orders.
const FIRST_DELIVERIES_DECAY: f64 = 0.999;
/// A rejected message counts for ten minutes or so: a hundredth less every second and a bit.
const INVALID_DECAY: f64 = 0.99;

/// Offers that an honest peer may fail to keep within a minute: some eight messages of each of 250
/// members, all of them on their way when its connection breaks.
const PROMISES_FREE: f64 = 2_000.0;

/// Below this we neither offer a peer what it may have missed nor ask it for what we have. Five
/// faults, of which a member with a broken version may be capable.
const GOSSIP: f64 = -200.0;
/// Below this we tell a peer nothing of our own.
const PUBLISH: f64 = -500.0;
/// Below this nothing that a peer says is looked at, and it is banned at the next heartbeat: some
/// thirty rejected messages on one topic, or sixty on all of them.
pub(super) const GRAYLIST: f64 = -2000.0;

/// The application's part of a peer's score.
pub(super) fn application_score(standing: &Standing, is_pinned: bool, faults: u32) -> f64 {
    let begins_with = match standing {
        Standing::Member(_) if is_pinned => MEMBER.saturating_add(PINNED),
        Standing::Member(_) => MEMBER,
        Standing::Bootstrap => BOOTSTRAP,
        Standing::Stranger => STRANGER,
    };
    let faults = i32::try_from(faults).unwrap_or(i32::MAX);
    f64::from(begins_with.saturating_sub(FAULT.saturating_mul(faults)))
}

/// What is done at which score.
pub(super) const fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: GOSSIP,
        publish_threshold: PUBLISH,
        graylist_threshold: GRAYLIST,
        // Nobody is: peer exchange is off, since an attacker would choose our neighbours by it.
        accept_px_threshold: f64::MAX,
        // A mesh whose median is below a plain member's start looks for better peers: that is one
        // of which half has misbehaved, or are bootstrap peers.
        opportunistic_graft_threshold: 90.0,
    }
}

/// How a score comes about.
pub(super) fn parameters(topics: &[IdentTopic]) -> PeerScoreParams {
    PeerScoreParams {
        topics: topics
            .iter()
            .map(|topic| (topic.hash(), topic_parameters()))
            .collect::<HashMap<_, _>>(),
        topic_score_cap: DELIVERIES_MAX,
        app_specific_weight: 1.0,
        // P6, off; see above.
        ip_colocation_factor_weight: 0.0,
        // P7: grafting again too early, and offering what is then not delivered. gossipsub counts
        // every message offered, so an honest member that is killed, or cut off, in the middle of an
        // interval has broken as many promises as there were messages on their way: hundreds in a
        // grid of thirty. What an honest peer can come to is free, and a flood sinks to the
        // graylist.
        behaviour_penalty_weight: -0.001,
        behaviour_penalty_threshold: PROMISES_FREE,
        behaviour_penalty_decay: 0.98,
        // A peer that is slow to take what we send is slow, not hostile; what waits for it is
        // bounded in number and time.
        slow_peer_weight: 0.0,
        slow_peer_threshold: 0.0,
        slow_peer_decay: 0.5,
        decay_interval: Duration::from_secs(1),
        decay_to_zero: 0.01,
        // Who comes back within this time has the score with which it went. New names cost an
        // attacker nothing, so remembering them for long would only cost us memory.
        retain_score: Duration::from_secs(600),
        ..PeerScoreParams::default()
    }
}

fn topic_parameters() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        // P1: who has been in the mesh for minutes rather than seconds is kept rather than replaced.
        time_in_mesh_weight: 0.1,
        time_in_mesh_quantum: Duration::from_secs(60),
        time_in_mesh_cap: 10.0,
        // P2: a tie-breaker in favour of who brings messages first.
        first_message_deliveries_weight: 0.5,
        first_message_deliveries_decay: FIRST_DELIVERIES_DECAY,
        first_message_deliveries_cap: FIRST_DELIVERIES_MAX,
        // P3 and P3b, off; see above.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // P4: the square of what was rejected. One is nothing, twenty are 400.
        invalid_message_deliveries_weight: -1.0,
        invalid_message_deliveries_decay: INVALID_DECAY,
        ..TopicScoreParams::default()
    }
}

/// The scores of the connected members, rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    /// The lowest.
    pub lowest: i32,
    /// Half of them have this or more.
    pub median: i32,
}

impl Scores {
    /// Of some scores; none where there are none.
    pub(super) fn of(scores: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut scores: Vec<_> = scores.into_iter().map(rounded).collect();
        scores.sort_unstable();
        let median = *scores.get(scores.len().div_euclid(2))?;
        Some(Self { lowest: *scores.first()?, median })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it saturates, and nothing depends on it")]
pub(super) const fn rounded(score: f64) -> i32 {
    score.round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltgrid_protocol::id::ParticipantId;

    const A_MEMBER: Standing = Standing::Member(ParticipantId::from_bytes([7; 32]));

    #[test]
    fn the_numbers_are_ones_that_gossipsub_takes() {
        let topics = [IdentTopic::new("orders"), IdentTopic::new("acks")];
        assert_eq!(parameters(&topics).validate(), Ok(()));
        assert_eq!(thresholds().validate(), Ok(()));
    }

    #[test]
    fn who_says_nothing_loses_nothing() {
        let topic = topic_parameters();
        assert!(topic.mesh_message_deliveries_weight.abs() < f64::EPSILON);
        assert!(topic.mesh_failure_penalty_weight.abs() < f64::EPSILON);
        let all = parameters(&[]);
        assert!(all.ip_colocation_factor_weight.abs() < f64::EPSILON);
        assert!(all.slow_peer_weight.abs() < f64::EPSILON);
        assert!(application_score(&A_MEMBER, false, 0) > 0.0);
    }

    #[test]
    fn a_stranger_never_reaches_the_mesh_and_never_a_members_score() {
        let best = application_score(&Standing::Stranger, false, 0).midpoint(DELIVERIES_MAX);
        assert!(best < 0.0, "the sum is below zero");
        assert!(DELIVERIES_MAX < application_score(&A_MEMBER, false, 0));
        assert!(application_score(&Standing::Stranger, false, 0) > GOSSIP, "it is still told");
    }

    #[test]
    fn some_faults_cost_the_mesh_and_many_everything() {
        let at = |faults| application_score(&A_MEMBER, true, faults);
        assert!(at(4) > 0.0);
        assert!(at(5) < 0.0 && at(5) > GOSSIP);
        assert!(at(64) < PUBLISH);
        assert!(at(70) < GRAYLIST);
        assert!(at(u32::MAX) < GRAYLIST);
    }

    #[test]
    fn scores_are_summed_up_by_the_lowest_and_the_median() {
        assert_eq!(Scores::of([]), None);
        assert_eq!(Scores::of([3.6, -1.0, 2.0]), Some(Scores { lowest: -1, median: 2 }));
        assert_eq!(Scores::of([f64::MIN]), Some(Scores { lowest: i32::MIN, median: i32::MIN }));
    }
}
