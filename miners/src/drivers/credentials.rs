//! Who a machine is told that we are: from a file that nobody else may read, and never in a log.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::DeviceError;

/// The largest file with credentials, in bytes.
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
        let failed = |error: io::Error| {
            let source = io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            DeviceError::Io { device: Arc::clone(device), doing: "reading its credentials", source }
        };
        let setting = |problem| DeviceError::Setting { device: Arc::clone(device), problem };
        let file = File::open(path).map_err(failed)?;
        if is_open_to_others(&file).map_err(failed)? {
            let path = path.display();
            let problem = format!("{path} can be read by others; run `chmod 600 {path}`");
            return Err(setting(problem));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(CREDENTIALS_MAX).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text)
            .ok_or_else(|| setting(format!("{} must begin with `user:password`", path.display())))
    }

    fn parse(text: &str) -> Option<Self> {
        let (user, password) = text.lines().next()?.split_once(':')?;
        let fits =
            !user.is_empty() && !text.trim_end().contains(|c: char| c.is_control() && c != '\n');
        let password = Zeroizing::new(password.to_owned());
        fits.then(|| Self { user: user.to_owned(), password })
    }
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_password_that_others_can_read_is_refused_and_none_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s19.pass");
        fs::write(&path, "root:hunter2\n").unwrap();
        let read = |mode| {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            Credentials::read(&"s19".into(), &path)
        };
        let error = read(0o644).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        let credentials = read(0o600).unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("root", "hunter2"));
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    #[test]
    fn text_without_a_user_is_none() {
        assert!(Credentials::parse("hunter2").is_none());
        assert!(Credentials::parse(":hunter2").is_none());
        assert!(Credentials::parse("ro\x00ot:x").is_none());
    }
}
