//! `boltgrid miner test`: tries a machine of the config file out without a node: what it is, what it
//! can be told, what it shows; and with `--switch` whether it really does as told.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use boltgrid_miners::drivers::{Machine, Relay};
use boltgrid_miners::effect::{Action, Check, Notice, OnContactLost};
use boltgrid_miners::hash::Efficiency;
use boltgrid_miners::machine::{Abilities, Observation, SetPoint};
use boltgrid_protocol::units::Power;
use clap::Args;
use serde::Serialize;
use tokio::runtime;
use tokio::time::{MissedTickBehavior, interval};

use super::discover::{can, hash_rate};
use crate::cli::error::CliError;
use crate::cli::node::ConfigFile;
use crate::cli::show;
use crate::clock;
use crate::config::{Config, RawConfig};
use crate::dispatcher::MinerConfig;
use crate::site::Trial;
use crate::status::quoted;

/// How often the machine is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is looked at where nothing is switched.
const LOOKS: u32 = 5;
/// The longest that one command is waited for, in s: twice the longest settle time and warm-up.
const FOLLOW_S_MAX: u32 = 3_600;

/// Arguments of `miner test`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Test {
    /// The machine's name in the config file
    name: String,
    /// Really switch it: off, on at the least power it can be told, and back to off; each is watched
    /// until its watts follow. Stop the node before
    #[arg(long)]
    switch: bool,
    #[command(flatten)]
    file: ConfigFile,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// What a test found.
#[derive(Debug, Serialize)]
struct Found {
    name: String,
    about: String,
    can: String,
    #[serde(with = "quoted")]
    rated_mw: i64,
    #[serde(with = "quoted")]
    settle_ms: u64,
    #[serde(with = "quoted")]
    warm_up_ms: u64,
    #[serde(with = "quoted::option")]
    power_mw: Option<i64>,
    power_is_metered: bool,
    #[serde(with = "quoted::option")]
    hash_rate_gh_per_s: Option<u64>,
    #[serde(with = "quoted::option")]
    efficiency_mj_per_th: Option<u64>,
    temperature_m_celsius: Option<i32>,
    steps: Vec<Step>,
    hints: Vec<String>,
}

/// What it was told, and what came of that.
#[derive(Debug, Serialize)]
struct Step {
    told: String,
    follows: bool,
    what: String,
}

/// The machine and what watches it.
struct Bench {
    machine: Machine,
    /// The site's meters, where one of them is the machine's own.
    meters: Option<(Trial, String)>,
    last: Option<Observation>,
    failures: BTreeSet<String>,
}

impl Test {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let config = Config::load(&self.file.config, RawConfig::default())?;
        let all = &config.mining.machines;
        let miner = all.iter().find(|it| it.owned.name == self.name).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|it| it.owned.name.as_str()).collect();
            let problem = format!("is `{}`; the config file has: {}", self.name, names.join(", "));
            CliError::Argument { argument: "NAME", problem }
        })?;
        let meters = match &miner.owned.meter {
            None => None,
            Some(name) => {
                let trial = Trial::new(&config.site).map_err(|error| CliError::Argument {
                    argument: "site",
                    problem: format!("of {} is wrong: {error}", self.file.config.display()),
                })?;
                Some((trial, name.clone()))
            }
        };
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::Runtime)?;
        let found = runtime.block_on(self.watch(miner, meters, out))?;
        if self.json {
            return show::json(out, &found);
        }
        print(out, &found)
    }

    async fn watch(
        &self,
        miner: &MinerConfig,
        meters: Option<(Trial, String)>,
        out: &mut impl Write,
    ) -> Result<Found, CliError> {
        let machine = Machine::open(&miner.driver, miner.stated, &self.name).await;
        let machine = machine.map_err(CliError::Machine)?;
        if let Some(relay) = &miner.owned.relay {
            // That it can be opened; it is not switched here.
            Relay::open(relay, &self.name).map_err(CliError::Machine)?;
        }
        let mut bench = Bench { machine, meters, last: None, failures: BTreeSet::new() };
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..LOOKS {
            ticks.tick().await;
            bench.look(None).await;
            self.say(out, &bench)?;
        }
        let mut steps = Vec::new();
        if self.switch {
            let least = SetPoint::Run { power_mw: bench.machine.abilities().least() };
            for set_point in [SetPoint::Off, least, SetPoint::Off] {
                let step = self.step(&mut bench, set_point, out).await?;
                let goes_on = step.follows;
                steps.push(step);
                if !goes_on {
                    break;
                }
            }
        }
        Ok(found(&self.name, &bench, steps))
    }

    /// Tells it, and watches until it follows or is given up.
    async fn step(
        &self,
        bench: &mut Bench,
        set_point: SetPoint,
        out: &mut impl Write,
    ) -> Result<Step, CliError> {
        let (abilities, now) = (bench.machine.abilities().clone(), clock::now());
        let lost_ms = u64::from(FOLLOW_S_MAX).saturating_mul(1_000);
        let mut check = Check::new(abilities, lost_ms, OnContactLost::default(), now);
        if let Some(last) = bench.last {
            drop(check.observed(&last));
        }
        let mut actions = check.command(now, set_point);
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..FOLLOW_S_MAX {
            for action in actions.drain(..) {
                match action {
                    Action::Command(set_point) => {
                        if !self.json {
                            writeln!(out, "told to {set_point}")?;
                        }
                        if let Err(error) = bench.machine.command(set_point).await {
                            bench.failures.insert(error.to_string());
                            check.refused();
                        }
                    }
                    Action::Tell(notice) => {
                        let follows = matches!(notice, Notice::Followed { .. });
                        let told = set_point.to_string();
                        return Ok(Step { told, follows, what: notice.to_string() });
                    }
                    // Its relay is no part of this.
                    Action::CutOff | Action::Restore => {}
                }
            }
            ticks.tick().await;
            actions = bench.look(Some(&mut check)).await;
            self.say(out, bench)?;
        }
        let what = format!("nothing is known of it after {FOLLOW_S_MAX} s");
        Ok(Step { told: set_point.to_string(), follows: false, what })
    }

    fn say(&self, out: &mut impl Write, bench: &Bench) -> Result<(), CliError> {
        if !self.json {
            writeln!(out, "{}", bench.last.as_ref().map_or_else(|| "no answer".to_owned(), line))?;
            out.flush()?;
        }
        Ok(())
    }
}

impl Bench {
    /// Looks at it once, by its meter where it has one.
    async fn look(&mut self, check: Option<&mut Check>) -> Vec<Action> {
        let now = clock::now();
        let seen = self.machine.observe(now).await;
        let metered = self.metered().await;
        let seen = match seen {
            Ok(seen) => Some(metered.map_or(seen, |power| seen.with_meter(power))),
            Err(error) => {
                self.failures.insert(error.to_string());
                None
            }
        };
        self.last = seen;
        let Some(check) = check else { return Vec::new() };
        let mut actions = match (seen, metered) {
            (Some(seen), _) => check.observed(&seen),
            (None, Some(power)) => check.metered(now, power),
            (None, None) => Vec::new(),
        };
        actions.extend(check.tick(now));
        actions
    }

    async fn metered(&mut self) -> Option<Power> {
        let (trial, name) = self.meters.as_mut()?;
        let meters = trial.read().await;
        let meter = meters.iter().find(|it| *it.name == **name);
        match meter {
            None => {
                self.failures.insert(format!("the site has no meter `{name}`"));
                None
            }
            Some(meter) => {
                self.failures.extend(meter.stale.as_ref().map(ToString::to_string));
                meter.last.as_ref().filter(|_| meter.stale.is_none())?.power
            }
        }
    }
}

fn found(name: &str, bench: &Bench, steps: Vec<Step>) -> Found {
    let abilities: &Abilities = bench.machine.abilities();
    let last = bench.last;
    let (power, rate) = (last.and_then(|it| it.power), last.and_then(|it| it.hash_rate));
    let efficiency = power.zip(rate).and_then(|(power, rate)| Efficiency::of_ceil(power, rate));
    let mut hints: Vec<String> = bench.failures.iter().cloned().collect();
    if last.is_some() && power.is_none() {
        hints.push(
            "nobody says what it draws, so it could not be relied on: give it a meter (`meter`)"
                .to_owned(),
        );
    }
    Found {
        name: name.to_owned(),
        about: bench.machine.about(),
        can: can(abilities),
        rated_mw: abilities.rated.to_milliwatts(),
        settle_ms: abilities.settle_ms,
        warm_up_ms: abilities.warm_up_ms,
        power_mw: power.map(Power::to_milliwatts),
        power_is_metered: last.is_some_and(|it| it.power_is_metered),
        hash_rate_gh_per_s: rate.map(|rate| rate.to_gigahashes()),
        efficiency_mj_per_th: efficiency.map(Efficiency::to_millijoules),
        temperature_m_celsius: last.and_then(|it| it.temperature_m_celsius),
        steps,
        hints,
    }
}

/// What it shows, in one line.
fn line(seen: &Observation) -> String {
    let draws = seen.power.map(|power| {
        let by = if seen.power_is_metered { "by its meter" } else { "by its own word" };
        format!("{} {by}", show::power(power))
    });
    let hashes = seen.hash_rate.map(|rate| hash_rate(rate.to_gigahashes()));
    let warm = seen.temperature_m_celsius.map(|it| show::milli(it.into(), "°C"));
    let parts = [("draws", draws), ("hashes", hashes), ("is", warm)];
    let parts = parts.into_iter().filter_map(|(label, it)| Some(format!("{label} {}", it?)));
    let text = parts.collect::<Vec<_>>().join("  ");
    if text.is_empty() {
        "it answers, and says nothing of power or hashes".to_owned()
    } else {
        text
    }
}

fn print(out: &mut impl Write, found: &Found) -> Result<(), CliError> {
    writeln!(out)?;
    let seconds = |ms: u64| format!("{} s", ms / 1_000);
    let efficiency = found.efficiency_mj_per_th.map(|mj| show::milli(mj.into(), "J/TH"));
    show::rows(
        out,
        &[
            ("machine", found.about.clone()),
            ("can be told", found.can.clone()),
            ("rated", show::power(Power::from_milliwatts(found.rated_mw))),
            ("follows within", seconds(found.settle_ms)),
            ("warms up for", seconds(found.warm_up_ms)),
            ("its hashes take", show::or_none(efficiency)),
        ],
    )?;
    for step in &found.steps {
        let mark = if step.follows { "" } else { "LOOK: " };
        writeln!(out, "{mark}{}", step.what)?;
    }
    for hint in &found.hints {
        writeln!(out, "LOOK: {hint}")?;
    }
    Ok(())
}
