//! `/health` and `/ready`: whether the node signs, and whether it can trade, in words.
//!
//! `/health` is for whoever alarms: 503 while the node abstains. `/ready` is for whoever waits for a
//! start: 503 with what is missing until there is nothing.
//! Not for: numbers ([`crate::metrics`]), or what to do about it (`boltgrid status`).

use axum::extract::State;
use axum::http::StatusCode;

use crate::clock;
use crate::rpc::Answers;
use crate::status::AbstentionStatus;

/// Where the answers come from.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    answers: Answers,
}

impl Readiness {
    pub(crate) fn new(answers: &Answers) -> Self {
        Self { answers: answers.clone() }
    }

    /// Why the node abstains; none while it signs.
    fn abstaining(&self) -> Option<AbstentionStatus> {
        self.answers.history.borrow().sight().abstaining.as_ref().map(AbstentionStatus::from)
    }

    /// What keeps the node from trading, in words; none once nothing does.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if let Some(abstaining) = self.abstaining() {
            missing.push(format!("abstains ({}): {}", abstaining.cause, abstaining.why));
        }
        let interval = self.answers.charter.interval.interval_at(clock::now());
        let roster = self.answers.rosters.clone().at(interval);
        if roster.index_of(&self.answers.participant).is_none() {
            missing.push("is no member of its grid yet".to_owned());
        }
        let others = roster.members().len() > 1;
        if others && self.answers.network.status().members_connected == 0 {
            missing.push("hears no other node".to_owned());
        }
        match &*self.answers.site.state.borrow() {
            None => missing.push("its site was not measured yet".to_owned()),
            Some(state) => missing.extend(state.stale.as_ref().map(|why| format!("site: {why}"))),
        }
        missing
    }
}

pub(super) async fn health(State(readiness): State<Readiness>) -> (StatusCode, String) {
    match readiness.abstaining() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(it) => {
            let text = format!("abstains ({}): {}\n", it.cause, it.why);
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

pub(super) async fn ready(State(readiness): State<Readiness>) -> (StatusCode, String) {
    let missing = readiness.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n")
}
