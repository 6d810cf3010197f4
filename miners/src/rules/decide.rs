//! Which rule decides now, and why.

use boltgrid_protocol::units::Timestamp;

use super::condition::Verdict;
use super::quantity::Seen;
use super::{Action, Rule, Rules};

/// A rule that was decided by and is kept to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The rule's name.
    pub rule: String,
    /// Until when it is kept to, whether it still holds or not.
    pub until: Timestamp,
}

/// What one rule came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The rule's name.
    pub rule: String,
    /// What its condition came to.
    pub verdict: Verdict,
    /// Why, in words.
    pub because: String,
}

/// What the rules come to for one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// What the machine is to do; `None` where no rule decides, and the plan does.
    pub action: Option<Action>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Until when it is kept to although its condition no longer holds.
    pub kept_until: Option<Timestamp>,
    /// What each rule for this machine came to, in the order in which they decide.
    pub judged: Vec<Judged>,
    /// What to hand over the next time.
    pub held: Option<Held>,
}

/// What the rules come to for a machine. `held` is what the last decision for it left.
#[must_use]
pub fn decide(rules: &Rules, machine: &str, seen: &Seen, held: Option<&Held>) -> Decided {
    let mine = || rules.all().iter().filter(|rule| rule.is_for(machine));
    let judged: Vec<Judged> = mine()
        .map(|rule| Judged {
            rule: rule.name.clone(),
            verdict: rule.when.verdict(seen),
            because: rule.when.explained(seen),
        })
        .collect();
    let kept = held.filter(|held| seen.at < held.until);
    // A rule that is kept to counts as one that holds, so only those before it come first.
    let decides = mine().zip(&judged).find(|(rule, judged)| {
        judged.verdict == Verdict::Holds || kept.is_some_and(|kept| kept.rule == rule.name)
    });
    let Some((rule, by)) = decides else { return Decided { judged, ..Decided::default() } };
    let holds = by.verdict == Verdict::Holds;
    let before = held.filter(|held| held.rule == rule.name);
    let held =
        before.filter(|_| kept.is_some() || holds).cloned().unwrap_or_else(|| start(rule, seen));
    Decided {
        action: Some(rule.action),
        rule: Some(rule.name.clone()),
        kept_until: (!holds).then_some(held.until),
        judged,
        held: Some(held),
    }
}

/// A rule that decides from now on.
fn start(rule: &Rule, seen: &Seen) -> Held {
    let hold_ms = u64::from(rule.for_at_least_s).saturating_mul(1_000);
    Held { rule: rule.name.clone(), until: seen.at.plus_ms(hold_ms) }
}
