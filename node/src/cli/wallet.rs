//! `boltgrid wallet`: the on-chain wallet of the running node, and bringing a wallet back from its words.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use tokio::runtime;

use super::error::CliError;
use super::node::Node;
use super::{past, show};
use crate::config::{Config, RawConfig};
use crate::lightning::{self, Seed};
use crate::rpc::WalletRpcClient;
use crate::rpc::wallet::BalancesReport;

/// More than 24 words take, and few enough to read whatever standard input is.
const WORDS_MAX: u64 = 4096;

/// The node's bitcoin wallet.
#[derive(Debug, Subcommand)]
pub(super) enum Wallet {
    /// Show a new address to send bitcoin to
    Address(Node),
    /// Show where the node's money is
    Balances(Node),
    /// Show where the money was at the end of each interval
    History(Since),
    /// Show the transactions of the on-chain wallet
    Transactions(Node),
    /// Send bitcoin on-chain
    Send(Send),
    /// Bring a wallet back from its 24 words, read from standard input
    ///
    /// For a lost or broken machine. What is on-chain comes back. What was in channels does not come by
    /// this: no words hold a channel's state, and an old copy of it would lose the money. Once a partner
    /// has closed its channel by force, what that pays is at keys of the old channel, which only
    /// specialised tools find by these words. The node must not be running.
    Restore(Restore),
}

/// Arguments of `wallet history` and `channel history`.
#[derive(Debug, Args)]
pub(super) struct Since {
    /// The first interval, by its number; all that are kept by default
    #[arg(long, value_name = "INTERVAL", default_value_t = 0)]
    pub(super) from: u64,
    #[command(flatten)]
    pub(super) node: Node,
}

/// Arguments of `wallet send`.
#[derive(Debug, Args)]
pub(super) struct Send {
    /// To which address
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// How much, in satoshi
    #[arg(long, value_name = "SAT", required_unless_present = "all", conflicts_with = "all",
          value_parser = clap::value_parser!(u64).range(1..))]
    amount_sat: Option<u64>,
    /// Everything but the reserve that open channels need
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    node: Node,
}

/// Arguments of `wallet restore`.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The node's config file, with its `[lightning]`
    #[arg(
        long,
        value_name = "FILE",
        env = "BOLTGRID_CONFIG",
        default_value = "boltgrid/config.toml"
    )]
    config: PathBuf,
}

impl Wallet {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::Address(it) => address(it, out),
            Self::Balances(it) => balances(it, out),
            Self::History(since) => past::balances(since.node, since.from, out),
            Self::Transactions(it) => past::transactions(it, out),
            Self::Send(it) => it.run(out),
            Self::Restore(it) => it.run(out),
        }
    }
}

fn address(node: Node, out: &mut impl Write) -> Result<(), CliError> {
    let address = node.ask(|node| async move { WalletRpcClient::address(&node).await })?;
    if node.json {
        return show::json(out, &address);
    }
    writeln!(out, "{}", address.address)?;
    Ok(())
}

fn balances(node: Node, out: &mut impl Write) -> Result<(), CliError> {
    let balances = node.ask(|node| async move { node.balances().await })?;
    if node.json {
        return show::json(out, &balances);
    }
    let BalancesReport { onchain_sat, spendable_sat, reserve_sat, channels_sat, closing_sat } =
        balances;
    let rows = [
        ("on-chain", format!("{onchain_sat} sat")),
        ("  to spend", format!("{spendable_sat} sat")),
        ("  reserve", format!("{reserve_sat} sat, to close channels by force at any fee")),
        ("channels", format!("{channels_sat} sat")),
        ("closing", format!("{closing_sat} sat, on the way to on-chain")),
    ];
    Ok(show::rows(out, &rows)?)
}

impl Send {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let (to, amount) = (self.to, self.amount_sat.map(|amount| amount.to_string()));
        let sent =
            self.node.ask(|node| async move { WalletRpcClient::send(&node, to, amount).await })?;
        if self.node.json {
            return show::json(out, &sent);
        }
        writeln!(out, "sent by transaction {}", sent.txid)?;
        Ok(())
    }
}

impl Restore {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let config = Config::load(&self.config, RawConfig::default())?;
        let Some(lightning) = config.lightning else {
            return Err(CliError::NoLightning { path: self.config });
        };
        let mut words = zeroize::Zeroizing::new(String::new());
        io::stdin().lock().take(WORDS_MAX).read_to_string(&mut words)?;
        let seed = Seed::from_words(&words)?;
        let chain = lightning.chain.to_string();
        let node_id = runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(CliError::Runtime)?
            .block_on(lightning::restore(lightning, &config.data_dir, &seed))?;
        writeln!(
            out,
            "The wallet of Lightning node {node_id} is set up from its words.\n\n\
             At the next `boltgrid run` it looks through {chain} for what is on-chain; with a \
             bitcoind that takes hours where the chain is long, with Esplora or Electrum minutes.\n\
             What was in channels is not in it and does not come back by this program: once a \
             partner has closed its channel by force (`boltgrid channel close --force`), it is at \
             keys of that channel, which specialised tools find by these words; what was under way \
             in payments is lost."
        )?;
        Ok(())
    }
}
