//! A disk whose power can be cut: a file system in a file, mounted over a node's folder. What the system
//! keeps of it in memory and has not written into that file is gone when power is cut.
//!
//! Only who may mount (root) can do that. Not for: a disk that loses what it was told to keep.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

/// How large such a disk is: many times what a node stores in a run.
const SIZE_BYTES: u64 = 96 * 1024 * 1024;
/// No sync but those that are asked for: the system's own come after so many seconds only.
const OPTIONS: &str = "loop,commit=300,nosuid,nodev,noexec";

/// The disk. Dropping it unmounts it.
#[derive(Debug)]
pub(super) struct PowerDisk {
    image: PathBuf,
    at: PathBuf,
}

impl PowerDisk {
    /// Mounts an empty disk over a folder; the file of it stands beside the folder.
    pub(super) async fn mount(at: &Path) -> io::Result<Self> {
        let disk = Self { image: at.with_extension("disk"), at: at.to_owned() };
        File::create(&disk.image)?.set_len(SIZE_BYTES)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image)).await?;
        disk.attach().await?;
        Ok(disk)
    }

    /// What a power cut would leave of it now. Whoever writes to it must stand still meanwhile.
    pub(super) fn keep(&self) -> io::Result<()> {
        fs::copy(&self.image, self.kept()).map(drop)
    }

    /// Puts back what was kept. Nobody may use it meanwhile.
    pub(super) async fn put_back(&self) -> io::Result<()> {
        run(Command::new("umount").arg(&self.at)).await?;
        fs::rename(self.kept(), &self.image)?;
        self.attach().await
    }

    fn kept(&self) -> PathBuf {
        self.image.with_extension("kept")
    }

    async fn attach(&self) -> io::Result<()> {
        run(Command::new("mount").args(["-o", OPTIONS]).args([&self.image, &self.at])).await
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(&self.at).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            tracing::warn!(folder = %self.at.display(), "stays mounted");
        }
    }
}

async fn run(command: &mut Command) -> io::Result<()> {
    let done = command.output().await?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!("{:?}: {}", command.as_std(), said.trim())))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use boltgrid::lightning::prepare_store;
    use ldk_node::io::sqlite_store::{KV_TABLE_NAME, SQLITE_DB_FILE_NAME, SqliteStore};
    use ldk_node::lightning::util::persist::KVStoreSync;

    use super::*;

    /// Power cuts of one test: most, and not each, would show a store that does not sync.
    const CUTS: u8 = 8;

    /// An empty disk; none, which is said aloud, where nobody may mount one.
    async fn disk(at: &Path) -> Option<PowerDisk> {
        fs::create_dir(at).unwrap();
        let disk = PowerDisk::mount(at).await;
        if let Err(error) = &disk {
            eprintln!("NOT TESTED, as no disk can be mounted: {error}");
        }
        disk.ok()
    }

    #[tokio::test]
    async fn what_was_synced_outlasts_a_power_cut_and_what_was_not_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("data");
        let Some(disk) = disk(&at).await else { return };
        let mut synced = File::create(at.join("synced")).unwrap();
        synced.write_all(b"kept").unwrap();
        synced.sync_all().unwrap();
        fs::write(at.join("not"), b"lost").unwrap();
        disk.keep().unwrap();
        drop(synced);
        disk.put_back().await.unwrap();
        assert_eq!(fs::read(at.join("synced")).unwrap(), b"kept");
        assert!(!at.join("not").exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_lightnings_store_wrote_outlasts_a_power_cut() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("data");
        let Some(disk) = disk(&at).await else { return };
        let open = || {
            prepare_store(&at).unwrap();
            let (file, table) = (SQLITE_DB_FILE_NAME.to_owned(), KV_TABLE_NAME.to_owned());
            SqliteStore::new(at.clone(), Some(file), Some(table)).unwrap()
        };
        for state in 0..CUTS {
            let store = open();
            KVStoreSync::write(&store, "monitors", "", "channel", vec![state]).unwrap();
            KVStoreSync::write(&store, "monitors", "", "channel", vec![state, state]).unwrap();
            disk.keep().unwrap();
            drop(store);
            disk.put_back().await.unwrap();
            let read = KVStoreSync::read(&open(), "monitors", "", "channel").unwrap();
            assert_eq!(read, [state, state]);
        }
    }
}
