//! `boltgrid escrow`: amounts that are locked until readings say whose they are.

use std::io::Write;

use boltgrid_protocol::escrow::Releases;
use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::Energy;
use clap::{Args, Subcommand, ValueEnum};

use super::error::CliError;
use super::node::Node;
use super::offer::thousandths;
use super::show;
use crate::rpc::escrow::{EscrowReport, EscrowRole, EscrowStage, ProposeTerms};
use crate::rpc::{EscrowListRpcClient, EscrowRpcClient};

const ABOUT: &str = "\
An amount is locked in the channel between payer and payee. When the condition's last edge has
passed, the signed readings of one meter decide: the amount goes to the payee, or back to the
payer. The arbiter, a third member whom both trust, keeps the preimage as well and rules where the
payer does not act; it never holds money. Arbiter and payee could take the amount together, arbiter
and payer could keep it from the payee; none of them can alone.

At least 10000 sat: a smaller amount could not be enforced on the chain. At most some six days:
Lightning holds nothing for longer.

  A contract: the payee delivers, this node pays.
    boltgrid escrow propose delivered --payee P --arbiter A --amount-sat 20000 --energy-wh 5000 \\
      --first 5930112 --until 5930400
  A bond: this node promises to deliver, and loses the amount if it does not.
    boltgrid escrow propose missed --payee P --arbiter A --amount-sat 20000 --energy-wh 5000 \\
      --first 5930112 --until 5930400

The other two see it in `boltgrid escrow list` and accept or decline, unless their config says
`arbitrate_max_sat` or `escrow_accept_max_sat`.";

/// Lock amounts until readings say whose they are.
#[derive(Debug, Subcommand)]
#[command(after_long_help = ABOUT)]
pub(super) enum Escrow {
    /// Propose to lock an amount of this node's
    Propose(Propose),
    /// Take part in an escrow, as its arbiter or payee
    Accept(Which),
    /// Take no part in it
    Decline(Which),
    /// Give a locked amount of this node's to the payee now, whatever the readings say
    Release(Which),
    /// Show all escrows, with those that wait for this node's owner
    List(Node),
}

/// Which outcome gives the amount to the payee.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReleasesWord {
    /// Delivery by the payee: a contract
    Delivered,
    /// Failure to deliver of this node: a bond
    Missed,
}

/// What the meter must show.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SideWord {
    /// Energy given
    Sell,
    /// Energy taken
    Buy,
}

/// Arguments of `escrow propose`.
#[derive(Debug, Args)]
pub(super) struct Propose {
    /// What gives the amount to the payee
    releases: ReleasesWord,
    /// The member that may get it, by its participant id: one with whom this node has a channel
    #[arg(long, value_name = "MEMBER")]
    payee: String,
    /// The member that rules, by its participant id
    #[arg(long, value_name = "MEMBER")]
    arbiter: String,
    /// How much, at least 10000
    #[arg(long, value_name = "SAT")]
    amount_sat: u64,
    /// How much energy must be delivered at least, in Wh
    #[arg(long, value_name = "WH", value_parser = thousandths)]
    energy_wh: i64,
    /// Whether energy must be given or taken
    #[arg(long, value_name = "SIDE", default_value = "sell")]
    side: SideWord,
    /// From the start of this interval, by its number
    #[arg(long, value_name = "INTERVAL")]
    first: u64,
    /// To the start of this one
    #[arg(long, value_name = "INTERVAL")]
    until: u64,
    /// For how many blocks it can be held, 900 at most; without, as many as it takes and half a day's
    /// more
    #[arg(long, value_name = "BLOCKS")]
    hold_blocks: Option<u32>,
    /// For how long the others may sign
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    stands_minutes: u32,
    #[command(flatten)]
    node: Node,
}

/// Arguments of the commands about one escrow.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Which, as `boltgrid escrow list` shows it
    escrow: String,
    #[command(flatten)]
    node: Node,
}

impl Escrow {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::Propose(it) => it.run(out),
            Self::Accept(Which { escrow, node }) => {
                node.ask(|node| async move { node.accept(escrow).await })?;
                done(out, node.json, "this node takes part; see `boltgrid escrow list`")
            }
            Self::Decline(Which { escrow, node }) => {
                node.ask(|node| async move { node.decline(escrow).await })?;
                done(out, node.json, "this node takes no part")
            }
            Self::Release(Which { escrow, node }) => {
                node.ask(|node| async move { node.release(escrow).await })?;
                done(out, node.json, "the amount goes to the payee")
            }
            Self::List(node) => list(node, out),
        }
    }
}

fn done(out: &mut impl Write, as_json: bool, what: &str) -> Result<(), CliError> {
    if as_json {
        return show::json(out, &());
    }
    writeln!(out, "{what}")?;
    Ok(())
}

impl Propose {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let energy_mwh = u64::try_from(self.energy_wh).map_err(|_| CliError::Argument {
            argument: "--energy-wh",
            problem: "is below zero; `--side` says whether it is given or taken".to_owned(),
        })?;
        let terms = ProposeTerms {
            payee: self.payee,
            arbiter: self.arbiter,
            amount_sat: self.amount_sat,
            releases: match self.releases {
                ReleasesWord::Delivered => Releases::Delivered,
                ReleasesWord::Missed => Releases::Missed,
            },
            side: match self.side {
                SideWord::Sell => Side::Sell,
                SideWord::Buy => Side::Buy,
            },
            energy_mwh,
            first_interval: self.first,
            until_interval: self.until,
            hold_blocks: self.hold_blocks,
            stands_minutes: self.stands_minutes,
        };
        let proposed = self.node.ask(|node| async move { node.propose(terms).await })?;
        if self.node.json {
            return show::json(out, &proposed);
        }
        writeln!(
            out,
            "escrow {} is proposed; the amount is locked once arbiter and payee have signed, see \
             `boltgrid escrow list`",
            proposed.escrow
        )?;
        Ok(())
    }
}

fn list(node: Node, out: &mut impl Write) -> Result<(), CliError> {
    let escrows = node.ask(|node| async move { node.escrows().await })?;
    if node.json {
        return show::json(out, &escrows);
    }
    if escrows.is_empty() {
        writeln!(out, "no escrows; `boltgrid escrow --help` says what one is")?;
    }
    for (place, escrow) in escrows.iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        show::rows(out, &rows(escrow))?;
    }
    Ok(())
}

fn rows(it: &EscrowReport) -> Vec<(&'static str, String)> {
    let role = match it.role {
        EscrowRole::Payer => "payer",
        EscrowRole::Payee => "payee",
        EscrowRole::Arbiter => "arbiter",
    };
    let energy = show::energy(Energy::from_milliwatt_hours(it.energy_mwh));
    let verb = match it.side {
        Side::Sell => "gives",
        Side::Buy => "takes",
    };
    let whose = match it.releases {
        Releases::Delivered => "to the payee if",
        Releases::Missed => "to the payee unless",
    };
    let (first, until) = (it.first_interval, it.until_interval);
    vec![
        ("escrow", it.escrow.clone()),
        ("state", format!("{}; this node is the {role}", stage(it))),
        ("amount", format!("{} sat", show::msat_as_sat(it.amount_msat))),
        ("payer", it.payer.clone()),
        ("payee", it.payee.clone()),
        ("arbiter", it.arbiter.clone()),
        (
            "goes",
            format!(
                "{whose} {} {verb} {energy} from interval {first} to {until}",
                it.subject.chars().take(8).collect::<String>()
            ),
        ),
    ]
}

fn stage(it: &EscrowReport) -> String {
    let text = match it.stage {
        EscrowStage::Asked => "waits for `boltgrid escrow accept` or `decline`",
        EscrowStage::Proposed => "proposed, waits for the others' words",
        EscrowStage::Signed => "signed",
        EscrowStage::Paying => "on its way or locked",
        EscrowStage::Locked => "locked",
        EscrowStage::Releasing => "goes to the payee",
        EscrowStage::GivingBack => "goes back to the payer",
        EscrowStage::Released => "over: the payee has it",
        EscrowStage::GivenBack => "over: the payer has it back",
        EscrowStage::Lapsed => "over: nothing was locked in time",
        EscrowStage::Refused => "over: nothing was locked",
    };
    it.why.as_ref().map_or_else(|| text.to_owned(), |why| format!("{text}, {why}"))
}
