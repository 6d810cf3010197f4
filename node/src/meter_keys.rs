//! What signs a meter's readings: a key in a file, or one that never leaves a hardware security module;
//! and beside the key that is enrolled the one that follows it.
//!
//! Which of the keys signs is the roster's word, interval by interval: a node that holds the next key
//! as well goes over to it at the epoch in which its new enrolment begins (P7).
//! Not for: the participant's own key, which is the node's identity ([`crate::keys`]).

#[cfg(feature = "pkcs11")]
pub mod hsm;

use std::fmt;
use std::path::PathBuf;

use boltgrid_protocol::envelope::Unsigned;
use boltgrid_protocol::id::MeterKey;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::signing::{Keypair, Signature};

use crate::keys::{self, KeyError};

/// Where the meter's keys are.
#[derive(Clone, Debug)]
pub struct MeterKeysConfig {
    /// The file of the key, where it is not in a module.
    pub file: PathBuf,
    /// The module that holds it instead.
    pub hsm: Option<HsmConfig>,
    /// The file of the key that follows it.
    pub next_file: Option<PathBuf>,
}

/// `[meter_key_hsm]`: a key in a hardware security module, by PKCS#11.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HsmConfig {
    /// The module's library, such as `/usr/lib/softhsm/libsofthsm2.so`.
    pub module_file: PathBuf,
    /// The label of the token.
    pub token_label: String,
    /// The label of the key pair, which must be ed25519.
    pub key_label: String,
    /// The file that the user's PIN stands in, readable by its owner only.
    pub pin_file: PathBuf,
}

/// Why there is no key to sign with, or no signature.
#[derive(Debug, thiserror::Error)]
pub enum MeterKeyError {
    /// A key file.
    #[error(transparent)]
    File(#[from] KeyError),
    /// The config names a module, and this program knows of none.
    #[error(
        "`meter_key_hsm` is set, but this boltgrid was built without it; build it with \
         `--features pkcs11`, or use `meter_key_file`"
    )]
    NoHsm,
    /// The module.
    #[cfg(feature = "pkcs11")]
    #[error(transparent)]
    Hsm(#[from] hsm::HsmError),
    /// The key that is to follow was never made.
    #[error(
        "`next_meter_key_file` names {path}, and there is no such file; \
         `boltgrid enrol request --next-meter-key` makes the key and asks for its enrolment"
    )]
    NoNextKey {
        /// The file.
        path: PathBuf,
    },
    /// None of the keys is the enrolled one.
    #[error(
        "the meter key that is enrolled is not at hand; use the key that was enrolled, or enrol the \
         one that is"
    )]
    NotEnrolled,
}

/// A key that signs readings.
#[derive(Debug)]
enum MeterSigner {
    File(Keypair),
    #[cfg(feature = "pkcs11")]
    Hsm(hsm::HsmKey),
}

/// The keys of one meter: the one in use, and maybe the next.
pub struct MeterKeys {
    signers: Vec<MeterSigner>,
}

impl MeterKeys {
    /// Opens the keys that a config names.
    ///
    /// # Errors
    ///
    /// [`MeterKeyError`].
    pub async fn open(config: &MeterKeysConfig) -> Result<Self, MeterKeyError> {
        let first = match &config.hsm {
            None => MeterSigner::File(keys::read(&config.file)?),
            Some(hsm) => open_hsm(hsm).await?,
        };
        let mut signers = vec![first];
        if let Some(next) = &config.next_file {
            if !next.exists() {
                return Err(MeterKeyError::NoNextKey { path: next.clone() });
            }
            signers.push(MeterSigner::File(keys::read(next)?));
        }
        Ok(Self { signers })
    }

    /// The public keys, the one in use first.
    pub fn public(&self) -> impl Iterator<Item = MeterKey> {
        self.signers.iter().map(MeterSigner::public)
    }

    /// Signs a reading with the key that is enrolled.
    ///
    /// # Errors
    ///
    /// [`MeterKeyError`].
    #[cfg_attr(
        not(feature = "pkcs11"),
        expect(clippy::unused_async, reason = "with the feature it waits for the module")
    )]
    pub async fn sign(
        &self,
        enrolled: &MeterKey,
        unsigned: &Unsigned<Reading>,
    ) -> Result<Signature, MeterKeyError> {
        let signer = self.signers.iter().find(|signer| signer.public() == *enrolled);
        match signer.ok_or(MeterKeyError::NotEnrolled)? {
            MeterSigner::File(key) => Ok(unsigned.sign_with(key)),
            #[cfg(feature = "pkcs11")]
            MeterSigner::Hsm(key) => Ok(key.sign(unsigned.to_sign()).await?),
        }
    }
}

impl From<Keypair> for MeterKeys {
    fn from(key: Keypair) -> Self {
        [key].into_iter().collect()
    }
}

impl FromIterator<Keypair> for MeterKeys {
    fn from_iter<I: IntoIterator<Item = Keypair>>(keys: I) -> Self {
        Self { signers: keys.into_iter().map(MeterSigner::File).collect() }
    }
}

impl fmt::Debug for MeterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.signers).finish()
    }
}

impl MeterSigner {
    fn public(&self) -> MeterKey {
        match self {
            Self::File(key) => key.meter_key(),
            #[cfg(feature = "pkcs11")]
            Self::Hsm(key) => key.public(),
        }
    }
}

#[cfg(feature = "pkcs11")]
async fn open_hsm(config: &HsmConfig) -> Result<MeterSigner, MeterKeyError> {
    Ok(MeterSigner::Hsm(hsm::HsmKey::open(config).await?))
}

#[cfg(not(feature = "pkcs11"))]
#[expect(clippy::unused_async, reason = "with the feature it waits for the module")]
async fn open_hsm(_: &HsmConfig) -> Result<MeterSigner, MeterKeyError> {
    Err(MeterKeyError::NoHsm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_next_key_that_was_never_made_is_named_with_the_command_that_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        let [file, next] = ["meter.key", "meter.next.key"].map(|name| dir.path().join(name));
        keys::create(&file).unwrap();
        let config = MeterKeysConfig { file, hsm: None, next_file: Some(next.clone()) };
        let missing = MeterKeys::open(&config).await.err().unwrap().to_string();
        assert!(missing.contains("meter.next.key"), "{missing}");
        assert!(missing.contains("boltgrid enrol request --next-meter-key"), "{missing}");
        keys::create(&next).unwrap();
        assert_eq!(MeterKeys::open(&config).await.unwrap().public().count(), 2);
    }
}
