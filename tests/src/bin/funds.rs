//! The command `funds`: as many seeds as one likes of the test that no funds are lost, with counts at
//! the end.
//!
//! Exit 0 when nobody lost anything in any run, 1 when somebody did or a run could not be judged, 2 when
//! it cannot run. The hidden command `purse` is one node of such a run.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_testnet::chain::Choice;
use boltgrid_tests::funds::{
    Counts, Flaw, Options, Outcome, Plan, PurseArguments, be_a_purse, run,
};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

/// Most failing seeds that are shown with their plans.
const SHOWN_MAX: usize = 5;
/// Between two turns of the spinner.
const TURN: Duration = Duration::from_millis(500);

/// Runs real Lightning nodes into every trouble there is, and counts everybody's money in the end.
#[derive(Debug, Parser)]
#[command(name = "funds", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many seeds to run.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// How many at once.
    #[arg(long, default_value_t = 2)]
    at_once: usize,
    /// The chain: a bitcoind to be started, or the URL of one; our own where none is named.
    #[arg(long, value_name = "PATH|URL")]
    bitcoind: Option<Choice>,
    /// Run this seed only, and show what happens in it.
    #[arg(long)]
    seed: Option<u64>,
    /// Break something on purpose: sleep.
    #[arg(long = "break", value_name = "FLAW")]
    flaw: Option<Flaw>,
    /// Keep the files of seeds that failed.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be one node.
    #[command(hide = true)]
    Purse(PurseArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Purse(arguments)) = &arguments.command {
        return be_a_purse(arguments);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.and_then(|it| it.block_on(run_all(arguments))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            drop(writeln!(io::stderr(), "funds: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Runs all seeds; whether nothing was found.
async fn run_all(arguments: Arguments) -> io::Result<bool> {
    let options = Arc::new(Options {
        program: std::env::current_exe()?,
        chain: arguments.bitcoind.unwrap_or_default(),
        flaw: arguments.flaw,
        keeps: arguments.keep,
    });
    let (first, count) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.first_seed, arguments.seeds),
    };
    let style = "{spinner} {pos}/{len} seeds, {elapsed_precise} passed, {eta} to go: {msg}";
    let style = ProgressStyle::with_template(style).map_err(io::Error::other)?;
    let progress = ProgressBar::new(count).with_style(style);
    progress.enable_steady_tick(TURN);
    let mut seeds = first..first.saturating_add(count);
    let (mut running, mut total) = (JoinSet::new(), Counts::default());
    let mut failed: Vec<(Plan, Outcome)> = Vec::new();
    let mut stories = Vec::new();
    loop {
        while running.len() < arguments.at_once.max(1) {
            let Some(seed) = seeds.next() else { break };
            let options = Arc::clone(&options);
            running.spawn(async move {
                let plan = Plan::draw(seed);
                let outcome = run(&plan, &options).await;
                (plan, outcome)
            });
        }
        let Some(ended) = running.join_next().await else { break };
        let (plan, outcome) = ended.map_err(io::Error::other)?;
        total.add(&outcome.counts);
        if arguments.seed.is_some() {
            stories.push(format!("{plan}{}\n", outcome.story.join("\n")));
        }
        if outcome.trouble.is_some() || !outcome.violations.is_empty() {
            failed.push((plan, outcome));
        }
        progress.set_message(format!("{} failed", failed.len()));
        progress.inc(1);
    }
    let took = progress.elapsed();
    progress.finish_and_clear();
    failed.sort_by_key(|(plan, _)| plan.seed);
    let mut out = io::stdout().lock();
    stories.iter().try_for_each(|story| write!(out, "{story}"))?;
    for (place, (plan, outcome)) in failed.iter().enumerate() {
        let whole = arguments.seed.is_none() && place < SHOWN_MAX;
        show(&mut out, plan, outcome, whole)?;
    }
    for (what, count) in total.rows() {
        writeln!(out, "{count:>12}  {what}")?;
    }
    writeln!(out, "{:>12}  seconds it took", took.as_secs())?;
    Ok(failed.is_empty())
}

/// A seed that failed: its plan, what happened, and what must not be.
fn show(out: &mut impl Write, plan: &Plan, outcome: &Outcome, whole: bool) -> io::Result<()> {
    if whole {
        write!(out, "{plan}")?;
        outcome.story.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    }
    for violation in &outcome.violations {
        writeln!(out, "seed {}: VIOLATION: {violation}", plan.seed)?;
    }
    if let Some(trouble) = &outcome.trouble {
        writeln!(out, "seed {}: could not be judged: {trouble}", plan.seed)?;
    }
    Ok(())
}
