//! A plan as JSON-RPC tells it: each step with its reason in words and its amounts in numbers.

use boltgrid_market::channels::{Action, Plan, Step};
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::units::{Msat, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lightning::ChannelId;
use crate::status::{Quoted, QuotedOption};

/// What the policy would do about the node's channels now: the result of `channel.plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanReport {
    /// When it was made.
    #[serde(with = "Quoted")]
    pub made_at_unix_ms: u64,
    /// Whether the node carries its plans out by itself.
    pub automatic: bool,
    /// What to do, in this order.
    pub steps: Vec<StepReport>,
    /// What would be good and is not done, and why.
    pub waiting: Vec<String>,
    /// All that is expected to be paid in the grid a day.
    #[serde(with = "Quoted")]
    pub expected_msat_a_day: u64,
    /// How much time of the past the expectation rests on; what is older counts less.
    #[serde(with = "Quoted")]
    pub expected_from_ms: u64,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// What to do.
    pub action: ActionKind,
    /// Which channel, as `channel.list` names it; none for one yet to be opened.
    pub channel: Option<String>,
    /// With which participant, where that is known.
    pub partner: Option<String>,
    /// What goes into it; none where it is closed.
    #[serde(with = "QuotedOption")]
    pub amount_msat: Option<u64>,
    /// What the chain takes.
    #[serde(with = "Quoted")]
    pub fee_msat: u64,
    /// Why.
    pub reason: String,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Opens a channel.
    Open,
    /// Puts more into one.
    SpliceIn,
    /// Closes one, the partner agreeing.
    CloseTogether,
    /// Closes one alone.
    CloseAlone,
}

impl PlanReport {
    pub(super) fn of(
        plan: &Plan,
        roster: &Roster,
        (now, automatic): (Timestamp, bool),
        (expected, from_ms): (Msat, u64),
    ) -> Self {
        Self {
            made_at_unix_ms: now.to_unix_ms(),
            automatic,
            steps: plan.steps.iter().map(|step| StepReport::of(step, roster)).collect(),
            waiting: plan.waiting.iter().map(ToString::to_string).collect(),
            expected_msat_a_day: expected.to_millisatoshi(),
            expected_from_ms: from_ms,
        }
    }
}

impl StepReport {
    fn of(step: &Step, roster: &Roster) -> Self {
        let name = |it: boltgrid_market::channels::ChannelId| {
            Some(ChannelId::from_number(it.0).to_string())
        };
        let who = |it: RosterIndex| roster.participant(it).map(|it| it.to_string());
        let (action, channel, partner, amount) = match step.action {
            Action::Open { partner, capacity } => {
                (ActionKind::Open, None, who(partner), Some(capacity))
            }
            Action::SpliceIn { channel, partner, amount } => {
                (ActionKind::SpliceIn, name(channel), who(partner), Some(amount))
            }
            Action::CloseTogether { channel } => {
                (ActionKind::CloseTogether, name(channel), None, None)
            }
            Action::CloseAlone { channel } => (ActionKind::CloseAlone, name(channel), None, None),
        };
        Self {
            action,
            channel,
            partner,
            amount_msat: amount.map(Msat::to_millisatoshi),
            fee_msat: step.fee.to_millisatoshi(),
            reason: step.reason.to_string(),
        }
    }
}
