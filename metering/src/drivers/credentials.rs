//! What a driver reads from files of the owner's: users with their passwords, and other small texts.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::DeviceError;

/// The largest file with credentials.
const CREDENTIALS_MAX: u64 = 1_024;

/// A user with its password.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Credentials {
    /// From a file that begins with `user:password`.
    pub(super) fn read(device: &Arc<str>, path: &Path) -> Result<Self, DeviceError> {
        let text = read_file(device, path, "reading its credentials", CREDENTIALS_MAX)?;
        Self::parse(&text).ok_or_else(|| {
            let problem = format!("{} must begin with `user:password`", path.display());
            DeviceError::Setting { device: Arc::clone(device), problem }
        })
    }

    /// From `user:password` in the first line.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (user, password) = text.lines().next()?.split_once(':')?;
        let fit = |text: &str| !text.contains(['"', '\\']) && !text.contains(char::is_control);
        (!user.is_empty() && fit(user))
            .then(|| Self { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) })
    }
}

/// A small text file.
pub(super) fn read_file(
    device: &Arc<str>,
    path: &Path,
    doing: &'static str,
    most: u64,
) -> Result<String, DeviceError> {
    let named = |error: std::io::Error| {
        let source = std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        DeviceError::Io { device: Arc::clone(device), doing, source }
    };
    let length = fs::metadata(path).map_err(named)?.len();
    if length > most {
        let problem = format!("{} is larger than {most} bytes", path.display());
        return Err(DeviceError::Setting { device: Arc::clone(device), problem });
    }
    fs::read_to_string(path).map_err(named)
}
