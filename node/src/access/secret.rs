//! A secret that a caller shows, and the hash by which a node knows it again.
//!
//! Secrets are 32 random bytes, so a plain SHA-256 is enough: there is nothing to guess.
//! Not for: passwords that people choose, or keys that sign.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Random bytes of a secret.
const SECRET_LEN: usize = 32;
/// Most characters of a secret that is looked at.
pub const SECRET_TEXT_MAX: usize = 128;
/// What a token begins with, so that a leaked one is found by a search.
const PREFIX: &str = "boltgrid_";

/// What a caller shows. Never printed by `Debug`.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// The SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(#[serde(with = "hex")] [u8; 32]);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; SECRET_LEN]);
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self(Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice())))))
    }

    /// What somebody shows; `None` for what is too long to be one.
    #[must_use]
    pub fn shown(text: &str) -> Option<Self> {
        let is_one = !text.is_empty() && text.len() <= SECRET_TEXT_MAX;
        is_one.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself, to be shown to whoever it is for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The hash by which it is known again.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl Hash {
    /// Whether both are the same. How long it takes tells nothing of the secret: whoever doesn't know
    /// a secret can't choose its hash.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self == other
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({})", hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_secrets_differ_and_neither_is_printed() {
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert!(!one.hash().is(&other.hash()));
        assert!(one.reveal().starts_with(PREFIX));
        assert_eq!(format!("{one:?}"), "Secret(..)");
    }

    #[test]
    fn what_is_too_long_to_be_a_secret_is_not_hashed() {
        assert!(Secret::shown(&"x".repeat(SECRET_TEXT_MAX)).is_some());
        assert!(Secret::shown(&"x".repeat(SECRET_TEXT_MAX + 1)).is_none());
        assert!(Secret::shown("").is_none());
    }
}
