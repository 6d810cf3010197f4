//! Key files: a 32-byte ed25519 seed as hexadecimal text, readable by its owner only.
//!
//! A file is made once and never overwritten: a lost key is a lost membership.
//! Not for: public keys, or keys in hardware.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use boltgrid_protocol::signing::Keypair;

use crate::private_file::open_to_others;

/// Bytes of a seed.
const SEED_LEN: usize = 32;
/// More than a key file ever has, and few enough to read whatever the file is.
const FILE_MAX: u64 = 256;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be opened or read.
    #[error("the key file {path} cannot be read: {source}; `boltgrid init` makes key files")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file cannot be made.
    #[error("the key file {path} cannot be made: {source}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is one already, and keys are never overwritten.
    #[error("{path} exists, and a key is never overwritten; move it away, or name another file")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others on this machine can read it.
    #[error("the key file {path} is open to others (mode {mode:o}); run `chmod 600 {path}`")]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Not a key.
    #[error("{path} is not a key file: expected 64 hexadecimal digits")]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gives no random bytes.
    #[error("no randomness for a new key: {0}")]
    Randomness(#[source] getrandom::Error),
}

/// Reads a key file.
///
/// # Errors
///
/// [`KeyError`], also where the file is open to others than its owner.
pub fn read(path: &Path) -> Result<Keypair, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    let mut file = OpenOptions::new().read(true).open(path).map_err(failed)?;
    if let Some(mode) = open_to_others(path, &file.metadata().map_err(failed)?) {
        return Err(KeyError::OpenToOthers { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    (&mut file).take(FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    let mut seed = [0; SEED_LEN];
    hex::decode_to_slice(text.trim(), &mut seed)
        .map_err(|_| KeyError::NotAKey { path: path.to_owned() })?;
    Ok(Keypair::from_seed(&seed))
}

/// Makes a new key and its file (mode 0600), which reaches the disk before this returns.
///
/// # Errors
///
/// [`KeyError::Exists`] when there is a file already.
pub fn create(path: &Path) -> Result<Keypair, KeyError> {
    let mut seed = [0; SEED_LEN];
    getrandom::fill(&mut seed).map_err(KeyError::Randomness)?;
    let key = Keypair::from_seed(&seed);
    write(path, &key)?;
    Ok(key)
}

/// Writes a key to a new file (mode 0600).
///
/// # Errors
///
/// [`KeyError::Exists`] when there is a file already.
pub fn write(path: &Path, key: &Keypair) -> Result<(), KeyError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::AlreadyExists {
            KeyError::Exists { path }
        } else {
            KeyError::Create { path, source }
        }
    };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    writeln!(file, "{}", hex::encode(key.to_seed().as_slice())).map_err(failed)?;
    file.sync_all().map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("participant.key");
        let made = create(&path).unwrap();
        assert_eq!(read(&path).unwrap().participant_id(), made.participant_id());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(create(&path), Err(KeyError::Exists { .. })));
        assert_eq!(read(&path).unwrap().participant_id(), made.participant_id());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("participant.key");
        create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = read(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn something_else_is_not_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("participant.key");
        create(&path).unwrap();
        for text in ["", "00", &"g".repeat(64), &"0".repeat(66)] {
            fs::write(&path, text).unwrap();
            assert!(matches!(read(&path), Err(KeyError::NotAKey { .. })), "{text:?}");
        }
    }
}
