//! Lightning in `node.status`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Quoted, QuotedOption};
use crate::lightning::{Balances, ChannelState, LightningHandle};

/// Lightning as last seen, a second or so ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LightningStatus {
    /// The node's id on Lightning.
    pub node_id: String,
    /// When the wallet had last caught up with the chain; null before it first has.
    #[serde(with = "QuotedOption")]
    pub synced_at_unix_s: Option<u64>,
    /// The latest block that is known.
    pub height_blocks: u32,
    /// In the on-chain wallet, all of it.
    #[serde(with = "Quoted")]
    pub onchain_sat: u64,
    /// In the on-chain wallet and free to be spent.
    #[serde(with = "Quoted")]
    pub spendable_sat: u64,
    /// Ours in open channels and in channels being closed.
    #[serde(with = "Quoted")]
    pub channels_sat: u64,
    /// On its way from closed channels into the on-chain wallet.
    #[serde(with = "Quoted")]
    pub closing_sat: u64,
    /// Channels that are open or being opened.
    pub channels: u32,
    /// Of those, the ones that can be used now.
    pub channels_usable: u32,
    /// What can be sent through these now, in sum.
    #[serde(with = "Quoted", default)]
    pub sendable_msat: u64,
    /// What can be received through these now, in sum.
    #[serde(with = "Quoted", default)]
    pub receivable_msat: u64,
    /// Lightning nodes connected.
    pub peers: u32,
    /// Members whose Lightning node is known.
    pub members_known: u32,
}

impl LightningStatus {
    /// What a handle last saw.
    #[must_use]
    pub fn new(lightning: &LightningHandle, members_known: usize) -> Self {
        let status = lightning.status();
        let Balances { onchain_sat, spendable_sat, channels_sat, closing_sat, .. } =
            status.balances;
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let usable = status.channels.iter().filter(|it| it.state == ChannelState::Usable);
        let (sendable, receivable) = status.room();
        Self {
            node_id: lightning.node_id().to_string(),
            synced_at_unix_s: status.synced_at_unix_s,
            height_blocks: status.height,
            onchain_sat,
            spendable_sat,
            channels_sat,
            closing_sat,
            channels: count(status.channels.len()),
            channels_usable: count(usable.count()),
            sendable_msat: sendable.to_millisatoshi(),
            receivable_msat: receivable.to_millisatoshi(),
            peers: count(status.peers),
            members_known: count(members_known),
        }
    }
}
