//! Rules: what an owner wants to be told of, and when each begins and ends.
//!
//! Pure: what is seen and the time are arguments. What is not known neither begins an alert nor ends one.
//! Not for: to whom it is told, and when ([`super::outbox`]).

use boltgrid_protocol::units::Timestamp;
use serde::{Deserialize, Serialize};

/// What must hold. In a config file `{ power_above_w = 9000 }` or, without a number, `"anomaly"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The site takes more than this; a negative number means giving.
    PowerAboveW(i64),
    /// The site takes less than this, or gives more than its opposite.
    PowerBelowW(i64),
    /// More than this was taken since midnight of the grid's standard time.
    ImportTodayAboveWh(u64),
    /// More than this was given since midnight.
    ExportTodayAboveWh(u64),
    /// The last clearing price was above this.
    PriceAboveSatPerKwh(i64),
    /// It was below this.
    PriceBelowSatPerKwh(i64),
    /// All that is in the wallet and in channels is less than this.
    BalanceBelowSat(u64),
    /// The battery holds less than this.
    BatteryBelowPercent(u8),
    /// It holds more.
    BatteryAbovePercent(u8),
    /// Something implausible was found at a meter of the site.
    Anomaly,
    /// A feeder's meter and its sites' do not fit together.
    FeederGap,
    /// A device of the site does not answer, or cannot be relied on.
    DeviceSilent,
    /// A mining machine does not do as it is told.
    MinerTrouble,
    /// The node gives no orders, as it cannot trust what it sees of the grid.
    Abstaining,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is called in alerts.
    pub name: String,
    /// What must hold …
    pub when: When,
    /// … for so long; and must not hold for so long before it is over. Default 0.
    #[serde(default)]
    pub for_s: u32,
    /// Whether it is told in quiet hours too.
    #[serde(default)]
    pub urgent: bool,
    /// Which receivers are told, by their names; all where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receivers: Vec<String>,
}

/// What is known now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Power into the site.
    pub power_mw: Option<i64>,
    /// Taken since midnight.
    pub import_today_mwh: Option<u64>,
    /// Given since midnight.
    pub export_today_mwh: Option<u64>,
    /// The last clearing price.
    pub price_msat_per_kwh: Option<i64>,
    /// In the wallet and in channels.
    pub balance_sat: Option<u64>,
    /// What the battery holds, and what it can hold.
    pub battery_mwh: Option<(u64, u64)>,
    /// What is implausible, in words; empty where nothing is.
    pub anomalies: Option<Vec<String>>,
    /// Which feeders have a gap that stands, and what is known of it, in words; empty where none has.
    pub feeder_gaps: Option<Vec<String>>,
    /// Which device is silent and why, in words.
    pub silent: Option<Option<String>>,
    /// Which mining machine does not do as it is told, and why, in words.
    pub miners: Option<Option<String>>,
    /// Why the node abstains, in words.
    pub abstaining: Option<Option<String>>,
}

/// What a condition comes to: whether it holds, and what is seen, in words.
type Verdict = Option<(bool, String)>;

impl When {
    /// Whether it holds; none where that is not known.
    #[must_use]
    pub fn holds(&self, seen: &Seen) -> Verdict {
        match *self {
            Self::PowerAboveW(w) => power(seen, |mw| mw > w.saturating_mul(1_000)),
            Self::PowerBelowW(w) => power(seen, |mw| mw < w.saturating_mul(1_000)),
            Self::ImportTodayAboveWh(wh) => energy(seen.import_today_mwh, "taken", wh),
            Self::ExportTodayAboveWh(wh) => energy(seen.export_today_mwh, "given", wh),
            Self::PriceAboveSatPerKwh(sat) => price(seen, |msat| msat > sat.saturating_mul(1_000)),
            Self::PriceBelowSatPerKwh(sat) => price(seen, |msat| msat < sat.saturating_mul(1_000)),
            Self::BalanceBelowSat(least) => {
                let sat = seen.balance_sat?;
                Some((sat < least, format!("{sat} sat in wallet and channels")))
            }
            Self::BatteryBelowPercent(least) => battery(seen, |percent| percent < least.into()),
            Self::BatteryAbovePercent(most) => battery(seen, |percent| percent > most.into()),
            Self::Anomaly => found(seen.anomalies.as_ref()?, "nothing implausible"),
            Self::FeederGap => found(seen.feeder_gaps.as_ref()?, "no feeder has a gap that stands"),
            Self::DeviceSilent => told(seen.silent.as_ref()?, "all devices answer"),
            Self::MinerTrouble => told(seen.miners.as_ref()?, "all mining machines do as told"),
            Self::Abstaining => told(seen.abstaining.as_ref()?, "the node gives orders"),
        }
    }
}

fn power(seen: &Seen, holds: impl Fn(i64) -> bool) -> Verdict {
    let mw = seen.power_mw?;
    let way = if mw < 0 { "given to" } else { "taken from" };
    let w = mw.unsigned_abs().div_euclid(1_000);
    Some((holds(mw), format!("{w} W {way} the grid")))
}

fn energy(mwh: Option<u64>, way: &str, most_wh: u64) -> Verdict {
    let mwh = mwh?;
    let wh = mwh.div_euclid(1_000);
    Some((mwh > most_wh.saturating_mul(1_000), format!("{wh} Wh {way} since midnight")))
}

fn price(seen: &Seen, holds: impl Fn(i64) -> bool) -> Verdict {
    let msat = seen.price_msat_per_kwh?;
    let sign = if msat < 0 { "-" } else { "" };
    let (whole, rest) = (msat.unsigned_abs().div_euclid(1_000), msat.unsigned_abs() % 1_000);
    Some((holds(msat), format!("the last price was {sign}{whole}.{rest:03} sat/kWh")))
}

fn battery(seen: &Seen, holds: impl Fn(u64) -> bool) -> Verdict {
    let (stored, capacity) = seen.battery_mwh?;
    let percent = u128::from(stored).saturating_mul(100).checked_div(capacity.into())?;
    let percent = u64::try_from(percent).ok()?;
    Some((holds(percent), format!("the battery holds {percent} %")))
}

fn found(what: &[String], over: &str) -> Verdict {
    let text = if what.is_empty() { over.to_owned() } else { what.join("; ") };
    Some((!what.is_empty(), text))
}

fn told(why: &Option<String>, over: &str) -> Verdict {
    Some((why.is_some(), why.clone().unwrap_or_else(|| over.to_owned())))
}

/// Where a rule stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Since when the condition says the opposite of what was told; none while it says the same.
    pub(super) turned_at: Option<Timestamp>,
    /// When it was told that it holds, last; none where it was told that it is over, or nothing.
    pub told_at: Option<Timestamp>,
}

/// What is to be told of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It holds now.
    Begins,
    /// It still does.
    Lasts,
    /// It does no more.
    Ends,
    /// The owner wants to see whether alerts arrive.
    Test,
}

impl Standing {
    /// Takes what is seen at `now`. While a condition lasts it is told again every `again_ms`, if given.
    pub fn look(
        &mut self,
        rule: &Rule,
        seen: &Seen,
        now: Timestamp,
        again_ms: Option<u64>,
    ) -> Option<(Turn, String)> {
        let (holds, text) = rule.when.holds(seen)?;
        if holds == self.told_at.is_some() {
            self.turned_at = None;
            let told_at = self.told_at?;
            let is_due = again_ms.is_some_and(|again_ms| now.ms_since(told_at) >= again_ms);
            return is_due.then(|| {
                self.told_at = Some(now);
                (Turn::Lasts, text)
            });
        }
        // A clock that was set back begins anew.
        let since = self.turned_at.filter(|since| *since <= now).unwrap_or(now);
        self.turned_at = Some(since);
        if now.ms_since(since) < u64::from(rule.for_s) * 1_000 {
            return None;
        }
        self.turned_at = None;
        self.told_at = holds.then_some(now);
        Some((if holds { Turn::Begins } else { Turn::Ends }, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(when: When, for_s: u32) -> Rule {
        Rule { name: "rule".to_owned(), when, for_s, urgent: false, receivers: Vec::new() }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_ms(second * 1_000)
    }

    fn power(w: i64) -> Seen {
        Seen { power_mw: Some(w * 1_000), ..Seen::default() }
    }

    #[test]
    fn a_rule_begins_and_ends_once_its_condition_lasted() {
        let rule = rule(When::PowerAboveW(9_000), 60);
        let mut standing = Standing::default();
        let mut look = |second, seen: Seen| {
            standing.look(&rule, &seen, at(second), None).map(|(turn, _)| turn)
        };
        assert_eq!(look(0, power(9_001)), None);
        assert_eq!(look(59, power(9_500)), None);
        assert_eq!(look(60, power(9_500)), Some(Turn::Begins));
        assert_eq!(look(61, power(9_500)), None);
        // A short dip is no end.
        assert_eq!(look(100, power(100)), None);
        assert_eq!(look(120, power(9_500)), None);
        assert_eq!(look(121, power(9_000)), None);
        assert_eq!(look(180, power(9_000)), None);
        assert_eq!(look(181, power(9_000)), Some(Turn::Ends));
        assert_eq!(look(182, power(9_000)), None);
    }

    #[test]
    fn what_is_not_known_neither_begins_nor_ends() {
        let rule = rule(When::PowerBelowW(-1_000), 10);
        let mut standing = Standing::default();
        let mut look = |second, seen: Seen| {
            standing.look(&rule, &seen, at(second), None).map(|(turn, _)| turn)
        };
        assert_eq!(look(0, Seen::default()), None);
        assert_eq!(look(1, power(-1_500)), None);
        assert_eq!(look(11, power(-1_500)), Some(Turn::Begins));
        assert_eq!(look(50, Seen::default()), None);
        assert_eq!(look(100, Seen::default()), None);
        assert_eq!(look(101, power(0)), None);
        assert_eq!(look(111, power(0)), Some(Turn::Ends));
    }

    #[test]
    fn what_lasts_is_told_again_now_and_then() {
        let rule = rule(When::DeviceSilent, 0);
        let silent = Seen { silent: Some(Some("meter: no answer".to_owned())), ..Seen::default() };
        let mut standing = Standing::default();
        let mut look = |second| standing.look(&rule, &silent, at(second), Some(3_600_000));
        assert_eq!(look(0), Some((Turn::Begins, "meter: no answer".to_owned())));
        assert_eq!(look(3_599), None);
        assert_eq!(look(3_600), Some((Turn::Lasts, "meter: no answer".to_owned())));
        assert_eq!(look(3_601), None);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_hold_an_alert_for_ever() {
        let rule = rule(When::PowerAboveW(0), 10);
        let mut standing = Standing::default();
        let mut look = |second| standing.look(&rule, &power(1), at(second), None);
        assert_eq!(look(1_000), None);
        assert_eq!(look(5), None);
        assert!(look(15).is_some());
    }

    #[test]
    fn every_condition_says_what_is_seen() {
        let seen = Seen {
            power_mw: Some(-1_234_567),
            import_today_mwh: Some(10_000_001),
            export_today_mwh: Some(10_000_000),
            price_msat_per_kwh: Some(-500),
            balance_sat: Some(99),
            battery_mwh: Some((1_900, 10_000)),
            anomalies: Some(vec!["frozen".to_owned(), "gap".to_owned()]),
            feeder_gaps: Some(vec!["cable 1: much".to_owned()]),
            silent: Some(None),
            miners: Some(Some("cellar: refused".to_owned())),
            abstaining: Some(Some("two peers only".to_owned())),
        };
        let check = |when: When, holds: bool, text: &str| {
            assert_eq!(when.holds(&seen), Some((holds, text.to_owned())), "{when:?}");
            assert_eq!(when.holds(&Seen::default()), None, "{when:?}");
        };
        check(When::PowerBelowW(-1_234), true, "1234 W given to the grid");
        check(When::ImportTodayAboveWh(10_000), true, "10000 Wh taken since midnight");
        check(When::ExportTodayAboveWh(10_000), false, "10000 Wh given since midnight");
        check(When::PriceAboveSatPerKwh(-1), true, "the last price was -0.500 sat/kWh");
        check(When::PriceBelowSatPerKwh(0), true, "the last price was -0.500 sat/kWh");
        check(When::BalanceBelowSat(100), true, "99 sat in wallet and channels");
        check(When::BatteryBelowPercent(20), true, "the battery holds 19 %");
        check(When::BatteryAbovePercent(19), false, "the battery holds 19 %");
        check(When::Anomaly, true, "frozen; gap");
        check(When::FeederGap, true, "cable 1: much");
        check(When::DeviceSilent, false, "all devices answer");
        check(When::MinerTrouble, true, "cellar: refused");
        check(When::Abstaining, true, "two peers only");
    }

    #[test]
    fn rules_are_written_as_people_write_them() {
        let rule: Rule =
            toml::from_str("name = \"dear\"\nwhen = { price_above_sat_per_kwh = 200 }").unwrap();
        assert_eq!((rule.when, rule.for_s), (When::PriceAboveSatPerKwh(200), 0));
        let rule: Rule =
            toml::from_str("name = \"odd\"\nwhen = \"anomaly\"\nurgent = true").unwrap();
        assert!(rule.when == When::Anomaly && rule.urgent);
        let error = toml::from_str::<Rule>("name = \"x\"\nwhen = \"hungry\"").unwrap_err();
        assert!(error.to_string().contains("hungry"), "{error}");
    }
}
