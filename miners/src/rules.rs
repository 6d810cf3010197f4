//! Rules: what an owner wants machines to do, whatever the plan says.
//!
//! A rule is a condition over what is seen (price, surplus, battery, time, sun, temperatures,
//! forecast) and what machines do while it holds. Conditions have three values: what is not known
//! neither holds nor fails, also under `not`, and a rule acts only if its condition holds; so nothing
//! unknown ever starts a machine. Everything that can be wrong with a rule is found when it is read,
//! with line and column. For owners: `docs/rules.md`.
//!
//! Pure. Not for: the plan, which decides where no rule does, or where what is seen comes from.

mod condition;
mod decide;
mod dry_run;
mod fault;
mod history;
mod import;
mod quantity;
mod read;
#[cfg(test)]
mod tests;

pub use condition::{Condition, Range, Verdict, Weekdays};
pub use decide::{Decided, Held, Judged, decide};
pub use dry_run::{Change, DryRun, Outcome, Share, Tried, dry_run};
pub use fault::{Fault, RulesRejected};
pub use history::{HistoryRejected, Sample, read_history};
pub use import::{Fate, ImportRejected, Imported, Reported, import_policy};
pub use quantity::{Quantity, Seen};
pub use read::read_rules;

use boltgrid_protocol::units::Power;

/// Most rules of one file.
pub const RULES_MAX: usize = 100;
/// Most conditions of one rule, those that are made of others included.
pub const CONDITIONS_MAX: usize = 64;
/// How deep conditions may be made of conditions.
pub const DEPTH_MAX: usize = 8;
/// Longest file, in bytes.
pub const FILE_BYTES_MAX: usize = 65_536;
/// Longest name of a rule, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest time for which a rule is kept to, in seconds: a day.
pub const HOLD_S_MAX: u32 = 86_400;

/// What machines are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run at full power, whatever power costs.
    Run,
    /// Not run.
    Stop,
    /// Run at the highest power that is not above this; off where even the least is.
    Power(Power),
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is called in explanations; no two are called the same.
    pub name: String,
    /// Of several rules that hold, the highest decides; of equal ones the one that stops, and then
    /// the first.
    pub priority: i64,
    /// What machines do.
    pub action: Action,
    /// While this holds …
    pub when: Condition,
    /// … and for so long at least once it decided, unless a higher one holds.
    pub for_at_least_s: u32,
    /// Which machines, by name; all where there are none.
    pub machines: Vec<String>,
}

impl Rule {
    /// Whether it is for this machine.
    #[must_use]
    pub fn is_for(&self, machine: &str) -> bool {
        self.machines.is_empty() || self.machines.iter().any(|name| name == machine)
    }
}

/// Rules, the one that decides first at the front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
}

impl Rules {
    /// Rules in the order in which they decide.
    #[must_use]
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| (std::cmp::Reverse(rule.priority), rule.action != Action::Stop));
        Self { rules }
    }

    /// The rules, the one that decides first at the front.
    #[must_use]
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }
}
