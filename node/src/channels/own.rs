//! Our own channels as the policy sees them, with what was watched of them since the node started.
//!
//! Days are real ones; a restart starts watching anew, so that a channel is refilled or closed for being
//! idle only by a node that has been there to see it. Not for: balances, which are Lightning's.

use std::collections::{BTreeMap, VecDeque};

use boltgrid_market::channels::{ChannelId, ChannelState, OwnChannel};
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::{Msat, SignedMsat, Timestamp};

use crate::lightning::{self, Channel};

/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;
/// Days over which is watched what leaves a channel.
const WATCHED_DAYS_MAX: usize = 7;
/// What was watched for fewer days says nothing.
const WATCHED_DAYS_MIN: usize = 3;

/// Whose the other side of a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Partner {
    /// A member's.
    Member(RosterIndex),
    /// A participant's that is no member now.
    Left,
    /// Nobody has said so.
    Unknown,
}

/// What was seen of one channel.
#[derive(Clone, Debug)]
struct Watched {
    /// When something went over it last, or when it was seen first.
    used_at: Timestamp,
    /// What it held then.
    sendable: Msat,
    size_sat: u64,
    /// What was sendable at the start of each of the last days; none from before a splice.
    days: VecDeque<(Timestamp, Msat)>,
}

/// What was seen of all channels. Bounded by them.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    channels: BTreeMap<ChannelId, Watched>,
}

impl Watch {
    /// Notes the channels as they are.
    pub(super) fn note(&mut self, channels: &[Channel], now: Timestamp) {
        self.channels.retain(|id, _| channels.iter().any(|it| name(it) == *id));
        for channel in channels {
            let watched = self.channels.entry(name(channel)).or_insert_with(|| Watched {
                used_at: now,
                sendable: channel.sendable,
                size_sat: channel.size_sat,
                days: VecDeque::new(),
            });
            watched.note(channel, now);
        }
    }

    /// The channels as the policy sees them; `partner` says whose the other side is. Where that is not
    /// known, as its record has not come in or has expired, the policy does nothing about a channel.
    pub(super) fn seen(
        &self,
        channels: &[Channel],
        now: Timestamp,
        partner: impl Fn(&Channel) -> Partner,
    ) -> Vec<OwnChannel> {
        channels
            .iter()
            .map(|channel| {
                let watched = self.channels.get(&name(channel));
                let partner = partner(channel);
                OwnChannel {
                    id: name(channel),
                    partner: match partner {
                        Partner::Member(place) => Some(place),
                        Partner::Left | Partner::Unknown => None,
                    },
                    capacity: Msat::from_satoshi_saturating(channel.size_sat),
                    spendable: channel.sendable,
                    receivable: channel.receivable,
                    drained_a_day: watched.and_then(Watched::drained_a_day),
                    idle_ms: watched.map_or(0, |it| now.ms_since(it.used_at)),
                    state: match (channel.state, partner) {
                        (lightning::ChannelState::Pending, _) | (_, Partner::Unknown) => {
                            ChannelState::Pending
                        }
                        (lightning::ChannelState::Offline, _) => ChannelState::Away,
                        (lightning::ChannelState::Usable, _) => ChannelState::Usable,
                    },
                }
            })
            .collect()
    }
}

impl Watched {
    fn note(&mut self, channel: &Channel, now: Timestamp) {
        if channel.size_sat != self.size_sat {
            // What a splice brought did not come from anybody.
            self.days.clear();
        }
        if (channel.sendable, channel.size_sat) != (self.sendable, self.size_sat) {
            self.used_at = now;
            (self.sendable, self.size_sat) = (channel.sendable, channel.size_sat);
        }
        if self.days.back().is_none_or(|(at, _)| now.ms_since(*at) >= DAY_MS) {
            self.days.push_back((now, channel.sendable));
            while self.days.len() > WATCHED_DAYS_MAX {
                self.days.pop_front();
            }
        }
    }

    fn drained_a_day(&self) -> Option<SignedMsat> {
        let days = self.days.len().checked_sub(1).filter(|days| *days >= WATCHED_DAYS_MIN)?;
        let msat = |amount: Msat| i64::try_from(amount.to_millisatoshi()).ok();
        let went = msat(self.days.front()?.1)?.checked_sub(msat(self.days.back()?.1)?)?;
        Some(SignedMsat::from_millisatoshi(went.checked_div(i64::try_from(days).ok()?)?))
    }
}

/// The channel's name in the policy.
fn name(channel: &Channel) -> ChannelId {
    ChannelId(channel.id.to_number())
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::lightning::LightningId;

    use super::*;

    fn channel(sendable_sat: u64, size_sat: u64) -> Channel {
        Channel {
            id: lightning::ChannelId::from_number(7),
            counterparty: LightningId::from_bytes(&[2; 33]).unwrap(),
            funding: None,
            state: lightning::ChannelState::Usable,
            is_outbound: true,
            size_sat,
            sendable: Msat::from_satoshi_saturating(sendable_sat),
            receivable: Msat::ZERO,
            sendable_at_once: Msat::ZERO,
            reserve_sat: 1_000,
            confirmations: 6,
            close_delay_blocks: None,
        }
    }

    fn see(watch: &mut Watch, day: u64, channel: &Channel) -> OwnChannel {
        let now = Timestamp::from_unix_ms(day * DAY_MS);
        watch.note(std::slice::from_ref(channel), now);
        watch.seen(std::slice::from_ref(channel), now, |_| Partner::Left).remove(0)
    }

    #[test]
    fn what_leaves_a_channel_is_known_after_three_days_and_forgotten_by_a_splice() {
        let mut watch = Watch::default();
        for (day, sendable) in [(0, 50_000), (1, 49_000), (2, 46_000)] {
            assert_eq!(see(&mut watch, day, &channel(sendable, 60_000)).drained_a_day, None);
        }
        let seen = see(&mut watch, 3, &channel(44_000, 60_000)).drained_a_day;
        assert_eq!(seen, Some(SignedMsat::from_millisatoshi(2_000_000)));
        assert_eq!(see(&mut watch, 4, &channel(144_000, 160_000)).drained_a_day, None);
    }

    #[test]
    fn a_channel_is_idle_for_as_long_as_its_balance_stays() {
        let mut watch = Watch::default();
        assert_eq!(see(&mut watch, 0, &channel(5, 10)).idle_ms, 0);
        assert_eq!(see(&mut watch, 9, &channel(5, 10)).idle_ms, 9 * DAY_MS);
        assert_eq!(see(&mut watch, 10, &channel(4, 10)).idle_ms, 0);
    }

    #[test]
    fn nothing_can_be_done_about_a_channel_with_nobody_knows_whom() {
        let (mut watch, now) = (Watch::default(), Timestamp::from_unix_ms(0));
        let channel = [channel(5, 10)];
        watch.note(&channel, now);
        let seen = watch.seen(&channel, now, |_| Partner::Unknown).remove(0);
        assert_eq!((seen.partner, seen.state), (None, ChannelState::Pending));
    }

    #[test]
    fn what_was_seen_of_a_closed_channel_is_forgotten() {
        let mut watch = Watch::default();
        see(&mut watch, 0, &channel(5, 10));
        watch.note(&[], Timestamp::from_unix_ms(DAY_MS));
        assert!(watch.channels.is_empty());
    }
}
