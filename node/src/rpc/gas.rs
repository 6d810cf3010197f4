//! JSON-RPC of the well: `gas.account`, what became of its gas, day by day. How it is now is in
//! `dispatch.list`.
//! Not for: the shapes of the answers ([`crate::dispatcher`]).

use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;

use super::Answers;
use super::code::Code;
use crate::dispatcher::GasDay;

/// What became of a well's gas.
#[rpc(server, client, namespace = "gas", namespace_separator = ".")]
pub trait GasRpc {
    /// The days (of UTC) that began between two moments in Unix ms, both included, oldest first: what
    /// became of the well's gas, and what burning it in the generator spared the air, as a range, with
    /// everything that was assumed and who says so. The latest minute may be missing.
    #[method(name = "account")]
    async fn account(&self, from_unix_ms: String, until_unix_ms: String) -> RpcResult<Vec<GasDay>>;
}

#[async_trait]
impl GasRpcServer for Answers {
    async fn account(&self, from_unix_ms: String, until_unix_ms: String) -> RpcResult<Vec<GasDay>> {
        let moment = |text: String| {
            text.parse::<u64>()
                .map_err(|_| Code::BadParameter.because(format!("{text:?} is no time in Unix ms")))
        };
        Ok(self.dispatch.gas_days(moment(from_unix_ms)?, moment(until_unix_ms)?))
    }
}
