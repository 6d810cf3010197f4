//! Steers a generator from sample to sample: starts and stops it, has it follow the site's meter, and
//! says how much more of it there is for machines.
//!
//! The generator gives what keeps the meter at what was contracted, so machines need not be told apart
//! from load: what it could give beyond that is added to their budget, they start, the meter shows it,
//! and the generator follows. Where the gas falls below what it burns, that is taken out of their budget
//! before it is missing. Not for: what becomes of all the gas ([`super::burn`]), or how a generator is
//! spoken to.

use boltgrid_protocol::units::{Power, Price, Timestamp};

use super::{Asked, Because, burn, minus, plus};
use crate::generator::{Generator, Since};

/// A generator that gives so many percent of its rating less or more than it was told does something
/// else.
const OFF_PERCENT_MAX: i64 = 10;

/// A generator that runs goes on by the gas that was known last for so long, where the gas meter is silent;
/// nothing more is promised of it meanwhile.
const GAS_HELD_MS: u64 = 30_000;

/// What is seen of a site with a generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub now: Timestamp,
    /// The heat of the gas that the well gives; none where the gas meter does not say.
    pub gas: Option<Power>,
    /// Whether the generator runs, by its own word; none where it does not answer.
    pub runs: Option<bool>,
    /// What it gives by its meter; none where that does not answer.
    pub gives: Option<Power>,
    /// Power into the site at the same moment; none where the site's meter cannot be relied on.
    pub site: Option<Power>,
}

/// What is wanted of a site with a generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What the site's meter is to show: what was bought less what was sold.
    pub net: Power,
    /// What the machines draw, at least.
    pub machines: Power,
    /// What those could draw together to which power is worth more than the generator's wear, …
    pub machines_most: Power,
    /// … and what it is worth to the last of them.
    pub machines_worth: Price,
    /// What the supplier pays for what nobody bought.
    pub feed_in: Price,
    /// What it takes for what nobody sold.
    pub retail: Price,
    /// What others paid last; none where nothing was traded.
    pub traded: Option<Price>,
    /// Most power that the connection point may give, as a positive amount.
    pub export_max: Power,
}

/// What the generator is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steered {
    /// Whether it is to run.
    pub runs: bool,
    /// What it is to give; nothing while it warms up.
    pub output: Power,
    /// By how much machines may draw more for it; below zero where they must draw less.
    pub headroom: Power,
    /// What the gas is enough for; none below its least load, or where the gas is not known.
    pub able: Option<Power>,
    /// Why it does not give more.
    pub because: Because,
}

/// Steers one generator.
#[derive(Clone, Debug)]
pub struct Steer {
    generator: Generator,
    /// How long it runs at least once it was started.
    on_ms_min: u64,
    /// How long it may take to do as it is told.
    settle_ms: u64,
    since: Since,
    told: Steered,
    /// Since when it does something else than it was told.
    off_since: Option<Timestamp>,
    /// The gas that was known last, and when.
    gas: Option<(Timestamp, Power)>,
}

impl Steer {
    /// For a generator of which nothing is known yet. One that is found running counts as started when
    /// it is found.
    #[must_use]
    pub fn new(generator: Generator, on_ms_min: u64, settle_ms: u64) -> Self {
        let (since, told) = (Since::Off(None), Steered::default());
        Self { generator, on_ms_min, settle_ms, since, told, off_since: None, gas: None }
    }

    /// The generator.
    #[must_use]
    pub const fn generator(&self) -> &Generator {
        &self.generator
    }

    /// What it was told last.
    #[must_use]
    pub const fn told(&self) -> &Steered {
        &self.told
    }

    /// What it can give in an interval that starts at `starts`, as far as is known now; none where it
    /// will not be warm by then, or cannot be relied on.
    #[must_use]
    pub fn offer(&self, now: Timestamp, starts: Timestamp) -> Option<Power> {
        let is_warm = self.told.runs && self.generator.is_warm(self.since, starts);
        self.told.able.filter(|_| is_warm && !self.is_off(now))
    }

    /// Whether it does something else than it was told, for longer than it may take.
    #[must_use]
    pub fn is_off(&self, now: Timestamp) -> bool {
        self.off_since.is_some_and(|since| now.ms_since(since) > self.settle_ms)
    }

    /// What it is to do now.
    pub fn steer(&mut self, seen: &Seen, wanted: &Wanted) -> Steered {
        self.look(seen);
        let is_gas_known = seen.gas.is_some();
        let seen = &Seen { gas: self.gas_now(seen), ..*seen };
        let able = seen.gas.and_then(|gas| self.generator.output_from_floor(gas));
        let Some(runs) = seen.runs else {
            // It goes on as it was told; nothing more is promised of it.
            let told = self.told;
            return self.tell(Steered {
                headroom: Power::ZERO,
                able: None,
                because: Because::Silent,
                ..told
            });
        };
        let burnt = burn(&self.generator, &self.asked(seen, wanted));
        let ran_ms = match self.since {
            Since::On(since) => seen.now.ms_since(since),
            Since::Off(_) => 0,
        };
        // Without gas it stops by itself, if it is not stopped.
        let runs_on = runs && !burnt.generator_runs && able.is_some() && ran_ms < self.on_ms_min;
        let is_to_run = burnt.generator_runs || runs_on;
        let is_warm = runs && self.generator.is_warm(self.since, seen.now);
        let steered = match able.filter(|_| is_to_run && is_warm) {
            None => Steered {
                runs: is_to_run,
                output: Power::ZERO,
                headroom: Power::ZERO,
                able,
                because: burnt.because,
            },
            Some(able) => {
                let output = self.output(seen, wanted, able);
                let more = seen.gives.map_or(Power::ZERO, |gives| minus(able, gives));
                let is_promised = is_gas_known && !self.is_off(seen.now) && !runs_on;
                let headroom = if is_promised { more } else { more.min(Power::ZERO) };
                let because = match (runs_on, output < able, able == self.generator.rated()) {
                    (true, ..) => Because::RunsOn,
                    (false, true, _) => Because::NoDemand,
                    (false, false, true) => Because::Rated,
                    (false, false, false) => Because::AllGas,
                };
                Steered { runs: true, output, headroom, able: Some(able), because }
            }
        };
        self.tell(steered)
    }

    /// Remembers what it is told; it may take its time for what is new.
    fn tell(&mut self, steered: Steered) -> Steered {
        let by = minus(steered.output, self.told.output).to_milliwatts().saturating_abs();
        if steered.runs != self.told.runs || by > self.may_be_off_mw() {
            self.off_since = None;
        }
        self.told = steered;
        steered
    }

    fn may_be_off_mw(&self) -> i64 {
        let rated = self.generator.rated().to_milliwatts();
        rated.saturating_mul(OFF_PERCENT_MAX).div_euclid(100)
    }

    /// What it is to give: what keeps the meter at what was contracted, or all that it can where the
    /// supplier pays more than its wear.
    fn output(&self, seen: &Seen, wanted: &Wanted, able: Power) -> Power {
        let Some((gives, site)) = seen.gives.zip(seen.site) else {
            return self.told.output.clamp(self.generator.least(), able);
        };
        let sells_all = wanted.feed_in > self.generator.wear;
        let shows = if sells_all { minus(Power::ZERO, wanted.export_max) } else { wanted.net };
        let follows = minus(plus(gives, site), shows);
        follows.clamp(self.generator.least(), able)
    }

    /// What is asked of the gas.
    fn asked(&self, seen: &Seen, wanted: &Wanted) -> Asked {
        let wear = self.generator.wear;
        // The site's own load, and what was sold; or, below zero, what was bought for the machines.
        let gives = seen.gives.unwrap_or(Power::ZERO);
        let lacks = seen.site.map_or(Power::ZERO, |site| {
            minus(minus(plus(gives, site), wanted.machines), wanted.net)
        });
        let (needed, bought) = (lacks.max(Power::ZERO), minus(Power::ZERO, lacks).max(Power::ZERO));
        let sells = |price: Price| price > wear;
        let (grid, grid_price) = if sells(wanted.feed_in) {
            (plus(needed, wanted.export_max), wanted.feed_in)
        } else if let Some(price) = wanted.traded.filter(|price| sells(*price)) {
            (plus(needed, wanted.export_max), price)
        } else {
            (needed, wanted.retail)
        };
        Asked {
            now: seen.now,
            gas: seen.gas,
            since: self.since,
            grid,
            grid_price,
            machines: minus(wanted.machines_most, bought),
            machines_worth: wanted.machines_worth,
        }
    }

    /// The gas, or what was known of it last where it runs and the meter is silent for a moment.
    fn gas_now(&mut self, seen: &Seen) -> Option<Power> {
        self.gas = seen.gas.map(|gas| (seen.now, gas)).or(self.gas);
        let held = self
            .gas
            .filter(|(at, _)| seen.runs == Some(true) && seen.now.ms_since(*at) <= GAS_HELD_MS);
        seen.gas.or(held.map(|(_, gas)| gas))
    }

    /// Notes when it was started and stopped, and whether it does as it was told.
    fn look(&mut self, seen: &Seen) {
        match (self.since, seen.runs) {
            (Since::Off(_), Some(true)) => self.since = Since::On(seen.now),
            (Since::On(_), Some(false)) => self.since = Since::Off(Some(seen.now)),
            (Since::Off(_), Some(false) | None) | (Since::On(_), Some(true) | None) => {}
        }
        let may_be_off = self.may_be_off_mw();
        let is_off = seen.runs.is_some_and(|runs| runs != self.told.runs)
            || seen.gives.is_some_and(|gives| {
                let by = minus(gives, self.told.output).to_milliwatts().saturating_abs();
                by > may_be_off
            });
        if !is_off {
            self.off_since = None;
        } else if self.off_since.is_none() {
            self.off_since = Some(seen.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Point;

    const fn watts(watts: i64) -> Power {
        Power::from_milliwatts(watts * 1000)
    }

    const fn sat(sat: i64) -> Price {
        Price::from_msat_per_kwh(sat * 1000)
    }

    fn at(s: u64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000_000 + s * 1_000)
    }

    /// 30 to 100 kW; warms up for a minute, rests for two, runs for five at least.
    fn steer() -> Steer {
        let point = |output, efficiency_ppm| Point { output: watts(output), efficiency_ppm };
        let curve = vec![point(30_000, 240_000), point(60_000, 300_000), point(100_000, 340_000)];
        let mut generator = Generator::new(curve).unwrap();
        (generator.warm_up_ms, generator.rest_ms, generator.wear) = (60_000, 120_000, sat(15));
        Steer::new(generator, 300_000, 5_000)
    }

    /// 200 kW of gas, which make 60 kW.
    fn seen(s: u64, runs: bool, gives: i64, site: i64) -> Seen {
        Seen {
            now: at(s),
            gas: Some(watts(200_000)),
            runs: Some(runs),
            gives: Some(watts(gives)),
            site: Some(watts(site)),
        }
    }

    fn wanted() -> Wanted {
        Wanted {
            net: Power::ZERO,
            machines: Power::ZERO,
            machines_most: watts(50_000),
            machines_worth: sat(120),
            feed_in: Price::ZERO,
            retail: sat(300),
            traded: None,
            export_max: watts(100_000),
        }
    }

    /// One that is warm and gives its least.
    fn warm() -> Steer {
        let mut steer = steer();
        assert!(steer.steer(&seen(0, false, 0, 0), &wanted()).runs, "machines want its power");
        steer.steer(&seen(1, true, 0, 0), &wanted());
        let steered = steer.steer(&seen(61, true, 0, 0), &wanted());
        assert_eq!((steered.output, steered.headroom), (watts(30_000), watts(60_000)));
        steer
    }

    #[test]
    fn it_warms_up_before_anything_is_promised_of_it() {
        let mut steer = steer();
        steer.steer(&seen(0, false, 0, 0), &wanted());
        let steered = steer.steer(&seen(1, true, 0, 0), &wanted());
        assert_eq!((steered.output, steered.headroom), (Power::ZERO, Power::ZERO));
        assert_eq!(steered.because, Because::WarmsUp);
        assert_eq!(steer.offer(at(1), at(60)), None, "it is not warm by then");
        assert_eq!(steer.offer(at(1), at(61)), Some(watts(60_000)));
    }

    #[test]
    fn it_follows_the_meter_within_what_the_gas_is_enough_for() {
        let mut steer = warm();
        // Machines have started with 20 kW and the least of 30 flows: 10 flow out.
        let steered = steer.steer(&seen(62, true, 30_000, -10_000), &wanted());
        assert_eq!((steered.output, steered.headroom), (watts(30_000), watts(30_000)));
        // With 45 kW they take 15 from the grid.
        let steered = steer.steer(&seen(63, true, 30_000, 15_000), &wanted());
        assert_eq!((steered.output, steered.because), (watts(45_000), Because::NoDemand));
        // 20 kW are sold on top: it would be 65 and is all that there is.
        let sold = Wanted { net: watts(-20_000), ..wanted() };
        let steered = steer.steer(&seen(64, true, 45_000, 0), &sold);
        assert_eq!((steered.output, steered.because), (watts(60_000), Because::AllGas));
    }

    #[test]
    fn where_gas_falls_machines_give_back_what_it_no_longer_gives() {
        let mut steer = warm();
        let less = Seen { gas: Some(watts(162_500)), ..seen(62, true, 60_000, 0) };
        let steered = steer.steer(&less, &wanted());
        assert_eq!((steered.output, steered.headroom), (watts(45_000), watts(-15_000)));
        let none = Seen { gas: Some(watts(100_000)), ..seen(63, true, 45_000, 0) };
        let steered = steer.steer(&none, &wanted());
        assert_eq!((steered.runs, steered.because), (false, Because::BelowLeast));
    }

    #[test]
    fn a_gas_meter_that_is_silent_for_a_moment_stops_nothing_and_promises_nothing() {
        let mut steer = warm();
        let blind = |s| Seen { gas: None, ..seen(s, true, 30_000, 0) };
        let steered = steer.steer(&blind(91), &wanted());
        assert_eq!((steered.output, steered.headroom), (watts(30_000), Power::ZERO));
        let steered = steer.steer(&blind(92), &wanted());
        assert_eq!((steered.runs, steered.because), (false, Because::GasUnknown));
        let mut cold = steer;
        cold.steer(&seen(93, false, 0, 0), &wanted());
        let unknown = Seen { gas: None, ..seen(220, false, 0, 0) };
        assert!(!cold.steer(&unknown, &wanted()).runs, "it starts nothing");
    }

    #[test]
    fn unwanted_it_runs_on_for_a_while_and_stops_then() {
        let mut steer = warm();
        let nobody = Wanted { machines_most: Power::ZERO, ..wanted() };
        let steered = steer.steer(&seen(300, true, 30_000, -30_000), &nobody);
        assert_eq!((steered.runs, steered.output), (true, watts(30_000)));
        assert_eq!((steered.headroom, steered.because), (Power::ZERO, Because::RunsOn));
        assert!(!steer.steer(&seen(301, true, 30_000, -30_000), &nobody).runs);
        steer.steer(&seen(302, false, 0, 0), &nobody);
        let steered = steer.steer(&seen(303, false, 0, 0), &wanted());
        assert_eq!((steered.runs, steered.because), (false, Because::Rests));
        assert!(steer.steer(&seen(422, false, 0, 0), &wanted()).runs);
    }

    #[test]
    fn where_the_supplier_pays_more_than_its_wear_it_gives_all_that_the_connection_takes() {
        let mut steer = warm();
        let fed_in = Wanted { feed_in: sat(80), ..wanted() };
        assert_eq!(steer.steer(&seen(62, true, 30_000, -30_000), &fed_in).output, watts(60_000));
        let narrow = Wanted { export_max: watts(35_000), ..fed_in };
        assert_eq!(steer.steer(&seen(63, true, 60_000, -60_000), &narrow).output, watts(35_000));
    }

    #[test]
    fn for_machines_that_bought_their_power_it_does_not_start() {
        let bought = Wanted { net: watts(40_000), machines: watts(40_000), ..wanted() };
        let steered = steer().steer(&seen(0, false, 0, 40_000), &bought);
        assert_eq!((steered.runs, steered.because), (false, Because::BelowLeast), "10 kW are left");
        let few = Wanted { net: watts(10_000), ..bought };
        assert!(steer().steer(&seen(0, false, 0, 40_000), &few).runs);
    }

    #[test]
    fn it_starts_for_a_market_that_pays_and_not_for_hope_alone() {
        let alone = Wanted { machines_most: Power::ZERO, ..wanted() };
        assert!(!steer().steer(&seen(0, false, 0, 1_000), &alone).runs);
        let pays = Wanted { traded: Some(sat(100)), ..alone };
        assert!(steer().steer(&seen(0, false, 0, 1_000), &pays).runs);
        let worn = Wanted { traded: Some(sat(15)), ..alone };
        assert!(!steer().steer(&seen(0, false, 0, 1_000), &worn).runs);
    }

    #[test]
    fn nothing_is_promised_of_one_that_is_silent_or_does_something_else() {
        let mut steer = warm();
        let silent = Seen { runs: None, ..seen(62, true, 30_000, -30_000) };
        let steered = steer.steer(&silent, &wanted());
        assert_eq!((steered.runs, steered.output), (true, watts(30_000)), "it goes on");
        assert_eq!((steered.headroom, steered.because), (Power::ZERO, Because::Silent));
        assert_eq!(steer.offer(at(62), at(70)), None);
        // It answers again, and gives nothing of its 30 kW.
        for s in 63..=68 {
            assert!(!steer.is_off(at(s)), "at {s}");
            steer.steer(&seen(s, true, 0, 0), &wanted());
        }
        steer.steer(&seen(69, true, 0, 0), &wanted());
        assert!(steer.is_off(at(69)));
        assert_eq!(steer.offer(at(69), at(70)), None);
        assert_eq!(steer.steer(&seen(70, true, 0, 0), &wanted()).headroom, Power::ZERO);
    }
}
