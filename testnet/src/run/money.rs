//! The money of a run: coins for every node, channels between them, blocks, and whether all of it is
//! still there at the end.
//!
//! Nodes open channels by their own policy as they see fit; unless that is what a run is to show, it
//! begins with the same few for all, so that the first interval can be paid. Not for: paying, which the
//! nodes do.

mod channels;
mod error;
mod funding;
mod truth;

use std::time::Duration;

use bitcoin::script::Builder;
use bitcoin::{Address, Amount, Network};
use boltgrid::rpc::client::client;
use boltgrid::rpc::{ChannelRpcClient, WalletRpcClient};
use futures::future::join_all;
use jsonrpsee::http_client::HttpClient;
use tokio::time::{Instant, sleep};

use super::display::Display;
use super::founding::Place;
use super::invariants::Tally;
use super::report::InvariantRow;
use crate::chain::{Client, Faucet, Mining};
pub use channels::Opened;
pub(crate) use channels::{HUBS, PUSH_MSAT, SIZE_SAT};
pub use error::MoneyError;
pub(crate) use funding::given;
use truth::Truth;

/// How long anything may take that nodes do with the chain: they look every two seconds, and a slow
/// machine has many of them.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a node may take to answer: opening a channel has to reach the other side first.
const ANSWER_TIME: Duration = Duration::from_secs(70);
/// How often a block is mined while the run goes on.
pub(crate) const BLOCK_EVERY: Duration = Duration::from_secs(5);
/// Blocks that make a channel usable.
pub(crate) const CONFIRMATIONS: u32 = 6;

/// A node that has a wallet.
#[derive(Debug)]
struct Holder {
    name: String,
    participant: String,
    client: HttpClient,
    given: Amount,
}

/// The money of a run.
#[derive(Debug)]
pub struct Money {
    faucet: Faucet,
    holders: Vec<Holder>,
    truth: Truth,
    mining: Option<Mining>,
    /// How often blocks were undone.
    reorganised: u32,
    /// Who opens the first channels.
    opened: Opened,
}

impl Money {
    /// The money of the nodes at these places.
    ///
    /// # Errors
    ///
    /// [`MoneyError::Client`].
    pub fn new<'a>(
        chain: Client,
        seed: u64,
        opened: Opened,
        places: impl Iterator<Item = &'a Place>,
    ) -> Result<Self, MoneyError> {
        let holder = |place: &Place| {
            let failed =
                |source| MoneyError::Client { name: place.name.clone(), source: Box::new(source) };
            let client = client(place.rpc, Some(&place.token), ANSWER_TIME).map_err(failed)?;
            let (name, participant) = (place.name.clone(), place.participant.to_string());
            Ok(Holder { name, participant, client, given: Amount::ZERO })
        };
        let holders = places.map(holder).collect::<Result<_, MoneyError>>()?;
        let truth = Truth::new(chain.clone());
        let faucet = Faucet::new(chain, seed);
        Ok(Self { faucet, holders, truth, mining: None, reorganised: 0, opened })
    }

    /// Gives every node coins and the channels that a run begins with, and mines from then on.
    ///
    /// # Errors
    ///
    /// [`MoneyError`], naming who did not get there.
    pub async fn begin(&mut self, display: &Display) -> Result<(), MoneyError> {
        let began = Instant::now();
        display.now("mining coins".to_owned());
        self.fund(display).await?;
        if self.opened == Opened::Hubs {
            self.open_channels(display).await?;
        }
        let client = self.faucet.client().clone();
        self.mining = Some(Mining::start(client, self.faucet.address(), BLOCK_EVERY));
        let (nodes, seconds) = (self.holders.len(), began.elapsed().as_secs());
        let have = match self.opened {
            Opened::Hubs => "coins and channels",
            Opened::Policy => "coins",
        };
        display.row(&format!("{nodes} nodes have {have} after {seconds} s"));
        Ok(())
    }

    /// Undoes the last blocks and makes others in their place, one more. Returns how high the chain is
    /// then.
    ///
    /// # Errors
    ///
    /// [`MoneyError::Chain`].
    pub async fn reorganise(&mut self, depth: u32) -> Result<u32, MoneyError> {
        self.reorganised = self.reorganised.saturating_add(1);
        let payee = elsewhere(self.reorganised);
        Ok(self.faucet.client().reorganise(depth, &payee).await?)
    }

    /// Whether coins and channels of all nodes and what the miner got are what they were given, and,
    /// where nodes open the first channels, whether they did.
    ///
    /// Nothing is said of coins where a node does not answer any more, or closed a channel: then part of the
    /// money is on its way.
    ///
    /// # Errors
    ///
    /// [`MoneyError::Chain`].
    pub async fn verdict(&mut self) -> Result<Vec<InvariantRow>, MoneyError> {
        let mut rows = Vec::new();
        if self.opened == Opened::Policy {
            rows.push(self.channels_of_policy().await);
        }
        rows.extend(self.conserved().await?);
        Ok(rows)
    }

    async fn conserved(&mut self) -> Result<Option<InvariantRow>, MoneyError> {
        self.mining = None;
        self.faucet.mine(1).await?;
        let mut tally = Tally::default();
        let deadline = Instant::now() + PATIENCE;
        let (has, expected) = loop {
            let given: Amount = self.holders.iter().map(|holder| holder.given).sum();
            let fees = self.truth.fees().await?;
            let expected = given.checked_sub(fees).unwrap_or(Amount::ZERO);
            let Some(has) = self.everything().await else { return Ok(None) };
            if has == expected || Instant::now() >= deadline {
                break (has, expected);
            }
            self.faucet.mine(1).await?;
            sleep(LOOK_EVERY * 2).await;
        };
        tally.check(has == expected, || format!("nodes hold {has}, and should {expected}"));
        Ok(Some(tally.row("coins_and_channels_are_conserved")))
    }

    /// What is in all wallets and open channels; nothing where a node does not say, or is closing
    /// one.
    async fn everything(&self) -> Option<Amount> {
        let ask = |holder: &Holder| {
            let client = holder.client.clone();
            async move {
                let balances = client.balances().await.ok()?;
                let channels = client.channels().await.ok()?;
                let own = channels.iter().filter(|channel| channel.is_outbound);
                let in_channels: u64 = own.map(|channel| channel.size_sat).sum();
                let is_settled = balances.closing_sat == 0;
                is_settled.then_some(Amount::from_sat(balances.onchain_sat + in_channels))
            }
        };
        let all: Option<Vec<Amount>> =
            join_all(self.holders.iter().map(ask)).await.into_iter().collect();
        Some(all?.into_iter().sum())
    }
}

/// An address that no block has paid before: a block that differs in nothing would be the undone one.
fn elsewhere(number: u32) -> Address {
    let script = Builder::new().push_int(number.into()).into_script();
    Address::p2wsh(&script, Network::Regtest)
}
