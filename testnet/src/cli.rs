//! The command line: what to run, or which scenario to check.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use boltgrid_protocol::charter::Disclosure;
use clap::{Args, Parser, Subcommand};

use crate::bench::{self, BenchError, BenchOptions, PeerOptions, RestartOptions, be_a_peer};
use crate::chain::alone::{self, AloneError, AloneOptions, Payee};
use crate::chain::{Choice, EmbeddedOptions};
use crate::devices::Meters;
use crate::load::{self, LoadError, LoadOptions};
use crate::run::money::Opened;
use crate::run::process::be_a_node;
use crate::run::report::Report;
use crate::run::{RunError, RunOptions, run};
use crate::scenario::{RURAL1, Scenario};

const EXAMPLES: &str = "\
Examples:
  Watch 13 nodes trade through a day in May, a quarter of an hour every ten seconds:
    boltgrid-testnet
  A dozen intervals for a program to read, the same ones each time:
    boltgrid-testnet run --headless --intervals 12 --seed 7 --report report.json
  Fifty nodes, in longer intervals:
    boltgrid-testnet run --nodes 50 --interval-ms 30000
  A chain for Lightning nodes to play with, one block every five seconds:
    boltgrid-testnet chain --folder chain --block-every-ms 5000
  How fast trades are paid, beside bare Lightning payments:
    boltgrid-testnet bench --nodes 2,13 --intervals 10
  What a node bears of those who ask it, while it trades:
    boltgrid-testnet load --calls-per-s 2000 --subscribers 500
  Miners that follow the sun at noon, beside the same hours without them:
    boltgrid-testnet run --miners --compare-without-miners --from 2016-05-25T10:30 --intervals 16
  What happens when nodes die:
    boltgrid-testnet run --faults faults.toml

The exit code is 0 when every invariant held, 2 for wrong arguments, and 1 for everything else.";

/// What of this process is logged; nodes have logs of their own. What gossipsub warns of is what a
/// hostile peer is there for, and rogues need no table of the DHT.
const LOG_FILTER: &str = "warn,libp2p_gossipsub=error,libp2p_kad=error";

/// A whole microgrid on one machine: real nodes over a simulated grid with measured profiles.
#[derive(Debug, Parser)]
#[command(
    name = "boltgrid-testnet",
    version,
    after_help = EXAMPLES,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a testnet; this is also what happens without any command
    Run(Run),
    /// Run a regtest chain alone, which answers like a bitcoind
    Chain(ChainArgs),
    /// Check a scenario's folder and say what is in it, or what is wrong with it
    Check {
        /// A folder with grid.csv, lines.csv, devices.csv and profiles.csv
        dir: PathBuf,
    },
    /// Compare how fast trades are paid with bare Lightning payments; build with --release
    Bench(Bench),
    /// Ask a node much while it trades: calls and subscribers; build with --release
    Load(Load),
    /// Be a node of a testnet
    #[command(hide = true)]
    Node {
        /// Arguments of `boltgrid`
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Be a bare Lightning node
    #[command(hide = true)]
    Bare(PeerOptions),
}

#[derive(Debug, Args)]
struct Bench {
    /// How many nodes; several runs, one after the other, where there are several numbers
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "2,13,30")]
    nodes: Vec<NonZeroUsize>,
    /// How many intervals each run has
    #[arg(long, value_name = "K", default_value = "10")]
    intervals: NonZeroU64,
    /// How long an interval is
    #[arg(long, value_name = "MS", default_value_t = RunOptions::default().interval_ms)]
    interval_ms: u64,
    /// What keys and copies of sites follow from
    #[arg(long, value_name = "S", default_value_t = RunOptions::default().seed)]
    seed: u64,
    /// Instead: how soon a node starts again that has made or received so many payments
    #[arg(long, value_name = "PAYMENTS", conflicts_with_all = ["nodes", "intervals", "interval_ms"])]
    restart_after: Option<NonZeroU32>,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Load {
    /// How many calls a second
    #[arg(long, value_name = "N", default_value = "2000")]
    calls_per_s: NonZeroU32,
    /// How many subscribers, each with a WebSocket of its own
    #[arg(long, value_name = "N", default_value = "500")]
    subscribers: NonZeroUsize,
    /// How many nodes the testnet has
    #[arg(long, value_name = "N", default_value = "4")]
    nodes: NonZeroUsize,
    /// How many intervals must pass meanwhile
    #[arg(long, value_name = "K", default_value = "6")]
    intervals: NonZeroU64,
    /// How long an interval is
    #[arg(long, value_name = "MS", default_value_t = RunOptions::default().interval_ms)]
    interval_ms: u64,
    /// What keys follow from
    #[arg(long, value_name = "S", default_value_t = RunOptions::default().seed)]
    seed: u64,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Run {
    /// A built-in scenario, or a folder of the same format
    #[arg(long, value_name = "NAME|DIR", default_value = RURAL1)]
    scenario: String,
    /// How many nodes; more than the scenario has sites are copies of these in other phase and size
    #[arg(long, value_name = "N")]
    nodes: Option<NonZeroUsize>,
    /// How long an interval is; each stands for 15 minutes of the profiles
    #[arg(long, value_name = "MS", default_value_t = RunOptions::default().interval_ms)]
    interval_ms: u64,
    /// How many intervals; without, until Ctrl-C
    #[arg(long, value_name = "K")]
    intervals: Option<NonZeroU64>,
    /// The time in the profiles to begin with, such as 2016-05-25T09:00
    #[arg(long, value_name = "TIMESTAMP")]
    from: Option<String>,
    /// What keys and copies of sites follow from
    #[arg(long, value_name = "S", default_value_t = RunOptions::default().seed)]
    seed: u64,
    /// Pay over Lightning on this chain: a bitcoind to start on regtest, or the URL of one that runs,
    /// such as <http://user:password@127.0.0.1:18443>; without, on an embedded chain
    #[arg(long, value_name = "PATH|URL", conflicts_with = "no_lightning")]
    bitcoind: Option<Choice>,
    /// Compute what is due, and pay nothing
    #[arg(long)]
    no_lightning: bool,
    /// Who opens the first channels
    #[arg(long, value_name = "WHO", default_value = "hubs", conflicts_with = "no_lightning")]
    channels: Opened,
    /// What the sites' grid meters speak: `SunSpec` all of them, or one language after the other
    /// (`SunSpec`, a register map, `HomeWizard`, P1, Shelly, MQTT)
    #[arg(long, value_name = "KIND", default_value = "sunspec")]
    meters: Meters,
    /// Let mining machines stand at three sites, which run where power is worth less than their hashes
    #[arg(long)]
    miners: bool,
    /// Run the same intervals without machines first, and hold what was unsold against it
    #[arg(long, requires_all = ["miners", "intervals"])]
    compare_without_miners: bool,
    /// Who sees the members' readings: `open`, everybody; `counterparty`, those who trade with them;
    /// or `masked`, these, and everybody the sum of a feeder's sites
    #[arg(long, value_name = "WHO", default_value = "open", value_parser = disclosure)]
    readings: Disclosure,
    /// How many intervals everyone has to pay for one; what is not paid by then is a default
    #[arg(long, value_name = "K", default_value_t = RunOptions::default().pay_within_intervals)]
    pay_within_intervals: NonZeroU64,
    /// A TOML file of what is to go wrong: nodes, links, clocks, disks, hostile peers; see docs/faults.md
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Write a JSON report at the end
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// One plain line an interval, even on a terminal
    #[arg(long)]
    headless: bool,
    /// Where the testnet's own page is, on loopback; without, at any free port, which is printed
    #[arg(long, value_name = "IP:PORT")]
    page: Option<SocketAddr>,
    /// Keep configs, data and logs of all nodes in this folder, which must be empty or new
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ChainArgs {
    /// Where it is asked: an address of this machine
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:18443")]
    listen: SocketAddr,
    /// Who asks
    #[arg(long, value_name = "NAME", default_value = "boltgrid")]
    user: String,
    /// With which password
    #[arg(long, value_name = "SECRET", default_value = "regtest")]
    password: String,
    /// Keep the chain in this folder, and go on where it ended
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Mine a block every so many ms; without, blocks are only mined when asked for
    #[arg(long, value_name = "MS")]
    block_every_ms: Option<NonZeroU64>,
    /// Pay an address so many satoshi at the start; may be given more than once
    #[arg(long, value_name = "ADDRESS=SAT")]
    pay: Vec<Payee>,
}

impl From<ChainArgs> for AloneOptions {
    fn from(args: ChainArgs) -> Self {
        let ChainArgs { listen: address, user, password, folder, block_every_ms, pay } = args;
        Self {
            chain: EmbeddedOptions { folder, address, user, password },
            block_every: block_every_ms.map(|ms| Duration::from_millis(ms.get())),
            pay,
        }
    }
}

impl From<Run> for RunOptions {
    fn from(run: Run) -> Self {
        Self {
            scenario: run.scenario,
            nodes: run.nodes,
            interval_ms: run.interval_ms,
            intervals: run.intervals,
            from: run.from,
            seed: run.seed,
            chain: (!run.no_lightning).then(|| run.bitcoind.unwrap_or_default()),
            channels: run.channels,
            meters: run.meters,
            miners: run.miners,
            compare_without_miners: run.compare_without_miners,
            readings: run.readings,
            pay_within_intervals: run.pay_within_intervals,
            faults: run.faults,
            report: run.report,
            headless: run.headless,
            page: run.page,
            keep: run.keep,
        }
    }
}

/// Runs the command that `args` say (the first is the program's name).
///
/// The exit code is 0 when all went well and every invariant held.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Cli { command, run } = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Where even that cannot be printed, the exit code still tells.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match command {
        Some(Command::Node { args }) => be_a_node(args),
        Some(Command::Bare(options)) => be_a_peer(&options),
        Some(Command::Bench(bench)) => measure(&bench),
        Some(Command::Load(args)) => bear(&args),
        Some(Command::Check { dir }) => check(&dir.to_string_lossy()),
        Some(Command::Chain(args)) => mine(args.into()),
        Some(Command::Run(run)) => watch(&run.into()),
        None => watch(&run.into()),
    }
}

fn log() {
    tracing_subscriber::fmt()
        .with_env_filter(LOG_FILTER)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}

fn mine(options: AloneOptions) -> ExitCode {
    log();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(AloneError::Runtime);
    match runtime.and_then(|runtime| runtime.block_on(alone::run(options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn watch(options: &RunOptions) -> ExitCode {
    log();
    // Fails only where a provider is there already, which does as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    match run_to_end(options) {
        Ok(report) if report.is_clean() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

fn measure(bench: &Bench) -> ExitCode {
    log();
    // Fails only where a provider is there already, which does as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    match measure_to_end(bench) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn measure_to_end(bench: &Bench) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(RunError::Runtime)?;
    if let Some(payments) = bench.restart_after {
        let options = RestartOptions { payments, seed: bench.seed };
        let restart = runtime.block_on(bench::restart(options)).map_err(BenchError::from)?;
        drop(writeln!(io::stdout(), "{}", bench::told(&restart)));
        return bench.report.as_deref().map_or(Ok(()), |path| bench::write(path, &restart));
    }
    let mut comparisons = Vec::new();
    for nodes in bench.nodes.iter().copied() {
        let Bench { intervals, interval_ms, seed, .. } = *bench;
        let options = BenchOptions { nodes, intervals, interval_ms, seed };
        comparisons.push(runtime.block_on(bench::compare(options))?);
    }
    drop(writeln!(io::stdout(), "{}", bench::table(&comparisons)));
    bench.report.as_deref().map_or(Ok(()), |path| bench::write(path, &comparisons))
}

fn bear(load: &Load) -> ExitCode {
    log();
    // Fails only where a provider is there already, which does as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    match bear_to_end(load) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

/// Whether the node did as every node promises.
fn bear_to_end(args: &Load) -> Result<bool, LoadError> {
    let Load { calls_per_s, subscribers, nodes, intervals, interval_ms, seed, .. } = *args;
    let options = LoadOptions { calls_per_s, subscribers, nodes, intervals, interval_ms, seed };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(RunError::Runtime)?.block_on(load::load(options))?;
    drop(writeln!(io::stdout(), "{}", outcome.told()));
    if let Some(path) = &args.report {
        bench::write(path, &outcome)?;
    }
    Ok(outcome.broken().is_empty())
}

fn run_to_end(options: &RunOptions) -> Result<Report, RunError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?
        .block_on(run(options))
}

fn check(dir: &str) -> ExitCode {
    match Scenario::open(dir) {
        Err(error) => fail(&error),
        Ok(scenario) => {
            let Scenario { name, grid, devices, profiles } = &scenario;
            let said = writeln!(
                io::stdout(),
                "{name}: a valid scenario of {} buses, {} lines, {} devices and {} profiles of {} \
                 rows from {}",
                grid.buses.len(),
                grid.lines.len(),
                devices.len(),
                profiles.names().len(),
                profiles.rows(),
                profiles.time_of_row(0),
            );
            drop(said);
            ExitCode::SUCCESS
        }
    }
}

fn disclosure(word: &str) -> Result<Disclosure, String> {
    let found = Disclosure::ALL.into_iter().find(|it| it.word() == word);
    let words = Disclosure::ALL.map(Disclosure::word).join(", ");
    found.ok_or_else(|| format!("take one of {words}"))
}

/// Says what is wrong, with all its causes.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("boltgrid-testnet: {error}");
    let mut cause = error.source();
    while let Some(below) = cause {
        let below_text = below.to_string();
        if !text.contains(&below_text) {
            text.push_str(": ");
            text.push_str(&below_text);
        }
        cause = below.source();
    }
    drop(writeln!(io::stderr(), "{text}"));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(args: &[&str]) -> RunOptions {
        let args = std::iter::once("boltgrid-testnet").chain(args.iter().copied());
        let Cli { command, run } = Cli::try_parse_from(args).unwrap();
        match command {
            Some(Command::Run(run)) => run.into(),
            None => run.into(),
            Some(_) => panic!("another command"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_means_run_and_no_arguments_mean_the_defaults() {
        assert_eq!(parsed(&[]), RunOptions::default());
        assert_eq!(parsed(&["run"]), RunOptions::default());
        let expected = RunOptions { seed: 7, headless: true, ..RunOptions::default() };
        assert_eq!(parsed(&["--seed", "7", "--headless"]), expected);
        assert_eq!(parsed(&["run", "--seed", "7", "--headless"]), expected);
        for readings in Disclosure::ALL {
            assert_eq!(parsed(&["--readings", readings.word()]).readings, readings);
        }
    }

    #[test]
    fn no_nodes_and_no_intervals_are_refused() {
        for args in [["--nodes", "0"], ["--intervals", "0"]] {
            let args = std::iter::once("boltgrid-testnet").chain(args);
            assert!(Cli::try_parse_from(args).is_err());
        }
    }
}
