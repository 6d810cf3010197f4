//! Where lines for people go: a live table on a terminal, plain lines elsewhere.
//!
//! Lost output never ends a run: whoever reads may have seen enough.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Between two turns of the spinner.
const TURN: Duration = Duration::from_millis(120);

/// A terminal with a line at the bottom that changes, or plain lines.
#[derive(Debug)]
pub enum Display {
    /// Rows, and below them what is under way.
    Live {
        /// The rows.
        rows: MultiProgress,
        /// What is under way.
        now: ProgressBar,
    },
    /// Rows only.
    Plain,
}

impl Display {
    /// Live on a terminal, unless told otherwise.
    ///
    /// # Panics
    ///
    /// Never: the template is constant and valid.
    #[must_use]
    pub fn new(headless: bool) -> Self {
        if headless || !io::stdout().is_terminal() || !io::stderr().is_terminal() {
            return Self::Plain;
        }
        let style = ProgressStyle::with_template("{spinner} {wide_msg}")
            .expect("the template is constant and valid");
        let rows = MultiProgress::new();
        let now = rows.add(ProgressBar::new_spinner().with_style(style));
        now.enable_steady_tick(TURN);
        Self::Live { rows, now }
    }

    /// Adds a line that stays.
    pub fn row(&self, line: &str) {
        match self {
            Self::Live { rows, .. } => drop(rows.println(line)),
            Self::Plain => drop(writeln!(io::stdout(), "{line}")),
        }
    }

    /// Says what is under way, where that can be changed later.
    pub fn now(&self, text: String) {
        match self {
            Self::Live { now, .. } => now.set_message(text),
            Self::Plain => {}
        }
    }

    /// Adds the last lines, and leaves the terminal as it was.
    pub fn end(self, lines: &str) {
        if let Self::Live { rows, now } = self {
            now.finish_and_clear();
            drop(rows.clear());
        }
        drop(writeln!(io::stdout(), "{lines}"));
    }
}
