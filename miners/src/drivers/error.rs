//! What can go wrong with a machine: the way to it, what it says, or how it is set up.

use std::io;
use std::sync::Arc;

/// The most of a machine's own words that is handed on.
const WORDS_MAX: usize = 200;

/// Why a machine did not do as asked. Each names the machine as the configuration does.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Nothing at its address is a machine that is known.
    #[error(
        "{device}: no mining machine that is known answers at {address}; is it on, is the address \
         right, and does its firmware let others ask?"
    )]
    NotFound {
        /// The machine.
        device: Arc<str>,
        /// Where.
        address: String,
    },
    /// The way to it failed. The next call tries it anew.
    #[error("{device}: {doing} failed: {source}")]
    Io {
        /// The machine.
        device: Arc<str>,
        /// What was tried.
        doing: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// It does not answer in time. Whether it took a command is unknown then.
    #[error("{device}: {doing} took longer than {after_ms} ms")]
    TimedOut {
        /// The machine.
        device: Arc<str>,
        /// What was tried.
        doing: &'static str,
        /// How long it had.
        after_ms: u64,
    },
    /// It refused.
    #[error("{device}: it refused {doing}: {what}")]
    Refused {
        /// The machine.
        device: Arc<str>,
        /// What was tried.
        doing: &'static str,
        /// What it says.
        what: String,
    },
    /// It answered with something that makes no sense.
    #[error("{device}: its answer makes no sense: {what}")]
    Garbled {
        /// The machine.
        device: Arc<str>,
        /// What is wrong with the answer, in few words.
        what: String,
    },
    /// It can't be told that.
    #[error("{device}: it cannot be told to {what}")]
    Unable {
        /// The machine.
        device: Arc<str>,
        /// What it was told.
        what: String,
    },
    /// The library that speaks to it failed where it must not.
    #[error("{device}: the library that speaks to it panicked while {doing}; please report this")]
    Panicked {
        /// The machine.
        device: Arc<str>,
        /// What was tried.
        doing: &'static str,
    },
    /// It is set up in a way that can never work.
    #[error("{device}: {problem}")]
    Setting {
        /// The machine.
        device: Arc<str>,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl DeviceError {
    /// Whether it must be set up otherwise before it can work: no use in trying again soon.
    #[must_use]
    pub const fn is_misconfiguration(&self) -> bool {
        match self {
            Self::Setting { .. } | Self::Unable { .. } => true,
            Self::NotFound { .. }
            | Self::Io { .. }
            | Self::TimedOut { .. }
            | Self::Refused { .. }
            | Self::Garbled { .. }
            | Self::Panicked { .. } => false,
        }
    }
}

/// A machine's own words, cut to a length and without what would upset a terminal.
pub(super) fn words(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(printable).take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_says_no_more_than_fits_and_nothing_to_a_terminal() {
        assert_eq!(words("no\x1b[2J way\n"), "no [2J way ");
        assert_eq!(words(&"ä".repeat(1_000)).chars().count(), WORDS_MAX);
    }
}
