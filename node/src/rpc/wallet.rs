//! JSON-RPC of the wallet and its channels: `wallet.address`, `wallet.balances`, `wallet.send`,
//! `channel.list`, `channel.open`, `channel.close`, `channel.force_close`, `channel.splice_in` and
//! `channel.splice_out`.
//!
//! Most of these move the owner's money.
//! Not for: paying for trades, which the node does by itself.

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::lightning::LightningId;
use boltgrid_protocol::units::Msat;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answers;
use super::code::Code;
use crate::lightning::{
    Balances, Channel, ChannelId, ChannelState, ChannelTerms, LightningError, LightningHandle,
    Sending,
};
use crate::status::{Quoted, QuotedOption};

/// The on-chain wallet.
#[rpc(server, client, namespace = "wallet", namespace_separator = ".")]
pub trait WalletRpc {
    /// A new address to send bitcoin to.
    #[method(name = "address")]
    async fn address(&self) -> RpcResult<AddressReport>;

    /// Where the node's money is, looked at now.
    #[method(name = "balances")]
    async fn balances(&self) -> RpcResult<BalancesReport>;

    /// Sends bitcoin, never what is in reserve for closing channels. Without `amount_sat`: all of it.
    #[method(name = "send", param_kind = map)]
    async fn send(&self, address: String, amount_sat: Option<String>) -> RpcResult<SentReport>;
}

/// Channels.
#[rpc(server, client, namespace = "channel", namespace_separator = ".")]
pub trait ChannelRpc {
    /// All channels that are open or being opened, looked at now.
    #[method(name = "list")]
    async fn channels(&self) -> RpcResult<Vec<ChannelReport>>;

    /// Starts to open a channel, paid for by this node.
    #[method(name = "open", param_kind = map)]
    async fn open(&self, channel: OpenTerms) -> RpcResult<OpenedReport>;

    /// Closes a channel together with the other side.
    #[method(name = "close", param_kind = map)]
    async fn close(&self, channel: String) -> RpcResult<()>;

    /// Closes a channel without the other side: dearer, and the money is bound for about a day.
    #[method(name = "force_close", param_kind = map)]
    async fn force_close(&self, channel: String) -> RpcResult<()>;

    /// Moves money from the on-chain wallet into a channel.
    #[method(name = "splice_in", param_kind = map)]
    async fn splice_in(&self, channel: String, amount_sat: String) -> RpcResult<()>;

    /// Moves money out of a channel into the on-chain wallet.
    #[method(name = "splice_out", param_kind = map)]
    async fn splice_out(&self, channel: String, amount_sat: String) -> RpcResult<()>;
}

/// The result of `wallet.address`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressReport {
    /// A new address of the wallet.
    pub address: String,
}

/// The result of `wallet.send`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SentReport {
    /// The transaction's id.
    pub txid: String,
}

/// Where the node's money is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalancesReport {
    /// In the on-chain wallet, all of it.
    #[serde(with = "Quoted")]
    pub onchain_sat: u64,
    /// In the on-chain wallet and free to be spent.
    #[serde(with = "Quoted")]
    pub spendable_sat: u64,
    /// In the on-chain wallet, kept so that channels can be closed by force at any fee.
    #[serde(with = "Quoted")]
    pub reserve_sat: u64,
    /// Ours in open channels and in channels being closed.
    #[serde(with = "Quoted")]
    pub channels_sat: u64,
    /// On its way from closed channels into the on-chain wallet.
    #[serde(with = "Quoted")]
    pub closing_sat: u64,
}

/// What to open: the parameter of `channel.open`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenTerms {
    /// With whom: a member's participant id, or a Lightning node's id.
    pub counterparty: String,
    /// Where it listens, as host:port; of a member it is known.
    #[serde(default)]
    pub address: Option<String>,
    /// What goes into it.
    #[serde(with = "Quoted")]
    pub size_sat: u64,
    /// How much of it is given to the other side at once, so that it can pay this node.
    #[serde(default, with = "QuotedOption")]
    pub push_msat: Option<u64>,
}

/// The result of `channel.open`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenedReport {
    /// The channel's name on this node.
    pub channel: String,
}

/// How far a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelStage {
    /// Its funding is not confirmed deeply enough yet.
    Pending,
    /// It could be used, but the other side is not connected.
    Offline,
    /// It can be used.
    Usable,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelReport {
    /// Its name on this node.
    pub channel: String,
    /// The other Lightning node.
    pub counterparty: String,
    /// The member that it belongs to; null where none is known.
    pub participant: Option<String>,
    /// How far it is.
    pub state: ChannelStage,
    /// The output that funds it, as txid:number.
    pub funding: Option<String>,
    /// Whether this node opened it.
    pub is_outbound: bool,
    /// What is in it.
    #[serde(with = "Quoted")]
    pub size_sat: u64,
    /// What this node can send through it now.
    #[serde(with = "Quoted")]
    pub sendable_msat: u64,
    /// What this node can receive through it now.
    #[serde(with = "Quoted")]
    pub receivable_msat: u64,
    /// What of this node's must stay in it.
    #[serde(with = "Quoted")]
    pub reserve_sat: u64,
    /// Confirmations of its funding.
    pub confirmations: u32,
    /// Blocks that this node waits for its money after it closed the channel by force.
    pub close_delay_blocks: Option<u16>,
}

impl From<Balances> for BalancesReport {
    fn from(it: Balances) -> Self {
        Self {
            onchain_sat: it.onchain_sat,
            spendable_sat: it.spendable_sat,
            reserve_sat: it.reserve_sat,
            channels_sat: it.channels_sat,
            closing_sat: it.closing_sat,
        }
    }
}

impl ChannelReport {
    /// A channel, and the member on its other side.
    #[must_use]
    pub fn new(it: &Channel, participant: Option<ParticipantId>) -> Self {
        Self {
            channel: it.id.to_string(),
            counterparty: it.counterparty.to_string(),
            participant: participant.map(|participant| participant.to_string()),
            state: match it.state {
                ChannelState::Pending => ChannelStage::Pending,
                ChannelState::Offline => ChannelStage::Offline,
                ChannelState::Usable => ChannelStage::Usable,
            },
            funding: it.funding.clone(),
            is_outbound: it.is_outbound,
            size_sat: it.size_sat,
            sendable_msat: it.sendable.to_millisatoshi(),
            receivable_msat: it.receivable.to_millisatoshi(),
            reserve_sat: it.reserve_sat,
            confirmations: it.confirmations,
            close_delay_blocks: it.close_delay_blocks,
        }
    }
}

impl Answers {
    pub(super) fn lightning(&self) -> Result<&LightningHandle, ErrorObjectOwned> {
        self.lightning.as_ref().ok_or_else(|| {
            let message = "this node runs without Lightning; say so in `[lightning]` of its config";
            Code::NoLightning.because(message)
        })
    }

    /// Who a counterparty is, and where it listens.
    fn contact(&self, terms: &OpenTerms) -> Result<(LightningId, String), ErrorObjectOwned> {
        if let Ok(node) = terms.counterparty.parse::<LightningId>() {
            let address = terms.address.clone();
            let known = || {
                let contacts = self.network.lightning_contacts();
                let known = contacts.values().find(|it| it.node == node)?;
                known.addresses.first().cloned()
            };
            let missing = "`address` is missing: where this Lightning node listens, as host:port";
            let address = address.or_else(known).ok_or_else(|| Code::NotFound.because(missing));
            return Ok((node, address?));
        }
        let participant: ParticipantId = terms.counterparty.parse().map_err(|_| {
            let message = "`counterparty` is a member's participant id (64 hexadecimal digits) or a \
                           Lightning node's id (66)";
            Code::BadParameter.because(message)
        })?;
        let unknown = "this member's Lightning node is not known: it has none, or its record was \
                       not seen yet";
        let contacts = self.network.lightning_contacts();
        let contact = contacts.get(&participant).ok_or_else(|| Code::NotFound.because(unknown))?;
        let address = terms.address.clone().or_else(|| contact.addresses.first().cloned());
        let silent = "this member's Lightning node listens nowhere: it has to open the channel";
        Ok((contact.node, address.ok_or_else(|| Code::NotFound.because(silent))?))
    }
}

#[async_trait]
impl WalletRpcServer for Answers {
    async fn address(&self) -> RpcResult<AddressReport> {
        let address = self.lightning()?.address().await.map_err(not_done)?;
        Ok(AddressReport { address })
    }

    async fn balances(&self) -> RpcResult<BalancesReport> {
        Ok(self.lightning()?.refresh().await.map_err(not_done)?.balances.into())
    }

    async fn send(&self, address: String, amount_sat: Option<String>) -> RpcResult<SentReport> {
        let amount_sat = amount_sat.map(|text| satoshi(&text)).transpose()?;
        let sending = Sending { address, amount_sat };
        let txid = self.lightning()?.send_onchain(sending).await.map_err(not_done)?;
        Ok(SentReport { txid })
    }
}

#[async_trait]
impl ChannelRpcServer for Answers {
    async fn channels(&self) -> RpcResult<Vec<ChannelReport>> {
        let channels = self.lightning()?.channels().await.map_err(not_done)?;
        let contacts = self.network.lightning_contacts();
        let member = |node: LightningId| {
            contacts.iter().find(|(_, it)| it.node == node).map(|(member, _)| *member)
        };
        Ok(channels.iter().map(|it| ChannelReport::new(it, member(it.counterparty))).collect())
    }

    async fn open(&self, channel: OpenTerms) -> RpcResult<OpenedReport> {
        let lightning = self.lightning()?;
        let (counterparty, address) = self.contact(&channel)?;
        let push = Msat::from_millisatoshi(channel.push_msat.unwrap_or(0))
            .map_err(|_| Code::BadParameter.because("`push_msat` is more bitcoin than there is"))?;
        let terms = ChannelTerms { counterparty, address, size_sat: channel.size_sat, push };
        let channel = lightning.open_channel(terms).await.map_err(not_done)?;
        Ok(OpenedReport { channel: channel.to_string() })
    }

    async fn close(&self, channel: String) -> RpcResult<()> {
        Ok(self.lightning()?.close_channel(parse(&channel)?).await.map_err(not_done)?)
    }

    async fn force_close(&self, channel: String) -> RpcResult<()> {
        Ok(self.lightning()?.force_close_channel(parse(&channel)?).await.map_err(not_done)?)
    }

    async fn splice_in(&self, channel: String, amount_sat: String) -> RpcResult<()> {
        let (channel, amount) = (parse(&channel)?, satoshi(&amount_sat)?);
        Ok(self.lightning()?.splice_in(channel, amount).await.map_err(not_done)?)
    }

    async fn splice_out(&self, channel: String, amount_sat: String) -> RpcResult<()> {
        let (channel, amount) = (parse(&channel)?, satoshi(&amount_sat)?);
        Ok(self.lightning()?.splice_out(channel, amount).await.map_err(not_done)?)
    }
}

fn parse(channel: &str) -> Result<ChannelId, ErrorObjectOwned> {
    channel.parse().map_err(|it: crate::lightning::channel::NotAChannelId| {
        Code::BadParameter.because(it.to_string())
    })
}

fn satoshi(text: &str) -> Result<u64, ErrorObjectOwned> {
    let amount = text.parse().ok().filter(|amount| *amount > 0);
    let message = "`amount_sat` is a decimal number of satoshi in a string, such as \"50000\"";
    amount.ok_or_else(|| Code::BadParameter.because(message))
}

pub(super) fn not_done(why: LightningError) -> ErrorObjectOwned {
    Code::NotDone.because(why.to_string())
}
