//! The table as a page.

use std::fmt::Write as _;

use super::outcome::{CLAIMED_MS, Summary, wilson_ppm};
use super::{Cell, Fault};

const MODEL: &str = "\
Every row is a number of simulated intervals of a five-minute grid with the charter's usual lengths: orders from 45 s to 15 s before the gate, acks at the gate, the first view 2 s after it, five views of 5 s.
All members vote.
The nodes run the market that the real node runs (`Market`), and malicious ones the rogues that the testnet runs, dealt round: double voter, equivocating leader, selective acker, late and partial sender.

What is modelled: a random graph with about 8 neighbours each; 250 ms per hop; each attempt to send over a link is lost with the probability of the row and not repeated by the link; every second each node tells its neighbours what it heard in the last three, and they ask for what they lack (each of these three messages may be lost); clocks off by up to half a second either way, so that two differ by at most the second that the charter allows; direct questions for orders and certificates, which may be lost as well; faulty nodes that pass nothing on.

What is not: bandwidth, processing time, QUIC's own repair (which makes real loss cost delay instead), partitions, crashes and clocks that are really wrong (those are the simulator's), more than `f` faulty voters, members that do not vote.

*Decided* is the share of intervals in which every honest node decided, with its Wilson interval at 95 %.
*Median* and *95 %* are the time from the gate until 99 % of the honest nodes hold the certificate; a dash is never.
*Within 20 s* is the share of intervals in which that took at most 20 s.
The *rule without a vote* is the baseline: when a leader would propose, 2 s after the gate, each node takes the orders that more than half of the acks it holds show.
The honest acks and the orders at the margin are those of the same run; malicious voters aim at the rule, and hand acks that show every order to half of the honest nodes, too late to be passed on.
*all* is the share of intervals in which all honest nodes end with the same orders, *pairs* the share of pairs of honest nodes that do.
Faulty voters are as many as the share says, rounded down; 33 % stands for `f`, the most that agreement bears. Shares that come to no voter more than the row before are left out.
";

/// The page: what was tried with which seed and command, and what came of it.
#[must_use]
pub fn document(cells: &[Cell], summaries: &[Summary], seed: u64, command: &str) -> String {
    let mut page = String::from("# How often and how soon a book is decided\n\n");
    let rows: Vec<(&Cell, &Summary)> = cells.iter().zip(summaries).collect();
    let intervals: u64 = summaries.iter().map(|it| it.trials).sum();
    let text = |page: &mut String, text: &str| page.push_str(text);
    text(
        &mut page,
        &format!(
            "This page is written by `{command}`; the same command gives the same page.\n\
         It tried {intervals} intervals from seed {seed}; in none of them two books were decided.\n\n"
        ),
    );
    text(&mut page, MODEL);
    text(&mut page, "\n## The claim\n\n");
    text(&mut page, &claim(&rows));
    let mut sizes: Vec<usize> = cells.iter().map(|cell| cell.members).collect();
    sizes.dedup();
    for members in sizes {
        let rows = rows.iter().filter(|(cell, _)| cell.members == members);
        text(&mut page, &format!("\n## {members} voters\n\n{HEAD}"));
        rows.for_each(|(cell, summary)| row(&mut page, cell, summary));
    }
    page
}

const HEAD: &str = "\
| loss | faulty | intervals | decided | median | 95 % | within 20 s | without a vote: all | pairs |
|---|---|---|---|---|---|---|---|---|
";

/// What the rows say of the claim that the design makes.
fn claim(rows: &[(&Cell, &Summary)]) -> String {
    let mut text = String::from(
        "The design claims: with at most 20 % loss and 20 % silent voters, 99 % of intervals decide within 20 s for up to 200 voters.\n",
    );
    let claimed = rows.iter().filter(|(cell, _)| {
        cell.fault == Fault::Silent && cell.faulty_percent <= 20 && cell.loss_percent <= 20
    });
    let claimed: Vec<_> = claimed.collect();
    let trials: u64 = claimed.iter().map(|(_, summary)| summary.trials).sum();
    let in_time: u64 = claimed.iter().map(|(_, summary)| summary.in_time).sum();
    let (low, high) = wilson_ppm(in_time, trials);
    let verdict = if low >= 990_000 {
        "The numbers support the claim over all these rows together"
    } else if high < 990_000 {
        "The numbers do not support the claim"
    } else {
        "So few intervals neither support nor refute the claim"
    };
    let seconds = CLAIMED_MS / 1_000;
    _ = writeln!(
        text,
        "Over the rows that it speaks of, {in_time} of {trials} intervals were decided within {seconds} s \
         ({} to {} at 95 % confidence).\n{verdict}.",
        percent(low),
        percent(high),
    );
    let below: Vec<String> = claimed
        .iter()
        .filter(|(_, summary)| summary.in_time * 100 < summary.trials * 99)
        .map(|(cell, summary)| {
            format!(
                "* {} voters, {} % loss, {} silent: {} of {} in time.",
                cell.members,
                cell.loss_percent,
                cell.faulty(),
                summary.in_time,
                summary.trials
            )
        })
        .collect();
    if below.is_empty() {
        text.push_str("No single row of them is below 99 %.\n");
    } else {
        _ = writeln!(text, "These rows by themselves are below 99 %:\n\n{}", below.join("\n"));
    }
    text
}

fn row(page: &mut String, cell: &Cell, summary: &Summary) {
    let fault = match (cell.faulty(), cell.fault) {
        (0, _) => "none".to_owned(),
        (faulty, Fault::Silent) => format!("{faulty} silent ({} %)", cell.faulty_percent),
        (faulty, Fault::Malicious) => format!("{faulty} malicious ({} %)", cell.faulty_percent),
    };
    let trials = summary.trials;
    let (low, high) = wilson_ppm(summary.all_decided, trials);
    _ = writeln!(
        page,
        "| {} % | {fault} | {trials} | {} ({}–{}) | {} | {} | {} | {} | {} |",
        cell.loss_percent,
        share(summary.all_decided, trials),
        percent(low),
        percent(high),
        seconds(summary.median_ms),
        seconds(summary.p95_ms),
        share(summary.in_time, trials),
        share(summary.baseline_agreed, trials),
        percent(summary.baseline_pairs_ppm),
    );
}

fn share(hits: u64, trials: u64) -> String {
    percent((hits * 1_000_000).checked_div(trials).unwrap_or(0))
}

/// Parts per million as a percentage with one decimal, rounded down.
fn percent(ppm: u64) -> String {
    format!("{}.{} %", ppm / 10_000, ppm / 1_000 % 10)
}

fn seconds(ms: Option<u64>) -> String {
    ms.map_or_else(|| "–".to_owned(), |ms| format!("{}.{} s", ms / 1_000, ms / 100 % 10))
}
