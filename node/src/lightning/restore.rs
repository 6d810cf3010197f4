//! A wallet from its words, on a machine that has nothing of it.
//!
//! The wallet starts at the first block, so that it finds all that was ever paid to it. Of channels
//! there is nothing: their state was on the lost machine only, and no copy of it is ever used.
//! Not for: running the wallet, which the next start of the node does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boltgrid_protocol::lightning::LightningId;

use super::guard::{Guard, GuardError};
use super::ldk::{self, Parts};
use super::logs::Logs;
use super::seed::{Seed, SeedError};
use super::task::{LIGHTNING_DIR, Threads, open_store};
use super::{LightningStartError, convert};
use crate::config::LightningConfig;
use crate::config::lightning::ChainSource;
use crate::store::{Store as DataFolder, StoreError};

/// A chain source that is never asked: the library sets a new wallet to the newest block where it can
/// ask for it, and to the first one where it cannot.
const NOWHERE: &str = "http://127.0.0.1:1";

/// Why a wallet was not brought back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is one.
    #[error(
        "{path} holds a wallet with its channels, and it is not overwritten; if it is an old copy, or \
         damaged, move it away first"
    )]
    Exists {
        /// Lightning's folder.
        path: PathBuf,
    },
    /// The seed file.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The data folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The marks against rolled-back state.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The wallet itself.
    #[error(transparent)]
    Start(#[from] LightningStartError),
}

/// Sets up a wallet from its words in the node's folders, for the next start of the node to find what
/// is on-chain. Returns the Lightning node's id.
///
/// # Errors
///
/// [`RestoreError`]; where there is a wallet already, it stays as it is.
pub async fn restore(
    config: LightningConfig,
    data_dir: &Path,
    seed: &Seed,
) -> Result<LightningId, RestoreError> {
    let folder = DataFolder::open(data_dir)?;
    let dir = data_dir.join(LIGHTNING_DIR);
    if dir.exists() {
        return Err(RestoreError::Exists { path: dir });
    }
    seed.write(&config.seed_file)?;
    let threads = Threads::start()?;
    let store = open_store(&threads, &dir).await?;
    Guard::begin_anew(Arc::clone(&store), folder.journal()).await?;
    let config = LightningConfig {
        chain: ChainSource::Esplora(NOWHERE.to_owned()),
        listen: Vec::new(),
        forward: false,
        ..config
    };
    let parts = Parts { config, dir, seed: seed.clone(), store, logs: Arc::new(Logs::default()) };
    let handle = threads.handle();
    let building = threads.run(move || {
        let node = ldk::build(&parts, &handle)?;
        Ok::<_, LightningStartError>(convert::id(&node.node_id()))
    });
    let built = building.await.map_err(|it| LightningStartError::Panicked(it.to_string()))?;
    Ok(built?)
}
