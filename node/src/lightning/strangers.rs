//! Channels that somebody opened to us who is no member.
//!
//! The library accepts a channel from whoever has connected, and cannot be told otherwise. So such a
//! channel is closed again: together with the other side where that is possible, else by force. It
//! was paid for by the stranger, and holds nothing of ours unless it gave us something.
//! Not for: channels from before the start, which were looked at then, or channels that we opened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use boltgrid_protocol::lightning::LightningId;
use tokio::time::Instant;

use super::channel::{Channel, ChannelId, ChannelState};

/// How long a member's record may take to come in after it has opened a channel to us.
const GRACE: Duration = Duration::from_secs(600);
/// Between two tries to close.
const TRY_EVERY: Duration = Duration::from_secs(60);
/// Channels under watch at most; what comes beyond is looked at once there is room.
const WATCHED_MAX: usize = 64;

/// Something to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) channel: ChannelId,
    pub(super) force: bool,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    next: Instant,
    tried: bool,
}

/// Channels of which it is not known yet that a member opened them.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    watched: BTreeMap<ChannelId, Watched>,
}

impl Strangers {
    /// What to close now, of all channels, where these nodes are no strangers.
    pub(super) fn review(
        &mut self,
        channels: &[Channel],
        known: &BTreeSet<LightningId>,
        now: Instant,
    ) -> Vec<Closing> {
        let unknown = |it: &&Channel| !it.is_outbound && !known.contains(&it.counterparty);
        let suspects: BTreeMap<_, _> =
            channels.iter().filter(unknown).map(|it| (it.id, it.state)).collect();
        self.watched.retain(|channel, _| suspects.contains_key(channel));
        for (channel, state) in &suspects {
            if *state == ChannelState::Pending && self.watched.len() < WATCHED_MAX {
                let new = Watched { next: now + GRACE, tried: false };
                self.watched.entry(*channel).or_insert(new);
            }
        }
        let due = self.watched.iter_mut().filter(|(_, it)| it.next <= now);
        due.map(|(channel, watched)| {
            let ready = suspects.get(channel).is_some_and(|it| *it == ChannelState::Usable);
            let force = watched.tried || !ready;
            *watched = Watched { next: now + TRY_EVERY, tried: true };
            Closing { channel: *channel, force }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::units::Msat;

    use super::*;

    fn node(byte: u8) -> LightningId {
        format!("02{}", format!("{byte:02x}").repeat(32)).parse().unwrap()
    }

    fn channel(with: u8, state: ChannelState, is_outbound: bool) -> Channel {
        Channel {
            id: ChannelId::from_number(with.into()),
            counterparty: node(with),
            funding: None,
            state,
            is_outbound,
            size_sat: 100_000,
            sendable: Msat::ZERO,
            receivable: Msat::ZERO,
            sendable_at_once: Msat::ZERO,
            reserve_sat: 0,
            confirmations: 0,
            close_delay_blocks: None,
        }
    }

    #[test]
    fn only_what_somebody_unknown_opened_during_this_run_is_closed() {
        let (mut strangers, now) = (Strangers::default(), Instant::now());
        let known = BTreeSet::from([node(1)]);
        let channels = [
            channel(1, ChannelState::Pending, false),
            channel(2, ChannelState::Pending, true),
            channel(3, ChannelState::Usable, false),
            channel(4, ChannelState::Pending, false),
        ];
        assert_eq!(strangers.review(&channels, &known, now), []);
        let closing = Closing { channel: ChannelId::from_number(4), force: true };
        assert_eq!(strangers.review(&channels, &known, now + GRACE), [closing]);
        assert_eq!(strangers.review(&channels, &known, now + GRACE), [], "not at every look");
    }

    #[test]
    fn a_member_whose_record_comes_late_keeps_its_channel() {
        let (mut strangers, now) = (Strangers::default(), Instant::now());
        let channels = [channel(4, ChannelState::Pending, false)];
        assert_eq!(strangers.review(&channels, &BTreeSet::new(), now), []);
        let known = BTreeSet::from([node(4)]);
        assert_eq!(strangers.review(&channels, &known, now + GRACE), []);
        assert_eq!(strangers.review(&channels, &known, now + GRACE * 2), []);
    }

    #[test]
    fn a_usable_channel_is_closed_together_first_and_by_force_where_that_does_not_help() {
        let (mut strangers, now) = (Strangers::default(), Instant::now());
        let known = BTreeSet::new();
        strangers.review(&[channel(4, ChannelState::Pending, false)], &known, now);
        let channels = [channel(4, ChannelState::Usable, false)];
        let force = |closings: Vec<Closing>| closings.iter().map(|it| it.force).collect::<Vec<_>>();
        assert_eq!(force(strangers.review(&channels, &known, now + GRACE)), [false]);
        let later = now + GRACE + TRY_EVERY;
        assert_eq!(force(strangers.review(&channels, &known, later)), [true]);
        assert_eq!(strangers.review(&[], &known, later + TRY_EVERY), [], "it is closed");
    }
}
