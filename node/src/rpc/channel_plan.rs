//! JSON-RPC of the channel policy: `channel.plan`, a dry run that explains itself.
//! Not for: opening or closing by hand, which is in [`super::wallet`].

use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;

use super::Answers;
use super::code::Code;
use crate::channels::PlanReport;

/// The channel policy.
#[rpc(server, client, namespace = "channel", namespace_separator = ".")]
pub trait ChannelPlanRpc {
    /// What the policy would do about the node's channels now, and why. Nothing is done.
    #[method(name = "plan")]
    async fn plan(&self) -> RpcResult<PlanReport>;
}

#[async_trait]
impl ChannelPlanRpcServer for Answers {
    async fn plan(&self) -> RpcResult<PlanReport> {
        let Some(plans) = &self.channel_plans else {
            let message = "this node runs without Lightning, so it plans no channels; say so in \
                           `[lightning]` of its config";
            return Err(Code::NoLightning.because(message));
        };
        plans.plan().await.map_err(|no_plan| Code::NotFound.because(no_plan.to_string()))
    }
}
