//! The rows as a page.

use std::fmt::Write as _;

use boltgrid_market::channels::{Deed, fee};
use boltgrid_protocol::units::Msat;

use super::outcome::{Month, Outcome, ppm};
use super::{Cell, Economy, Season};

/// The goal's share of the traded value that fees may take, in parts per million …
const FEES_GOAL_PPM: u64 = 30_000;
/// … at this fee rate.
const FEES_GOAL_SAT_PER_VB: u64 = 10;
/// The goal's most channels of a node.
const CHANNELS_GOAL: usize = 5;
/// Months over which opening and closing is written off.
const MONTHS_WRITTEN_OFF: u64 = 12;

const MODEL: &str = "\
## What is run

Two months of the measured grid `rural1` (SimBench, quarters of an hour), from 1 June and from 2 January; with more than 13 sites, the others are copies that differ in phase and size.
Physics, orders, auction, settlement and channel policy are the program's own: the plant of the testnet, `market::strategy`, `market::auction`, `market::settlement`, `market::channels`.
Every site plans each interval from the first sample of the one before, so contracts are missed as they are in life.
The first month begins without a single channel; the second shows what keeping them costs.
Each node plans once a day, at midnight, from the clearings since the start; the first day's trades find no channel at all.

What is modelled is Lightning and the chain: a payment moves a sum over the channel of the two or over one other member, whole or not at all; a tranche is 250 Wh; each side of a channel keeps 1 % of it, at least 1 000 sat, and the opener 1 300 sat for anchors and commitment; openings and splices take five quarters of an hour; 25 000 sat stay on the chain per channel.
Sizes of transactions are summed up from their parts in `market/src/channels/fees.rs`: 153 vB to open a channel, 249 to splice into one, 169 to close one together.
Forwarding is free, as it is among members.
A payee lets a payer owe what is named below; of a trade that would go beyond only the part up to it is signed, and the rest of its energy is the supplier's.

What is not: failing nodes, payments that fail though there is money, other coins than the channels', fees that change, members that come and go, and the 50 payments that a channel carries at once (a payee asks for one tranche after the other).

";

/// The page.
#[must_use]
pub fn document(economy: &Economy, cells: &[Cell], outcomes: &[Outcome], command: &str) -> String {
    let rows: Vec<(&Cell, &Outcome)> = cells.iter().zip(outcomes).collect();
    let mut page = format!(
        "# What channels cost, and how far they reach\n\n\
         This page is written by `{command}`; the same command gives the same page.\n\
         Why channels are chosen as they are stands in [ADR 13](adr/0013-few-channels-that-last.md).\n\n"
    );
    page.push_str(MODEL);
    limits(&mut page, economy);
    page.push_str("## The goal\n\n");
    page.push_str(&goal(&rows));
    page.push_str("\n## What it costs\n\n");
    page.push_str(COST_TEXT);
    for (cell, outcome) in &rows {
        cost(&mut page, cell, outcome);
    }
    page.push_str("\n## How far it reaches\n\n");
    page.push_str(REACH_TEXT);
    for (cell, outcome) in &rows {
        for (number, month) in (1..).zip(&outcome.months) {
            reach(&mut page, cell, number, month);
        }
    }
    page.push_str("\n## What is owed, and what is bound\n\n");
    page.push_str(OWED_TEXT);
    for (cell, outcome) in &rows {
        owed(&mut page, cell, outcome);
    }
    page
}

const COST_TEXT: &str = "\
*Fees* are all that the chain took in a month, with their share of what became due in it.
*A year's* share writes opening **and** closing each channel off over twelve months, and adds the splices of the second month; both are compared with the trade of the second month.
A dash is a month in which nothing became due.

| from | sites | sat/vB | channels | mean a site | most | opened | spliced | closed | fees of month 1 | of month 2 | a year's |
|---|---|---|---|---|---|---|---|---|---|---|---|
";

const REACH_TEXT: &str = "\
*Traded* is what became due.
*Direct* and *over one* were paid in the quarter of an hour in which they became due, *later* after waiting in the ledger; *waits* is what had not been paid at the end of the month, in brackets what of it is between members within reach, whose channels are dry.
*Not signed* is the share of the clearings' value whose payer would have owed more than it may.

| from | sites | sat/vB | month | traded | payments | direct | over one | later | waits | longest wait | not signed |
|---|---|---|---|---|---|---|---|---|---|---|---|
";

const OWED_TEXT: &str = "\
*Owed* is the most that anybody owed anybody at any time, firm trades that are yet to be delivered included, and how much of its limit that was at most.
*Pairs beyond reach* are those that are not within two channels of each other at the end, of all pairs.
*Bound* is what the channels hold at the end, and per site.

| from | sites | sat/vB | most owed | of the limit | pairs beyond reach | bound | per site |
|---|---|---|---|---|---|---|---|
";

fn limits(page: &mut String, economy: &Economy) {
    let limits = economy.limits;
    _ = writeln!(
        page,
        "The owners' limits: {} channels, {} to {} each, filled for {} days and refilled when they \
         last for fewer than {}; within {} days, all channels of a member may cost {} of what it pays \
         and is paid, and one alone {} of what it brings within reach.\n\
         Everybody has {} on the chain at first.\n\
         A newcomer may owe {}, {} more for each of what it has paid, {} at most.\n",
        limits.channels_max,
        sat(limits.capacity_min),
        sat(limits.capacity_max),
        limits.fill_days,
        limits.refill_days,
        limits.horizon_days,
        percent(u64::from(limits.fee_share_max_ppm)),
        percent(u64::from(limits.channel_share_max_ppm)),
        sat(economy.coins),
        sat(economy.credit.first),
        percent(1_000_000 / economy.credit.grows_by_one_in),
        sat(economy.credit.most),
    );
}

/// Goal by goal, what the rows say.
fn goal(rows: &[(&Cell, &Outcome)]) -> String {
    let mut text = String::new();
    let most = rows.iter().map(|(_, outcome)| outcome.channels_max).max().unwrap_or(0);
    let met = if most <= CHANNELS_GOAL { "Met" } else { "Missed" };
    _ = writeln!(text, "* At most {CHANNELS_GOAL} channels a node. **{met}**: {most} at most.");
    let dear = rows.iter().filter(|(cell, _)| cell.sat_per_vb == FEES_GOAL_SAT_PER_VB);
    for (cell, outcome) in dear {
        let first = outcome.months.first().map_or(0, |it| ppm(it.fees, it.due));
        let later = outcome.months.last().map_or(0, |it| ppm(it.fees, it.due));
        let year = year_ppm(cell, outcome);
        let word = |ppm: u64| if ppm < FEES_GOAL_PPM { "met" } else { "missed" };
        _ = writeln!(
            text,
            "* Fees under {} of the traded value at {FEES_GOAL_SAT_PER_VB} sat/vB, {} sites from {}: \
             **{}** in the month in which all channels are opened ({}), **{}** in the next ({}), \
             **{}** over a year with all closings ({}).",
            percent(FEES_GOAL_PPM),
            cell.members,
            from(cell),
            word(first),
            percent(first),
            word(later),
            percent(later),
            word(year),
            percent(year),
        );
    }
    for (cell, outcome) in rows.iter().filter(|(cell, _)| cell.sat_per_vb == FEES_GOAL_SAT_PER_VB) {
        let within = if outcome.limit_used_max_ppm <= 1_000_000 { "Met" } else { "Missed" };
        let waits = outcome.months.last().map_or(Msat::ZERO, |it| it.waiting);
        let paid = if waits == Msat::ZERO { "all" } else { "not all" };
        let cleared = sum(outcome, |it| it.cleared);
        let lapsed = ppm(sum(outcome, |it| it.lapsed), cleared);
        _ = writeln!(
            text,
            "* Every trade paid within its exposure limit, {} sites from {}: **{within}** for what \
             was signed, as nobody ever owed more than {} of its limit, and {paid} of it was paid by \
             the end ({} waited); {} of the clearings' value was not signed because of the limit.",
            cell.members,
            from(cell),
            percent(outcome.limit_used_max_ppm),
            sat(waits),
            percent(lapsed),
        );
    }
    text
}

fn sum(outcome: &Outcome, of: fn(&Month) -> Msat) -> Msat {
    outcome.months.iter().map(of).fold(Msat::ZERO, Msat::saturating_add)
}

/// Opening and closing written off, and the last month's splices, against the last month's trade.
fn year_ppm(cell: &Cell, outcome: &Outcome) -> u64 {
    let count = |deed| -> u64 {
        outcome.months.iter().map(|it| it.deeds.get(&deed).copied().unwrap_or(0)).sum()
    };
    let life = fee(Deed::Open, cell.sat_per_vb)
        .saturating_add(fee(Deed::CloseTogether, cell.sat_per_vb))
        .saturating_mul(count(Deed::Open));
    let life = Msat::from_millisatoshi(life.to_millisatoshi() / MONTHS_WRITTEN_OFF);
    let Some(last) = outcome.months.last() else { return 0 };
    let splices = last.deeds.get(&Deed::SpliceIn).copied().unwrap_or(0);
    let splices = fee(Deed::SpliceIn, cell.sat_per_vb).saturating_mul(splices);
    ppm(life.expect("a part of it").saturating_add(splices), last.due)
}

fn cost(page: &mut String, cell: &Cell, outcome: &Outcome) {
    let count = |deed| -> u64 {
        outcome.months.iter().map(|it| it.deeds.get(&deed).copied().unwrap_or(0)).sum()
    };
    let fees = |number: usize| {
        outcome.months.get(number).filter(|it| it.due > Msat::ZERO).map_or_else(
            || "–".to_owned(),
            |it| format!("{} ({})", sat(it.fees), percent(ppm(it.fees, it.due))),
        )
    };
    let tenths = outcome.channels * 20 / cell.members;
    _ = writeln!(
        page,
        "| {} | {} | {} | {} | {}.{} | {} | {} | {} | {} | {} | {} | {} |",
        from(cell),
        cell.members,
        cell.sat_per_vb,
        outcome.channels,
        tenths / 10,
        tenths % 10,
        outcome.channels_max,
        count(Deed::Open),
        count(Deed::SpliceIn),
        count(Deed::CloseTogether) + count(Deed::CloseAlone),
        fees(0),
        fees(1),
        percent(year_ppm(cell, outcome)),
    );
}

fn reach(page: &mut String, cell: &Cell, number: u64, month: &Month) {
    let share = |part| percent(ppm(part, month.due));
    _ = writeln!(
        page,
        "| {} | {} | {} | {number} | {} | {} | {} | {} | {} | {} ({}) | {} | {} |",
        from(cell),
        cell.members,
        cell.sat_per_vb,
        sat(month.due),
        month.payments,
        share(month.direct),
        share(month.over_one),
        share(month.after_waiting),
        sat(month.waiting),
        sat(month.waiting_within),
        hours(month.longest_wait),
        percent(ppm(month.lapsed, month.cleared)),
    );
}

fn owed(page: &mut String, cell: &Cell, outcome: &Outcome) {
    let members = u64::try_from(cell.members).expect("a number of sites");
    let per_site = Msat::from_millisatoshi(outcome.locked.to_millisatoshi() / members);
    _ = writeln!(
        page,
        "| {} | {} | {} | {} | {} | {} of {} | {} | {} |",
        from(cell),
        cell.members,
        cell.sat_per_vb,
        sat(outcome.owed_max),
        percent(outcome.limit_used_max_ppm),
        outcome.pairs_beyond,
        cell.members * (cell.members - 1) / 2,
        sat(outcome.locked),
        sat(per_site.expect("a part of it")),
    );
}

const fn from(cell: &Cell) -> &'static str {
    match cell.season {
        Season::Summer => "June",
        Season::Winter => "January",
    }
}

/// Whole satoshis, rounded down.
fn sat(amount: Msat) -> String {
    format!("{} sat", amount.to_millisatoshi() / 1_000)
}

/// Parts per million as a percentage with one decimal, rounded down.
fn percent(ppm: u64) -> String {
    format!("{}.{} %", ppm / 10_000, ppm / 1_000 % 10)
}

/// Quarters of an hour as hours.
fn hours(quarters: u64) -> String {
    format!("{} h", quarters.div_ceil(4))
}
