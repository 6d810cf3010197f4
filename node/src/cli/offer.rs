//! `boltgrid offer`: trades ahead of the auction, by the running node. Not for: what is signed or
//! bound, which the node's market decides.

use std::io::Write;

use boltgrid_protocol::offer::{DAYS_AHEAD_MAX, Day, Product};
use boltgrid_protocol::order::{Side, Source};
use boltgrid_protocol::units::{Energy, Price, Timestamp};
use clap::{Args, Subcommand, ValueEnum};

use super::error::CliError;
use super::node::Node;
use super::show;
use crate::clock;
use crate::rpc::offer::{
    AcceptReport, AcceptState, AcceptTerms, ForwardReport, OfferReport, OfferTerms,
};
use crate::rpc::{ForwardRpcClient, OfferRpcClient};

/// Trade ahead of the auction: offer energy of the coming days, or accept others' offers.
#[derive(Debug, Subcommand)]
pub(super) enum Offer {
    /// Sign and publish an offer, in place of an earlier one of the same product and day
    Publish(Publish),
    /// Withdraw an offer; what was accepted of it stays
    Withdraw(Listing),
    /// Show what is offered, the best first
    List(Listing),
    /// Sign an acceptance of some of another member's offer
    Accept(Accept),
    /// Show the trades ahead that are not over
    Forwards(Node),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SideWord {
    /// The offer's author gives energy
    Sell,
    /// The offer's author takes energy
    Buy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SourceWord {
    Load,
    Pv,
    PvMustRun,
    Battery,
    Miner,
    Generator,
}

/// What is offered.
#[derive(Clone, Copy, Debug, Args)]
struct ProductWords {
    /// What the offer's author does
    side: SideWord,
    /// From or for what
    source: SourceWord,
}

impl From<ProductWords> for Product {
    fn from(words: ProductWords) -> Self {
        let side = match words.side {
            SideWord::Sell => Side::Sell,
            SideWord::Buy => Side::Buy,
        };
        let source = match words.source {
            SourceWord::Load => Source::Load,
            SourceWord::Pv => Source::Pv,
            SourceWord::PvMustRun => Source::PvMustRun,
            SourceWord::Battery => Source::Battery,
            SourceWord::Miner => Source::Miner,
            SourceWord::Generator => Source::Generator,
        };
        Self { side, source }
    }
}

/// How much, when and at what price.
#[derive(Debug, Args)]
struct Deal {
    /// Energy in every interval, in Wh, such as 250 or 62.5
    #[arg(long, value_name = "WH", value_parser = thousandths)]
    energy_wh: i64,
    /// The price in sat/kWh, such as 150 or -2.5; negative means that the seller pays
    #[arg(long, value_name = "SAT", value_parser = thousandths, allow_hyphen_values = true)]
    price_sat_per_kwh: i64,
    /// The first interval, by its number
    #[arg(long, value_name = "INTERVAL")]
    first: u64,
    /// How many intervals, all in one day of UTC
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    intervals: u64,
}

/// Arguments of `offer publish`.
#[derive(Debug, Args)]
pub(super) struct Publish {
    #[command(flatten)]
    product: ProductWords,
    #[command(flatten)]
    deal: Deal,
    /// The least that may be accepted in every interval, in Wh
    #[arg(long, value_name = "WH", value_parser = thousandths, default_value = "0.001")]
    minimum_wh: i64,
    #[command(flatten)]
    node: Node,
}

/// Arguments of `offer list` and `offer withdraw`.
#[derive(Debug, Args)]
pub(super) struct Listing {
    #[command(flatten)]
    product: ProductWords,
    /// Of which day of UTC: so many days from today
    #[arg(long, value_name = "DAYS", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(0..=DAYS_AHEAD_MAX))]
    days_ahead: u64,
    #[command(flatten)]
    node: Node,
}

/// Arguments of `offer accept`.
#[derive(Debug, Args)]
pub(super) struct Accept {
    /// Whose offer: the participant, as `boltgrid offer list` shows it
    offerer: String,
    #[command(flatten)]
    product: ProductWords,
    #[command(flatten)]
    deal: Deal,
    #[command(flatten)]
    node: Node,
}

impl Offer {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::Publish(it) => it.run(out),
            Self::Withdraw(it) => it.withdraw(out),
            Self::List(it) => it.list(out),
            Self::Accept(it) => it.run(out),
            Self::Forwards(it) => forwards(it, out),
        }
    }
}

impl Publish {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let terms = OfferTerms {
            product: self.product.into(),
            energy_mwh: positive("--energy-wh", self.deal.energy_wh)?,
            minimum_mwh: positive("--minimum-wh", self.minimum_wh)?,
            price_msat_per_kwh: self.deal.price_sat_per_kwh,
            first_interval: self.deal.first,
            after_interval: self.deal.after(),
            expires_at_unix_ms: None,
        };
        let offer = self.node.ask(|node| async move { node.publish(terms).await })?;
        if self.node.json { show::json(out, &offer) } else { table(out, &[offer], true) }
    }
}

impl Listing {
    fn day(&self) -> String {
        let today = Day::of(clock::now()).to_number();
        today.saturating_add(self.days_ahead).to_string()
    }

    fn withdraw(self, out: &mut impl Write) -> Result<(), CliError> {
        let (product, day) = (self.product.into(), self.day());
        let offer = self.node.ask(|node| async move { node.withdraw(product, day).await })?;
        if self.node.json {
            return show::json(out, &offer);
        }
        writeln!(out, "withdrawn; what was accepted of it stays: `boltgrid offer forwards`")?;
        Ok(())
    }

    fn list(self, out: &mut impl Write) -> Result<(), CliError> {
        let (product, day) = (self.product.into(), self.day());
        let found = self.node.ask(|node| async move { node.list(product, day).await })?;
        if self.node.json {
            return show::json(out, &found);
        }
        table(out, &found.offers, found.is_complete)
    }
}

impl Accept {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let terms = AcceptTerms {
            offerer: self.offerer,
            product: self.product.into(),
            energy_mwh: positive("--energy-wh", self.deal.energy_wh)?,
            price_msat_per_kwh: self.deal.price_sat_per_kwh,
            first_interval: self.deal.first,
            after_interval: self.deal.after(),
        };
        let report = self.node.ask(|node| async move { node.accept(terms).await })?;
        if self.node.json {
            return show::json(out, &report);
        }
        writeln!(out, "{}", outcome(&report))?;
        Ok(())
    }
}

impl Deal {
    const fn after(&self) -> u64 {
        self.first.saturating_add(self.intervals)
    }
}

fn outcome(report: &AcceptReport) -> String {
    match report.state {
        AcceptState::Forward => "agreed: both sides have signed".to_owned(),
        AcceptState::Void => "void: nobody replied in time, and neither is bound".to_owned(),
        AcceptState::Open => "not replied to yet: asked again until the order window of the first \
                              interval opens; see `boltgrid offer forwards`"
            .to_owned(),
        AcceptState::Refused => {
            format!("refused: {}; neither is bound", show::or_none(report.why.as_ref()))
        }
    }
}

fn forwards(node: Node, out: &mut impl Write) -> Result<(), CliError> {
    let forwards = node.ask(|node| async move { node.forwards().await })?;
    if node.json {
        return show::json(out, &forwards);
    }
    if forwards.is_empty() {
        writeln!(out, "nothing is traded ahead")?;
    }
    let rows: Vec<_> = forwards.iter().map(forward_row).collect();
    show::rows(out, &rows)?;
    Ok(())
}

fn forward_row(forward: &ForwardReport) -> (&'static str, String) {
    let sells = forward.is_own_offer == (forward.product.side == Side::Sell);
    let (label, other) = if sells { ("sold", &forward.buyer) } else { ("bought", &forward.seller) };
    let terms = terms(forward.energy_mwh, forward.price_msat_per_kwh);
    let when = span(forward.from_unix_ms, forward.to_unix_ms);
    (label, format!("{terms}, {when}, with {}", short(other)))
}

/// One offer in a line: who, how much and at what price, when, and until when it stands.
fn table(out: &mut impl Write, offers: &[OfferReport], is_complete: bool) -> Result<(), CliError> {
    if offers.is_empty() {
        writeln!(out, "nothing is offered")?;
    }
    for offer in offers {
        let minimum = show::energy(Energy::from_milliwatt_hours(offer.minimum_mwh));
        writeln!(
            out,
            "{} {}  {}, from {minimum} on  {}  intervals {} to {}  stands until {}  by {}",
            offer.product.side,
            offer.product.source,
            terms(offer.energy_mwh, offer.price_msat_per_kwh),
            span(offer.from_unix_ms, offer.to_unix_ms),
            offer.first_interval,
            offer.after_interval.saturating_sub(1),
            show::moment(Timestamp::from_unix_ms(offer.expires_at_unix_ms)),
            offer.offerer,
        )?;
    }
    if !is_complete {
        writeln!(out, "not everybody answered: there may be more")?;
    }
    Ok(())
}

fn terms(energy_mwh: u64, price_msat_per_kwh: i64) -> String {
    format!(
        "{} an interval at {}",
        show::energy(Energy::from_milliwatt_hours(energy_mwh)),
        show::price(Price::from_msat_per_kwh(price_msat_per_kwh)),
    )
}

fn span(from_unix_ms: u64, to_unix_ms: u64) -> String {
    let at = |unix_ms| show::moment(Timestamp::from_unix_ms(unix_ms));
    format!("{} to {}", at(from_unix_ms), at(to_unix_ms))
}

fn short(participant: &str) -> String {
    participant.chars().take(8).collect()
}

fn positive(argument: &'static str, thousandths: i64) -> Result<u64, CliError> {
    let problem = || "is an energy above zero, in Wh".to_owned();
    u64::try_from(thousandths)
        .ok()
        .filter(|energy| *energy > 0)
        .ok_or_else(|| CliError::Argument { argument, problem: problem() })
}

/// A decimal number with up to three decimals, in thousandths.
pub(super) fn thousandths(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not a number with up to three decimals, such as 62.5");
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_decimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 3 || !is_decimal(whole) || !is_decimal(part) {
        return Err(wrong());
    }
    let number: i64 = format!("{whole}{part:0<3}").parse().map_err(|_| wrong())?;
    Ok(sign * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_numbers_are_read_to_the_thousandth_and_nothing_is_rounded() {
        for (text, expected) in
            [("150", 150_000), ("62.5", 62_500), ("-0.001", -1), ("0.250", 250), ("-30.5", -30_500)]
        {
            assert_eq!(thousandths(text), Ok(expected), "{text}");
        }
        for text in ["", "-", ".5", "1.2345", "1e3", "1,5", "+1", "99999999999999999999", "1.-5"] {
            assert!(thousandths(text).is_err(), "{text}");
        }
    }
}
