//! Where everything of a run is.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{KeepProblem, StageError};

/// The folder of a run: removed when it ends, unless it is to be kept.
#[derive(Debug)]
pub enum Folder {
    /// Removed when dropped.
    Temporary(TempDir),
    /// Kept.
    Kept(PathBuf),
}

impl Folder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(path) => path,
        }
    }

    /// Makes it: where it is to be kept, or somewhere.
    pub(super) fn make(keep: Option<&Path>) -> Result<Self, StageError> {
        let Some(path) = keep else {
            let dir = tempfile::Builder::new().prefix("boltgrid-testnet-").tempdir();
            return dir.map(Self::Temporary).map_err(StageError::Temporary);
        };
        let wrong = |problem| StageError::Keep { path: path.to_owned(), problem };
        fs::create_dir_all(path).map_err(|error| wrong(error.into()))?;
        // Nodes run elsewhere than in the folder from which the path was given.
        let path = path.canonicalize().map_err(|error| wrong(error.into()))?;
        match fs::read_dir(&path).map_err(|error| wrong(error.into()))?.next() {
            None => Ok(Self::Kept(path)),
            Some(_) => Err(wrong(KeepProblem::NotEmpty)),
        }
    }
}
