//! What rules would have done with a machine in the past, and what that would have earned.

use boltgrid_protocol::units::{Energy, MILLION, Power, Price};

use super::decide::{Held, decide};
use super::history::Sample;
use super::quantity::Quantity;
use super::{Action, Rules};
use crate::machine::{Abilities, SetPoint};

/// A sample stands for the time up to the next, but not for longer than this.
const SAMPLE_MS_MAX: u64 = 3_600_000;

/// The machine that is tried.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Its name, which rules may ask for.
    pub name: String,
    /// What it can.
    pub abilities: Abilities,
    /// What a kilowatt-hour is worth to it; without rules it runs where the price is not above this.
    pub break_even: Price,
    /// What a start costs it, in msat.
    pub start_msat: i128,
}

/// What came of one way to run it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How long it ran.
    pub ran_ms: u64,
    /// How often it was started.
    pub starts: u64,
    /// What it took.
    pub mined: Energy,
    /// What that earned less what power and starts cost, in msat, rounded down. Power at times whose
    /// price is not known is in no account.
    pub profit_msat: i128,
}

/// What one rule did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The rule.
    pub rule: String,
    /// At how many samples it decided.
    pub decided: u64,
    /// At how many its condition held, whether a higher one decided or not.
    pub held: u64,
    /// At how many nobody knows.
    pub unknown: u64,
}

/// A change of what decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at_unix_ms: u64,
    /// What the machine does from then on.
    pub set_point: SetPoint,
    /// The rule that decided, and why; `None` for the plan.
    pub by: Option<(String, String)>,
}

/// What would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// How many samples there were.
    pub samples: usize,
    /// How long a time they stand for.
    pub covered_ms: u64,
    /// At how many the price was not known.
    pub without_price: u64,
    /// With the rules.
    pub with_rules: Outcome,
    /// Without them: on where the price is not above break-even.
    pub without_rules: Outcome,
    /// Always on.
    pub always: Outcome,
    /// Rule by rule, in the order in which they decide.
    pub shares: Vec<Share>,
    /// When something else decided than before.
    pub changes: Vec<Change>,
}

/// One way to run the machine, as it goes.
#[derive(Default)]
struct Course {
    outcome: Outcome,
    nano_sat: i128,
    runs: bool,
}

impl Course {
    fn take(&mut self, tried: &Tried, set_point: SetPoint, price: Option<Price>, ms: u64) {
        let runs = matches!(set_point, SetPoint::Run { .. });
        if runs && !self.runs {
            self.outcome.starts = self.outcome.starts.saturating_add(1);
            self.nano_sat =
                self.nano_sat.saturating_sub(tried.start_msat.saturating_mul(i128::from(MILLION)));
        }
        self.runs = runs;
        let SetPoint::Run { power_mw } = set_point else { return };
        let energy = power_mw.max(Power::ZERO).energy_over_floor(ms).unwrap_or_default();
        self.outcome.ran_ms = self.outcome.ran_ms.saturating_add(ms);
        self.outcome.mined = self.outcome.mined.saturating_add(energy);
        if let Some(price) = price {
            let margin = i128::from(tried.break_even.to_msat_per_kwh())
                .saturating_sub(i128::from(price.to_msat_per_kwh()));
            let earned = margin.saturating_mul(i128::from(energy.to_milliwatt_hours()));
            self.nano_sat = self.nano_sat.saturating_add(earned);
        }
    }

    fn done(self) -> Outcome {
        Outcome { profit_msat: self.nano_sat.div_euclid(i128::from(MILLION)), ..self.outcome }
    }
}

/// What the rules would have done with a machine over a history.
///
/// Where no rule decides, the machine does what the plan would at least do: it runs where the price is
/// known and not above its break-even.
#[must_use]
pub fn dry_run(rules: &Rules, tried: &Tried, history: &[Sample]) -> DryRun {
    let mine = || rules.all().iter().filter(|rule| rule.is_for(&tried.name));
    let share = |name: &String| Share { rule: name.clone(), decided: 0, held: 0, unknown: 0 };
    let mut shares: Vec<Share> = mine().map(|rule| share(&rule.name)).collect();
    let (mut ruled, mut plain, mut always) =
        (Course::default(), Course::default(), Course::default());
    let most = tried.abilities.most();
    let full = SetPoint::Run { power_mw: most };
    let mut held: Option<Held> = None;
    let mut changes: Vec<Change> = Vec::new();
    let (mut covered_ms, mut without_price) = (0_u64, 0_u64);
    for (place, sample) in history.iter().enumerate() {
        let ms = duration(history, place);
        covered_ms = covered_ms.saturating_add(ms);
        let price = sample.values.get(&Quantity::Price).copied().map(Price::from_msat_per_kwh);
        without_price = without_price.saturating_add(u64::from(price.is_none()));
        let pays = price.is_some_and(|price| price <= tried.break_even);
        let planned = if pays { full } else { SetPoint::Off };
        let decided = decide(rules, &tried.name, sample, held.as_ref());
        for (share, judged) in shares.iter_mut().zip(&decided.judged) {
            let is = |verdict| u64::from(judged.verdict == verdict);
            share.held = share.held.saturating_add(is(super::Verdict::Holds));
            share.unknown = share.unknown.saturating_add(is(super::Verdict::Unknown));
            let decides = decided.rule.as_ref() == Some(&judged.rule);
            share.decided = share.decided.saturating_add(u64::from(decides));
        }
        let set_point = match decided.action {
            None => planned,
            Some(Action::Run) => full,
            Some(Action::Stop) => SetPoint::Off,
            Some(Action::Power(power)) => tried.abilities.within(power).unwrap_or(SetPoint::Off),
        };
        let because = |rule: &String| {
            let judged = decided.judged.iter().find(|it| it.rule == *rule);
            judged.map_or_else(String::new, |it| it.because.clone())
        };
        let by = decided.rule.as_ref().map(|rule| (rule.clone(), because(rule)));
        let name = |by: &Option<(String, String)>| by.as_ref().map(|(rule, _)| rule.clone());
        let last = changes.last();
        if last.is_none_or(|last| last.set_point != set_point || name(&last.by) != name(&by)) {
            changes.push(Change { at_unix_ms: sample.at.to_unix_ms(), set_point, by });
        }
        ruled.take(tried, set_point, price, ms);
        plain.take(tried, planned, price, ms);
        always.take(tried, full, price, ms);
        held = decided.held;
    }
    DryRun {
        samples: history.len(),
        covered_ms,
        without_price,
        with_rules: ruled.done(),
        without_rules: plain.done(),
        always: always.done(),
        shares,
        changes,
    }
}

/// What a sample stands for; the last one for as long as the one before it.
fn duration(history: &[Sample], place: usize) -> u64 {
    let at = |place: usize| history.get(place).map(|sample| sample.at);
    let between = |from: usize| Some(at(from.saturating_add(1))?.ms_since(at(from)?));
    let ms = between(place).or_else(|| between(place.checked_sub(1)?));
    ms.unwrap_or(0).min(SAMPLE_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Control;
    use crate::rules::{read_history, read_rules};

    fn tried() -> Tried {
        let watts = |watts| Power::from_watts(watts).unwrap();
        let abilities = Abilities {
            control: Control::Presets(vec![watts(1_000), watts(4_000)]),
            rated: watts(4_000),
            idle: Power::ZERO,
            settle_ms: 0,
            warm_up_ms: 0,
        };
        let break_even = Price::from_msat_per_kwh(120_000);
        Tried { name: "shed".to_owned(), abilities, break_even, start_msat: 5_000 }
    }

    /// Prices of quarters of an hour in sat.
    fn over(prices: &[&str], rules: &str) -> DryRun {
        let line = |(number, price): (usize, &&str)| format!("{},{price}\n", number * 900_000);
        let lines: String = prices.iter().enumerate().map(line).collect();
        let history = read_history(&format!("at_unix_ms,price_sat_per_kwh\n{lines}"), 0).unwrap();
        dry_run(&read_rules(rules).unwrap(), &tried(), &history)
    }

    const STOP_ABOVE_80: &str = "[[rules]]\nname = 'dear'\naction = 'stop'\n\
        when = { price_sat_per_kwh = { above = 80 } }\n";

    #[test]
    fn money_is_counted_with_and_without_the_rules() {
        let run = over(&["20", "100", "", "20", "200"], STOP_ABOVE_80);
        // A kilowatt-hour in a quarter of an hour: 100 sat twice, two starts.
        assert_eq!(run.with_rules.profit_msat, 2 * 100_000 - 2 * 5_000);
        assert_eq!(run.with_rules.starts, 2);
        // 20 more at a price of 100; what is not known starts nothing.
        assert_eq!(run.without_rules.profit_msat, 2 * 100_000 + 20_000 - 2 * 5_000);
        assert_eq!(run.always.profit_msat, 2 * 100_000 + 20_000 - 80_000 - 5_000);
        assert_eq!(run.always.mined, Energy::from_milliwatt_hours(5_000_000));
        assert_eq!((run.samples, run.without_price, run.covered_ms), (5, 1, 5 * 900_000));
    }

    #[test]
    fn it_says_which_rule_did_what_and_when_that_changed() {
        let run = over(&["20", "100", "", "20"], STOP_ABOVE_80);
        let [share] = &run.shares[..] else { panic!("one rule") };
        assert_eq!((share.decided, share.held, share.unknown), (1, 1, 1));
        let times: Vec<_> = run.changes.iter().map(|it| (it.at_unix_ms, it.by.is_some())).collect();
        assert_eq!(times, [(0, false), (900_000, true), (1_800_000, false), (2_700_000, false)]);
        let (rule, because) = run.changes[1].by.clone().unwrap();
        assert_eq!(rule, "dear");
        assert_eq!(because, "price_sat_per_kwh is 100, above 80 holds");
    }

    #[test]
    fn a_rule_is_kept_to_for_as_long_as_it_says_and_power_is_what_the_machine_can() {
        let rules = "[[rules]]\nname = 'low'\naction = { power_w = 3000 }\nfor_at_least_s = 1800\n\
            when = { price_sat_per_kwh = { above = 150 } }\n";
        let run = over(&["200", "20", "20"], rules);
        assert_eq!(run.shares[0].decided, 2);
        let low = SetPoint::Run { power_mw: Power::from_watts(1_000).unwrap() };
        assert_eq!(run.changes[0].set_point, low);
        assert_eq!(run.changes[1].at_unix_ms, 1_800_000);
    }
}
