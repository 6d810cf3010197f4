//! What the clocks of other members show: asked now and then, and only to judge our own (P25).
//!
//! Not for: what follows from it, which is [`boltgrid_market::abstention`], or for setting any clock.

use std::collections::BTreeMap;
use std::time::Duration;

use boltgrid_market::abstention::PeerClocks;
use boltgrid_protocol::charter::Timing;
use boltgrid_protocol::direct::Question;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::Timestamp;
use tokio::time::Instant;

use super::behaviour::DIRECT_TIMEOUT;
use super::event_loop::Network;
use super::handle::NetworkEvent;
use super::refused::Refused;
use super::status::DIRECT;

/// So often in an interval members are asked.
const ROUNDS_PER_INTERVAL: u64 = 2;
/// Between two rounds, at least.
const ROUND_MIN_MS: u64 = 1_000;
/// Between two rounds, at most.
const ROUND_MAX_MS: u64 = 60_000;
/// Between two rounds at most, where the first one brought too few answers.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// No answer comes later than this: a request has ended by then, with some margin.
const ANSWERED_WITHIN: Duration = DIRECT_TIMEOUT.saturating_mul(2);

/// The rounds of asking members what their clocks show.
#[derive(Debug)]
pub(super) struct Clocks {
    every: Duration,
    /// An answer that takes longer says too little: the error of an offset is half of that at most.
    round_trip_max: Duration,
    next: Instant,
    /// The round under way, if there is one.
    round: Option<Round>,
    /// Members who have not answered an earlier round, and until when they still may: what comes
    /// from them is not the answer to a later one. At most [`PeerClocks::PEERS_MAX`] a round.
    late: BTreeMap<ParticipantId, Instant>,
}

#[derive(Debug)]
struct Round {
    asked_at: Instant,
    /// What our own clock showed then.
    wall: Timestamp,
    /// The members that were asked, and how much later their clocks are than ours.
    offsets_ms: BTreeMap<ParticipantId, Option<i64>>,
}

impl Clocks {
    pub(super) fn new(timing: &Timing, now: Instant) -> Self {
        let every_ms = timing.interval_ms.div_euclid(ROUNDS_PER_INTERVAL);
        Self {
            every: Duration::from_millis(every_ms.clamp(ROUND_MIN_MS, ROUND_MAX_MS)),
            round_trip_max: Duration::from_millis(timing.clock_skew_max_ms),
            next: now,
            round: None,
            late: BTreeMap::new(),
        }
    }

    /// Begins a round, if one is due and there are enough to ask. Returns whom to ask.
    fn begin(
        &mut self,
        connected: Vec<ParticipantId>,
        wall: Timestamp,
        now: Instant,
    ) -> Vec<ParticipantId> {
        self.late.retain(|_, until| now < *until);
        let is_free = |member: &ParticipantId| !self.late.contains_key(member);
        let asked: Vec<_> =
            connected.into_iter().filter(is_free).take(PeerClocks::PEERS_MAX).collect();
        if self.round.is_some() || now < self.next || asked.len() < PeerClocks::PEERS_MIN {
            return Vec::new();
        }
        self.next = now + self.every;
        let offsets_ms = asked.iter().map(|member| (*member, None)).collect();
        self.round = Some(Round { asked_at: now, wall, offsets_ms });
        asked
    }

    /// A member says what its clock shows.
    pub(super) fn answered(&mut self, member: &ParticipantId, theirs: Timestamp, now: Instant) {
        if self.late.remove(member).is_some() {
            return;
        }
        let Some(round) = &mut self.round else { return };
        let took = now.saturating_duration_since(round.asked_at);
        if took > self.round_trip_max {
            // It has answered, though too late to say anything.
            round.offsets_ms.remove(member);
            return;
        }
        if let Some(offset_ms) = round.offsets_ms.get_mut(member) {
            let halfway_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).div_euclid(2);
            *offset_ms = Some(signed_ms(theirs, round.wall.plus_ms(halfway_ms)));
        }
    }

    /// Ends the round once all have answered or no answer can count any more.
    fn end(&mut self, now: Instant) -> Option<PeerClocks> {
        let all_answered = |round: &Round| round.offsets_ms.values().all(Option::is_some);
        let too_late =
            |it: &Round| now.saturating_duration_since(it.asked_at) > self.round_trip_max;
        let round = self.round.take_if(|round| all_answered(round) || too_late(round))?;
        let silent = round.offsets_ms.iter().filter(|(_, offset)| offset.is_none());
        self.late.extend(silent.map(|(member, _)| (*member, round.asked_at + ANSWERED_WITHIN)));
        let found = PeerClocks::of(round.offsets_ms.into_values().flatten().collect());
        if found.is_none() {
            self.next = self.next.min(now + AGAIN_AFTER);
        }
        found
    }
}

/// How much later one moment is than another.
fn signed_ms(later: Timestamp, earlier: Timestamp) -> i64 {
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    // One of the two differences is zero.
    ms(later.ms_since(earlier)).saturating_sub(ms(earlier.ms_since(later)))
}

impl Network {
    /// Asks members what their clocks show, and says what they said.
    pub(super) fn check_clocks(&mut self, now: Instant, wall: Timestamp) {
        if let Some(clocks) = self.clocks.end(now)
            && self.tell(NetworkEvent::Clocks(clocks)).is_err()
        {
            self.tally.refuse(DIRECT, Refused::Overloaded);
        }
        for member in self.clocks.begin(self.peers.connected_members(), wall, now) {
            self.ask(member, Question::Clock);
        }
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::signing::Keypair;

    use super::*;

    const WALL: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);
    const MS: Duration = Duration::from_millis(1);

    fn timing() -> Timing {
        Timing {
            interval_ms: 10_000,
            gate_before_delivery_ms: 6_500,
            orders_open_before_gate_ms: 2_500,
            orders_close_before_gate_ms: 500,
            proposal_after_gate_ms: 300,
            view_ms: 800,
            views: 6,
            confirm_by_after_gate_ms: 6_000,
            readings_by_after_delivery_ms: 3_000,
            clock_skew_max_ms: 300,
        }
    }

    fn members(count: u8) -> Vec<ParticipantId> {
        (1..=count).map(|seed| Keypair::from_seed(&[seed; 32]).participant_id()).collect()
    }

    #[test]
    fn the_offset_is_their_time_less_the_middle_of_asking_and_hearing() {
        let now = Instant::now();
        let mut clocks = Clocks::new(&timing(), now);
        let asked = clocks.begin(members(3), WALL, now);
        for (member, ahead) in asked.iter().zip([0, 40, 2000]) {
            clocks.answered(member, WALL.plus_ms(100 + ahead), now + 200 * MS);
        }
        let found = PeerClocks { median_offset_ms: 40, peers: 3 };
        assert_eq!(clocks.end(now + 200 * MS), Some(found));
        assert_eq!(clocks.end(now + 900 * MS), None, "a round ends once");
    }

    #[test]
    fn an_answer_that_took_too_long_or_was_not_asked_for_is_not_used() {
        let now = Instant::now();
        let mut clocks = Clocks::new(&timing(), now);
        let asked = clocks.begin(members(4), WALL, now);
        for member in &asked[..2] {
            clocks.answered(member, WALL, now);
        }
        clocks.answered(&members(5)[4], WALL, now);
        assert_eq!(clocks.end(now + 300 * MS), None, "two may still answer");
        clocks.answered(&asked[2], WALL, now + 301 * MS);
        assert_eq!(clocks.end(now + 301 * MS), None, "and two are not enough");
        assert!(clocks.begin(members(9), WALL, now + 2300 * MS).is_empty());
        assert!(!clocks.begin(members(9), WALL, now + 2301 * MS).is_empty(), "so it asks again");
    }

    #[test]
    fn an_answer_to_an_earlier_round_is_not_taken_for_one_to_a_later() {
        let now = Instant::now();
        let mut clocks = Clocks::new(&timing(), now);
        let asked = clocks.begin(members(6), WALL, now);
        assert_eq!(clocks.end(now + 301 * MS), None, "nobody answered");
        let later = now + 2301 * MS;
        assert!(clocks.begin(members(6), WALL.plus_ms(2301), later).is_empty(), "all are late");
        // Three answer after all, with what their clocks showed when they were asked.
        asked[..3].iter().for_each(|member| clocks.answered(member, WALL, later));
        assert_eq!(clocks.begin(members(6), WALL.plus_ms(2301), later), asked[..3]);
        clocks.answered(&asked[5], WALL, later);
        asked[..3].iter().for_each(|it| clocks.answered(it, WALL.plus_ms(2301), later));
        let found = PeerClocks { median_offset_ms: 0, peers: 3 };
        assert_eq!(clocks.end(later), Some(found));
    }

    #[test]
    fn clocks_of_any_time_at_all_do_not_overflow() {
        let now = Instant::now();
        for theirs in [0, u64::MAX] {
            let mut clocks = Clocks::new(&timing(), now);
            for member in clocks.begin(members(3), WALL, now) {
                clocks.answered(&member, Timestamp::from_unix_ms(theirs), now);
            }
            let found = clocks.end(now).unwrap().median_offset_ms;
            assert_eq!(found > 0, theirs > 0, "{found}");
        }
    }

    #[test]
    fn members_are_asked_at_the_rounds_pace_and_never_too_few_or_too_many() {
        let now = Instant::now();
        let mut clocks = Clocks::new(&timing(), now);
        assert!(clocks.begin(members(2), WALL, now).is_empty(), "two say nothing");
        assert_eq!(clocks.begin(members(40), WALL, now).len(), PeerClocks::PEERS_MAX);
        assert!(clocks.begin(members(40), WALL, now + 6000 * MS).is_empty(), "one under way");
        for member in members(40) {
            clocks.answered(&member, WALL, now);
        }
        assert!(clocks.end(now).is_some());
        assert!(clocks.begin(members(40), WALL, now + 4999 * MS).is_empty());
        assert!(!clocks.begin(members(40), WALL, now + 5000 * MS).is_empty());
    }
}
