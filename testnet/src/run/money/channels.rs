//! The channels that a run begins with: from every node to each of two hubs, half of it on either
//! side, so that any two nodes are two hops apart and one hub may fail; or none, so that nodes open
//! them all by themselves. Not for: what nodes open.

use boltgrid::config::RawChannels;
use boltgrid::rpc::ChannelRpcClient;
use boltgrid::rpc::wallet::{ChannelReport, ChannelStage, OpenTerms};
use boltgrid_market::channels::Limits;
use futures::future::join_all;
use jsonrpsee::http_client::HttpClient;
use tokio::time::{Instant, sleep};

use super::{CONFIRMATIONS, Holder, LOOK_EVERY, Money, MoneyError, PATIENCE};
use crate::run::display::Display;
use crate::run::invariants::Tally;
use crate::run::report::InvariantRow;

/// How many nodes all others have a channel with.
pub(crate) const HUBS: usize = 2;
/// What is in a channel.
pub(crate) const SIZE_SAT: u64 = 1_000_000;
/// What of it is the hub's from the start.
pub(crate) const PUSH_MSAT: u64 = SIZE_SAT / 2 * 1_000;

/// Who opens the first channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Opened {
    /// The testnet: from every node to each of two, before the first interval
    #[default]
    Hubs,
    /// The nodes, by their own policy, once they have seen who trades with whom
    Policy,
}

impl Opened {
    /// What a node's config says of it.
    pub(in crate::run) fn kept(self) -> RawChannels {
        let every_minutes = match self {
            Self::Hubs => None,
            // A day of the profiles passes within minutes.
            Self::Policy => Some(1),
        };
        RawChannels { every_minutes, ..RawChannels::default() }
    }
}

impl Money {
    /// Opens the channels, and waits until they can be used: one hub after the other, since a node
    /// may send the transaction of its second channel before that of its first, which it spends of.
    pub(super) async fn open_channels(&self, display: &Display) -> Result<(), MoneyError> {
        let began = Instant::now();
        for (hub, holder) in self.holders.iter().enumerate().take(HUBS) {
            let openers = self.holders.iter().skip(hub + 1);
            let opening = openers.map(|opener| open(opener, holder.participant.clone(), began));
            for opened in join_all(opening).await {
                opened?;
            }
            self.until_usable(hub, began, display).await?;
        }
        Ok(())
    }

    /// Whether nodes have opened channels by their own policy, as many as it lets them have at most.
    pub(super) async fn channels_of_policy(&self) -> InvariantRow {
        let most = Limits::default().channels_max;
        let ask = |holder: &Holder| usable(holder.client.clone());
        let usable = join_all(self.holders.iter().map(ask)).await;
        let mut tally = Tally::default();
        tally.check(usable.iter().any(|count| *count > 0), || "nobody has a channel".to_owned());
        for (holder, count) in self.holders.iter().zip(usable) {
            tally.check(count <= most, || format!("{} has {count} channels", holder.name));
        }
        tally.row("nodes_open_channels_by_their_policy")
    }

    /// Waits until all channels with this hub and those before can be used.
    async fn until_usable(
        &self,
        hub: usize,
        began: Instant,
        display: &Display,
    ) -> Result<(), MoneyError> {
        let all = self.holders.len();
        loop {
            let ask = |holder: &Holder| usable(holder.client.clone());
            let usable = join_all(self.holders.iter().map(ask)).await;
            let wanted = |number: usize| {
                let accepted = if number <= hub { all - 1 - number } else { 0 };
                accepted + number.min(hub + 1)
            };
            let short = usable.iter().enumerate().filter(|(number, has)| **has < wanted(*number));
            let short: Vec<usize> = short.map(|(number, _)| number).collect();
            if short.is_empty() {
                return Ok(());
            }
            let done = all - short.len();
            display.now(format!("{done} of {all} nodes can use their {}. channel", hub + 1));
            if began.elapsed() > PATIENCE {
                let names = short.into_iter().filter_map(|number| self.holders.get(number));
                let names = names.map(|holder| holder.name.clone()).collect();
                let seconds = began.elapsed().as_secs();
                return Err(MoneyError::NotReady { names, what: "usable channels", seconds });
            }
            self.confirm().await?;
            sleep(LOOK_EVERY).await;
        }
    }

    /// Mines what waits deep enough.
    async fn confirm(&self) -> Result<(), MoneyError> {
        let waiting = self.faucet.client().call("getmempoolinfo", serde_json::json!([])).await?;
        if waiting["size"].as_u64().unwrap_or(0) > 0 {
            self.faucet.mine(CONFIRMATIONS).await?;
        }
        Ok(())
    }
}

/// Opens one channel; tries again while the other side is not known yet.
async fn open(holder: &Holder, counterparty: String, began: Instant) -> Result<(), MoneyError> {
    let terms =
        OpenTerms { counterparty, address: None, size_sat: SIZE_SAT, push_msat: Some(PUSH_MSAT) };
    loop {
        let opened = holder.client.open(terms.clone()).await;
        match opened {
            Ok(_) => return Ok(()),
            Err(source) if began.elapsed() > PATIENCE => {
                let (name, what) = (holder.name.clone(), "open a channel");
                return Err(MoneyError::Node { name, what, source: Box::new(source) });
            }
            Err(error) => {
                tracing::debug!(%error, node = holder.name, "a channel is not opened yet");
                sleep(LOOK_EVERY).await;
            }
        }
    }
}

/// How many channels a node can use.
async fn usable(client: HttpClient) -> usize {
    let channels: Vec<ChannelReport> = client.channels().await.unwrap_or_default();
    channels.iter().filter(|channel| channel.state == ChannelStage::Usable).count()
}
