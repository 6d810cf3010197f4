//! What the owner's rules come to for each machine, from what the site and the machine show.
//!
//! What is not seen is not in it: such a condition neither holds nor fails, so nothing unknown starts a
//! machine. Not for: what rules mean (`boltgrid_miners::rules`), or fuses, which stand above them (the
//! plan).

use std::collections::BTreeMap;

use boltgrid_miners::hash::Hashprice;
use boltgrid_miners::machine::{Abilities, SetPoint};
use boltgrid_miners::react::Draws;
use boltgrid_miners::rules::{Action, Held, Quantity, Rules, Seen, Verdict, decide};
use boltgrid_protocol::units::{Energy, Power, Price, Timestamp};

use super::NextHour;
use super::member::Member;
use crate::site::SiteState;

/// What a site has beside its machines is held for so long while some of them are on their way.
const OWN_HELD_MS: u64 = 10_000;
/// Percent in thousandths of a percent.
const PERCENT: i128 = 100_000;

/// A rule that decides for a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ruled {
    /// What it is to do.
    pub(super) set_point: SetPoint,
    /// Which rule, counted in the order in which they decide.
    pub(super) number: u16,
    /// The rule and what is seen, in words.
    pub(super) because: String,
}

/// The rules, and which of them are kept to.
#[derive(Clone, Debug, Default)]
pub(super) struct Ruling {
    rules: Rules,
    /// By machine: no more than there are machines.
    held: BTreeMap<String, Held>,
    balance: Balance,
}

/// What a site has and uses beside its machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Own {
    /// What it gives beyond its needs.
    surplus: Power,
    /// What it uses.
    load: Power,
}

/// What a site has and uses beside its machines, as rules see it.
///
/// While a machine is on its way to another power, its watts are in the site's sample before they are
/// in its own word, or after: what follows from the two is wrong by all that it draws, and a rule that
/// asks for surplus would stop what it has just let start. So what was seen last holds for a while.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    sure: Option<(Timestamp, Own)>,
}

impl Balance {
    /// Takes what the site shows and what its machines draw in that.
    fn own(&mut self, now: Timestamp, site: &SiteState, draws: Draws) -> Own {
        let beyond = |one: Power, other: Power| {
            let mw = one.to_milliwatts().saturating_sub(other.to_milliwatts());
            Power::from_milliwatts(mw.max(0))
        };
        let surplus = beyond(draws.least, site.power_mw);
        let seen = Own { surplus, load: beyond(site.load_mw, draws.least) };
        if draws.least == draws.most {
            self.sure = Some((now, seen));
        }
        let held = self.sure.filter(|(at, _)| now.ms_since(*at) <= OWN_HELD_MS);
        held.map_or(seen, |(_, own)| own)
    }
}

/// What every machine of the site sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) now: Timestamp,
    /// What the clock of the grid shows.
    pub(super) local_ms: u64,
    /// The site; none while it is not measured.
    pub(super) site: Option<&'a SiteState>,
    /// What the site has and uses beside its machines; none while it is not measured.
    pub(super) own: Option<Own>,
    /// The clearing price of the present interval, or the supplier's.
    pub(super) price: Option<Price>,
    pub(super) hashprice: Option<Hashprice>,
    /// What the next hour will bring, where that is foreseen.
    pub(super) next_hour: Option<NextHour>,
    /// How high the sun stands, in thousandths of a degree; none where the site's place is not known.
    pub(super) sun: Option<i32>,
}

impl Ruling {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// What the site has and uses beside its machines, from what it shows and what they draw in that.
    pub(super) fn own(&mut self, now: Timestamp, site: &SiteState, draws: Draws) -> Own {
        self.balance.own(now, site, draws)
    }

    /// What the rules come to for a machine, and what each of them came to, in words.
    pub(super) fn judge(
        &mut self,
        member: &Member,
        around: &Around<'_>,
    ) -> (Option<Ruled>, Vec<String>) {
        let name = &member.miner.owned.name;
        let Some(known) = member.known.as_ref().filter(|_| !self.rules.all().is_empty()) else {
            return (None, Vec::new());
        };
        let decided = decide(&self.rules, name, &seen(member, around), self.held.get(name));
        match decided.held {
            Some(held) => drop(self.held.insert(name.clone(), held)),
            None => drop(self.held.remove(name)),
        }
        let judged = decided.judged.iter();
        let told =
            judged.map(|it| format!("{}: {} ({})", it.rule, verdict(it.verdict), it.because));
        let told: Vec<String> = told.collect();
        let Some((action, rule)) = decided.action.zip(decided.rule) else { return (None, told) };
        let place = self.rules.all().iter().position(|it| it.name == rule);
        let because = decided.judged.iter().find(|it| it.rule == rule);
        let because = because.map_or_else(String::new, |it| it.because.clone());
        let kept = decided.kept_until.map(|until| format!(", kept to until {until}"));
        let ruled = Ruled {
            set_point: set_point(action, &known.abilities),
            number: place.and_then(|place| u16::try_from(place).ok()).unwrap_or(u16::MAX),
            because: format!("the rule {rule:?}: {because}{}", kept.unwrap_or_default()),
        };
        (Some(ruled), told)
    }
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Unknown => "not known",
        Verdict::Fails => "does not hold",
    }
}

fn set_point(action: Action, abilities: &Abilities) -> SetPoint {
    let at_most = |power| abilities.within(power).unwrap_or(SetPoint::Off);
    match action {
        Action::Stop => SetPoint::Off,
        Action::Run => at_most(abilities.most()),
        Action::Power(power) => at_most(power),
    }
}

/// All that is seen, in thousandths of the unit in which owners write it.
fn seen(member: &Member, around: &Around<'_>) -> Seen {
    let mut values = BTreeMap::new();
    let mut see = |quantity: Quantity, value: Option<i64>| {
        values.extend(value.map(|value| (quantity, value)));
    };
    see(Quantity::Price, around.price.map(Price::to_msat_per_kwh));
    let hashprice = around.hashprice.map(Hashprice::to_msat_per_th_day);
    see(Quantity::Hashprice, hashprice.and_then(|it| i64::try_from(it).ok()));
    see(Quantity::BreakEven, Some(member.break_even.to_go_on().to_msat_per_kwh()));
    let chips = member.known.as_ref().and_then(|known| known.seen?.temperature_m_celsius);
    see(Quantity::MachineTemperature, chips.map(i64::from));
    see(Quantity::Temperature, member.inside_m_celsius.map(i64::from));
    let heating = member.heating.filter(|_| member.inside_m_celsius.is_some());
    see(Quantity::HeatDemand, heating.map(|heating| heating.demand.to_milliwatts()));
    see(Quantity::Sun, around.sun.map(i64::from));
    let next_hour = |of: fn(NextHour) -> Energy| {
        let energy = around.next_hour.map(|hour| of(hour).to_milliwatt_hours());
        energy.and_then(|mwh| i64::try_from(mwh).ok())
    };
    see(Quantity::PvNextHour, next_hour(|hour| hour.pv));
    see(Quantity::SurplusNextHour, next_hour(|hour| hour.surplus));
    if let Some(site) = around.site {
        see(Quantity::Power, Some(site.power_mw.to_milliwatts()));
        see(Quantity::Surplus, around.own.map(|own| own.surplus.to_milliwatts()));
        see(Quantity::Load, around.own.map(|own| own.load.to_milliwatts()));
        see(Quantity::Pv, Some(site.pv_mw.to_milliwatts()));
        let frequency = site.frequency_mhz.map(|mhz| i64::from(mhz).saturating_mul(1_000));
        see(Quantity::Frequency, frequency);
        if let Some(battery) = site.battery {
            see(Quantity::BatteryPower, Some(battery.power_mw.to_milliwatts()));
            let stored = i128::from(battery.stored_mwh.to_milliwatt_hours());
            let capacity = i128::from(battery.capacity_mwh.to_milliwatt_hours());
            let percent = stored.saturating_mul(PERCENT).checked_div(capacity);
            see(Quantity::Battery, percent.and_then(|it| i64::try_from(it).ok()));
        }
    }
    Seen { at: around.now, local_ms: around.local_ms, values }
}

#[cfg(test)]
mod tests {
    use boltgrid_miners::machine::Control;

    use super::*;
    use crate::dispatcher::tests::house::{Shows, state};

    #[test]
    fn surplus_is_what_it_was_while_a_machine_is_on_its_way() {
        let watts = |watts: i64| Power::from_milliwatts(watts * 1_000);
        let at = |s: u64| Timestamp::from_unix_ms(s * 1_000);
        let mut balance = Balance::default();
        let mut seen = |s, power, (least, most): (i64, i64)| {
            let site = state(power, Shows::default());
            let site = SiteState { load_mw: watts(2_500), ..site };
            let draws = Draws { least: watts(least), most: watts(most) };
            let own = balance.own(at(s), &site, draws);
            (own.surplus.to_milliwatts() / 1_000, own.load.to_milliwatts() / 1_000)
        };
        assert_eq!(seen(0, -3_500, (0, 0)), (3_500, 2_500));
        assert_eq!(
            seen(1, -1_500, (0, 2_000)),
            (3_500, 2_500),
            "it draws, and does not say so yet"
        );
        assert_eq!(seen(2, -1_500, (2_000, 2_000)), (3_500, 500));
        assert_eq!(seen(12, 0, (0, 2_000)), (3_500, 500));
        assert_eq!(seen(13, 0, (0, 2_000)), (0, 2_500), "that was too long ago");
    }

    #[test]
    fn a_rule_has_a_machine_draw_no_more_than_it_says_and_it_can() {
        let watts = |watts: i64| Power::from_milliwatts(watts * 1_000);
        let run = |at| SetPoint::Run { power_mw: watts(at) };
        let abilities = Abilities {
            control: Control::Range { least: watts(1_000), most: watts(3_000), step: watts(500) },
            rated: watts(3_000),
            idle: Power::ZERO,
            settle_ms: 0,
            warm_up_ms: 0,
        };
        assert_eq!(set_point(Action::Run, &abilities), run(3_000));
        assert_eq!(set_point(Action::Power(watts(2_400)), &abilities), run(2_000));
        assert_eq!(set_point(Action::Power(watts(999)), &abilities), SetPoint::Off);
        assert_eq!(set_point(Action::Stop, &abilities), SetPoint::Off);
    }
}
