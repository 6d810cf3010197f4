//! The command line: one command, one file, each a function of its arguments and of where to write.
//! Not for: what the commands are about.

mod alert;
mod by_hand;
mod call;
mod channel;
mod channel_plan;
mod charter;
mod doctor;
pub(crate) mod enrol;
mod error;
mod escrow;
mod export;
mod gas;
mod grid;
mod init;
mod log;
mod market;
pub(crate) mod meter;
mod miner;
mod node;
mod offer;
mod papers;
mod past;
mod payment;
mod peer;
mod replay;
mod rpc;
mod rules;
mod run;
mod search;
mod show;
mod status;
pub(crate) mod targets;
mod token;
mod wallet;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use error::CliError;

const EXAMPLES: &str = "\
Examples:
  Join a grid, with a SunSpec meter at hand:
    boltgrid init --charter charter.toml --bootstrap /ip4/192.0.2.7/tcp/9333 --meter 192.168.1.20
    boltgrid enrol request --connection-point 'House 7' --import-w 17000 --export-w 10000
    (send the request to a registrar; put all members' enrolments into boltgrid/enrolments)
    boltgrid run

  Found a grid:
    boltgrid charter new --name 'Mill Lane'
    (every founder: boltgrid init, then boltgrid enrol request --founding ...)
    boltgrid enrol sign house7.request --charter charter.toml --registrar-key registrar.key

  See how it goes:
    boltgrid doctor
    boltgrid status
    boltgrid market price
    boltgrid meter test meter
    boltgrid replay 5930112

  Trade ahead of the auction:
    boltgrid offer publish sell pv --energy-wh 250 --price-sat-per-kwh 150 --first 5930112 \
      --intervals 12
    boltgrid offer list sell pv

  Be paid over Lightning (set `[lightning]` in the config file first):
    boltgrid wallet address
    boltgrid channel open PARTICIPANT --size-sat 100000
    boltgrid wallet restore < words.txt";

/// Trade electricity with your neighbours, with no operator in the middle.
#[derive(Debug, Parser)]
#[command(name = "boltgrid", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up a node's folder: a commented config file and new keys
    Init(init::Init),
    /// Write, check or show a grid's charter
    #[command(subcommand)]
    Charter(charter::Charter),
    /// Ask for membership, grant it, or show what an enrolment says
    #[command(subcommand)]
    Enrol(enrol::Enrol),
    /// Run the node until it is stopped (Ctrl-C or SIGTERM)
    Run(run::Run),
    /// Show how the running node is doing
    Status(status::Status),
    /// Look at everything that a node needs, running or not, and say what to do
    Doctor(doctor::Doctor),
    /// Show what the running node logs, or have it log something else
    Log(log::Log),
    /// What all members agree on: members, charter, topology
    #[command(subcommand)]
    Grid(grid::Grid),
    /// Which members are within reach
    #[command(subcommand)]
    Peer(peer::Peer),
    /// Prices, this node's trades and orders, and your own word in the next ones
    #[command(subcommand)]
    Market(market::Market),
    /// Trade ahead of the auction: offer, withdraw, list, accept
    #[command(subcommand)]
    Offer(offer::Offer),
    /// The bitcoin wallet: address, balances, history, send, restore
    #[command(subcommand)]
    Wallet(wallet::Wallet),
    /// Payment channels: list, open, close, splice, history
    #[command(subcommand)]
    Channel(channel::Channel),
    /// Amounts locked until readings say whose they are: propose, accept, list
    #[command(subcommand)]
    Escrow(escrow::Escrow),
    /// See what was paid, what is owed and what is in dispute
    #[command(subcommand)]
    Payment(payment::Payment),
    /// What the node tells its owner of: list, test
    #[command(subcommand)]
    Alert(alert::Alert),
    /// The site's meters: list, live values, try one out, find some
    #[command(subcommand)]
    Meter(meter::Meter),
    /// The machines that mine: what they do and why, and your own word about it
    #[command(subcommand)]
    Miner(miner::Miner),
    /// A well, its generator and its flare: how they are, and what became of the gas
    #[command(subcommand)]
    Gas(gas::Gas),
    /// Tokens for others who may ask the node: create, list, revoke
    #[command(subcommand)]
    Token(token::Token),
    /// Call any method of the running node, with parameters as JSON
    Rpc(call::Call),
    /// Rules for machines: check them, and try them on the past
    #[command(subcommand)]
    Rules(rules::Rules),
    /// Write what is kept of money, energy and machines into CSV or Parquet files
    Export(export::Export),
    /// Clear a past interval again from its stored book, and compare
    Replay(replay::Replay),
    /// Print what a shell needs to complete commands, such as for bash into
    /// ~/.local/share/bash-completion/completions/boltgrid
    Completions(papers::Completions),
    /// Write manual pages
    Man(papers::Man),
}

/// Runs the command that `args` say (the first is the program's name), and says what went wrong.
///
/// The exit code is 0 when all went well, 2 for wrong arguments, 3 where no node answers, 4 where one refuses,
/// and 1 for everything else (docs/cli.md).
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match run_from(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(CliError::Arguments(error)) => {
            // Where even that cannot be printed, the exit code still tells.
            drop(error.print());
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        Err(error) => {
            drop(writeln!(io::stderr(), "boltgrid: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs the command that `args` say (the first is the program's name).
///
/// # Errors
///
/// [`CliError`]; asking for help or for the version is [`CliError::Arguments`] as well.
pub fn run_from(args: impl IntoIterator<Item = OsString>) -> Result<(), CliError> {
    let Cli { command } = Cli::try_parse_from(args)?;
    // Fails only where a provider is there already, which does as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut out = io::stdout();
    let done = match command {
        Command::Init(init) => init.run(&mut out),
        Command::Charter(charter) => charter.run(&mut out),
        Command::Enrol(enrol) => enrol.run(&mut out),
        Command::Run(run) => run.run(&mut out),
        Command::Status(status) => status.run(&mut out),
        Command::Doctor(doctor) => doctor.run(&mut out),
        Command::Log(log) => log.run(&mut out),
        Command::Grid(grid) => grid.run(&mut out),
        Command::Peer(peer) => peer.run(&mut out),
        Command::Market(market) => market.run(&mut out),
        Command::Offer(offer) => offer.run(&mut out),
        Command::Wallet(wallet) => wallet.run(&mut out),
        Command::Channel(channel) => channel.run(&mut out),
        Command::Escrow(escrow) => escrow.run(&mut out),
        Command::Payment(payment) => payment.run(&mut out),
        Command::Alert(alert) => alert.run(&mut out),
        Command::Meter(meter) => meter.run(&mut out),
        Command::Miner(miner) => miner.run(&mut out),
        Command::Gas(gas) => gas.run(&mut out),
        Command::Token(token) => token.run(&mut out),
        Command::Rpc(call) => call.run(&mut out),
        Command::Rules(rules) => rules.run(&mut out),
        Command::Export(export) => export.run(&mut out),
        Command::Replay(replay) => replay.run(&mut out),
        Command::Completions(completions) => completions.run(Cli::command(), &mut out),
        Command::Man(man) => man.run(Cli::command(), &mut out),
    };
    match done {
        // Whoever read our output has seen enough.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Words that print no answer, or nothing but text that stands in files: what each does is in docs/cli.md.
    const WITHOUT_JSON: [&str; 12] = [
        "boltgrid init",
        "boltgrid charter new",
        "boltgrid charter check",
        "boltgrid charter show",
        "boltgrid enrol request",
        "boltgrid enrol sign",
        "boltgrid enrol show",
        "boltgrid run",
        "boltgrid wallet restore",
        "boltgrid rules check",
        "boltgrid rules import",
        "boltgrid completions",
    ];
    /// Prints JSON always.
    const JSON_ALWAYS: &str = "boltgrid rpc";

    /// Every word that does something, after those that lead to it.
    fn words(command: &clap::Command, before: &str) -> Vec<(String, bool)> {
        let name = format!("{before}{}", command.get_name());
        let below = || command.get_subcommands().filter(|it| it.get_name() != "help");
        if below().next().is_none() {
            let has_json = command.get_arguments().any(|it| it.get_long() == Some("json"));
            return vec![(name, has_json)];
        }
        below().flat_map(|it| words(it, &format!("{name} "))).collect()
    }

    #[test]
    fn every_command_prints_json_when_asked_but_those_that_have_none_to_print() {
        let words = words(&Cli::command(), "");
        assert!(words.len() > 60, "{words:?}");
        let plain: Vec<&str> =
            words.iter().filter(|(_, has_json)| !has_json).map(|it| it.0.as_str()).collect();
        let known = |it: &&str| WITHOUT_JSON.contains(it) || *it == JSON_ALWAYS;
        let unknown: Vec<&&str> = plain.iter().filter(|it| !known(it)).collect();
        assert!(unknown.is_empty(), "{unknown:?} take no --json");
        assert_eq!(plain.len(), WITHOUT_JSON.len() + 1, "{plain:?}");
    }

    #[test]
    fn nobody_is_told_of_the_flag_that_offsets_the_clock() {
        let mut run = Cli::command().find_subcommand("run").unwrap().clone();
        assert!(run.get_arguments().any(|it| it.get_long() == Some("clock-offset-file")));
        assert!(!run.render_long_help().to_string().contains("offset"));
    }
}
