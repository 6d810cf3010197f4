//! Partners of our channels that were lost, and when to call them again.
//!
//! The library calls once a minute, at the address that it was given when the channel was opened. Until
//! then nothing can be paid over a channel whose partner was away for a second. So whoever opened a
//! channel calls again soon, with growing pauses, at the addresses that the member publishes now.
//! Only the side that opened it does: two calls that cross end each other.
//! Not for: calling (see [`super::task`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use boltgrid_protocol::lightning::LightningId;
use tokio::time::Instant;

use super::channel::Channel;

/// Between the first two calls; doubled with each that fails …
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// … up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Partners called at once at most; the others have their turn with the next look.
const CALLS_MAX: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Try {
    next: Instant,
    pause: Duration,
    number: usize,
}

/// Partners that were called and have not answered.
#[derive(Debug, Default)]
pub(super) struct Reconnect {
    tries: BTreeMap<LightningId, Try>,
}

impl Reconnect {
    /// Whom to call now, and where, of the partners in `channels` that are not among the `connected`.
    pub(super) fn due(
        &mut self,
        channels: &[Channel],
        connected: &BTreeSet<LightningId>,
        addresses: &BTreeMap<LightningId, Vec<String>>,
        now: Instant,
    ) -> Vec<(LightningId, String)> {
        let ours = channels.iter().filter(|it| it.is_outbound).map(|it| it.counterparty);
        let lost: BTreeSet<LightningId> = ours.filter(|it| !connected.contains(it)).collect();
        self.tries.retain(|partner, _| lost.contains(partner));
        let mut calls = Vec::new();
        for partner in lost {
            let known = addresses.get(&partner).map_or(&[][..], Vec::as_slice);
            let new = Try { next: now, pause: PAUSE_MIN, number: 0 };
            let attempt = self.tries.entry(partner).or_insert(new);
            let turn = attempt.number.checked_rem(known.len()).and_then(|turn| known.get(turn));
            let Some(address) = turn.filter(|_| attempt.next <= now && calls.len() < CALLS_MAX)
            else {
                continue;
            };
            calls.push((partner, address.clone()));
            *attempt = Try {
                next: now + attempt.pause,
                pause: (attempt.pause * 2).min(PAUSE_MAX),
                number: attempt.number.wrapping_add(1),
            };
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::units::Msat;

    use super::super::channel::{ChannelId, ChannelState};
    use super::*;

    fn node(byte: u8) -> LightningId {
        format!("02{}", format!("{byte:02x}").repeat(32)).parse().unwrap()
    }

    fn channel(with: u8, is_outbound: bool) -> Channel {
        Channel {
            id: ChannelId::from_number(with.into()),
            counterparty: node(with),
            funding: None,
            state: ChannelState::Pending,
            is_outbound,
            size_sat: 1,
            sendable: Msat::ZERO,
            receivable: Msat::ZERO,
            sendable_at_once: Msat::ZERO,
            reserve_sat: 0,
            confirmations: 6,
            close_delay_blocks: None,
        }
    }

    #[test]
    fn whoever_opened_the_channel_calls_at_every_address_in_turn_with_growing_pauses() {
        let channels = [channel(1, true), channel(2, false), channel(3, true)];
        let addresses = BTreeMap::from([
            (node(1), vec!["first".to_owned(), "second".to_owned()]),
            (node(2), vec!["theirs".to_owned()]),
        ]);
        let begin = Instant::now();
        let mut reconnect = Reconnect::default();
        let mut called = |after_ms: u64, connected: &[LightningId]| {
            let connected = connected.iter().copied().collect();
            let now = begin + Duration::from_millis(after_ms);
            let due = reconnect.due(&channels, &connected, &addresses, now);
            due.into_iter().map(|(_, address)| address).collect::<Vec<_>>()
        };
        assert_eq!(called(0, &[node(1)]), [""; 0]);
        assert_eq!(called(10, &[]), ["first"]);
        assert_eq!(called(1_009, &[]), [""; 0]);
        assert_eq!(called(1_010, &[]), ["second"]);
        assert_eq!(called(3_009, &[]), [""; 0]);
        assert_eq!(called(3_010, &[]), ["first"]);
        // Found again, and lost again: called at once.
        assert_eq!(called(3_020, &[node(1)]), [""; 0]);
        assert_eq!(called(3_030, &[]), ["first"]);
    }

    #[test]
    fn pauses_end_growing_and_nobody_has_to_wait_for_others_for_long() {
        let channels: Vec<_> = (1..=20).map(|with| channel(with, true)).collect();
        let addresses = (1..=20).map(|with| (node(with), vec![with.to_string()])).collect();
        let begin = Instant::now();
        let mut reconnect = Reconnect::default();
        let mut calls = |after_s: u64| {
            let now = begin + Duration::from_secs(after_s);
            reconnect.due(&channels, &BTreeSet::new(), &addresses, now).len()
        };
        assert_eq!((calls(0), calls(0), calls(0), calls(0)), (CALLS_MAX, CALLS_MAX, 4, 0));
        let all: usize = (1..=3_600).map(&mut calls).sum();
        let least = 20 * 3_600 / 61;
        assert!((least..least + 20 * 8).contains(&all), "{all}");
    }
}
