//! JSON-RPC by which the owner forgives a default: `payment.forgive`.
//!
//! It changes whom the node trusts.
//! Not for: seeing who owes what; that is [`super::payment`].

use boltgrid_protocol::id::ParticipantId;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answers;
use super::code::Code;
use crate::status::Quoted;

/// Forgiving.
#[rpc(server, client, namespace = "payment", namespace_separator = ".")]
pub trait ForgiveRpc {
    /// Writes off what a counterparty owes and is in dispute, and trusts it anew as a newcomer. The
    /// records of the disputes stay, and say when they were forgiven.
    #[method(name = "forgive", param_kind = map)]
    async fn forgive(&self, counterparty: String) -> RpcResult<ForgiveReport>;
}

/// What a counterparty was forgiven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForgiveReport {
    /// Who.
    pub counterparty: String,
    /// How many dues were written off; none where it had paid all of them late.
    pub dues: u32,
    /// What was not paid of them.
    #[serde(with = "Quoted")]
    pub unpaid_msat: u64,
}

#[async_trait]
impl ForgiveRpcServer for Answers {
    async fn forgive(&self, counterparty: String) -> RpcResult<ForgiveReport> {
        let whom: ParticipantId = counterparty.parse().map_err(|_| {
            let message =
                "a participant's id is 64 hexadecimal digits; `payment.accounts` has them";
            Code::BadParameter.because(message)
        })?;
        let forgiven = self.trading.forgive(whom).await;
        let forgiven = forgiven.map_err(|why| Code::NotDone.because(why.to_string()))?;
        Ok(ForgiveReport {
            counterparty,
            dues: u32::try_from(forgiven.dues).unwrap_or(u32::MAX),
            unpaid_msat: forgiven.unpaid_msat.to_millisatoshi(),
        })
    }
}
