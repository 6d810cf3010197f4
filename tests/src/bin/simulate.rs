//! The command `simulate`: as many seeds as one likes, on as many threads, with counts at the end.
//!
//! Exit 0 when every guarantee held in every run, 1 when one did not, 2 when it cannot run.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use boltgrid_tests::sim::report::Counts;
use boltgrid_tests::sim::shrink::shrink;
use boltgrid_tests::sim::{Flaw, Options, Outcome, Plan, Violation, run};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

/// Most failing seeds that are shown.
const SHOWN_MAX: usize = 5;
/// Between two turns of the spinner.
const TURN: Duration = Duration::from_millis(500);

/// Runs simulated grids and checks what PROTOCOL.md guarantees.
#[derive(Debug, Parser)]
#[command(name = "simulate", version)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// How many intervals each runs through.
    #[arg(long, default_value_t = 30)]
    intervals: u64,
    /// On how many threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Run this seed only, and show what happens in it.
    #[arg(long)]
    seed: Option<u64>,
    /// Break something on purpose: no-fsync, low-quorum, late-orders, no-lock, too-many-rogues.
    #[arg(long = "break", value_name = "FLAW")]
    flaw: Option<Flaw>,
    /// How many of the last lines of what happened to show of a seed that failed.
    #[arg(long, default_value_t = 400)]
    lines: usize,
    /// Write the counts to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// A seed that failed, and how.
#[derive(Debug)]
struct Failure {
    seed: u64,
    violations: Vec<Violation>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.seed {
        Some(seed) => show(&arguments, seed),
        None => run_many(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            drop(writeln!(io::stderr(), "simulate: {error}"));
            ExitCode::from(2)
        }
    }
}

fn options(arguments: &Arguments) -> Options {
    Options { flaw: arguments.flaw, ..Options::default() }
}

/// Runs many seeds; whether all guarantees held.
fn run_many(arguments: &Arguments) -> io::Result<bool> {
    let style = "{spinner} {pos}/{len} seeds, {elapsed_precise} passed, {eta} to go: {msg}";
    let style = ProgressStyle::with_template(style).map_err(io::Error::other)?;
    let progress = ProgressBar::new(arguments.seeds).with_style(style);
    progress.enable_steady_tick(TURN);
    let next = AtomicU64::new(0);
    let total = Mutex::new((Counts::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.seeds {
                        break;
                    }
                    let seed = arguments.first_seed + number;
                    let plan = Plan::draw(seed, arguments.intervals, arguments.flaw);
                    let Outcome { counts, violations, .. } = run(&plan, options(arguments));
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.0.add(&counts);
                    if !violations.is_empty() {
                        total.1.push(Failure { seed, violations });
                    }
                    progress.set_message(format!("{} failed", total.1.len()));
                    progress.inc(1);
                }
            });
        }
    });
    let took = progress.elapsed();
    progress.finish_and_clear();
    let (counts, mut failures) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort_by_key(|failure| failure.seed);
    let mut out = io::stdout().lock();
    for failure in failures.iter().take(SHOWN_MAX) {
        writeln!(out, "seed {}:", failure.seed)?;
        failure.violations.iter().try_for_each(|it| writeln!(out, "  {it}"))?;
    }
    if let Some(first) = failures.first() {
        let plan = Plan::draw(first.seed, arguments.intervals, arguments.flaw);
        write!(out, "{}", shortest(arguments, &plan, &first.violations[0]))?;
    }
    write!(out, "{}", table(&counts, took))?;
    if let Some(path) = &arguments.report {
        let json = serde_json::to_string_pretty(&counts).map_err(io::Error::other)?;
        std::fs::write(path, json + "\n")?;
    }
    Ok(failures.is_empty())
}

/// Runs one seed and shows what happens, or what is left of it once it is shrunk.
fn show(arguments: &Arguments, seed: u64) -> io::Result<bool> {
    let plan = Plan::draw(seed, arguments.intervals, arguments.flaw);
    let outcome = run(&plan, Options { traced: true, ..options(arguments) });
    let mut out = io::stdout().lock();
    let Some(first) = outcome.violations.first() else {
        plan.incidents.iter().try_for_each(|incident| writeln!(out, "{incident}"))?;
        outcome.trace.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        write!(out, "{}", table(&outcome.counts, Duration::ZERO))?;
        return Ok(true);
    };
    outcome.violations.iter().try_for_each(|it| writeln!(out, "{it}"))?;
    write!(out, "{}", shortest(arguments, &plan, first))?;
    Ok(false)
}

/// The shortest event log that reproduces a violation.
fn shortest(arguments: &Arguments, plan: &Plan, violation: &Violation) -> String {
    let shrunk = shrink(plan, violation.guarantee, options(arguments));
    let mut text = format!(
        "seed {} shrunk in {} runs to {} nodes, {} intervals, links {:?}, and:\n",
        plan.seed,
        shrunk.runs,
        shrunk.plan.members.len(),
        shrunk.plan.intervals,
        shrunk.plan.weather
    );
    for (node, role) in &shrunk.plan.rogues {
        text += &format!("  node {node} is a rogue: {}\n", role.word());
    }
    let lines = shrunk.plan.incidents.iter().map(ToString::to_string);
    lines.for_each(|line| text += &format!("  {line}\n"));
    let left_out = shrunk.outcome.trace.len().saturating_sub(arguments.lines);
    text += &format!("what happened, without the first {left_out} lines (--lines shows more):\n");
    let lines = shrunk.outcome.trace.iter().skip(left_out);
    lines.for_each(|line| text += &format!("  {line}\n"));
    let found = shrunk.outcome.violations.iter().map(ToString::to_string);
    found.for_each(|line| text += &format!("  {line}\n"));
    text
}

/// The counts, for people.
fn table(counts: &Counts, took: Duration) -> String {
    let mut text = String::new();
    let rows = [
        ("seeds", counts.seeds),
        ("simulated intervals", counts.intervals),
        ("of them decided", counts.decided),
        ("node-hours", counts.node_hours()),
        ("seconds it took", took.as_secs()),
        ("inputs to markets", counts.steps),
        ("messages sent", counts.sent),
        ("messages lost", counts.lost),
        ("messages stopped by partitions", counts.cut_off),
        ("messages duplicated", counts.copied),
        ("messages repaired", counts.repaired),
        ("messages refused", counts.refused),
        ("journal writes", counts.writes),
        ("journal writes refused", counts.writes_failed),
        ("stops of nodes", counts.stops),
        ("confirmed sides of trades", counts.confirmed),
        ("settled sides of trades", counts.measured),
        ("runs with private readings", counts.private),
        ("of these, masked", counts.masked),
        ("masked sums taken", counts.summed),
        ("masked sums given up", counts.not_summed),
        ("feeder gaps noticed", counts.gaps),
        ("readings shown", counts.shown),
        ("whispers of rogues", counts.whispers),
        ("equivocations seen", counts.equivocations),
        ("abstentions", counts.abstentions),
    ];
    for (what, count) in rows {
        text += &format!("{count:>12}  {what}\n");
    }
    for (what, count) in &counts.rogues {
        text += &format!("{count:>12}  rogues: {what}\n");
    }
    for (what, count) in &counts.incidents {
        text += &format!("{count:>12}  injected: {what}\n");
    }
    for guarantee in boltgrid_tests::sim::Guarantee::ALL {
        let count = counts.violations.get(guarantee.words()).unwrap_or(&0);
        text += &format!("{count:>12}  violations: {guarantee}\n");
    }
    text
}
