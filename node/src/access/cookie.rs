//! The cookie: a secret that a node makes at every start in its data folder, for its owner only, as
//! bitcoind does. Whoever can read it may do everything, and needs no token.
//! Not for: the cookies of a browser.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::secret::{Hash, Secret};

/// Its name in the data folder.
pub const FILE: &str = "rpc.cookie";
/// The user's name that stands before it.
pub const USER: &str = "__cookie__";

/// Why there is no cookie.
#[derive(Debug, thiserror::Error)]
pub enum CookieError {
    /// It cannot be made.
    #[error("the cookie {path} cannot be made: {source}; check `data_dir` and who owns it")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It cannot be read.
    #[error(
        "the cookie {path} cannot be read: {source}; a running node makes it, readable by its own \
         user only: run this as that user, or give a token by --token-file"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path} is no cookie: expected {USER}:… in one line")]
    NotACookie {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gives no random bytes.
    #[error("no randomness for the cookie: {0}")]
    Randomness(#[source] getrandom::Error),
}

/// The cookie of one start.
#[derive(Debug)]
pub struct Cookie(Secret);

impl Cookie {
    /// Makes one in the folder, in place of that of the start before.
    ///
    /// # Errors
    ///
    /// [`CookieError`].
    pub fn create(data_dir: &Path) -> Result<Self, CookieError> {
        let secret = Secret::random().map_err(CookieError::Randomness)?;
        let path = data_dir.join(FILE);
        let new = data_dir.join(format!("{FILE}.new"));
        let write = || {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            write!(file, "{USER}:{}", secret.reveal())?;
            fs::rename(&new, &path)
        };
        write().map_err(|source| CookieError::Create { path: path.clone(), source })?;
        Ok(Self(secret))
    }

    /// Reads that of a node on this machine.
    ///
    /// # Errors
    ///
    /// [`CookieError`].
    pub fn read(data_dir: &Path) -> Result<Self, CookieError> {
        let path = data_dir.join(FILE);
        let text = fs::read_to_string(&path)
            .map_err(|source| CookieError::Read { path: path.clone(), source })?;
        let secret = text.trim().strip_prefix(USER).and_then(|it| it.strip_prefix(':'));
        secret.and_then(Secret::shown).map(Self).ok_or(CookieError::NotACookie { path })
    }

    /// The secret in it.
    #[must_use]
    pub fn into_secret(self) -> Secret {
        self.0
    }

    /// What a node knows it by.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.0.hash()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_cookie_is_for_its_owner_only_even_where_another_lay_open() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "old").unwrap();
        fs::write(dir.path().join("rpc.cookie.new"), "left by a crash").unwrap();
        let made = Cookie::create(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Cookie::read(dir.path()).unwrap().hash().is(&made.hash()));
    }

    #[test]
    fn a_file_that_is_no_cookie_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Cookie::read(dir.path()), Err(CookieError::Read { .. })));
        fs::write(dir.path().join(FILE), "someone:secret").unwrap();
        let refused = Cookie::read(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("rpc.cookie is no cookie"), "{refused}");
    }
}
