//! `boltgrid rules`: whether a file of rules holds what it should, and what it would have done.
//! Not for: rules at work, which is the dispatcher's.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use boltgrid_miners::machine::{Abilities, Control, SetPoint};
use boltgrid_miners::rules::{
    Action, Change, DryRun as Outcomes, Fate, Outcome, Rules as Read, Tried, dry_run,
    import_policy, read_history, read_rules,
};
use boltgrid_protocol::units::{Power, Price, SignedMsat, Timestamp};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::error::CliError;
use super::show;

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;
/// Milliseconds of a tenth of an hour.
const TENTH_OF_HOUR_MS: u64 = 360_000;

/// Check and try out rules for machines; docs/rules.md says how they are written.
#[derive(Debug, Subcommand)]
pub(super) enum Rules {
    /// Say what a file of rules says, or everything that is wrong with it
    Check {
        /// The file
        file: PathBuf,
    },
    /// Say what rules would have done with a machine in the past, and what it would have earned
    DryRun(DryRun),
    /// Turn a policy of Edge Mining (YAML) into rules, and say which of its rules never worked
    Import {
        /// The policy
        file: PathBuf,
        /// Where to write the rules; nothing that is there is overwritten
        #[arg(long, value_name = "FILE.toml")]
        write: Option<PathBuf>,
    },
}

/// What to try on what.
#[derive(Debug, Args)]
pub(super) struct DryRun {
    /// The file of rules
    file: PathBuf,
    /// The past: comma-separated values with a column `at_unix_ms` and one for each quantity that
    /// rules look at, such as `price_sat_per_kwh`
    #[arg(long, value_name = "FILE.csv")]
    history: PathBuf,
    /// What the machine draws
    #[arg(long, default_value_t = 3_500, value_parser = clap::value_parser!(i64).range(1..=10_000_000))]
    power_w: i64,
    /// What a kilowatt-hour is worth to it
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..=1_000_000))]
    break_even_sat_per_kwh: i64,
    /// What a start costs it
    #[arg(long, default_value_t = 0)]
    start_cost_msat: u32,
    /// Its name, where rules are for some machines only
    #[arg(long, default_value = "miner")]
    machine: String,
    /// How far the clock of `time` and `weekday` is ahead of UTC, in minutes
    #[arg(long, default_value_t = 0, allow_negative_numbers = true,
        value_parser = clap::value_parser!(i16).range(-900..=900))]
    clock_ahead_minutes: i16,
    /// How many of the decisions to list, with the reason of each
    #[arg(long, default_value_t = 20)]
    decisions: usize,
    /// Print all of it as JSON
    #[arg(long)]
    json: bool,
}

impl Rules {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::Check { file } => checked(out, &file, &rules(&file)?),
            Self::DryRun(dry_run) => dry_run.run(out),
            Self::Import { file, write } => import(out, &file, write.as_deref()),
        }
    }
}

impl DryRun {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let rules = rules(&self.file)?;
        let ahead_ms = i64::from(self.clock_ahead_minutes).saturating_mul(MINUTE_MS);
        let history = read_history(&text(&self.history)?, ahead_ms)
            .map_err(|problem| unreadable(&self.history, problem.to_string()))?;
        let power = Power::from_milliwatts(self.power_w.saturating_mul(1_000));
        let abilities = Abilities {
            control: Control::Switch,
            rated: power,
            idle: Power::ZERO,
            settle_ms: 0,
            warm_up_ms: 0,
        };
        let break_even = self.break_even_sat_per_kwh.saturating_mul(1_000);
        let tried = Tried {
            name: self.machine.clone(),
            abilities,
            break_even: Price::from_msat_per_kwh(break_even),
            start_msat: i128::from(self.start_cost_msat),
        };
        let found = dry_run(&rules, &tried, &history);
        if self.json { show::json(out, &as_json(&found)) } else { self.show(out, &found) }
    }

    fn show(&self, out: &mut impl Write, found: &Outcomes) -> Result<(), CliError> {
        writeln!(
            out,
            "{} samples of {} h; at {} of them the price is not known",
            found.samples,
            hours(found.covered_ms),
            found.without_price
        )?;
        for (name, it) in [
            ("with the rules", &found.with_rules),
            ("without them", &found.without_rules),
            ("always on", &found.always),
        ] {
            writeln!(
                out,
                "{name:15} {} in {} h, {}, {} starts",
                money(it),
                hours(it.ran_ms),
                show::energy(it.mined),
                it.starts
            )?;
        }
        for share in &found.shares {
            let never = if share.held == 0 { "  NEVER HELD" } else { "" };
            writeln!(
                out,
                "rule {:?}: decided {} times, held {}, not known {}{never}",
                share.rule, share.decided, share.held, share.unknown
            )?;
        }
        for change in found.changes.iter().take(self.decisions) {
            writeln!(out, "{}", decision(change))?;
        }
        let rest = found.changes.len().saturating_sub(self.decisions);
        if rest > 0 {
            writeln!(out, "and {rest} more decisions; --decisions lists them")?;
        }
        Ok(())
    }
}

fn checked(out: &mut impl Write, file: &Path, rules: &Read) -> Result<(), CliError> {
    writeln!(
        out,
        "{}: {} rules, in the order in which they decide",
        file.display(),
        rules.all().len()
    )?;
    for rule in rules.all() {
        let action = match rule.action {
            Action::Run => "run".to_owned(),
            Action::Stop => "stop".to_owned(),
            Action::Power(power) => format!("run at {} at most", show::power(power)),
        };
        let who = if rule.machines.is_empty() { "all machines" } else { &rule.machines.join(", ") };
        writeln!(out, "{:>6}  {:?}: {who} {action}", rule.priority, rule.name)?;
    }
    Ok(())
}

fn import(out: &mut impl Write, file: &Path, to: Option<&Path>) -> Result<(), CliError> {
    let imported =
        import_policy(&text(file)?).map_err(|rejected| unreadable(file, rejected.to_string()))?;
    for rule in &imported.report {
        let fate = match rule.fate {
            Fate::Imported => "imported",
            Fate::Dead => "DEAD: it could never fire; not imported",
            Fate::AlwaysFired => "ALWAYS FIRED, whatever was seen; not imported",
            Fate::Disabled => "was switched off; not imported",
            Fate::NotExpressible => "cannot be said here; not imported",
        };
        writeln!(out, "line {}: {:?}: {fate}", rule.line, rule.rule)?;
        for reason in &rule.reasons {
            writeln!(out, "  {reason}")?;
        }
    }
    let Some(to) = to else {
        return Ok(write!(out, "\n{}", imported.toml)?);
    };
    let mut new = std::fs::File::create_new(to)
        .map_err(|source| CliError::Write { path: to.to_owned(), source })?;
    new.write_all(imported.toml.as_bytes())
        .map_err(|source| CliError::Write { path: to.to_owned(), source })?;
    Ok(writeln!(out, "written to {}; try it with `boltgrid rules dry-run`", to.display())?)
}

fn rules(file: &Path) -> Result<Read, CliError> {
    read_rules(&text(file)?).map_err(|rejected| unreadable(file, rejected.to_string()))
}

fn text(file: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(file).map_err(|source: io::Error| unreadable(file, source.to_string()))
}

/// A file with what is wrong with it, line by line.
fn unreadable(file: &Path, problem: String) -> CliError {
    let problem = problem.lines().map(|line| format!("\n  {line}")).collect();
    CliError::Contents { path: file.to_owned(), problem }
}

fn decision(change: &Change) -> String {
    let when = show::moment(Timestamp::from_unix_ms(change.at_unix_ms));
    let does = match change.set_point {
        SetPoint::Off => "off".to_owned(),
        SetPoint::Run { power_mw } => show::power(power_mw),
    };
    match &change.by {
        Some((rule, because)) => format!("{when}  {does}  by {rule:?}: {because}"),
        None => format!("{when}  {does}  by no rule: the price alone"),
    }
}

/// Tenths of an hour.
fn hours(ms: u64) -> String {
    let tenths = ms.div_euclid(TENTH_OF_HOUR_MS);
    format!("{}.{}", tenths.div_euclid(10), tenths.rem_euclid(10))
}

fn money(outcome: &Outcome) -> String {
    let msat = i64::try_from(outcome.profit_msat).unwrap_or(i64::MAX);
    show::money(SignedMsat::from_millisatoshi(msat))
}

fn as_json(found: &Outcomes) -> Value {
    let outcome = |it: &Outcome| {
        json!({
            "ran_ms": it.ran_ms.to_string(),
            "starts": it.starts.to_string(),
            "mined_mwh": it.mined.to_milliwatt_hours().to_string(),
            "profit_msat": it.profit_msat.to_string(),
        })
    };
    let rules: Vec<Value> = found
        .shares
        .iter()
        .map(|share| {
            json!({
                "rule": share.rule,
                "decided": share.decided.to_string(),
                "held": share.held.to_string(),
                "unknown": share.unknown.to_string(),
            })
        })
        .collect();
    let decisions: Vec<Value> = found
        .changes
        .iter()
        .map(|change| {
            let power = match change.set_point {
                SetPoint::Off => Power::ZERO,
                SetPoint::Run { power_mw } => power_mw,
            };
            json!({
                "at_unix_ms": change.at_unix_ms.to_string(),
                "power_mw": power.to_milliwatts().to_string(),
                "rule": change.by.as_ref().map(|(rule, _)| rule),
                "because": change.by.as_ref().map(|(_, because)| because),
            })
        })
        .collect();
    json!({
        "samples": found.samples,
        "covered_ms": found.covered_ms.to_string(),
        "without_price": found.without_price.to_string(),
        "with_rules": outcome(&found.with_rules),
        "without_rules": outcome(&found.without_rules),
        "always_on": outcome(&found.always),
        "rules": rules,
        "decisions": decisions,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(subcommand)]
        rules: Rules,
    }

    fn run(arguments: &[&str]) -> Result<String, CliError> {
        let command = Command::try_parse_from([&["rules"], arguments].concat())?;
        let mut out = Vec::new();
        command.rules.run(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn files(rules: &str, history: &str) -> (tempfile::TempDir, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let [rules_at, history_at] =
            ["rules.toml", "past.csv"].map(|name| folder.path().join(name).display().to_string());
        std::fs::write(&rules_at, rules).unwrap();
        std::fs::write(&history_at, history).unwrap();
        (folder, rules_at, history_at)
    }

    const RULES: &str = "[[rules]]\nname = \"dear\"\naction = \"stop\"\n\
        when = { price_sat_per_kwh = { above = 80 } }\n\
        [[rules]]\nname = \"hot\"\npriority = 5\naction = \"stop\"\n\
        when = { temperature_celsius = { above = 35 } }\n";
    const PAST: &str = "at_unix_ms,price_sat_per_kwh\n0,20\n900000,100\n1800000,20\n";

    #[test]
    fn a_file_that_is_right_is_told_rule_by_rule() {
        let (_folder, rules, _) = files(RULES, PAST);
        let told = run(&["check", &rules]).unwrap();
        assert!(told.contains("2 rules"), "{told}");
        let hot = told.find("\"hot\": all machines stop").unwrap();
        assert!(hot < told.find("\"dear\"").unwrap(), "by priority: {told}");
    }

    #[test]
    fn a_file_that_is_wrong_is_told_with_line_and_column() {
        let (_folder, rules, _) = files(&RULES.replace("_sat_per_kwh", "_eur_per_kwh"), PAST);
        let told = run(&["check", &rules]).unwrap_err().to_string();
        assert!(told.contains("line 4, column 10: `price_eur_per_kwh` has another unit"), "{told}");
        assert!(run(&["check", "nowhere.toml"]).unwrap_err().to_string().contains("nowhere.toml"));
    }

    #[test]
    fn a_policy_is_turned_into_rules_and_what_was_dead_is_told() {
        let policy = "start_rules:\n- name: sunny\n  conditions:\n    field: energy_state.production\n    \
            operator: gt\n    value: 3000\n- name: weekend\n  conditions:\n    field: timestamp.weekday\n    \
            operator: in\n    value: [5, 6]\n";
        let (folder, policy, _) = files(policy, PAST);
        let to = folder.path().join("new.toml").display().to_string();
        let told = run(&["import", &policy, "--write", &to]).unwrap();
        assert!(told.contains("line 2: \"sunny\": imported"), "{told}");
        assert!(told.contains("\"weekend\": DEAD"), "{told}");
        assert!(run(&["check", &to]).unwrap().contains("\"sunny\""));
        assert!(run(&["import", &policy, "--write", &to]).is_err(), "nothing is overwritten");
    }

    #[test]
    fn a_dry_run_tells_money_rules_and_reasons() {
        let (_folder, rules, past) = files(RULES, PAST);
        let arguments = [
            &["dry-run", rules.as_str(), "--history", past.as_str()][..],
            &["--power-w", "4000", "--break-even-sat-per-kwh", "120"],
        ]
        .concat();
        let told = run(&arguments).unwrap();
        assert!(told.contains("with the rules  200 sat in 0.5 h"), "{told}");
        assert!(told.contains("without them    220 sat in 0.7 h"), "{told}");
        assert!(told.contains("rule \"hot\": decided 0 times, held 0, not known 3  NEVER HELD"));
        assert!(told.contains("off  by \"dear\": price_sat_per_kwh is 100, above 80 holds"));
        let json: Value =
            serde_json::from_str(&run(&[&arguments[..], &["--json"]].concat()).unwrap()).unwrap();
        assert_eq!(json["with_rules"]["profit_msat"], "200000");
        assert_eq!(json["decisions"][1]["rule"], "dear");
    }
}
