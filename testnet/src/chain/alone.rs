//! The embedded chain as a command of its own, for nodes that somebody starts by hand.
//! Not for: a testnet's.

use std::io::{self, Write};
use std::str::FromStr;
use std::time::Duration;

use bitcoin::{Address, Amount, Network};

use super::client::Client;
use super::embedded::{Embedded, EmbeddedError, EmbeddedOptions};
use super::faucet::{Faucet, FaucetError};
use super::mining::Mining;
use crate::signals::Stop;

/// What the faucet's key follows from.
const SEED: u64 = 1;
/// What a chain begins with at least, so that the first coins are mature.
const BLOCKS_MIN: u32 = 101;

/// How the chain is run.
#[derive(Clone, Debug)]
pub struct AloneOptions {
    /// The chain.
    pub chain: EmbeddedOptions,
    /// How often a block is mined; none, and only when somebody asks for one.
    pub block_every: Option<Duration>,
    /// Who is paid at the start.
    pub pay: Vec<Payee>,
}

/// Somebody to be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payee {
    address: Address,
    amount: Amount,
}

/// Why a text names nobody to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no address of regtest and amount in satoshi, such as bcrt1q…=100000")]
pub struct BadPayee;

impl FromStr for Payee {
    type Err = BadPayee;

    fn from_str(text: &str) -> Result<Self, BadPayee> {
        let (address, sat) = text.split_once('=').ok_or(BadPayee)?;
        let address: Address<_> = address.parse().map_err(|_| BadPayee)?;
        let address = address.require_network(Network::Regtest).map_err(|_| BadPayee)?;
        let amount = Amount::from_sat(sat.parse().map_err(|_| BadPayee)?);
        if amount > Amount::MAX_MONEY { Err(BadPayee) } else { Ok(Self { address, amount }) }
    }
}

/// Why the chain does not run.
#[derive(Debug, thiserror::Error)]
pub enum AloneError {
    /// It does not start.
    #[error(transparent)]
    Start(#[from] EmbeddedError),
    /// Its faucet.
    #[error(transparent)]
    Faucet(#[from] FaucetError),
    /// No threads to run on.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// Signals cannot be waited for.
    #[error("signals cannot be waited for: {0}")]
    Signals(#[source] io::Error),
}

/// Runs a chain until a signal ends it, and says on standard output how to ask it.
///
/// # Errors
///
/// [`AloneError`].
pub async fn run(options: AloneOptions) -> Result<(), AloneError> {
    let AloneOptions { chain, block_every, pay } = options;
    let mut stop = Stop::new().map_err(AloneError::Signals)?;
    let embedded = Embedded::start(chain).await?;
    let client = Client::new(embedded.access().clone());
    let mut faucet = Faucet::new(client.clone(), SEED);
    let height = client.height().await.map_err(FaucetError::from)?;
    if height < BLOCKS_MIN {
        faucet.mine(BLOCKS_MIN - height).await?;
    }
    if !pay.is_empty() {
        let payees: Vec<_> = pay.into_iter().map(|payee| (payee.address, payee.amount)).collect();
        faucet.fill(payees.iter().map(|(_, amount)| *amount).sum()).await?;
        faucet.pay(&payees).await?;
    }
    let access = embedded.access();
    let height = client.height().await.map_err(FaucetError::from)?;
    let told = writeln!(
        io::stdout(),
        "regtest chain of {height} blocks\nurl       http://{}:{}\nuser      {}\npassword  {}",
        access.host,
        access.port,
        access.user,
        access.password
    );
    // Whoever closed the output knows how to ask.
    drop(told);
    let mining = block_every.map(|every| Mining::start(client, faucet.address(), every));
    stop.asked().await;
    drop(mining);
    embedded.stop().await;
    Ok(())
}
