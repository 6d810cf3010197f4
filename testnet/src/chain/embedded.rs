//! A chain of our own: in memory or in a folder, asked over HTTP.
//! Not for: mining by itself; see [`super::Mining`].

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::access::Access;
use super::kept::Kept;
use super::log::LogError;
use super::rpc::{Server, ServerError};

/// How a chain is kept and asked.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The folder that it is kept in; none, and it is gone when it ends.
    pub folder: Option<PathBuf>,
    /// Where it is asked: an address of this machine; port 0 for any.
    pub address: SocketAddr,
    /// Who asks.
    pub user: String,
    /// The secret.
    pub password: String,
}

impl Default for EmbeddedOptions {
    /// In memory, on any port, for `boltgrid` with the password `regtest`: the coins are worthless.
    fn default() -> Self {
        Self {
            folder: None,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            user: "boltgrid".to_owned(),
            password: "regtest".to_owned(),
        }
    }
}

/// Why there is no chain.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Its folder.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its address.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// A chain that is asked over HTTP; ends when it is dropped.
#[derive(Debug)]
pub struct Embedded {
    server: Server,
}

impl Embedded {
    /// Opens the chain and listens.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError`], saying what to change.
    pub async fn start(options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let EmbeddedOptions { folder, address, user, password } = options;
        let kept = Arc::new(Kept::open(folder.as_deref())?);
        let server = Server::start(kept, address, &user, &password).await?;
        Ok(Self { server })
    }

    /// How to ask it.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.server.access
    }

    /// Answers what was asked, and ends. Its folder is free then.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
