//! Steers a generator from sample to sample: starts and stops it, has it follow the site's meter, and
//! says how much more of it there is for machines.
//!
//! The generator gives what keeps the meter at what was contracted, so machines need not be told apart
//! from load: what it could give beyond that is added to their budget, they start, the meter shows it,
//! and the generator follows. Where the gas falls below what it burns, that is taken out of their budget
//! before it is missing. Not for: what becomes of all the gas ([`super::burn`]), or how a generator is
//! spoken to.

#[cfg(test)]
mod tests;

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
    /// Since it was told to stop: when it was last seen to run nevertheless.
    stopping: Option<Timestamp>,
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
        let (stopping, off_since, gas) = (None, None, None);
        Self { generator, on_ms_min, settle_ms, since, told, stopping, off_since, gas }
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
            let because = Because::Silent;
            let silent = Steered { headroom: Power::ZERO, able: None, because, ..told };
            return self.tell(seen.now, silent);
        };
        let burnt = burn(&self.generator, &self.asked(seen, wanted));
        let has_to_run = match self.since {
            Since::On(since) => seen.now.ms_since(since) < self.on_ms_min,
            Since::Off(_) => false,
        };
        // Without gas it stops by itself, if it is not stopped.
        let runs_on = runs && !burnt.generator_runs && able.is_some() && has_to_run;
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
        self.tell(seen.now, steered)
    }

    /// Remembers what it is told; it may take its time for what is new. One that is told to stop rests
    /// from then on, whatever it says of itself meanwhile.
    fn tell(&mut self, now: Timestamp, steered: Steered) -> Steered {
        if self.told.runs && !steered.runs {
            (self.since, self.stopping) = (Since::Off(Some(now)), Some(now));
        }
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
    ///
    /// What it says is older than what it was told last, and an engine cools down before it stands: one
    /// that still runs after it was told to stop was not started by anybody.
    fn look(&mut self, seen: &Seen) {
        let is_stopping = self.stopping.is_some_and(|at| seen.now.ms_since(at) <= self.settle_ms);
        match (self.since, seen.runs) {
            (_, Some(true)) if is_stopping && !self.told.runs => {
                (self.since, self.stopping) = (Since::Off(Some(seen.now)), Some(seen.now));
            }
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
