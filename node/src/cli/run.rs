//! `boltgrid run`: the node itself, until a signal or a failure ends it.

use std::io::Write;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;

use clap::Args;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::error::CliError;
use crate::clock::Offset;
use crate::config::{Config, LogFormat, RawConfig, RawLog, RawNetwork, RawRpc};
use crate::dashboard::setup::{self, Outcome};
use crate::{logging, node};

/// The config file where none is named.
const CONFIG: &str = "boltgrid/config.toml";

/// Arguments of `run`: they win over the config file.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The config file; boltgrid/config.toml where nothing is said. Where there is none either, a set-up
    /// in the browser makes one
    #[arg(long, value_name = "FILE", env = "BOLTGRID_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of journal and archive, instead of the file's `data_dir`
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Multiaddress to listen at, instead of the file's `network.listen`; may be given several
    /// times
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Multiaddress of a node to call first, instead of the file's `network.bootstrap`; may be
    /// given several times
    #[arg(long, value_name = "ADDR")]
    bootstrap: Vec<String>,
    /// IP address and port of JSON-RPC, instead of the file's `rpc.listen`
    #[arg(long, value_name = "ADDR")]
    rpc: Option<String>,
    /// What is logged, such as "info,boltgrid=debug", instead of the file's `log.filter`
    #[arg(long, value_name = "FILTER", env = "BOLTGRID_LOG")]
    log: Option<String>,
    /// The form of logs, instead of the file's `log.format`
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// For tests: a file with milliseconds to add to the clock, read again every 100 ms
    #[arg(long, value_name = "FILE", hide = true)]
    clock_offset_file: Option<PathBuf>,
}

impl Run {
    pub(super) fn run(mut self, out: &mut impl Write) -> Result<(), CliError> {
        let named = self.config.take();
        // Whoever names a file means that one, and is told where it is missing.
        let is_first = named.is_none() && !Path::new(CONFIG).exists();
        let file = named.unwrap_or_else(|| PathBuf::from(CONFIG));
        let offset_file = self.clock_offset_file.take();
        let overrides = self.overrides();
        let runtime = runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(CliError::Runtime)?;
        if is_first {
            match runtime.block_on(setup::guide(&file, overrides.clone(), out))? {
                Outcome::Node => {}
                Outcome::Testnet(program, page) => {
                    let mut testnet = Command::new(program);
                    // Only a failure comes back.
                    let error = testnet.args(["run", "--page", &page.to_string()]).exec();
                    return Err(CliError::Runtime(error));
                }
            }
        }
        let config = Config::load(&file, overrides)?;
        logging::start(&config.log)?;
        let offset = offset_file.map(Offset::start);
        runtime.block_on(run_until_stopped(config, offset))
    }

    fn overrides(self) -> RawConfig {
        let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
        RawConfig {
            data_dir: self.data_dir,
            network: RawNetwork {
                listen: some(self.listen),
                bootstrap: some(self.bootstrap),
                ..RawNetwork::default()
            },
            rpc: RawRpc { listen: self.rpc, ..RawRpc::default() },
            log: RawLog { filter: self.log, format: self.log_format },
            ..RawConfig::default()
        }
    }
}

/// The first signal asks the node to put everything away, the second does not wait for it.
async fn run_until_stopped(config: Config, offset: Option<Offset>) -> Result<(), CliError> {
    let mut signals = Signals::new()?;
    let shutdown = CancellationToken::new();
    let mut node = pin!(node::run(config, shutdown.clone()));
    tokio::select! {
        ended = &mut node => return Ok(ended?),
        Some(()) = follow(offset) => {}
        name = signals.next() => tracing::info!(signal = name, "stopping"),
    }
    shutdown.cancel();
    tokio::select! {
        ended = node => Ok(ended?),
        _ = signals.next() => Err(CliError::StoppedAtOnce),
    }
}

/// Keeps the clock offset of tests up to date, where there is one.
async fn follow(offset: Option<Offset>) -> Option<()> {
    offset?.follow().await;
    Some(())
}

/// The signals that end a node.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, CliError> {
        let listen = |kind| signal(kind).map_err(CliError::Runtime);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// The name of the next signal.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
