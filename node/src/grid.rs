//! The grid as its files describe it: the charter and the enrolments of all members.
//! Not for: what is learnt of the grid while running.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boltgrid_protocol::charter::{Charter, CharterRejected};
use boltgrid_protocol::enrolment::{CertifiedEnrolment, EnrolmentRejected};
use boltgrid_protocol::roster::{RosterRejected, Rosters};

use crate::config::GridConfig;

/// How the names of enrolment files end.
pub const ENROLMENT_EXTENSION: &str = "enrolment";

/// A grid: its constitution and its members.
#[derive(Clone, Debug)]
pub struct Grid {
    /// The charter.
    pub charter: Arc<Charter>,
    /// The rosters of all epochs.
    pub rosters: Rosters,
}

/// Why the files describe no grid.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// A file or folder cannot be read.
    #[error("the {what} {path} cannot be read: {source}; {remedy}")]
    Read {
        /// What it should be.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The charter is not one.
    #[error("{path}: {source}")]
    Charter {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CharterRejected,
    },
    /// An enrolment is not one of this grid.
    #[error("{path}: {source}; ask a registrar for a new one, or remove the file")]
    Enrolment {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: EnrolmentRejected,
    },
    /// The enrolments together are not a roster.
    #[error("the enrolments make no roster: {0}")]
    Roster(#[from] RosterRejected),
}

impl Grid {
    /// Reads the charter and every `*.enrolment` file of the folder, and checks all of them.
    ///
    /// # Errors
    ///
    /// [`GridError`], naming the file.
    pub fn load(files: &GridConfig) -> Result<Self, GridError> {
        let charter = Arc::new(read_charter(&files.charter_file)?);
        let enrolments = enrolment_files(&files.enrolments_dir)?
            .into_iter()
            .map(|path| read_member(&path, &charter))
            .collect::<Result<Vec<_>, _>>()?;
        let rosters = Rosters::new(Arc::clone(&charter), enrolments)?;
        Ok(Self { charter, rosters })
    }
}

/// Reads and checks a charter.
///
/// # Errors
///
/// [`GridError::Read`] or [`GridError::Charter`].
pub fn read_charter(path: &Path) -> Result<Charter, GridError> {
    let text = fs::read_to_string(path).map_err(|source| GridError::Read {
        what: "charter",
        path: path.to_owned(),
        source,
        remedy: "ask a member of the grid for it, or write one with `boltgrid charter new`",
    })?;
    Charter::from_toml(&text).map_err(|source| GridError::Charter { path: path.to_owned(), source })
}

/// Reads an enrolment, signed or not.
///
/// # Errors
///
/// [`GridError::Read`] or [`GridError::Enrolment`].
pub fn read_enrolment(path: &Path) -> Result<CertifiedEnrolment, GridError> {
    let bytes = fs::read(path).map_err(|source| GridError::Read {
        what: "enrolment",
        path: path.to_owned(),
        source,
        remedy: "`boltgrid enrol request` makes one, `boltgrid enrol sign` signs it",
    })?;
    CertifiedEnrolment::from_bytes(&bytes)
        .map_err(|source| GridError::Enrolment { path: path.to_owned(), source: source.into() })
}

fn read_member(path: &Path, charter: &Charter) -> Result<CertifiedEnrolment, GridError> {
    let certified = read_enrolment(path)?;
    match certified.verify(charter) {
        Ok(_) => Ok(certified),
        Err(source) => Err(GridError::Enrolment { path: path.to_owned(), source }),
    }
}

/// The enrolment files of a folder, by name.
fn enrolment_files(dir: &Path) -> Result<Vec<PathBuf>, GridError> {
    let failed = |source| GridError::Read {
        what: "folder of enrolments",
        path: dir.to_owned(),
        source,
        remedy: "make it and put every member's enrolment into it",
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == ENROLMENT_EXTENSION) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}
