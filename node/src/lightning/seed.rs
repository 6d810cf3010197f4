//! The wallet's seed: 24 words (BIP 39) in a file that only its owner can read.
//!
//! Everything of the wallet follows from the words: on-chain keys, the Lightning node's id, channel
//! keys. Like a key file, the seed is made once and never overwritten.
//! Not for: what is in channels, which no words bring back (see `docs/wallet.md`).

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bip39::{Language, Mnemonic};

use crate::private_file::open_to_others;

/// Words of a seed.
pub const WORDS: usize = 24;
/// Bytes of chance that 24 words hold.
const ENTROPY_LEN: usize = 32;
/// More than 24 words take, and few enough to read whatever the file is.
const FILE_MAX: u64 = 1024;

/// Why there is no seed.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file cannot be opened or read.
    #[error(
        "the wallet's seed {path} cannot be read: {source}; `boltgrid init` makes one in a new \
         folder, and `boltgrid wallet restore` writes one from its words"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file cannot be made.
    #[error("the wallet's seed {path} cannot be made: {source}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is one already, of other words.
    #[error(
        "{path} holds a wallet's seed, and a seed is never overwritten; move it away, or name \
         another folder"
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others on this machine can read it.
    #[error("the wallet's seed {path} is open to others (mode {mode:o}); run `chmod 600 {path}`")]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Not 24 words, or one of them is none, or the last one does not fit the others.
    #[error("these are not the {WORDS} words of a seed: {0}")]
    NotASeed(String),
    /// The operating system gives no random bytes.
    #[error("no randomness for a new seed: {0}")]
    Randomness(#[source] getrandom::Error),
}

/// The seed. Wiped from memory on drop, and never shown but by [`Seed::words`].
#[derive(Clone)]
pub struct Seed {
    mnemonic: Mnemonic,
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed")
    }
}

impl Seed {
    /// A new seed, by chance.
    ///
    /// # Errors
    ///
    /// [`SeedError::Randomness`].
    pub fn new() -> Result<Self, SeedError> {
        let mut entropy = zeroize::Zeroizing::new([0; ENTROPY_LEN]);
        getrandom::fill(entropy.as_mut_slice()).map_err(SeedError::Randomness)?;
        let mnemonic = Mnemonic::from_entropy_in(Language::English, entropy.as_slice());
        Ok(Self { mnemonic: mnemonic.map_err(|error| SeedError::NotASeed(error.to_string()))? })
    }

    /// The seed of 24 English words, in any case, with any space between them.
    ///
    /// # Errors
    ///
    /// [`SeedError::NotASeed`], naming what does not fit, but no word.
    pub fn from_words(text: &str) -> Result<Self, SeedError> {
        let words: zeroize::Zeroizing<String> = zeroize::Zeroizing::new(
            text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" "),
        );
        let count = words.split(' ').filter(|word| !word.is_empty()).count();
        if count != WORDS {
            return Err(SeedError::NotASeed(format!("{count} words were given")));
        }
        let mnemonic =
            Mnemonic::parse_in_normalized(Language::English, &words).map_err(|error| {
                match error {
            bip39::Error::UnknownWord(place) => {
                SeedError::NotASeed(format!("word {} is not in the list", place.saturating_add(1)))
            }
            bip39::Error::BadWordCount(_)
            | bip39::Error::BadEntropyBitCount(_)
            | bip39::Error::InvalidChecksum
            | bip39::Error::AmbiguousLanguages(_) => SeedError::NotASeed(
                "each is a word of the list, but they do not belong together: one is wrong, or \
                 two are in the wrong order"
                    .to_owned(),
            ),
        }
            })?;
        Ok(Self { mnemonic })
    }

    /// Reads a seed file.
    ///
    /// # Errors
    ///
    /// [`SeedError`], also where the file is open to others than its owner.
    pub fn read(path: &Path) -> Result<Self, SeedError> {
        let failed = |source| SeedError::Read { path: path.to_owned(), source };
        let mut file = OpenOptions::new().read(true).open(path).map_err(failed)?;
        if let Some(mode) = open_to_others(path, &file.metadata().map_err(failed)?) {
            return Err(SeedError::OpenToOthers { path: path.to_owned(), mode });
        }
        let mut text = zeroize::Zeroizing::new(String::new());
        (&mut file).take(FILE_MAX).read_to_string(&mut text).map_err(failed)?;
        Self::from_words(&text)
    }

    /// Writes the seed to a new file (mode 0600), which reaches the disk before this returns. A file
    /// that holds the same seed stays as it is.
    ///
    /// # Errors
    ///
    /// [`SeedError::Exists`] where the file holds anything else.
    pub fn write(&self, path: &Path) -> Result<(), SeedError> {
        let failed = |source| SeedError::Create { path: path.to_owned(), source };
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let is_same = Self::read(path).is_ok_and(|it| it.mnemonic == self.mnemonic);
                let exists = || SeedError::Exists { path: path.to_owned() };
                return is_same.then_some(()).ok_or_else(exists);
            }
            opened => opened.map_err(failed)?,
        };
        writeln!(file, "{}", self.words().as_str()).map_err(failed)?;
        file.sync_all().map_err(failed)
    }

    /// The 24 words, with a space between them: the secret itself.
    #[must_use]
    pub fn words(&self) -> zeroize::Zeroizing<String> {
        zeroize::Zeroizing::new(self.mnemonic.to_string())
    }

    pub(super) fn mnemonic(&self) -> Mnemonic {
        self.mnemonic.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_seed_is_made_once_for_its_owner_only_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wallet.seed");
        let seed = Seed::new().unwrap();
        assert_eq!(seed.words().split(' ').count(), WORDS);
        seed.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Seed::read(&path).unwrap().words(), seed.words());
        seed.write(&path).unwrap();
        let other = Seed::new().unwrap();
        assert!(matches!(other.write(&path), Err(SeedError::Exists { .. })));
        assert_eq!(Seed::read(&path).unwrap().words(), seed.words());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Seed::read(&path), Err(SeedError::OpenToOthers { mode: 0o644, .. })));
    }

    #[test]
    fn words_are_taken_however_they_are_written_down() {
        let seed = Seed::new().unwrap();
        let shouted = seed.words().to_uppercase().replace(' ', "\n  ");
        assert_eq!(Seed::from_words(&shouted).unwrap().words(), seed.words());
    }

    #[test]
    fn wrong_words_are_refused_with_what_is_wrong_and_without_showing_any() {
        let check = |words: &str, expected: &str| {
            let error = Seed::from_words(words).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("zebra") && !error.contains("zeebra"), "{error}");
        };
        check("", "0 words");
        check("zebra zebra", "2 words");
        check(&format!("zeebra {}", "zebra ".repeat(23)), "word 1 is not in the list");
        check(&"abandon ".repeat(24), "do not belong together");
    }

    #[test]
    fn debug_output_never_shows_the_words() {
        assert_eq!(format!("{:?}", Seed::new().unwrap()), "Seed");
    }
}
