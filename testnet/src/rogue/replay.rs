//! Saying again what was heard: later, and under other intervals, grids, rosters and authors.

use std::sync::Arc;

use boltgrid_market::effect::Effect;
use boltgrid_protocol::codec;
use boltgrid_protocol::envelope::Header;
use boltgrid_protocol::id::{GridId, RosterHash};
use boltgrid_protocol::message::{INTERVALS_AHEAD, INTERVALS_BACK};
use boltgrid_protocol::signing::SIGNATURE_LEN;
use boltgrid_protocol::units::{Interval, Timestamp};

use super::memory::Words;
use super::{Deed, Rogue, gossip};

/// Messages that are said again in one interval, each in several ways.
const REPLAYED_MAX: usize = 24;
const DICE_FIRST: u64 = 40;
const DICE_HOW: u64 = 41;

impl Rogue {
    /// Says again during an interval what was heard before it.
    pub(super) fn plan_replays(&mut self, now: Timestamp, interval: Interval) {
        let words: Vec<Words> = self.memory.words_before(interval).cloned().collect();
        let Some(sides) = u64::try_from(words.len()).ok().filter(|sides| *sides > 0) else {
            return;
        };
        let others = self.hand.others(interval);
        let schedule = self.hand.charter.interval.schedule(interval);
        let span_ms = schedule.delivery_starts.ms_since(schedule.orders_open);
        for number in 0..REPLAYED_MAX {
            let salt = u64::try_from(number).unwrap_or(0) << 8;
            let dice = |what: u64, sides| self.hand.dice(interval, what ^ salt, sides);
            let place = usize::try_from(dice(DICE_FIRST, sides)).unwrap_or(0);
            let Some((topic, bytes)) = words.get(place) else { continue };
            let at = schedule.orders_open.plus_ms(dice(DICE_HOW, span_ms.max(1))).max(now);
            for bytes in self.disguises(bytes, interval, salt) {
                let deed = match topic {
                    Some(topic) => gossip(*topic, bytes),
                    None => {
                        let turn = place.checked_rem(others.len()).unwrap_or(0);
                        let Some(to) = others.get(turn).copied() else { continue };
                        Deed::Do(Effect::SendTo { to, bytes })
                    }
                };
                self.plan(at, deed);
            }
        }
    }

    /// A message as it was, and one other way: in another interval, roster or grid with its old
    /// signature, or in another grid, roster or time with ours.
    fn disguises(&self, bytes: &Arc<[u8]>, interval: Interval, salt: u64) -> Vec<Arc<[u8]>> {
        let Ok(header) = Header::peek(bytes) else { return Vec::new() };
        let grid = GridId::from_bytes([9; 32]);
        let roster = RosterHash::from_bytes([9; 32]);
        let author = self.hand.me;
        let old = interval.minus(INTERVALS_BACK + 2);
        let far = interval.plus(INTERVALS_AHEAD + 2);
        let (header, ours) = match self.hand.dice(interval, DICE_HOW ^ salt, 7) {
            0 => (Header { interval, ..header }, false),
            1 => (Header { roster, interval, ..header }, false),
            2 => (Header { grid, interval, ..header }, false),
            3 => (Header { grid, interval, author, ..header }, true),
            4 => (Header { roster, interval, author, ..header }, true),
            5 => (Header { interval: old, author, ..header }, true),
            _ => (Header { interval: far, author, ..header }, true),
        };
        let mut altered = codec::canonical(&header);
        altered.extend_from_slice(bytes.get(altered.len()..).unwrap_or_default());
        if ours {
            altered.truncate(altered.len().saturating_sub(SIGNATURE_LEN));
            altered = self.hand.sign_raw(altered);
        }
        vec![Arc::clone(bytes), altered.into()]
    }
}
