//! Writes the table of how often and how soon a book is decided: `docs/agreement.md`.

use std::io::Write as _;
use std::num::NonZero;
use std::path::PathBuf;

use boltgrid_tests::table::{LOSSES_PERCENT, SIZES, cells, document, run};
use clap::Parser;

/// The table of agreement: probability and time of a decision, by size, loss and faulty voters.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// What all chance is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sizes of grids; all if none is named.
    #[arg(long, value_delimiter = ',')]
    members: Vec<usize>,
    /// Intervals per row, in percent of the usual number.
    #[arg(long, default_value_t = 100)]
    trials_percent: usize,
    /// How many rows are tried at a time; changes nothing but the time it takes.
    #[arg(long, default_value = "2")]
    threads: NonZero<usize>,
    /// Where to write the page; to standard output if left out.
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let sizes: Vec<(usize, usize)> = SIZES
        .into_iter()
        .filter(|(members, _)| options.members.is_empty() || options.members.contains(members))
        .map(|(members, trials)| (members, (trials * options.trials_percent).div_ceil(100)))
        .collect();
    let cells = cells(&sizes, &LOSSES_PERCENT);
    let summaries = run(&cells, options.seed, options.threads, |cell, summary| {
        // Progress is for whoever waits; nobody may be there.
        _ = writeln!(std::io::stderr(), "{cell:?}: {summary:?}");
    });
    let page = document(&cells, &summaries, options.seed, &command(&options));
    match options.write {
        Some(path) => std::fs::write(path, page),
        None => std::io::stdout().write_all(page.as_bytes()),
    }
}

/// The command that writes the same page again.
fn command(options: &Options) -> String {
    let mut command = "cargo run --release -p boltgrid-tests --bin agreement_table --".to_owned();
    if options.seed != 1 {
        command.push_str(&format!(" --seed {}", options.seed));
    }
    if options.trials_percent != 100 {
        command.push_str(&format!(" --trials-percent {}", options.trials_percent));
    }
    if !options.members.is_empty() {
        let members: Vec<String> = options.members.iter().map(ToString::to_string).collect();
        command.push_str(&format!(" --members {}", members.join(",")));
    }
    command.push_str(" --write docs/agreement.md");
    command
}
