//! Payments that an earlier run noted and never sent: found at the start and forgotten, so that they can
//! be begun again.
//!
//! Who is killed between the note and the library's disk would have a payment under way for ever, as
//! nobody will ever tell its end. Before a payment leaves, its hash is on disk in the state of a channel;
//! while the library knows of it, it is in the manager of channels; and until its end is told, in the
//! queue of events. A hash that stands nowhere in the library's store, but for the record that the
//! library shows its users, has never left.
//! Not for: while the library runs. Then its memory is ahead of its disk.

use std::path::Path;

use ldk_node::Node;
use ldk_node::io::sqlite_store::{KV_TABLE_NAME, SQLITE_DB_FILE_NAME};
use ldk_node::lightning::ln::channelmanager::PaymentId;
use ldk_node::payment::PaymentStatus;
use tracing::info;

use super::begun::{Begun, NAMESPACE};
use crate::store::{ElsewhereError, KeptElsewhere};

/// Where the library keeps the records that it shows its users.
const RECORDS: &str = "payments";

/// Why it is not known what was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnsentError {
    /// The store does not read.
    #[error(transparent)]
    Read(#[from] ElsewhereError),
    /// The store does not take what is struck out.
    #[error("its store is not writable: {0}")]
    Write(String),
}

/// Forgets what was never sent. The library's node must have been built from the store in `dir`, and not
/// been started. Blocks.
pub(super) fn forget(node: &Node, begun: &Begun, dir: &Path) -> Result<(), UnsentError> {
    let under_way = begun.under_way();
    if under_way.is_empty() {
        return Ok(());
    }
    let store = open(dir)?;
    for hash in under_way {
        if store.holds(hash.as_bytes())? {
            continue;
        }
        let id = PaymentId(*hash.as_bytes());
        match node.payment(&id).map(|record| record.status) {
            Some(PaymentStatus::Succeeded | PaymentStatus::Failed) => continue,
            Some(PaymentStatus::Pending) => {
                node.remove_payment(&id).map_err(|error| UnsentError::Write(error.to_string()))?;
            }
            None => {}
        }
        begun.strike_out(&hash).map_err(|error| UnsentError::Write(error.to_string()))?;
        info!(%hash, "a payment was begun before the last stop and never sent; it may be begun again");
    }
    Ok(())
}

/// The library's store without the records that it shows its users, and without our notes.
fn open(dir: &Path) -> Result<KeptElsewhere, ElsewhereError> {
    KeptElsewhere::open(&dir.join(SQLITE_DB_FILE_NAME), KV_TABLE_NAME, [NAMESPACE, RECORDS])
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::lightning::PaymentHash;
    use ldk_node::lightning::util::persist::KVStoreSync;

    use super::super::store::Store;
    use super::*;

    const HASH: PaymentHash = PaymentHash::from_bytes([0xa7; 32]);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_hash_is_found_wherever_the_library_has_it_but_in_its_records() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let found = || open(dir.path()).unwrap().holds(HASH.as_bytes()).unwrap();
        let state = [&[0, 1][..], HASH.as_bytes(), &[2]].concat();
        let write = |primary: &str, secondary: &str, key: &str, bytes: &[u8]| {
            KVStoreSync::write(&store, primary, secondary, key, bytes.to_vec()).unwrap();
        };
        write("", "", "manager", &[0; 1_000]);
        write("monitors", "", "aa_0", &[0xa7; 31]);
        write(RECORDS, "", "a7", &state);
        write(NAMESPACE, "begun", "a7", &state);
        assert!(!found());
        for (primary, secondary, key) in
            [("", "", "manager"), ("monitors", "", "aa_0"), ("monitor_updates", "aa_0", "7")]
        {
            write(primary, secondary, key, &state);
            assert!(found(), "{primary} {key}");
            write(primary, secondary, key, &[0]);
            assert!(!found(), "{primary} {key}");
        }
    }
}
