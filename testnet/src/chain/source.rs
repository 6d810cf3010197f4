//! Which chain a testnet is on: an embedded one, a bitcoind of its own, or one that runs already.
//! Not for: what is asked of it.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::access::{Access, BadUrl};
use super::bitcoind::{Bitcoind, BitcoindError};
use super::client::Client;
use super::embedded::{Embedded, EmbeddedError, EmbeddedOptions};
use crate::run::ports;

/// The password of a bitcoind of our own: its coins are worthless.
const PASSWORD: &str = "regtest";

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// One of our own, in memory.
    #[default]
    Embedded,
    /// A bitcoind to be started.
    Program(PathBuf),
    /// A bitcoind that runs already.
    Running(Access),
}

impl FromStr for Choice {
    type Err = BadUrl;

    /// A URL where it begins like one, otherwise a path.
    fn from_str(text: &str) -> Result<Self, BadUrl> {
        if text.contains("://") {
            return Access::of_url(text).map(Self::Running);
        }
        Ok(Self::Program(PathBuf::from(text)))
    }
}

/// Why there is no chain.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Our own.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// A bitcoind.
    #[error(transparent)]
    Bitcoind(#[from] BitcoindError),
    /// A port for it.
    #[error("there is no free port on 127.0.0.1 for bitcoind: {0}")]
    Port(#[source] io::Error),
}

/// A chain.
#[derive(Debug)]
pub enum Source {
    /// Our own.
    Embedded(Embedded),
    /// A child process.
    Child(Bitcoind),
    /// Somebody else's.
    Running(Access),
}

impl Source {
    /// Starts what was chosen; a bitcoind in `folder`.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    pub async fn start(choice: &Choice, folder: &Path) -> Result<Self, SourceError> {
        match choice {
            Choice::Embedded => {
                Ok(Self::Embedded(Embedded::start(EmbeddedOptions::default()).await?))
            }
            Choice::Program(program) => {
                let mut held = ports::hold(1).map_err(SourceError::Port)?;
                let port = held.pop().ok_or_else(|| io::ErrorKind::AddrInUse.into());
                let number = port.map_err(SourceError::Port)?.number();
                Ok(Self::Child(Bitcoind::start(program, folder, number, PASSWORD).await?))
            }
            Choice::Running(access) => Ok(Self::Running(access.clone())),
        }
    }

    /// How to ask it.
    #[must_use]
    pub const fn access(&self) -> &Access {
        match self {
            Self::Embedded(embedded) => embedded.access(),
            Self::Child(bitcoind) => bitcoind.access(),
            Self::Running(access) => access,
        }
    }

    /// Somebody to ask it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.access().clone())
    }

    /// Ends it, unless it is somebody else's.
    ///
    /// # Errors
    ///
    /// [`SourceError::Bitcoind`].
    pub async fn stop(self) -> Result<(), SourceError> {
        match self {
            Self::Embedded(embedded) => embedded.stop().await,
            Self::Child(bitcoind) => bitcoind.stop().await?,
            Self::Running(_) => {}
        }
        Ok(())
    }
}
