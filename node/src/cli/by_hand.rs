//! `boltgrid payment invoice`, `pay`, `look-up` and `by-hand`: paying and being paid by hand, beside all trades.
//! Not for: what is due for trades; the node asks for that and pays it by itself.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use boltgrid_protocol::units::{SignedMsat, Timestamp};
use clap::Args;

use super::error::CliError;
use super::node::Node;
use super::past::every_page;
use super::rpc::Door;
use super::show;
use crate::clock;
use crate::rpc::ByHandRpcClient;
use crate::rpc::by_hand::{ByHandReport, LookedUpReport, LookedUpState};

/// How long `payment pay` waits for the end of a payment …
const PATIENCE: Duration = Duration::from_secs(60);
/// … and how often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Millisatoshi in a satoshi.
const MSAT_PER_SAT: u64 = 1_000;
/// All bitcoin, in satoshi.
const SAT_MAX: u64 = 2_100_000_000_000_000;

/// What to be paid for.
#[derive(Debug, Args)]
pub(super) struct Invoice {
    /// How much, in satoshi
    #[arg(value_name = "SAT", value_parser = clap::value_parser!(u64).range(1..=SAT_MAX))]
    amount_sat: u64,
    /// What the payer is told that it is for
    #[arg(long = "for", value_name = "TEXT", default_value = "")]
    description: String,
    /// How long it can be paid, in seconds; an hour unless said otherwise
    #[arg(long, value_name = "S")]
    expiry_s: Option<u32>,
    #[command(flatten)]
    node: Node,
}

/// What to pay.
#[derive(Debug, Args)]
pub(super) struct Pay {
    /// The invoice (BOLT 11), which names its amount
    invoice: String,
    /// Most that forwarding may cost, in satoshi; 10 unless said otherwise
    #[arg(long, value_name = "SAT", value_parser = clap::value_parser!(u64).range(..=SAT_MAX))]
    fee_max_sat: Option<u64>,
    #[command(flatten)]
    node: Node,
}

/// What to look up.
#[derive(Debug, Args)]
pub(super) struct LookUp {
    /// The payment's hash
    #[arg(value_name = "HASH")]
    payment_hash: String,
    #[command(flatten)]
    node: Node,
}

impl Invoice {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let (amount, description) = (msat(self.amount_sat), self.description);
        let made = self.node.ask(|node| async move {
            ByHandRpcClient::invoice(&node, amount, description, self.expiry_s).await
        })?;
        if self.node.json {
            return show::json(out, &made);
        }
        writeln!(out, "{}", made.invoice)?;
        let until = show::moment(Timestamp::from_unix_ms(made.expires_at_unix_ms));
        writeln!(
            out,
            "to be paid until {until}; `boltgrid payment look-up {}`",
            made.payment_hash
        )?;
        Ok(())
    }
}

impl Pay {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let door = self.node.door()?;
        let (invoice, fee_max) = (self.invoice, self.fee_max_sat.map(msat));
        let begun =
            door.ask(|node| async move { ByHandRpcClient::pay(&node, invoice, fee_max).await })?;
        let ended = ended(&door, &begun.payment_hash)?;
        if self.node.json {
            show::json(out, &ended)?
        } else {
            told(out, &ended)?
        }
        match ended.state {
            LookedUpState::Paid => Ok(()),
            LookedUpState::Failed => Err(CliError::Unpaid {
                problem: "it failed on its way; it may be tried again".to_owned(),
            }),
            LookedUpState::Pending => Err(CliError::Unpaid {
                problem: format!(
                    "after {} s it is still under way; `boltgrid payment look-up {}` says how it ends",
                    PATIENCE.as_secs(),
                    ended.payment_hash
                ),
            }),
        }
    }
}

impl LookUp {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let found = look_up(&self.node.door()?, &self.payment_hash)?;
        if self.node.json { show::json(out, &found) } else { told(out, &found) }
    }
}

/// `payment by-hand`: all of them since an interval.
pub(super) fn list(node: &Node, from: u64, out: &mut impl Write) -> Result<(), CliError> {
    let payments = all(&node.door()?, from)?;
    if node.json {
        return show::json(out, &payments);
    }
    if payments.is_empty() {
        writeln!(out, "no payments by hand")?;
    }
    let now = clock::now().to_unix_ms();
    for it in &payments {
        writeln!(
            out,
            "{}  {} {} {}  {}  {}",
            show::moment(Timestamp::from_unix_ms(it.at_unix_ms)),
            sat(it.amount_msat),
            if it.is_received { "asked for," } else { "to pay," },
            how_far(it, now),
            it.payment_hash,
            it.description,
        )?;
    }
    Ok(())
}

/// All payments by hand since an interval, page by page.
fn all(door: &Door, from: u64) -> Result<Vec<ByHandReport>, CliError> {
    let from = from.to_string();
    door.ask(|it| async move {
        let page = async |before| ByHandRpcClient::by_hand(&it, from.clone(), before).await;
        every_page(page, |it: &ByHandReport| it.interval).await
    })
}

const fn how_far(it: &ByHandReport, now_unix_ms: u64) -> &'static str {
    match (it.state, it.is_received) {
        (Some(LookedUpState::Paid), true) => "received",
        (Some(LookedUpState::Paid), false) => "paid",
        (Some(LookedUpState::Failed), _) => "failed",
        (Some(LookedUpState::Pending), false) => "under way",
        (Some(LookedUpState::Pending), true) if it.expires_at_unix_ms <= now_unix_ms => "expired",
        (Some(LookedUpState::Pending), true) => "not paid yet",
        (None, _) => "Lightning knows nothing of it",
    }
}

fn look_up(door: &Door, payment_hash: &str) -> Result<LookedUpReport, CliError> {
    let hash = payment_hash.to_owned();
    door.ask(|node| async move { ByHandRpcClient::look_up(&node, hash).await })
}

/// How a payment is once it has ended, or after some patience.
fn ended(door: &Door, payment_hash: &str) -> Result<LookedUpReport, CliError> {
    let began = Instant::now();
    loop {
        let found = look_up(door, payment_hash)?;
        if found.state != LookedUpState::Pending || began.elapsed() >= PATIENCE {
            return Ok(found);
        }
        sleep(LOOK_EVERY);
    }
}

fn told(out: &mut impl Write, it: &LookedUpReport) -> Result<(), CliError> {
    let amount = it.amount_msat.map_or_else(|| "an unknown amount".to_owned(), sat);
    match (it.state, it.is_received) {
        (LookedUpState::Pending, true) => writeln!(out, "{amount}: not paid yet")?,
        (LookedUpState::Pending, false) => writeln!(out, "{amount}: under way")?,
        (LookedUpState::Failed, _) => writeln!(out, "{amount}: failed")?,
        (LookedUpState::Paid, true) => writeln!(out, "{amount} received")?,
        (LookedUpState::Paid, false) => {
            let fee = sat(it.fee_msat.unwrap_or(0));
            let receipt = it.preimage.as_deref().unwrap_or("not shown by Lightning");
            writeln!(out, "{amount} paid, forwarding took {fee}\nreceipt {receipt}")?;
        }
    }
    Ok(())
}

fn sat(msat: u64) -> String {
    show::money(SignedMsat::from_millisatoshi(i64::try_from(msat).unwrap_or(i64::MAX)))
}

fn msat(sat: u64) -> String {
    sat.saturating_mul(MSAT_PER_SAT).to_string()
}
