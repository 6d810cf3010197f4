//! `boltgrid channel`: the payment channels of the running node.

use std::io::Write;

use clap::{Args, Subcommand};

use super::error::CliError;
use super::node::Node;
use super::wallet::Since;
use super::{channel_plan, past, show};
use crate::rpc::ChannelRpcClient;
use crate::rpc::wallet::{ChannelReport, ChannelStage, OpenTerms};

/// Payment channels with other members.
#[derive(Debug, Subcommand)]
pub(super) enum Channel {
    /// Show all channels
    List(Node),
    /// Show what the node would do about its channels by itself, and why; nothing is done
    Plan(Node),
    /// Open a channel, paid for by this node
    Open(Open),
    /// Close a channel, together with the other side or by force
    Close(Close),
    /// Show what became of channels
    History(Since),
    /// Move money between a channel and the on-chain wallet
    Splice(Splice),
}

/// Arguments of `channel open`.
#[derive(Debug, Args)]
pub(super) struct Open {
    /// With whom: a member's participant id, or a Lightning node's id
    counterparty: String,
    /// What goes into it, in satoshi
    #[arg(long, value_name = "SAT")]
    size_sat: u64,
    /// How much of it is given to the other side at once, so that it can pay this node
    #[arg(long, value_name = "SAT", default_value_t = 0)]
    push_sat: u64,
    /// Where the other Lightning node listens, as host:port; of a member it is known
    #[arg(long, value_name = "ADDR")]
    address: Option<String>,
    #[command(flatten)]
    node: Node,
}

/// Arguments of `channel close`.
#[derive(Debug, Args)]
pub(super) struct Close {
    /// Which, as `boltgrid channel list` shows it
    channel: String,
    /// Without the other side: dearer, and the money is bound for about a day
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    node: Node,
}

/// Arguments of `channel splice`.
#[derive(Debug, Args)]
pub(super) struct Splice {
    /// Which, as `boltgrid channel list` shows it
    channel: String,
    /// So much from the on-chain wallet into the channel
    #[arg(
        long = "in",
        value_name = "SAT",
        required_unless_present = "out_sat",
        conflicts_with = "out_sat",
        id = "in_sat"
    )]
    in_sat: Option<u64>,
    /// So much out of the channel into the on-chain wallet
    #[arg(long = "out", value_name = "SAT", id = "out_sat")]
    out_sat: Option<u64>,
    #[command(flatten)]
    node: Node,
}

impl Channel {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::List(it) => list(it, out),
            Self::Plan(it) => channel_plan::run(it, out),
            Self::Open(it) => it.run(out),
            Self::Close(it) => it.run(out),
            Self::History(since) => past::channels(since.node, since.from, out),
            Self::Splice(it) => it.run(out),
        }
    }
}

fn list(node: Node, out: &mut impl Write) -> Result<(), CliError> {
    let channels = node.ask(|node| async move { node.channels().await })?;
    if node.json {
        return show::json(out, &channels);
    }
    if channels.is_empty() {
        writeln!(out, "no channels; `boltgrid channel open` opens one")?;
    }
    for (place, channel) in channels.iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        show::rows(out, &rows(channel))?;
    }
    Ok(())
}

fn rows(it: &ChannelReport) -> Vec<(&'static str, String)> {
    let state = match it.state {
        ChannelStage::Pending => format!("waits for confirmations, has {}", it.confirmations),
        ChannelStage::Offline => "the other side is not connected".to_owned(),
        ChannelStage::Usable => "usable".to_owned(),
    };
    let opened_by = if it.is_outbound { "this node" } else { "the other side" };
    vec![
        ("channel", it.channel.clone()),
        ("member", show::or_none(it.participant.as_ref())),
        ("Lightning", it.counterparty.clone()),
        ("state", state),
        ("size", format!("{} sat, opened by {opened_by}", it.size_sat)),
        ("can send", format!("{} sat", show::msat_as_sat(it.sendable_msat))),
        ("can receive", format!("{} sat", show::msat_as_sat(it.receivable_msat))),
        ("funding", show::or_none(it.funding.as_ref())),
    ]
}

impl Open {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let push_msat = self.push_sat.checked_mul(1000).ok_or_else(|| CliError::Argument {
            argument: "--push-sat",
            problem: "is more bitcoin than there is".to_owned(),
        })?;
        let terms = OpenTerms {
            counterparty: self.counterparty,
            address: self.address,
            size_sat: self.size_sat,
            push_msat: Some(push_msat),
        };
        let opened =
            self.node.ask(|node| async move { ChannelRpcClient::open(&node, terms).await })?;
        if self.node.json {
            return show::json(out, &opened);
        }
        writeln!(out, "channel {} is being opened; see `boltgrid channel list`", opened.channel)?;
        Ok(())
    }
}

impl Close {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let (channel, force) = (self.channel, self.force);
        self.node.ask(|node| async move {
            if force { node.force_close(channel).await } else { node.close(channel).await }
        })?;
        if self.node.json {
            return show::json(out, &());
        }
        writeln!(out, "the channel is being closed; see `boltgrid wallet balances`")?;
        Ok(())
    }
}

impl Splice {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let (channel, in_sat, out_sat) = (self.channel, self.in_sat, self.out_sat);
        self.node.ask(|node| async move {
            match in_sat {
                Some(amount) => node.splice_in(channel, amount.to_string()).await,
                None => node.splice_out(channel, out_sat.unwrap_or(0).to_string()).await,
            }
        })?;
        if self.node.json {
            return show::json(out, &());
        }
        writeln!(out, "the channel is being spliced; it stays usable meanwhile")?;
        Ok(())
    }
}
