//! Which node a command is about: its config file, where it answers, what it is shown, and how its
//! answer is printed.
//! Not for: speaking with it ([`super::rpc`]).

use std::future::Future;
use std::path::{Path, PathBuf};

use clap::Args;
use jsonrpsee::core::client::Error;
use jsonrpsee::http_client::HttpClient;

use super::error::CliError;
use super::rpc::Door;
use crate::config::{Config, RawConfig, RawRpc};

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
    /// A file with a token to show, instead of the cookie in the node's data folder
    #[arg(long, value_name = "FILE", env = "BOLTGRID_TOKEN_FILE")]
    token_file: Option<PathBuf>,
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
    /// Its door; what the command line says of it wins over the file.
    pub(super) fn door(&self) -> Result<Door, CliError> {
        let path = &self.file.config;
        let raw = RawConfig {
            rpc: RawRpc { listen: self.rpc.clone(), ..RawRpc::default() },
            ..RawConfig::default()
        };
        // With an address at hand, or with nothing to go by but defaults, no file is needed.
        let config =
            if path.exists() { Config::load(path, raw)? } else { Config::checked(raw, path)? };
        Door::new(&config, self.rpc.is_some(), self.token_file.as_deref())
    }
}

impl Node {
    /// Its door.
    pub(super) fn door(&self) -> Result<Door, CliError> {
        self.running.door()
    }

    /// Its config file.
    pub(super) fn config_file(&self) -> &Path {
        &self.running.file.config
    }

    /// Asks the node and waits for its answer.
    pub(super) fn ask<T, F>(&self, question: impl FnOnce(HttpClient) -> F) -> Result<T, CliError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.door()?.ask(question)
    }
}
