//! Keeps a chain in a folder: every block, every step back and every transaction that was let in, in
//! order, so that playing them again gives the same chain.
//!
//! Nothing is synced: a chain of worthless coins may lose its last second with the power. A record
//! that was cut short is dropped when the folder is opened. Not for: two processes at once.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bitcoin::consensus::encode::{self, deserialize, serialize};
use bitcoin::{Block, Transaction};

use super::rejection::BlockRejection;
use super::state::Chain;

/// The file's name.
const FILE: &str = "chain.log";
/// What it begins with.
const HEAD: &[u8] = b"boltgrid regtest chain 1\n";
/// Bytes of a record before its body: its kind, and the length of the body.
const RECORD_HEAD: usize = 5;
const KIND_BLOCK: u8 = 1;
const KIND_DISCONNECT: u8 = 2;
const KIND_TRANSACTION: u8 = 3;

/// What happened to a chain.
#[derive(Debug)]
pub(super) enum Record {
    /// A block was put on the tip.
    Block(Block),
    /// So many blocks were taken off the tip.
    Disconnect(u32),
    /// A transaction was let in.
    Transaction {
        /// When, in Unix seconds.
        seen_s: u64,
        tx: Transaction,
    },
}

/// Why a chain's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk.
    #[error("the chain's file {} cannot be used: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Somebody else has it.
    #[error("the chain's file {} is in use by another process; stop that one first", .0.display())]
    InUse(PathBuf),
    /// It is something else.
    #[error("{} is no chain of this version; name another folder", .0.display())]
    Foreign(PathBuf),
    /// A record is wrong.
    #[error("the chain's file {} is damaged: {problem}; remove it to begin anew", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: Damage,
    },
}

/// What is wrong with a record.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It cannot be read.
    #[error(transparent)]
    Encoding(#[from] encode::Error),
    /// Nothing is recorded so.
    #[error("a record of kind {0}")]
    Kind(u8),
    /// A block does not fit.
    #[error(transparent)]
    Block(#[from] BlockRejection),
    /// More steps back than there are blocks, or a number that is none.
    #[error("a step back that is none")]
    Disconnect,
}

/// An open file.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
}

impl Log {
    /// Opens or begins the file of a folder, and plays what is in it.
    pub(super) fn open(folder: &Path, chain: &mut Chain) -> Result<Self, LogError> {
        let path = folder.join(FILE);
        let failed = |source| LogError::Io { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let mut file = File::options();
        let mut file = file.create(true).read(true).append(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::InUse(path)),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        if bytes.is_empty() {
            file.write_all(HEAD).map_err(failed)?;
            return Ok(Self { file });
        }
        let Some(mut records) = bytes.strip_prefix(HEAD) else {
            return Err(LogError::Foreign(path));
        };
        while let Some((kind, body, rest)) = split(records) {
            play(kind, body, chain)
                .map_err(|problem| LogError::Damaged { path: path.clone(), problem })?;
            records = rest;
        }
        let whole = u64::try_from(bytes.len() - records.len()).unwrap_or(u64::MAX);
        file.set_len(whole).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { file })
    }

    /// Adds a record.
    pub(super) fn append(&mut self, record: &Record) -> io::Result<()> {
        let (kind, body) = match record {
            Record::Block(block) => (KIND_BLOCK, serialize(block)),
            Record::Disconnect(count) => (KIND_DISCONNECT, count.to_le_bytes().to_vec()),
            Record::Transaction { seen_s, tx } => {
                let mut body = seen_s.to_le_bytes().to_vec();
                body.extend(serialize(tx));
                (KIND_TRANSACTION, body)
            }
        };
        let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![kind];
        bytes.extend(length.to_le_bytes());
        bytes.extend(body);
        self.file.write_all(&bytes)
    }
}

/// The kind and the body of the first record, and what follows; nothing where it was cut short.
fn split(records: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = records.split_at_checked(RECORD_HEAD)?;
    let (kind, length) = head.split_first()?;
    let length = u32::from_le_bytes(length.try_into().ok()?);
    let (body, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((*kind, body, rest))
}

fn play(kind: u8, body: &[u8], chain: &mut Chain) -> Result<(), Damage> {
    match kind {
        KIND_BLOCK => chain.connect(deserialize(body)?)?,
        KIND_DISCONNECT => {
            let count = body.try_into().map(u32::from_le_bytes).map_err(|_| Damage::Disconnect)?;
            if chain.disconnect(count) != count {
                return Err(Damage::Disconnect);
            }
        }
        KIND_TRANSACTION => {
            let (seen_s, tx) = body.split_first_chunk().ok_or(Damage::Kind(kind))?;
            // It was let in once, and would be refused now only if the file had been changed.
            if let Err(rejection) = chain.submit(deserialize(tx)?, u64::from_le_bytes(*seen_s)) {
                tracing::warn!(%rejection, "a transaction of the chain's file is refused");
            }
        }
        other => return Err(Damage::Kind(other)),
    }
    Ok(())
}
