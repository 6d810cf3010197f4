//! Mines a block every so often, until it is dropped.
//! Not for: what is in it.

use std::time::Duration;

use bitcoin::Address;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::client::Client;

/// Blocks that may fail in a row before it gives up.
const FAILURES_MAX: u32 = 20;

/// A running miner.
#[derive(Debug)]
pub struct Mining {
    _task: JoinSet<()>,
}

impl Mining {
    /// Mines a block to `address` every `every`; the first one only after that time.
    #[must_use]
    pub fn start(client: Client, address: Address, every: Duration) -> Self {
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut ticks = interval(every.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            let mut failed = 0;
            while failed < FAILURES_MAX {
                ticks.tick().await;
                match client.generate(1, &address).await {
                    Ok(_) => failed = 0,
                    Err(error) => {
                        failed += 1;
                        tracing::warn!(%error, "no block was mined");
                    }
                }
            }
            tracing::error!("no more blocks are mined: {FAILURES_MAX} failed in a row");
        });
        Self { _task: task }
    }
}
