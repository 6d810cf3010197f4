//! Small disks of nodes that are to fill up: a tmpfs over the folder of a node's data, which is filled
//! by a file of no use and freed by removing it.
//!
//! Only who may mount (root) can do that. What a node stored there is gone when the run ends.
//! Not for: what a node does without space.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// How large such a disk is: several times what a node stores in an hour of short intervals.
const SIZE_MIB: u32 = 128;
/// The file that fills it.
const FILLER: &str = "filler";
/// How much of it is written at a time: at first, and at least, so that no byte is left.
const CHUNK_BYTES: usize = 1 << 20;

/// Why there is no such disk.
#[derive(Debug, thiserror::Error)]
pub enum DisksError {
    /// It cannot be mounted.
    #[error(
        "a disk that is to be full must be mounted over {}, and that is refused: {source}; run the \
         testnet as root (CAP_SYS_ADMIN), or leave out faults of kind = \"disk_full\"",
        path.display()
    )]
    Mount {
        /// Where.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// The small disks of a run. Dropping it unmounts them.
#[derive(Debug, Default)]
pub struct Disks {
    mounted: Vec<PathBuf>,
}

impl Disks {
    /// Mounts a small disk over each of these folders.
    ///
    /// # Errors
    ///
    /// [`DisksError::Mount`], naming the folder; those mounted before are unmounted then.
    pub fn mount<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Result<Self, DisksError> {
        let mut disks = Self::default();
        for folder in folders {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            let size = std::ffi::CString::new(format!("size={SIZE_MIB}m")).ok();
            mount("boltgrid-testnet", folder, "tmpfs", flags, size.as_deref()).map_err(
                |source| DisksError::Mount { path: folder.to_owned(), source: source.into() },
            )?;
            disks.mounted.push(folder.to_owned());
        }
        Ok(disks)
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for folder in &self.mounted {
            if let Err(error) = unmount(folder, UnmountFlags::DETACH) {
                tracing::warn!(%error, folder = %folder.display(), "stays mounted");
            }
        }
    }
}

/// Fills the disk that a folder is on, to the last byte.
///
/// # Errors
///
/// What the operating system says, but for there being no more space.
pub fn fill(folder: &Path) -> io::Result<()> {
    let mut file = File::options().create(true).append(true).open(folder.join(FILLER))?;
    let mut chunk = vec![0xb0; CHUNK_BYTES];
    while !chunk.is_empty() {
        match file.write(&chunk) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                chunk.truncate(chunk.len() / 2);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes space again.
///
/// # Errors
///
/// What the operating system says.
pub fn free(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(FILLER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_no_byte_until_it_is_freed() {
        let dir = tempfile::tempdir().unwrap();
        let disks = match Disks::mount([dir.path()]) {
            Ok(disks) => disks,
            // Who may not mount is told what is needed.
            Err(error) => return assert!(error.to_string().contains("as root"), "{error}"),
        };
        let path = dir.path().join("journal");
        fs::write(&path, b"before").unwrap();
        fill(dir.path()).unwrap();
        let mut journal = File::options().append(true).open(&path).unwrap();
        // The rest of the file's last page is its own.
        let error = journal.write_all(&[1; 8192]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        free(dir.path()).unwrap();
        journal.write_all(&[1; 8192]).unwrap();
        drop(disks);
        assert!(!path.exists());
    }
}
