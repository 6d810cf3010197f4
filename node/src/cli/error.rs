//! Why a command did not do as asked, in words for whoever typed it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use boltgrid_market::clear::ReplayRejected;
use boltgrid_protocol::agreement::CertificateRejected;
use boltgrid_protocol::enrolment::EnrolmentRejected;
use boltgrid_protocol::id::{ClearingDigest, ParticipantId};
use boltgrid_protocol::units::Interval;

use crate::access::tokens::TokenFileError;
use crate::config::ConfigError;
use crate::dashboard::setup::SetupError;
use crate::first_files::FirstFilesError;
use crate::grid::GridError;
use crate::keys::KeyError;
use crate::lightning::{RestoreError, SeedError};
use crate::logging::LoggingError;
use crate::meter_keys::MeterKeyError;
use crate::node::RunError;
use crate::store::{ArchiveError, StoreError};

/// Exit codes, in docs/cli.md.
const FAILED: u8 = 1;
const ARGUMENTS: u8 = 2;
const NO_NODE: u8 = 3;
const REFUSED: u8 = 4;

/// Why a command did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments are wrong, or ask for help or the version.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// An argument that cannot be.
    #[error("`{argument}` {problem}")]
    Argument {
        /// Which argument.
        argument: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A meter that was tried out and not read once.
    #[error("{0} was not read")]
    NotRead(String),
    /// A machine that mines.
    #[error(transparent)]
    Machine(#[from] boltgrid_miners::drivers::DeviceError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The files of a new folder.
    #[error(transparent)]
    FirstFiles(#[from] FirstFilesError),
    /// The set-up in the browser.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Charter or enrolments.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The meter's key.
    #[error(transparent)]
    MeterKey(#[from] MeterKeyError),
    /// The config names no next meter key.
    #[error(
        "the config names no next meter key; set `next_meter_key_file`, say to \"meter.next.key\""
    )]
    NoNextMeterKey,
    /// The logs.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// The data folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The wallet's seed.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The wallet could not be brought back.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The config file has no Lightning in it.
    #[error(
        "{path} says nothing of Lightning; set `network` and where the chain is seen in its `[lightning]`"
    )]
    NoLightning {
        /// The file.
        path: PathBuf,
    },
    /// The node did not start, or stopped by itself.
    #[error("the node stopped: {0}")]
    Node(#[from] RunError),
    /// Something that is made once is there already.
    #[error("{path} exists and is not overwritten; move it away, or name another with {remedy}")]
    Exists {
        /// What is there.
        path: PathBuf,
        /// How to name another.
        remedy: &'static str,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Tokens.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// A file or folder cannot be written.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// Which one.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file does not hold what it should, or cannot be read.
    #[error("{path}: {problem}")]
    Contents {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it, with lines where it has any.
        problem: String,
    },
    /// Standard output or input failed.
    #[error("the terminal cannot be written or read: {0}")]
    Output(#[from] io::Error),
    /// An enrolment that would not make anybody a member.
    #[error("{0}")]
    Enrolment(#[from] EnrolmentRejected),
    /// A registrar's key that the charter does not name.
    #[error("{0} is not a registrar of this charter; its registrars are under `membership`")]
    NotARegistrar(ParticipantId),
    /// The async runtime or the signal handlers cannot be set up.
    #[error("the operating system refuses what a node needs: {0}")]
    Runtime(#[source] io::Error),
    /// Stopped by a second signal before everything was put away.
    #[error("stopped at once by a second signal; nothing that was signed is lost")]
    StoppedAtOnce,
    /// No node answers.
    #[error(
        "no node answers at {address} ({problem}); start it with `boltgrid run`, \
         or name its address with --rpc"
    )]
    NoNode {
        /// Where it was asked.
        address: SocketAddr,
        /// What happened.
        problem: String,
    },
    /// The node doesn't know whoever asks.
    #[error(
        "the node at {address} does not know who asks: {}",
        if *has_shown {
            "what was shown is not known there, was revoked, or has expired; a cookie is that of the \
             node's latest start: is this its config file?"
        } else {
            "give its config file by --config, as the user it runs as, so that its cookie is found; \
             or a token by --token-file"
        }
    )]
    Unknown {
        /// Where it was asked.
        address: SocketAddr,
        /// Whether it was shown anything.
        has_shown: bool,
    },
    /// The node answers, but not what was asked.
    #[error("the node at {address} answered: {problem}")]
    Refused {
        /// Where it was asked.
        address: SocketAddr,
        /// What it said.
        problem: String,
    },
    /// A payment by hand did not arrive, or not yet.
    #[error("not paid: {problem}")]
    Unpaid {
        /// Why, and what to do.
        problem: String,
    },
    /// An arbiter did not take all that was to be opened to it.
    #[error(
        "{left} of {all} intervals were not opened; run the same again: what is open already stays \
         as it is"
    )]
    NotOpened {
        /// How many it did not take.
        left: usize,
        /// Of how many.
        all: usize,
    },
    /// The doctor found trouble.
    #[error("{}", if *.0 == 1 { "one thing is in trouble".to_owned() } else { format!("{} things are in trouble", .0) })]
    Unwell(usize),
    /// Nothing is stored of an interval.
    #[error(
        "no book is stored for interval {0}: it was not decided, is still to come, \
         or is older than `keep_days`"
    )]
    NoBook(Interval),
    /// A stored certificate is not one.
    #[error("the stored book does not hold: {0}")]
    Certificate(#[from] CertificateRejected),
    /// A stored book does not hold.
    #[error("the stored book does not hold: {0}")]
    Replay(#[from] ReplayRejected),
    /// A stored book is of another interval than asked for.
    #[error("the stored book is of interval {found}, not of {asked}")]
    WrongInterval {
        /// Which was asked for.
        asked: Interval,
        /// Which it is of.
        found: Interval,
    },
    /// Clearing again gave something else.
    #[error("the clearing differs: digest {again} now, {before} when it was cleared")]
    Differs {
        /// The digest stored.
        before: ClearingDigest,
        /// The digest computed now.
        again: ClearingDigest,
    },
}

impl CliError {
    /// What the process ends with (docs/cli.md).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Arguments(error) => u8::try_from(error.exit_code()).unwrap_or(ARGUMENTS),
            Self::NoNode { .. } => NO_NODE,
            Self::Refused { .. } | Self::Unknown { .. } => REFUSED,
            Self::Argument { .. }
            | Self::NotRead(_)
            | Self::Machine(_)
            | Self::Config(_)
            | Self::FirstFiles(_)
            | Self::Setup(_)
            | Self::Grid(_)
            | Self::Key(_)
            | Self::MeterKey(_)
            | Self::NoNextMeterKey
            | Self::Logging(_)
            | Self::Store(_)
            | Self::Archive(_)
            | Self::Seed(_)
            | Self::Restore(_)
            | Self::NoLightning { .. }
            | Self::Node(_)
            | Self::Exists { .. }
            | Self::Read { .. }
            | Self::Tokens(_)
            | Self::Write { .. }
            | Self::Contents { .. }
            | Self::Output(_)
            | Self::Enrolment(_)
            | Self::NotARegistrar(_)
            | Self::Runtime(_)
            | Self::StoppedAtOnce
            | Self::Unpaid { .. }
            | Self::NotOpened { .. }
            | Self::Unwell(_)
            | Self::NoBook(_)
            | Self::Certificate(_)
            | Self::Replay(_)
            | Self::WrongInterval { .. }
            | Self::Differs { .. } => FAILED,
        }
    }
}
