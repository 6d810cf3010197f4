//! What is wrong with a file of rules, and where.

use std::fmt;
use std::ops::Range;

/// Most faults of one file that are listed.
pub(super) const FAULTS_MAX: usize = 20;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in characters.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// A file that holds no rules that could be acted on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", listed(.faults))]
pub struct RulesRejected {
    /// What is wrong, from the top of the file; at least one.
    pub faults: Vec<Fault>,
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What was found wrong so far.
#[derive(Debug)]
pub(super) struct Faults<'a> {
    text: &'a str,
    found: Vec<Fault>,
}

impl<'a> Faults<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// Notes a fault at a place of the text; beyond the bound it is not noted.
    pub(super) fn note(&mut self, span: &Range<usize>, message: impl Into<String>) {
        if self.found.len() >= FAULTS_MAX {
            return;
        }
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.rsplit('\n').next().unwrap_or("").chars().count().saturating_add(1);
        self.found.push(Fault { line, column, message: message.into() });
    }

    /// Whether something was found.
    pub(super) const fn any(&self) -> bool {
        !self.found.is_empty()
    }

    pub(super) fn rejected(mut self) -> RulesRejected {
        self.found.sort();
        RulesRejected { faults: self.found }
    }
}
