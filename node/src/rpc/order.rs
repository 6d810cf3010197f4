//! JSON-RPC of what the site wants of the market: `market.orders`, `market.place_order`,
//! `market.withdraw_order`, `market.instructions` and `market.instruct`.
//!
//! An own order stands in for the planner's of one interval; instructions are limits that every order of the
//! planner keeps to.
//! Not for: offers ahead of the auction ([`super::offer`]), or what became of orders ([`super::market`]).

use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::code::Code;
use super::{Answers, parse};
use crate::access::Caller;
use crate::instructions::{Change, Instructions, StepTerms};
use crate::status::{Quoted, StepReport};
use crate::trading::NotDone;

/// What the site wants. Intervals are decimal strings.
#[rpc(server, client, namespace = "market", namespace_separator = ".")]
pub trait OrderRpc {
    /// The node's orders from the interval being delivered on, the earliest first: those that are placed,
    /// own ones that wait, and what the planner would order next as things are now.
    #[method(name = "orders")]
    async fn orders(&self) -> RpcResult<Vec<OwnOrderReport>>;

    /// Has these steps, instead of the planner's, ordered for an interval; no steps mean that nothing is
    /// ordered. It can be changed until `changeable_until_unix_ms` of `market.orders`, and at most a week
    /// ahead. While the site's meter is in doubt nothing is ordered all the same.
    #[method(name = "place_order", param_kind = map)]
    async fn place_order(
        &self,
        interval: String,
        steps: Vec<StepTerms>,
    ) -> RpcResult<Vec<OwnOrderReport>>;

    /// Leaves an interval to the planner again.
    #[method(name = "withdraw_order", param_kind = map)]
    async fn withdraw_order(&self, interval: String) -> RpcResult<Vec<OwnOrderReport>>;

    /// The standing instructions, what the config file says, what holds of both, and who changed them.
    #[method(name = "instructions")]
    async fn instructions(&self) -> RpcResult<InstructionsReport>;

    /// Replaces the standing instructions; what is left out is as the config file says. They hold from the
    /// next order on, and after a restart. With `dry_run` nothing is changed, and `next` of the answer
    /// shows what would be ordered.
    #[method(name = "instruct", param_kind = map, with_extensions)]
    async fn instruct(
        &self,
        instructions: Instructions,
        dry_run: Option<bool>,
    ) -> RpcResult<InstructionsReport>;
}

/// How far an order of this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Signed and published; it can no longer be changed.
    Placed,
    /// The owner's own, waiting to be placed.
    Own,
    /// What the planner would order now; it plans anew when orders open.
    Planned,
}

/// One of this node's orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnOrderReport {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// When its delivery starts.
    #[serde(with = "Quoted")]
    pub starts_at_unix_ms: u64,
    /// Until when it can be changed.
    #[serde(with = "Quoted")]
    pub changeable_until_unix_ms: u64,
    /// How far it is.
    pub state: OrderState,
    /// Its steps; none where nothing is ordered.
    pub steps: Vec<StepReport>,
}

/// What the owner wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstructionsReport {
    /// What was said since the config file was written.
    pub instructions: Instructions,
    /// What the config file says.
    pub config: Instructions,
    /// What holds of both; a price that is null is the supplier's.
    pub holds: Instructions,
    /// Who changed them, the oldest first, at most 100.
    pub changes: Vec<Change>,
    /// What the planner would order next by them; null where it would order nothing.
    pub next: Option<OwnOrderReport>,
}

#[async_trait]
impl OrderRpcServer for Answers {
    async fn orders(&self) -> RpcResult<Vec<OwnOrderReport>> {
        self.trading.orders().await.map_err(not_done)
    }

    async fn place_order(
        &self,
        interval: String,
        steps: Vec<StepTerms>,
    ) -> RpcResult<Vec<OwnOrderReport>> {
        self.trading.order(parse(&interval)?, Some(steps)).await.map_err(not_done)?;
        self.trading.orders().await.map_err(not_done)
    }

    async fn withdraw_order(&self, interval: String) -> RpcResult<Vec<OwnOrderReport>> {
        self.trading.order(parse(&interval)?, None).await.map_err(not_done)?;
        self.trading.orders().await.map_err(not_done)
    }

    async fn instructions(&self) -> RpcResult<InstructionsReport> {
        self.trading.instructions().await.map_err(not_done)
    }

    async fn instruct(
        &self,
        extensions: &Extensions,
        instructions: Instructions,
        dry_run: Option<bool>,
    ) -> RpcResult<InstructionsReport> {
        if let Err(why) = instructions.check(&self.charter) {
            return Err(Code::BadParameter.because(why.to_string()));
        }
        let caller = extensions.get::<Caller>();
        let caller = caller.expect("nobody comes to a method but through the guard");
        let is_dry = dry_run.unwrap_or(false);
        let done = self.trading.instruct(instructions, caller.name.to_string(), is_dry).await;
        done.map_err(not_done)
    }
}

fn not_done(why: NotDone) -> ErrorObjectOwned {
    let code = match why {
        NotDone::Busy | NotDone::Late => Code::Busy,
        NotDone::BadOrder(_) | NotDone::TooFarAhead => Code::BadParameter,
        NotDone::NotTaken(_)
        | NotDone::WindowOver
        | NotDone::NotAMember
        | NotDone::TooManyOrders
        | NotDone::NotKept => Code::NotDone,
    };
    code.because(why.to_string())
}
