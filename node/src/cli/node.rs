//! Which node a command is about: its config file, where it answers, and how its answer is printed.
//! Not for: speaking with it ([`super::rpc`]).

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use jsonrpsee::core::client::Error;
use jsonrpsee::http_client::HttpClient;

use super::error::CliError;
use super::rpc;

/// The config file of a node, running or not.
#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// The node's config file
    #[arg(
        long,
        value_name = "FILE",
        env = "BOLTGRID_CONFIG",
        default_value = "boltgrid/config.toml"
    )]
    pub(super) config: PathBuf,
}

/// Where a running node answers.
#[derive(Debug, Args)]
pub(super) struct Running {
    /// Where the node's JSON-RPC listens, instead of what the config file says
    #[arg(long, value_name = "ADDR")]
    rpc: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
}

/// Which node to ask, and how to print its answer.
#[derive(Debug, Args)]
pub(super) struct Node {
    #[command(flatten)]
    running: Running,
    /// Print the node's answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Running {
    /// Its address; that on the command line wins over the file's.
    pub(super) fn address(&self) -> Result<SocketAddr, CliError> {
        rpc::address(self.rpc.clone(), &self.file.config)
    }
}

impl Node {
    /// Its address.
    pub(super) fn address(&self) -> Result<SocketAddr, CliError> {
        self.running.address()
    }

    /// Asks the node and waits for its answer.
    pub(super) fn ask<T, F>(&self, question: impl FnOnce(HttpClient) -> F) -> Result<T, CliError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        rpc::ask(self.address()?, question)
    }
}
