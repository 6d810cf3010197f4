//! The file of named tokens: who made which, what it may do, until when. It holds hashes only, so
//! whoever reads it can't use one.
//!
//! Commands change it while the node runs; each change replaces the whole file, one at a time.
//! Not for: the cookie ([`super::cookie`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use boltgrid_protocol::units::Timestamp;
use serde::{Deserialize, Serialize};

use super::Role;
use super::secret::{Hash, Secret};
use crate::status::quoted;

/// Its name in the data folder.
pub const FILE: &str = "rpc-tokens.json";
/// Most tokens of a node.
pub const TOKENS_MAX: usize = 100;
/// Most characters of a token's name.
pub const NAME_MAX: usize = 40;
/// More bytes than the file ever has.
const FILE_MAX: u64 = 64 * 1024;
/// The version of the file's shape.
const VERSION: u32 = 1;

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its name, told apart from all others by it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What it is known by.
    pub sha256_hex: Hash,
    /// When it was made, in ms since 1970.
    #[serde(with = "quoted")]
    pub created_at_unix_ms: u64,
    /// Until when it counts, in ms since 1970; none for ever.
    #[serde(with = "quoted::option")]
    pub expires_at_unix_ms: Option<u64>,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Now.
    pub created_at: Timestamp,
    /// Until when it counts; none for ever.
    pub expires_at: Option<Timestamp>,
}

/// All tokens of a node, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    version: u32,
    tokens: Vec<Token>,
}

/// By which a changed file is told from the one that was read: its number, length and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp((u64, u64, i64, i64));

/// Where the tokens are kept.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
}

/// Why tokens cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file.
    #[error(
        "the tokens in {path} cannot be read or written: {source}; check `data_dir` and who owns it"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "{path} does not hold tokens: {source}; move it away, and make the tokens again by \
         `boltgrid token create`"
    )]
    NotTokens {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A version that this program does not know.
    #[error(
        "{path} is of version {version}, and this program knows version {VERSION}; use a newer one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// There is one of this name.
    #[error("there is a token {name} already; choose another name, or revoke it first")]
    Exists {
        /// The name.
        name: String,
    },
    /// There is none of this name.
    #[error("there is no token {name}; `boltgrid token list` shows all")]
    NoSuch {
        /// The name.
        name: String,
    },
    /// Not a name.
    #[error("a token's name has 1 to {NAME_MAX} letters, digits, `-`, `_` or `.`")]
    Name,
    /// The file is full.
    #[error("there are {TOKENS_MAX} tokens already; revoke those that nobody uses")]
    TooMany,
    /// The operating system gives no random bytes.
    #[error("no randomness for a token: {0}")]
    Randomness(#[source] getrandom::Error),
}

impl Default for Tokens {
    fn default() -> Self {
        Self { version: VERSION, tokens: Vec::new() }
    }
}

impl Tokens {
    /// The token with this hash.
    #[must_use]
    pub fn find(&self, hash: &Hash) -> Option<&Token> {
        self.tokens.iter().find(|it| it.sha256_hex.is(hash))
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[Token] {
        &self.tokens
    }
}

impl TokenFile {
    /// That of a data folder; there need not be one yet.
    #[must_use]
    pub fn in_folder(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE) }
    }

    /// What the file looks like; none where there is none.
    ///
    /// # Errors
    ///
    /// [`TokenFileError::Io`].
    pub fn stamp(&self) -> Result<Option<Stamp>, TokenFileError> {
        match fs::metadata(&self.path) {
            Ok(it) => Ok(Some(Stamp((it.ino(), it.size(), it.mtime(), it.mtime_nsec())))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// All tokens, and what the file looked like before they were read.
    ///
    /// # Errors
    ///
    /// [`TokenFileError`].
    pub fn read(&self) -> Result<(Option<Stamp>, Tokens), TokenFileError> {
        let stamp = self.stamp()?;
        if stamp.is_none() {
            return Ok((None, Tokens::default()));
        }
        let mut text = String::new();
        let file = File::open(&self.path).map_err(|source| self.failed(source))?;
        file.take(FILE_MAX).read_to_string(&mut text).map_err(|source| self.failed(source))?;
        let tokens: Tokens = serde_json::from_str(&text)
            .map_err(|source| TokenFileError::NotTokens { path: self.path.clone(), source })?;
        if tokens.version != VERSION {
            return Err(TokenFileError::Newer { path: self.path.clone(), version: tokens.version });
        }
        Ok((stamp, tokens))
    }

    /// Makes a token and returns the secret, which is kept nowhere. The folder is made where there is
    /// none yet.
    ///
    /// # Errors
    ///
    /// [`TokenFileError`].
    pub fn create(&self, wish: Wish) -> Result<Secret, TokenFileError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if wish.name.is_empty() || wish.name.len() > NAME_MAX || !wish.name.chars().all(is_plain) {
            return Err(TokenFileError::Name);
        }
        let secret = Secret::random().map_err(TokenFileError::Randomness)?;
        let token = Token {
            name: wish.name,
            role: wish.role,
            sha256_hex: secret.hash(),
            created_at_unix_ms: wish.created_at.to_unix_ms(),
            expires_at_unix_ms: wish.expires_at.map(Timestamp::to_unix_ms),
        };
        self.change(|tokens| {
            if tokens.iter().any(|it| it.name == token.name) {
                return Err(TokenFileError::Exists { name: token.name });
            }
            if tokens.len() >= TOKENS_MAX {
                return Err(TokenFileError::TooMany);
            }
            tokens.push(token);
            Ok(())
        })?;
        Ok(secret)
    }

    /// Takes a token out; a running node refuses it from then on.
    ///
    /// # Errors
    ///
    /// [`TokenFileError`].
    pub fn revoke(&self, name: &str) -> Result<(), TokenFileError> {
        self.change(|tokens| {
            let before = tokens.len();
            tokens.retain(|it| it.name != name);
            let is_gone = tokens.len() < before;
            if is_gone { Ok(()) } else { Err(TokenFileError::NoSuch { name: name.to_owned() }) }
        })
    }

    /// Replaces the file by a changed one, while nobody else does.
    fn change(
        &self,
        change: impl FnOnce(&mut Vec<Token>) -> Result<(), TokenFileError>,
    ) -> Result<(), TokenFileError> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(|source| self.failed(source))?;
        }
        let lock = self.open_private(&self.path.with_extension("lock"))?;
        lock.lock().map_err(|source| self.failed(source))?;
        let (_, mut tokens) = self.read()?;
        change(&mut tokens.tokens)?;
        let text = serde_json::to_string_pretty(&tokens)
            .map_err(|source| TokenFileError::NotTokens { path: self.path.clone(), source })?;
        let new = self.path.with_extension("new");
        let mut file = self.open_private(&new)?;
        let mut write = || {
            file.set_len(0)?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|source| self.failed(source))
    }

    fn open_private(&self, path: &Path) -> Result<File, TokenFileError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        options.open(path).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> TokenFileError {
        TokenFileError::Io { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(name: &str) -> Wish {
        let created_at = Timestamp::from_unix_ms(7);
        Wish { name: name.to_owned(), role: Role::Read, created_at, expires_at: None }
    }

    #[test]
    fn the_file_holds_no_secret_and_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::in_folder(dir.path());
        let secret = file.create(wish("tablet")).unwrap();
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(!text.contains(secret.reveal()), "{text}");
        assert!(text.contains("\"created_at_unix_ms\": \"7\""), "{text}");
        assert_eq!(fs::metadata(dir.path().join(FILE)).unwrap().mode() & 0o777, 0o600);
        assert_eq!(file.read().unwrap().1.find(&secret.hash()).unwrap().name, "tablet");
    }

    #[test]
    fn names_are_plain_and_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::in_folder(dir.path());
        file.create(wish("a.b-c_1")).unwrap();
        assert!(matches!(file.create(wish("a.b-c_1")), Err(TokenFileError::Exists { .. })));
        for name in ["", "two words", "über", &"x".repeat(NAME_MAX + 1)] {
            assert!(matches!(file.create(wish(name)), Err(TokenFileError::Name)), "{name}");
        }
        assert!(matches!(file.revoke("other"), Err(TokenFileError::NoSuch { .. })));
    }

    #[test]
    fn there_are_only_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::in_folder(dir.path());
        for number in 0..TOKENS_MAX {
            file.create(wish(&number.to_string())).unwrap();
        }
        assert!(matches!(file.create(wish("more")), Err(TokenFileError::TooMany)));
        assert!(file.stamp().unwrap().unwrap().0.1 < FILE_MAX, "all of it is read again");
    }

    #[test]
    fn a_file_of_another_version_or_shape_is_left_alone_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = (TokenFile::in_folder(dir.path()), dir.path().join(FILE));
        fs::write(&path, "{\"version\": 2, \"tokens\": []}").unwrap();
        assert!(matches!(file.create(wish("a")), Err(TokenFileError::Newer { version: 2, .. })));
        fs::write(&path, "[]").unwrap();
        assert!(matches!(file.create(wish("a")), Err(TokenFileError::NotTokens { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "[]");
    }
}
