//! Writes the page of what channels cost a measured grid: `docs/channels.md`.

use std::io::Write as _;
use std::num::NonZero;
use std::path::PathBuf;

use boltgrid_protocol::units::Msat;
use boltgrid_tests::economy::{Economy, Season, cells, document, run};
use clap::Parser;

/// What channels cost a grid and how far they reach, over two months of the measured grid.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Sizes of grids.
    #[arg(long, value_delimiter = ',', default_value = "13,30")]
    members: Vec<usize>,
    /// Fee rates, in satoshis per virtual byte.
    #[arg(long, value_delimiter = ',', default_value = "1,10,50")]
    sat_per_vb: Vec<u64>,
    /// What a newcomer may owe, in satoshis, if that is more than one tranche.
    #[arg(long)]
    first_sat: Option<u64>,
    /// Most channels of a site, if not the default.
    #[arg(long)]
    channels_max: Option<usize>,
    /// Only the summer months.
    #[arg(long)]
    summer_only: bool,
    /// How many rows are run at a time; changes nothing but the time it takes.
    #[arg(long, default_value = "2")]
    threads: NonZero<usize>,
    /// Where to write the page; to standard output if left out.
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let seasons: &[Season] =
        if options.summer_only { &[Season::Summer] } else { &[Season::Summer, Season::Winter] };
    let cells = cells(seasons, &options.members, &options.sat_per_vb);
    let mut economy = Economy::default();
    if let Some(sat) = options.first_sat {
        economy = economy.with_first(Msat::from_satoshi_saturating(sat));
    }
    if let Some(most) = options.channels_max {
        economy.limits.channels_max = most;
    }
    let outcomes = run(&economy, &cells, options.threads, |cell, outcome| {
        // Progress is for whoever waits; nobody may be there.
        _ = writeln!(std::io::stderr(), "{cell:?}: {outcome:?}");
    });
    let page = document(&economy, &cells, &outcomes, &command(&options));
    match options.write {
        Some(path) => std::fs::write(path, page),
        None => std::io::stdout().write_all(page.as_bytes()),
    }
}

/// The command that writes the same page again.
fn command(options: &Options) -> String {
    let mut command = "cargo run --release -p boltgrid-tests --bin channel_economy --".to_owned();
    let list = |numbers: Vec<String>| numbers.join(",");
    if options.members != [13, 30] {
        let members = options.members.iter().map(ToString::to_string).collect();
        command.push_str(&format!(" --members {}", list(members)));
    }
    if options.sat_per_vb != [1, 10, 50] {
        let rates = options.sat_per_vb.iter().map(ToString::to_string).collect();
        command.push_str(&format!(" --sat-per-vb {}", list(rates)));
    }
    if let Some(sat) = options.first_sat {
        command.push_str(&format!(" --first-sat {sat}"));
    }
    if let Some(most) = options.channels_max {
        command.push_str(&format!(" --channels-max {most}"));
    }
    if options.summer_only {
        command.push_str(" --summer-only");
    }
    if let Some(path) = &options.write {
        command.push_str(&format!(" --write {}", path.display()));
    }
    command
}
