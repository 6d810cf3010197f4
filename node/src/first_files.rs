//! What a node's folder has in it before its first start: keys, the wallet's seed, the charter, and the
//! config file, which comes last, so that what failed half-way can be done again.
//!
//! Both `boltgrid init` and the set-up in the browser write it. Keys that are there already are kept.
//! Not for: what should be in the config ([`crate::config`]).

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::signing::Keypair;

use crate::config::{CONFIG_FILE, Config, ConfigError, RawConfig, render};
use crate::keys::{self, KeyError};
use crate::lightning::{Seed, SeedError};

/// The password of a bitcoind, beside the config file.
pub(crate) const BITCOIND_PASSWORD_FILE: &str = "bitcoind.password";

/// What is to be in a new folder.
#[derive(Debug)]
pub(crate) struct FirstFiles<'a> {
    /// The node's folder.
    pub(crate) dir: &'a Path,
    pub(crate) config: &'a RawConfig,
    /// The charter's text; none where it lies there already, or is to come.
    pub(crate) charter: Option<&'a str>,
    /// The wallet's seed, where its owner has seen the words; one is made otherwise.
    pub(crate) seed: Option<Seed>,
    /// The password that [`BITCOIND_PASSWORD_FILE`] is to hold.
    pub(crate) bitcoind_password: Option<&'a str>,
}

/// What was written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) participant: ParticipantId,
    pub(crate) config: Config,
    pub(crate) config_file: PathBuf,
    /// The wallet's seed, where it was made just now.
    pub(crate) new_seed: Option<Seed>,
}

/// Why a folder is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum FirstFilesError {
    /// Something that is made once is there already.
    #[error("{path} exists and is not overwritten; move it away, or name another folder")]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A file or folder cannot be written.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// Which one.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The wallet's seed.
    #[error(transparent)]
    Seed(#[from] SeedError),
}

impl FirstFiles<'_> {
    /// Checks everything, then writes it.
    ///
    /// # Errors
    ///
    /// [`FirstFilesError`]; the config file is there only if all else is.
    pub(crate) fn write(self) -> Result<Written, FirstFilesError> {
        let file = self.dir.join(CONFIG_FILE);
        if file.exists() {
            return Err(FirstFilesError::Exists { path: file });
        }
        let config = Config::checked(self.config.clone().relative_to(self.dir), &file)?;
        make_private_dir(self.dir)?;
        make_private_dir(&config.grid.enrolments_dir)?;
        let participant = key(&config.keys.participant_key_file)?.participant_id();
        key(&config.keys.meter.file)?;
        let new_seed = match self.seed {
            Some(seed) => {
                seed.write(&config.seed_file)?;
                Some(seed)
            }
            None => make_seed(&config.seed_file)?,
        };
        if let Some(password) = self.bitcoind_password {
            write_new(&self.dir.join(BITCOIND_PASSWORD_FILE), password.as_bytes())?;
        }
        if let Some(charter) = self.charter {
            write_new(&config.grid.charter_file, charter.as_bytes())?;
        }
        write_new(&file, render(self.config).as_bytes())?;
        Ok(Written { participant, config, config_file: file, new_seed })
    }
}

/// The key of a file, made where there is none.
fn key(path: &Path) -> Result<Keypair, KeyError> {
    match keys::create(path) {
        Err(KeyError::Exists { .. }) => keys::read(path),
        made => made,
    }
}

/// A new wallet's seed, or none where the file holds one already.
fn make_seed(path: &Path) -> Result<Option<Seed>, SeedError> {
    let seed = Seed::new()?;
    match seed.write(path) {
        Ok(()) => Ok(Some(seed)),
        Err(SeedError::Exists { .. }) => Seed::read(path).map(|_| None),
        Err(error) => Err(error),
    }
}

fn make_private_dir(path: &Path) -> Result<(), FirstFilesError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| FirstFilesError::Write { path: path.to_owned(), source })
}

/// Writes a file for its owner only that must not be there yet, unless it holds the same.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FirstFilesError> {
    let failed = |source: io::Error| FirstFilesError::Write { path: path.to_owned(), source };
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let is_same = std::fs::read(path).map_err(failed)? == bytes;
            let exists = || FirstFilesError::Exists { path: path.to_owned() };
            return is_same.then_some(()).ok_or_else(exists);
        }
        opened => opened.map_err(failed)?,
    };
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn files<'a>(dir: &'a Path, config: &'a RawConfig, charter: &'a str) -> FirstFiles<'a> {
        FirstFiles { dir, config, charter: Some(charter), seed: None, bitcoind_password: Some("x") }
    }

    #[test]
    fn everything_is_for_its_owner_only_and_the_config_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, config) = (folder.path().join("boltgrid"), RawConfig::default());
        let written = files(&dir, &config, "name").write().unwrap();
        for name in [
            CONFIG_FILE,
            "charter.toml",
            BITCOIND_PASSWORD_FILE,
            "participant.key",
            "meter.key",
            "wallet.seed",
        ] {
            let mode = fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        }
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        Config::load(&written.config_file, RawConfig::default()).unwrap();
        let again = files(&dir, &config, "name").write().unwrap_err();
        assert!(matches!(again, FirstFilesError::Exists { .. }), "{again}");
    }

    #[test]
    fn what_failed_half_way_can_be_done_again_and_keeps_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, config) = (folder.path(), RawConfig::default());
        fs::write(dir.join("charter.toml"), "another").unwrap();
        let refused = files(dir, &config, "name").write().unwrap_err().to_string();
        assert!(refused.contains("charter.toml exists"), "{refused}");
        assert!(!dir.join(CONFIG_FILE).exists());
        let words = Seed::read(&dir.join("wallet.seed")).unwrap().words();
        fs::remove_file(dir.join("charter.toml")).unwrap();
        let written = files(dir, &config, "name").write().unwrap();
        assert!(written.new_seed.is_none());
        assert_eq!(Seed::read(&dir.join("wallet.seed")).unwrap().words(), words);
    }
}
