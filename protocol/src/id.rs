//! Names of things: hashes, participants, meters and places in the roster.
//! Not for: libp2p peer ids, which `node` derives from a [`ParticipantId`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits")]
pub struct NotAnId;

/// A name of 32 bytes, written as 64 hexadecimal digits.
macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name {
            bytes: [u8; 32],
        }

        impl $name {
            /// From its 32 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self { bytes }
            }

            /// Its 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.bytes
            }

            /// The first eight hexadecimal digits, for people.
            #[must_use]
            pub fn short(&self) -> String {
                self.to_string().chars().take(8).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.bytes))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = $crate::id::NotAnId;

            fn from_str(text: &str) -> Result<Self, $crate::id::NotAnId> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| $crate::id::NotAnId)?;
                Ok(Self { bytes })
            }
        }
    };
}
pub(crate) use bytes32;

bytes32! {
    /// A participant: its ed25519 public key, which is also its libp2p identity.
    ParticipantId
}
bytes32! {
    /// The hash of a charter's canonical encoding. Every message carries it (P3).
    GridId
}
bytes32! {
    /// The hash of a roster. Every message of an interval carries it (P3).
    RosterHash
}
bytes32! {
    /// The hash of a signed message without its signature (P6).
    MessageHash
}
bytes32! {
    /// The hash of a book: which order of which participant is in it (P14).
    BookHash
}
bytes32! {
    /// What an item of history is known by (P26).
    ItemId
}
bytes32! {
    /// The hash that stands for a sealed reading (P40).
    SealHash
}
bytes32! {
    /// The digest of a clearing: price, volume and every trade.
    ClearingDigest
}

/// What is hashed with a reading so that its hash shows nothing of it (P40). Its author shows it with
/// the reading; it is never written out.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealSecret {
    bytes: [u8; 32],
}

impl SealSecret {
    /// From its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { bytes }
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for SealSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealSecret(…)")
    }
}

/// A meter's public key, with its kind: secure elements do not all speak ed25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MeterKey {
    /// An ed25519 public key.
    Ed25519([u8; 32]),
}

impl fmt::Display for MeterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519(bytes) => write!(f, "ed25519:{}", hex::encode(bytes)),
        }
    }
}

impl FromStr for MeterKey {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits = text.strip_prefix("ed25519:").ok_or(NotAnId)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotAnId)?;
        Ok(Self::Ed25519(bytes))
    }
}

/// A participant's place in the sorted roster of one epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RosterIndex {
    index: u32,
}

impl RosterIndex {
    /// The place with this number, counted from zero.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self { index }
    }

    /// The number of the place, counted from zero.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.index
    }

    /// The place as an index into a slice.
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.index as usize
    }
}

impl fmt::Display for RosterIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.index.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text_form() {
        let id = ParticipantId::from_bytes([7; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("07".parse::<ParticipantId>(), Err(NotAnId));
        let key = MeterKey::Ed25519([9; 32]);
        assert_eq!(key.to_string().parse(), Ok(key));
    }
}
