//! Who may ask this node, and how much: a cookie for whoever can read the data folder, and named
//! tokens for everybody else, each with a role.
//!
//! Only hashes of tokens are kept, in a file that commands change while the node runs.
//! Not for: how a request carries what it shows (`http::guard`), or which method needs which role
//! (`rpc::roles`).

pub mod cookie;
pub mod secret;
pub mod tokens;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use boltgrid_protocol::units::Timestamp;
use serde::{Deserialize, Serialize};

use cookie::{Cookie, CookieError};
use secret::{Hash, Secret};
use tokens::{Stamp, TokenFile, TokenFileError, Tokens};

/// What a caller may do; each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything, change nothing.
    Read,
    /// Also offer and accept, which binds the site to trades.
    Trade,
    /// Also spend coins, open and close channels, and change how the node behaves.
    Admin,
}

/// A caller who showed something that this node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name, or [`Caller::COOKIE`].
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
}

/// Why a caller is nobody that this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// It showed nothing.
    #[error(
        "show who you are: a token by `Authorization: Bearer …` (`boltgrid token create` makes one), \
         or the cookie in the node's data folder"
    )]
    NothingShown,
    /// What it showed is nobody's, or not any more.
    #[error(
        "this token or cookie is not known here, or was revoked; a cookie changes at every start"
    )]
    NotKnown,
    /// The token was valid once.
    #[error("this token has expired; `boltgrid token create` makes another")]
    Expired,
}

/// Knows who may ask.
#[derive(Clone, Debug)]
pub struct Access {
    cookie: Hash,
    file: Arc<TokenFile>,
    /// The tokens as last read, and what the file looked like then.
    read: Arc<Mutex<(Option<Stamp>, Tokens)>>,
}

/// Why nobody could be let in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The cookie.
    #[error(transparent)]
    Cookie(#[from] CookieError),
    /// The tokens.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
}

impl Access {
    /// Makes this start's cookie in the data folder and reads the tokens there.
    ///
    /// # Errors
    ///
    /// [`AccessError`] when either file cannot be had, or is open to others.
    pub fn open(data_dir: &Path) -> Result<Self, AccessError> {
        let file = TokenFile::in_folder(data_dir);
        let (stamp, tokens) = file.read()?;
        let cookie = Cookie::create(data_dir)?;
        let read = Arc::new(Mutex::new((stamp, tokens)));
        Ok(Self { cookie: cookie.hash(), file: Arc::new(file), read })
    }

    /// Whose this secret is at `now`.
    ///
    /// # Errors
    ///
    /// [`Unknown`].
    pub fn caller(&self, now: Timestamp, shown: Option<&Secret>) -> Result<Caller, Unknown> {
        self.caller_by_hash(now, &shown.ok_or(Unknown::NothingShown)?.hash())
    }

    /// Whose secret hashes to this at `now`.
    ///
    /// # Errors
    ///
    /// [`Unknown`].
    pub fn caller_by_hash(&self, now: Timestamp, hash: &Hash) -> Result<Caller, Unknown> {
        if hash.is(&self.cookie) {
            return Ok(Caller { name: Caller::COOKIE.into(), role: Role::Admin });
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut read);
        let token = read.1.find(hash).ok_or(Unknown::NotKnown)?;
        if token.expires_at_unix_ms.is_some_and(|at| Timestamp::from_unix_ms(at) <= now) {
            return Err(Unknown::Expired);
        }
        Ok(Caller { name: token.name.as_str().into(), role: token.role })
    }

    /// Reads the tokens again where the file is another one than last time. What cannot be read lets
    /// nobody in, so that a token that was revoked stays out.
    fn refresh(&self, read: &mut (Option<Stamp>, Tokens)) {
        if self.file.stamp().is_ok_and(|stamp| stamp == read.0) {
            return;
        }
        *read = self.file.read().unwrap_or_else(|error| {
            tracing::error!(%error, "no token is accepted until this is mended");
            (None, Tokens::default())
        });
    }
}

impl Caller {
    /// The name of whoever shows the cookie.
    pub const COOKIE: &'static str = "cookie";
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Trade, Self::Admin];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Trade => "trade",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Not a role.
#[derive(Debug, thiserror::Error)]
#[error("a role is `read`, `trade` or `admin`")]
pub struct NotARole;

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        Self::ALL.into_iter().find(|role| role.word() == text).ok_or(NotARole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tokens::Wish;

    const NOON: Timestamp = Timestamp::from_unix_ms(1_000_000);

    fn wish(name: &str, role: Role, expires_at: Option<Timestamp>) -> Wish {
        Wish { name: name.to_owned(), role, created_at: Timestamp::from_unix_ms(1), expires_at }
    }

    #[test]
    fn the_cookie_in_the_data_folder_opens_everything_until_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let access = Access::open(dir.path()).unwrap();
        let shown = Cookie::read(dir.path()).unwrap().into_secret();
        assert_eq!(access.caller(NOON, Some(&shown)).unwrap().role, Role::Admin);
        let next = Access::open(dir.path()).unwrap();
        assert_eq!(next.caller(NOON, Some(&shown)), Err(Unknown::NotKnown));
    }

    #[test]
    fn a_token_counts_from_the_moment_that_it_is_made_to_its_revocation() {
        let dir = tempfile::tempdir().unwrap();
        let (access, file) = (Access::open(dir.path()).unwrap(), TokenFile::in_folder(dir.path()));
        let tablet = file.create(wish("tablet", Role::Read, None)).unwrap();
        let script = file.create(wish("script", Role::Trade, None)).unwrap();
        let caller = access.caller(NOON, Some(&tablet)).unwrap();
        assert_eq!((&*caller.name, caller.role), ("tablet", Role::Read));
        file.revoke("tablet").unwrap();
        assert_eq!(access.caller(NOON, Some(&tablet)), Err(Unknown::NotKnown));
        assert_eq!(access.caller(NOON, Some(&script)).unwrap().role, Role::Trade);
    }

    #[test]
    fn a_token_expires_at_its_moment() {
        let dir = tempfile::tempdir().unwrap();
        let (access, file) = (Access::open(dir.path()).unwrap(), TokenFile::in_folder(dir.path()));
        let token = file.create(wish("guest", Role::Read, Some(NOON))).unwrap();
        assert!(access.caller(Timestamp::from_unix_ms(999_999), Some(&token)).is_ok());
        assert_eq!(access.caller(NOON, Some(&token)), Err(Unknown::Expired));
    }

    #[test]
    fn tokens_that_cannot_be_read_let_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let (access, file) = (Access::open(dir.path()).unwrap(), TokenFile::in_folder(dir.path()));
        let token = file.create(wish("script", Role::Admin, None)).unwrap();
        assert!(access.caller(NOON, Some(&token)).is_ok());
        std::fs::write(dir.path().join(tokens::FILE), "{").unwrap();
        assert_eq!(access.caller(NOON, Some(&token)), Err(Unknown::NotKnown));
        assert_eq!(access.caller(NOON, None), Err(Unknown::NothingShown));
    }
}
