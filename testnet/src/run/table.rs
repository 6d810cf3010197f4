//! Lines for people: one per interval, what is under way now, and a summary at the end.
//! Not for: programs; they read the report.

use std::fmt::Write as _;

use boltgrid::status::{IntervalOutcome, IntervalReport};
use boltgrid_protocol::charter::Timing;
use boltgrid_protocol::units::{Interval, Timestamp};

use super::report::{
    FalsifiedRow, GasRow, IntervalRow, MachineFaultRow, MinerRow, MiningReport, Report, RogueRow,
};

/// A number of thousandths with this many decimals, cut off: `-1.500` for -1500 and three.
#[must_use]
pub fn thousandths(value: i64, decimals: usize) -> String {
    let (sign, magnitude) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    let fraction = format!("{:03}", magnitude % 1000);
    match fraction.get(..decimals.min(3)) {
        None | Some("") => format!("{sign}{}", magnitude / 1000),
        Some(fraction) => format!("{sign}{}.{fraction}", magnitude / 1000),
    }
}

/// The date and time of a label such as `2016-05-25T09:00:00+01:00`, to the minute.
fn minutes(label: &str) -> String {
    label.get(..16).unwrap_or(label).replace('T', " ")
}

/// The heads of the columns of [`line()`], and their units below them.
#[must_use]
pub fn head() -> String {
    let heads = [
        "interval",
        "local time",
        "price",
        "volume",
        "trades",
        "clearings",
        "decided",
        "transformer",
    ];
    let units = ["", "", "sat/kWh", "kWh", "", "", "ms", "kW"];
    let notes = format!("{}  notes", columns(heads));
    format!("{notes}\n{}", columns(units).trim_end())
}

/// One line of the table, but for its notes.
fn columns(cells: [&str; 8]) -> String {
    let [number, time, price, volume, trades, digests, decided, transformer] = cells;
    format!(
        "{number:>8}  {time:<16}  {price:>9}  {volume:>9}  {trades:>7}  {digests:>9}  {decided:>7}  \
         {transformer:>11}"
    )
}

/// What happened in one interval besides what the row says.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    /// The mean power through the transformer into the grid, in mW.
    pub transformer_mw: i64,
    /// How many nodes were down.
    pub down: usize,
    /// How many invariants were violated.
    pub violations: u32,
    /// What was done to the grid.
    pub faults: Vec<String>,
}

/// One interval as a line of the table.
#[must_use]
pub fn line(number: u64, row: &IntervalRow, remarks: &Remarks) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    // A kWh is a million mWh.
    let volume = thousandths(i64::try_from(row.volume_mwh / 1000).unwrap_or(i64::MAX), 3);
    let transformer = thousandths(remarks.transformer_mw / 1000, 1);
    let cells = columns([
        &number.to_string(),
        &minutes(&row.local_time),
        &or_dash(row.price_msat_per_kwh.map(|price| thousandths(price, 3))),
        &volume,
        &format!("{}/{}", row.trades_confirmed, row.trades),
        &row.distinct_digests.to_string(),
        &or_dash(row.decide_ms_p95.map(|ms| ms.to_string())),
        &transformer,
    ]);
    format!("{cells}  {}", notes(row, remarks)).trim_end().to_owned()
}

fn notes(row: &IntervalRow, remarks: &Remarks) -> String {
    let mut notes = remarks.faults.clone();
    if !row.decided {
        notes.push("no decision: supplied at the tariff".to_owned());
    } else if row.price_msat_per_kwh.is_none() {
        notes.push("nothing matched".to_owned());
    }
    if let Some(view) = row.view.filter(|view| *view > 0) {
        notes.push(format!("view {view}"));
    }
    match remarks.down {
        0 => {}
        1 => notes.push("1 node down".to_owned()),
        down => notes.push(format!("{down} nodes down")),
    }
    match remarks.violations {
        0 => {}
        1 => notes.push("1 VIOLATION".to_owned()),
        violations => notes.push(format!("{violations} VIOLATIONS")),
    }
    notes.join("; ")
}

/// What is under way at `now`: which interval is delivered, and how far the next ones have come.
#[must_use]
pub fn phase(
    timing: &Timing,
    first: Interval,
    now: Timestamp,
    last: Option<&IntervalReport>,
) -> String {
    let current = timing.interval_at(now);
    let number = |interval: Interval| {
        interval.to_number().checked_sub(first.to_number()).map(|number| number.to_string())
    };
    let mut text = match number(current) {
        Some(number) => format!("{number}: delivering"),
        None => "warming up".to_owned(),
    };
    for ahead in 1..=2 {
        let interval = current.plus(ahead);
        let schedule = timing.schedule(interval);
        let (Some(number), true) = (number(interval), now >= schedule.orders_open) else {
            continue;
        };
        let known = last.filter(|last| last.interval == interval.to_number());
        let stage = match known.map(|last| (last.outcome, last.price_msat_per_kwh)) {
            Some((IntervalOutcome::Decided, Some(price))) => {
                format!("cleared at {} sat/kWh", thousandths(price, 3))
            }
            Some((IntervalOutcome::Decided, None)) => "cleared, nothing matched".to_owned(),
            Some((IntervalOutcome::NoDecision, _)) => "no decision".to_owned(),
            Some((IntervalOutcome::Open, _)) | None if now < schedule.gate => "ordering".to_owned(),
            Some((IntervalOutcome::Open, _)) | None => "agreeing".to_owned(),
        };
        write!(text, " · {number}: {stage}").expect(WRITTEN);
    }
    text
}

/// Why writing to a string cannot fail.
const WRITTEN: &str = "a string takes all that is written to it";

/// What a run showed, in a few lines.
#[must_use]
pub fn summary(report: &Report) -> String {
    let rows = &report.intervals;
    let decided = rows.iter().filter(|row| row.decided).count();
    let prices = || rows.iter().filter_map(|row| row.price_msat_per_kwh);
    let range = match (prices().min(), prices().max()) {
        (Some(low), Some(high)) => {
            format!("{} to {} sat/kWh", thousandths(low, 3), thousandths(high, 3))
        }
        _ => "no price".to_owned(),
    };
    let sum = |part: fn(&IntervalRow) -> u64| {
        let sum = rows.iter().map(part).fold(0, u64::saturating_add);
        i64::try_from(sum).unwrap_or(i64::MAX)
    };
    let trades: u64 = rows.iter().map(|row| u64::from(row.trades)).sum();
    let confirmed: u64 = rows.iter().map(|row| u64::from(row.trades_confirmed)).sum();
    let mut text = format!(
        "{decided} of {} intervals decided, {range}, {} kWh, {confirmed} of {trades} trades \
         confirmed, {} sat due",
        rows.len(),
        thousandths(sum(|row| row.volume_mwh / 1000), 3),
        thousandths(sum(|row| row.due_msat), 3),
    );
    if !report.faults.is_empty() {
        let faults: Vec<String> =
            report.faults.iter().map(|(kind, times)| format!("{times} {kind}")).collect();
        write!(text, "\nfaults: {}", faults.join(", ")).expect(WRITTEN);
    }
    if let Some(within) = report.resumed_within_intervals {
        write!(text, "\na decision again {within} intervals after healing").expect(WRITTEN);
    }
    for RogueRow { site, role, sent, .. } in &report.rogues {
        let sent: Vec<String> =
            sent.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        write!(text, "\n{site} was a rogue, {role}, and sent {}", sent.join(", ")).expect(WRITTEN);
    }
    text += &of_feeders(report);
    text.push_str(&of_machines(&report.mining));
    let checked: u64 = report.invariants.iter().map(|it| u64::from(it.checked)).sum();
    if report.is_clean() {
        write!(text, "\nall {} invariants held in {checked} checks", report.invariants.len())
            .expect(WRITTEN);
    }
    for invariant in report.invariants.iter().filter(|it| it.violations > 0) {
        write!(
            text,
            "\nVIOLATED: {} ({} of {} checks)\n  {}",
            invariant.name,
            invariant.violations,
            invariant.checked,
            invariant.examples.join("\n  "),
        )
        .expect(WRITTEN);
    }
    text
}

/// What feeders' meters told: of false meters, and of sums of masked sites.
fn of_feeders(report: &Report) -> String {
    let mut text = String::new();
    for row in &report.falsified {
        let within = |intervals: Option<u32>| {
            intervals.map_or_else(|| "never".to_owned(), |it| format!("within {it} intervals"))
        };
        let FalsifiedRow { site, shown_percent, to_cohort, .. } = row;
        let to = if *to_cohort { " to the cohort" } else { "" };
        write!(
            text,
            "\nthe meter of {site} showed {shown_percent} %: caught {}, located{to} {}",
            within(row.caught_within_intervals),
            within(row.located_within_intervals),
        )
        .expect(WRITTEN);
    }
    if !report.masked.is_empty() {
        let sums = report.masked.iter().filter(|row| row.sums > 0).count();
        let intervals = report.masked.len();
        write!(text, "\nmasked sites were added up in {sums} of {intervals} intervals")
            .expect(WRITTEN);
    }
    text
}

/// What became of a well's gas, in a line.
fn of_well(well: &GasRow) -> String {
    let percent = |ppm: Option<u32>| {
        ppm.map_or_else(|| "-".to_owned(), |ppm| thousandths(i64::from(ppm) / 10, 1))
    };
    let kwh = thousandths(i64::try_from(well.generated_mwh / 1_000).unwrap_or(i64::MAX), 3);
    let GasRow { site, gas_l, generator_l, to_flare_l, vented_l, generator_starts, .. } = well;
    let trouble = well.trouble.as_ref().map(|it| format!("; {it}")).unwrap_or_default();
    format!(
        "\n  {site:<6} gas {gas_l} l: generator {generator_l} l in {generator_starts} starts, flare \
         {to_flare_l} l, vented {vented_l} l; {kwh} kWh generated; flared {} % while machines ran, {} % \
         while nothing did{trouble}",
        percent(well.flared_with_machines_ppm),
        percent(well.flared_without_ppm),
    )
}

/// What machines did, line by line; nothing where there were none.
fn of_machines(mining: &MiningReport) -> String {
    if mining.miners.is_empty() {
        return String::new();
    }
    let kwh = |mwh: u64| thousandths(i64::try_from(mwh / 1_000).unwrap_or(i64::MAX), 3);
    let ms = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let mut text = format!(
        "\nmachines: {} kWh mined in {} starts; {} kWh unsold, {} kWh curtailed; commands within {} \
         of the meter's change (95 % of {}); clouds shed them within {}",
        kwh(mining.mined_mwh),
        mining.miner_starts,
        kwh(mining.unsold_export_mwh),
        kwh(mining.curtailed_mwh),
        ms(mining.reaction_ms_p95),
        mining.reactions,
        ms(mining.shed_ms_max),
    );
    let mut machines: Vec<&MinerRow> = mining.miners.iter().collect();
    machines.sort_by_key(|row| std::cmp::Reverse(row.worth_msat_per_kwh));
    let first = machines.iter().filter_map(|row| row.first_paid_interval).min();
    for row in machines {
        let worth = row.worth_msat_per_kwh.map(|worth| thousandths(worth, 1));
        let worth = worth.unwrap_or_else(|| "-".to_owned());
        let since = row.first_paid_interval.zip(first);
        let since = since.map_or_else(
            || "never at its price".to_owned(),
            |(started, first)| format!("from +{}", started.saturating_sub(first)),
        );
        let price = row.first_price_msat_per_kwh.map(|price| thousandths(price, 1));
        let price = price.map(|price| format!(" at {price}")).unwrap_or_default();
        let MinerRow { site, name, starts, mined_mwh, trouble, .. } = row;
        let trouble = trouble.as_ref().map(|it| format!("; {it}")).unwrap_or_default();
        let mined = kwh(*mined_mwh);
        write!(
            text,
            "\n  {site:<6} {name:<14} {worth:>7} sat/kWh  {:<18} {starts:>3} starts  {mined} kWh{trouble}",
            format!("{since}{price}")
        )
        .expect(WRITTEN);
    }
    for well in &mining.gas {
        text.push_str(&of_well(well));
    }
    for fault in &mining.machine_faults {
        let trouble = fault.trouble.as_deref().unwrap_or("it does as its node says");
        let cut_off = if fault.is_cut_off { "; without power" } else { "" };
        let MachineFaultRow { site, name, fault: kind, .. } = fault;
        write!(text, "\n  {site:<6} {name:<14} {kind}: {trouble}{cut_off}").expect(WRITTEN);
    }
    if let Some(without) = &mining.without_miners {
        let left = without.left_mwh();
        let whole = without.unsold_export_mwh.saturating_add(without.curtailed_mwh);
        let share = left.saturating_mul(1_000).checked_div(whole);
        let share = share.and_then(|it| i64::try_from(it).ok()).map(|it| thousandths(it * 100, 1));
        write!(
            text,
            "\nin {} intervals {} kWh were unsold and {} kWh curtailed with machines, {} and {} kWh \
             without ({} % are left)",
            without.intervals,
            kwh(without.unsold_export_with_miners_mwh),
            kwh(without.curtailed_with_miners_mwh),
            kwh(without.unsold_export_mwh),
            kwh(without.curtailed_mwh),
            share.unwrap_or_else(|| "-".to_owned()),
        )
        .expect(WRITTEN);
    }
    text
}

#[cfg(test)]
mod tests;
