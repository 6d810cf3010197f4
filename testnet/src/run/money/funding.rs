//! Coins for every node: one transaction of the faucet pays all of them.
//! Not for: channels.

use bitcoin::{Address, Amount, Network};
use boltgrid::rpc::WalletRpcClient;
use boltgrid::rpc::wallet::BalancesReport;
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use super::{Holder, LOOK_EVERY, Money, MoneyError, PATIENCE};
use crate::run::display::Display;

/// What every node is given.
const GIVEN: Amount = Amount::from_sat(4_000_000);
/// What a node is given on top for every other node, as it may keep a channel's reserve for each.
const GIVEN_PER_NODE: Amount = Amount::from_sat(50_000);

/// What each of so many nodes is given.
pub(crate) fn given(nodes: usize) -> Amount {
    GIVEN + GIVEN_PER_NODE * u64::try_from(nodes).unwrap_or(u64::MAX)
}

impl Money {
    /// Gives every node coins, and waits until it sees them.
    pub(super) async fn fund(&mut self, display: &Display) -> Result<(), MoneyError> {
        let others = u64::try_from(self.holders.len()).unwrap_or(u64::MAX);
        let given = given(self.holders.len());
        let ask = |holder: &Holder| address(holder.name.clone(), holder.client.clone());
        let asked = join_all(self.holders.iter().map(ask)).await;
        let addresses: Vec<Address> = asked.into_iter().collect::<Result<_, _>>()?;
        // Twice as much, for the fees and for whoever wants more later.
        self.faucet.fill(given * others * 2).await?;
        let payees: Vec<_> = addresses.into_iter().map(|address| (address, given)).collect();
        self.faucet.pay(&payees).await?;
        self.truth.begin().await?;
        for holder in &mut self.holders {
            holder.given = given;
        }
        self.until("coins", display, |balances| balances >= given).await
    }

    /// Waits until what is in every wallet is enough.
    async fn until(
        &self,
        what: &'static str,
        display: &Display,
        enough: impl Fn(Amount) -> bool,
    ) -> Result<(), MoneyError> {
        let began = Instant::now();
        loop {
            let ask = |holder: &Holder| {
                let client = holder.client.clone();
                async move { client.balances().await.ok() }
            };
            let balances = join_all(self.holders.iter().map(ask)).await;
            let has = |balances: &Option<BalancesReport>| {
                balances.as_ref().is_some_and(|it| enough(Amount::from_sat(it.onchain_sat)))
            };
            let without = self.holders.iter().zip(&balances).filter(|(_, it)| !has(it));
            let names: Vec<String> = without.map(|(holder, _)| holder.name.clone()).collect();
            if names.is_empty() {
                return Ok(());
            }
            let (done, all) = (self.holders.len() - names.len(), self.holders.len());
            display.now(format!("{done} of {all} nodes have {what}"));
            if began.elapsed() > PATIENCE {
                let seconds = began.elapsed().as_secs();
                return Err(MoneyError::NotReady { names, what, seconds });
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

async fn address(
    name: String,
    client: jsonrpsee::http_client::HttpClient,
) -> Result<Address, MoneyError> {
    let told = client.address().await.map_err(|source| MoneyError::Node {
        name: name.clone(),
        what: "name an address",
        source: Box::new(source),
    })?;
    let address = told.address.parse::<Address<_>>().ok();
    let address = address.and_then(|address| address.require_network(Network::Regtest).ok());
    address.ok_or(MoneyError::Address { name, address: told.address })
}
