//! One use of the on-chain coins at a time: a channel or a splice is funded only once the wallet knows of the
//! transaction that funded the one before.
//!
//! The library makes the transaction of a channel when the other side has accepted it, from the coins that
//! the wallet has then, and the wallet hears of it from the chain. Who opens two channels at once so spends
//! the same coin twice: the second transaction is refused by everybody, and its channel waits for it for two
//! weeks.
//! Not for: what coins there are; that is the library's.

use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ldk_node::{Node, UserChannelId};
use tracing::debug;

use super::handle::LightningError;

/// How long to wait for the wallet to hear of the former transaction: whoever asks waits a minute.
const HEARD_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks after which the chain is asked, and not only when its time has come again.
const ASK_EVERY: u32 = 8;
/// After so long nothing of it comes any more.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(600);

/// What the coins were used for last.
#[derive(Clone, Copy, Debug)]
struct Use {
    /// To open this channel; none for a splice.
    channel: Option<UserChannelId>,
    /// What the wallet had before.
    onchain_sat: u64,
    /// When.
    at: Instant,
}

/// The latest use of the coins in this run.
#[derive(Debug, Default)]
pub(super) struct Fundings {
    last: Mutex<Option<Use>>,
}

impl Fundings {
    /// Begins to open a channel, as soon as that is safe. Blocks.
    pub(super) fn open(
        &self,
        node: &Node,
        open: impl FnOnce() -> Result<UserChannelId, LightningError>,
    ) -> Result<UserChannelId, LightningError> {
        self.take_turn(node, || open().map(|channel| (channel, Some(channel))))
    }

    /// Begins to splice into a channel, as soon as that is safe. Blocks.
    pub(super) fn splice(
        &self,
        node: &Node,
        splice: impl FnOnce() -> Result<(), LightningError>,
    ) -> Result<(), LightningError> {
        self.take_turn(node, || splice().map(|()| ((), None)))
    }

    /// Waits for the use before, and holds up the next one until this has begun.
    fn take_turn<T>(
        &self,
        node: &Node,
        begin: impl FnOnce() -> Result<(T, Option<UserChannelId>), LightningError>,
    ) -> Result<T, LightningError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = *last
            && before.at.elapsed() < GIVEN_UP_AFTER
            && !waited(|| is_over(node, before), || ask_the_chain(node))
        {
            return Err(LightningError::CoinsInUse);
        }
        let onchain_sat = onchain_sat(node);
        let (begun, channel) = begin()?;
        *last = Some(Use { channel, onchain_sat, at: Instant::now() });
        Ok(begun)
    }
}

/// Whether something came to hold in time.
fn waited(holds: impl Fn() -> bool, ask: impl Fn()) -> bool {
    let began = Instant::now();
    for look in 1_u32.. {
        if holds() {
            return true;
        }
        if began.elapsed() >= HEARD_WITHIN {
            return false;
        }
        if look.is_multiple_of(ASK_EVERY) {
            ask();
        }
        sleep(LOOK_EVERY);
    }
    false
}

fn ask_the_chain(node: &Node) {
    if let Err(error) = node.sync_wallets() {
        debug!(%error, "the chain does not say what the wallet spent last");
    }
}

/// Whether the wallet reckons without the coins of a use, or it came to nothing. Of what waits for a block
/// the library shows nothing but the balance.
fn is_over(node: &Node, used: Use) -> bool {
    let is_gone = |id| node.list_channels().iter().all(|it| it.user_channel_id != id);
    used.channel.is_some_and(is_gone) || onchain_sat(node) != used.onchain_sat
}

fn onchain_sat(node: &Node) -> u64 {
    node.list_balances().total_onchain_balance_sats
}
