//! The data folder: made for its owner only, and locked against a second process.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Name of the lock file inside the folder.
const LOCK_FILE: &str = "lock";

/// The sole right to use a data folder; given up when dropped, or when the process ends in any way.
///
/// The lock file names the process while it runs and is emptied when it closes the folder in order.
#[derive(Debug)]
pub struct FolderLock {
    // The operating system ties the lock to the open file.
    file: File,
    was_left_open: bool,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it.
    #[error(
        "the data folder {dir} is in use by another boltgrid (process {process}); \
         stop that one, or name another `data_dir`"
    )]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// The process that has it, as far as it said.
        process: String,
    },
    /// The folder or its lock file cannot be made or opened.
    #[error("the data folder {dir} cannot be used: {source}; check `data_dir` and who owns it")]
    Io {
        /// The folder.
        dir: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl FolderLock {
    /// Makes the folder where there is none (mode 0700) and locks it.
    ///
    /// # Errors
    ///
    /// [`FolderError::InUse`] when another process has it.
    pub fn acquire(dir: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Io { dir: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(dir.join(LOCK_FILE))
            .map_err(failed)?;
        let locked = file.try_lock();
        let mut holder = String::new();
        file.read_to_string(&mut holder).map_err(failed)?;
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let process = holder.trim().to_owned();
                return Err(FolderError::InUse { dir: dir.to_owned(), process });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        sign(&mut file).map_err(failed)?;
        Ok(Self { file, was_left_open: !holder.is_empty() })
    }

    /// Whether the process before this one ended without closing the folder in order.
    pub(super) const fn was_left_open(&self) -> bool {
        self.was_left_open
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if let Err(error) = self.file.set_len(0) {
            tracing::warn!(%error, "lock file not emptied: the next start reads the archive through");
        }
    }
}

/// Leaves our process id in the lock file, for the message of whoever comes second.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Makes the names of new files in `dir`, and its own name, outlast a power cut.
///
/// # Errors
///
/// [`FolderError::Io`].
pub(super) fn sync(dir: &Path) -> Result<(), FolderError> {
    let failed = |source| FolderError::Io { dir: dir.to_owned(), source };
    let absolute = dir.canonicalize().map_err(failed)?;
    for folder in absolute.ancestors().take(2) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_user_is_refused_and_told_by_whom_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let first = FolderLock::acquire(&data).unwrap();
        let refused = FolderLock::acquire(&data).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        assert!(refused.contains("data_dir"), "{refused}");
        drop(first);
        FolderLock::acquire(&data).unwrap();
    }

    #[test]
    fn a_new_folder_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        FolderLock::acquire(&data).unwrap();
        let mode = data.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
