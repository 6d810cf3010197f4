//! JSON-RPC of the members as the network sees them: `peer.list`. It only reads.
//! Not for: who is a member at all (`grid.members`), or counts, which are in `node.status`.

use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answers;
use crate::network::MemberState;
use crate::status::QuotedOption;

/// Who is within reach.
#[rpc(server, client, namespace = "peer", namespace_separator = ".")]
pub trait PeerRpc {
    /// All other members of the current roster, by their id.
    #[method(name = "list")]
    async fn peers(&self) -> RpcResult<Vec<PeerReport>>;
}

/// Another member within reach, or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerReport {
    /// Who.
    pub participant: String,
    /// Its id in libp2p, which is made of the same key.
    pub peer_id: String,
    /// Where it was last said to be.
    pub addresses: Vec<String>,
    /// For how long it has been connected; null while it is not.
    #[serde(with = "QuotedOption")]
    pub connected_for_ms: Option<u64>,
    /// Whether this node dialled it.
    pub is_dialled: bool,
    /// Whether its connection is kept before all others.
    pub is_pinned: bool,
    /// Its score with gossip; null while it is not connected.
    pub score: Option<i32>,
}

impl From<&MemberState> for PeerReport {
    fn from(state: &MemberState) -> Self {
        let ms = |it: std::time::Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        Self {
            participant: state.participant.to_string(),
            peer_id: state.peer.to_string(),
            addresses: state.addresses.iter().map(ToString::to_string).collect(),
            connected_for_ms: state.connected_for.map(ms),
            is_dialled: state.is_dialled,
            is_pinned: state.is_pinned,
            score: state.score,
        }
    }
}

#[async_trait]
impl PeerRpcServer for Answers {
    async fn peers(&self) -> RpcResult<Vec<PeerReport>> {
        Ok(self.network.status().each.iter().map(PeerReport::from).collect())
    }
}
