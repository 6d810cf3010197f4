//! What is known of machines from before the node was started: when they were switched, and what was
//! learnt of them; a file in the data folder, as is the account of a well's gas.
//!
//! What bounds how often a machine is switched holds over a restart by it. It is written after each
//! start and stop, beside the loop that decides, so that no command waits for a disk; of what was
//! learnt a minute may be lost.
//! Not for: promises to others (the journal).

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use boltgrid_miners::learnt::Learnt;
use boltgrid_protocol::units::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// Between two writes, however often machines are switched.
const PAUSE: Duration = Duration::from_secs(1);
/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// What is known of all machines, by their names.
pub(super) type Kept = BTreeMap<String, KeptMachine>;

/// What is known of one machine from before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptMachine {
    /// When it was started within the last day, the oldest first.
    pub(super) starts_unix_ms: VecDeque<Timestamp>,
    /// When it was started or stopped last.
    pub(super) switched_unix_ms: Option<Timestamp>,
    /// Whether it was told to run then.
    pub(super) runs: bool,
    /// What was learnt of it.
    #[serde(default)]
    pub(super) learnt: Arc<Learnt>,
}

/// Why what is known of machines cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The file does not read.
    #[error("what is known from before cannot be read from {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is something else in the file.
    #[error(
        "{} does not hold what is known from before ({source}); move it away to begin anew: of machines, \
         all count as switched just now then",
        path.display()
    )]
    Garbled {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Reads what is known of machines; nothing where there is no file yet.
pub(super) fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T, KeptError> {
    let failed = |source| KeptError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
        Err(source) => return Err(failed(source)),
    };
    if file.metadata().map_err(failed)?.len() > FILE_MAX {
        return Err(failed(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    let bytes = fs::read(path).map_err(failed)?;
    serde_json::from_slice(&bytes)
        .map_err(|source| KeptError::Garbled { path: path.to_owned(), source })
}

fn write<T: Serialize>(path: &Path, kept: &T) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(kept).map_err(io::Error::from)?)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// Writes what is known whenever it changes, and once more at the end.
pub(super) async fn keep<T: Clone + Serialize + Send + Sync + 'static>(
    path: Option<PathBuf>,
    mut kept: watch::Receiver<T>,
    stop: CancellationToken,
) {
    let Some(path) = path else { return stop.cancelled().await };
    let mut failing = false;
    loop {
        let last = tokio::select! {
            biased;
            changed = kept.changed() => changed.is_err(),
            () = stop.cancelled() => true,
        };
        let (to, now) = (path.clone(), kept.borrow_and_update().clone());
        match spawn_blocking(move || write(&to, &now)).await {
            Ok(Ok(())) => failing = false,
            Ok(Err(error)) => {
                if !failing {
                    warn!(path = %path.display(), %error, "what is known is not kept");
                }
                failing = true;
            }
            Err(error) => error!(%error, "writing what is known panicked"),
        }
        if last {
            return;
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = stop.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        let at = Timestamp::from_unix_ms;
        let machine = KeptMachine {
            starts_unix_ms: [at(7), at(9)].into(),
            switched_unix_ms: Some(at(9)),
            runs: true,
            learnt: Arc::default(),
        };
        Kept::from([("cellar".to_owned(), machine)])
    }

    #[test]
    fn what_is_known_survives_its_file_and_no_file_is_nothing_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("machines.json");
        assert_eq!(read::<Kept>(&path).unwrap(), Kept::new());
        write(&path, &kept()).unwrap();
        assert_eq!(read::<Kept>(&path).unwrap(), kept());
        fs::write(&path, "{\"cellar\": {}}").unwrap();
        let refused = read::<Kept>(&path).unwrap_err().to_string();
        assert!(refused.contains("move it away"), "{refused}");
    }

    #[tokio::test]
    async fn what_changed_last_is_on_disk_when_the_node_has_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("machines.json");
        let (tell, told) = watch::channel(Kept::new());
        let stop = CancellationToken::new();
        tell.send_replace(kept());
        stop.cancel();
        keep(Some(path.clone()), told, stop).await;
        assert_eq!(read::<Kept>(&path).unwrap(), kept());
    }
}
