//! Building and starting the library's node from the owner's configuration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ldk_node::config::Config as LdkConfig;
use ldk_node::liquidity::LSPS2ServiceConfig;
use ldk_node::{Builder, Node};
use tokio::runtime::Handle;

use super::convert;
use super::logs::Logs;
use super::seed::Seed;
use super::store::Store;
use super::{LightningStartError, StartStep};
use crate::config::lightning::{ChainSource, LightningConfig, Login};

/// More than a password or cookie file ever has.
const SECRET_MAX: usize = 1024;

/// What logs in to a bitcoind.
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Credentials {
    /// Reads them from the owner's files.
    pub(crate) fn read(login: &Login) -> Result<Self, LightningStartError> {
        match login {
            Login::CookieFile(path) => {
                let cookie = secret(path)?;
                let parts = cookie.split_once(':');
                let (user, password) = parts.ok_or_else(|| LightningStartError::Secret {
                    path: path.clone(),
                    source: io::Error::other("it is no cookie of bitcoind, user:password"),
                })?;
                Ok(Self { user: user.to_owned(), password: password.to_owned() })
            }
            Login::Password { user, password_file } => {
                Ok(Self { user: user.clone(), password: secret(password_file)? })
            }
        }
    }
}

fn secret(path: &PathBuf) -> Result<String, LightningStartError> {
    let failed = |source| LightningStartError::Secret { path: path.clone(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    let first = text.lines().next().unwrap_or_default().trim();
    if first.is_empty() || first.len() > SECRET_MAX {
        return Err(failed(io::Error::other("it holds no password in its first line")));
    }
    Ok(first.to_owned())
}

/// What the library's node is built from.
pub(super) struct Parts {
    pub(super) config: LightningConfig,
    pub(super) dir: PathBuf,
    pub(super) seed: Seed,
    pub(super) store: Arc<Store>,
    pub(super) logs: Arc<Logs>,
}

/// Builds the node, which does nothing yet. Blocks.
pub(super) fn build(parts: &Parts, threads: &Handle) -> Result<Node, LightningStartError> {
    let Parts { config, dir, seed, store, logs } = parts;
    let mut builder = Builder::from_config(ldk_config(config, dir)?);
    builder.set_runtime(threads.clone());
    builder.set_custom_logger(Arc::<Logs>::clone(logs));
    builder.set_entropy_bip39_mnemonic(seed.mnemonic(), None);
    match &config.chain {
        ChainSource::Bitcoind { host, port, login } => {
            let Credentials { user, password } = Credentials::read(login)?;
            builder.set_chain_source_bitcoind_rpc(host.clone(), *port, user, password);
        }
        ChainSource::Esplora(url) => {
            builder.set_chain_source_esplora(url.clone(), None);
        }
        ChainSource::Electrum(url) => {
            builder.set_chain_source_electrum(url.clone(), None);
        }
    }
    if config.forward {
        builder.set_liquidity_provider_lsps2(forwarding()?);
    }
    let failed = |error: ldk_node::BuildError| LightningStartError::Library {
        step: StartStep::Build,
        problem: error.to_string(),
        chain: config.chain.to_string(),
        log: logs.last_error().unwrap_or_default(),
    };
    builder.build_with_store(Arc::<Store>::clone(store)).map_err(failed)
}

/// Starts the node: it listens, calls its peers and follows the chain. Blocks.
pub(super) fn start(node: &Node, parts: &Parts) -> Result<(), LightningStartError> {
    node.start().map_err(|error| LightningStartError::Library {
        step: StartStep::Start,
        problem: error.to_string(),
        chain: parts.config.chain.to_string(),
        log: parts.logs.last_error().unwrap_or_default(),
    })
}

fn ldk_config(config: &LightningConfig, dir: &Path) -> Result<LdkConfig, LightningStartError> {
    let address = |text: &String| {
        convert::address(text).map_err(|error| LightningStartError::Address(error.to_string()))
    };
    let key =
        |id| convert::key(id).map_err(|error| LightningStartError::Address(error.to_string()));
    let listen: Vec<_> = config.listen.iter().map(address).collect::<Result<_, _>>()?;
    Ok(LdkConfig {
        storage_dir_path: dir.to_string_lossy().into_owned(),
        network: convert::network(config.network),
        listening_addresses: (!listen.is_empty()).then_some(listen),
        // Without a name for itself, a node announces nothing to anybody: neither itself nor channels.
        announcement_addresses: None,
        node_alias: None,
        trusted_peers_0conf: config.zero_conf_partners.iter().map(key).collect::<Result<_, _>>()?,
        ..LdkConfig::default()
    })
}

/// What lets a node pass payments on through private channels.
///
/// The library does so only for who sells channels (LSPS2). So it is set up as one that sells none:
/// every client must show a token, and this one is made by chance and told to nobody.
fn forwarding() -> Result<LSPS2ServiceConfig, LightningStartError> {
    let mut token = [0; 32];
    getrandom::fill(&mut token).map_err(LightningStartError::Randomness)?;
    Ok(LSPS2ServiceConfig {
        require_token: Some(hex::encode(token)),
        advertise_service: false,
        channel_opening_fee_ppm: 0,
        channel_over_provisioning_ppm: 0,
        min_channel_opening_fee_msat: 0,
        min_channel_lifetime: 1,
        max_client_to_self_delay: 1,
        min_payment_size_msat: 0,
        max_payment_size_msat: 0,
        client_trusts_lsp: true,
    })
}
