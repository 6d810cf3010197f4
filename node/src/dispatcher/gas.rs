//! The site's well: what its gas meter, generator and flare show, what the generator is to do, and what
//! became of the gas.
//!
//! | part | what |
//! |---|---|
//! | `config` | what the owner writes down as `[gas]` |
//! | `hand` | who speaks to generator and flare |
//! | `status` | what is shown of it, and its account |
//!
//! Not for: how gas and power are weighed (`boltgrid_miners::flare`), or what machines do with it
//! ([`super::task`]).

mod config;
mod hand;
mod status;
#[cfg(test)]
mod tests;

use boltgrid_metering::role::Role;
use boltgrid_miners::emissions::{Account, Burning};
use boltgrid_miners::flare::{Seen, Steer, Steered, Wanted};
use boltgrid_miners::gas::Flow;
use boltgrid_protocol::units::{Power, Price, Timestamp};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::site::{MeterState, MeterValue, SiteState};
pub use config::{CurvePoint, EmissionsConfig, GasConfig, GeneratorConfig};
pub(super) use hand::{Hand, Told};
pub(super) use status::days;
pub use status::{AssumedReport, GasBurnt, GasDay, GasStatus, SourcedReport};

/// What a device showed is believed for so long.
const SHOWN_MS_MAX: u64 = 5_000;
/// Between two looks at most this passes in the account: nobody knows what flowed while the node slept.
const LOOK_MS_MAX: u64 = 5_000;
/// A day, in ms.
const DAY_MS: u64 = 86_400_000;
/// Milliwatt-milliseconds in a milliwatt-hour.
const MW_MS_PER_MWH: u128 = 3_600_000;

/// What was summed up and is not in the account yet, with what is less than its units can say.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    burning: Burning,
    /// Of what the generator gave, in mW·ms.
    given_mw_ms: u128,
    /// Of what it burnt by its curve, in mW·ms of heat.
    burnt_mw_ms: u128,
}

/// The well of a site.
#[derive(Debug)]
pub(super) struct Well {
    config: GasConfig,
    flow: Flow,
    flare_flow: Option<Flow>,
    steer: Steer,
    /// What the hand sees.
    told: watch::Receiver<Told>,
    /// What it is to do.
    orders: watch::Sender<Option<Steered>>,
    account: Account,
    open: Open,
    looked_at: Option<Timestamp>,
    gives: Option<Power>,
    gas: Option<Power>,
    trouble: Option<String>,
}

/// A well, and the hand at its devices.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) well: Well,
    pub(super) hand: Hand,
}

impl Well {
    /// The well as it is written down, with the account from before.
    pub(super) fn open(config: GasConfig, account: Account) -> Opened {
        let steer = config.steer();
        let (told, told_watch) = watch::channel(Told::default());
        let (orders, orders_watch) = watch::channel(None);
        let hand = Hand::new(&config, orders_watch, told);
        let flow = || Flow::new(config.window_ms(), config.flow_m3_per_h_max);
        let well = Self {
            flow: flow(),
            flare_flow: config.flare_meter.as_ref().map(|_| flow()),
            steer,
            told: told_watch,
            orders,
            account,
            open: Open::default(),
            looked_at: None,
            gives: None,
            gas: None,
            trouble: None,
            config,
        };
        Opened { well, hand }
    }

    /// Takes what the meters show at `now`.
    pub(super) fn look(&mut self, now: Timestamp, meters: &[MeterState]) {
        let gas_ml = count(&mut self.flow, meters, &self.config.meter);
        let flare_ml = self.flare_flow.as_mut().zip(self.config.flare_meter.as_deref());
        let flare_ml = flare_ml.map(|(flow, name)| count(flow, meters, name));
        self.gas = self.flow.heat_floor(now, self.config.heat_wh_per_m3);
        self.gives = recent(now, meters, &self.config.generator.meter, Role::Generator)
            .and_then(|value| value.power)
            .map(|power| Power::from_milliwatts(power.to_milliwatts().saturating_neg()));
        let passed_ms = self.looked_at.map_or(0, |before| now.ms_since(before)).min(LOOK_MS_MAX);
        self.looked_at = Some(now);
        self.sum_up(now, passed_ms, (gas_ml, flare_ml));
        self.doubt(now);
    }

    /// Sums up what became of the gas since the last look.
    fn sum_up(
        &mut self,
        now: Timestamp,
        passed_ms: u64,
        (gas_ml, flare_ml): (Option<u64>, Option<Option<u64>>),
    ) {
        let gives = self.gives.unwrap_or(Power::ZERO).max(Power::ZERO);
        let moved = |power: Power| {
            let mw = u128::try_from(power.to_milliwatts()).unwrap_or(0);
            mw.saturating_mul(passed_ms.into())
        };
        let open = &mut self.open;
        open.given_mw_ms = open.given_mw_ms.saturating_add(moved(gives));
        let burns = self.steer.generator().burns_ceil(gives);
        open.burnt_mw_ms = open.burnt_mw_ms.saturating_add(moved(burns));
        let burning = &mut open.burning;
        if self.told.borrow().runs(now) == Some(true) {
            burning.ran_ms = burning.ran_ms.saturating_add(passed_ms);
        }
        let Some(gas_ml) = gas_ml else { return };
        burning.gas_ml = burning.gas_ml.saturating_add(gas_ml);
        let generator_ml = match flare_ml {
            Some(flare_ml) => gas_ml.saturating_sub(flare_ml.unwrap_or(0)),
            None => self.take_burnt(gas_ml),
        };
        let burning = &mut self.open.burning;
        burning.generator_ml = burning.generator_ml.saturating_add(generator_ml);
        if self.told.borrow().burns(now) == Some(false) {
            let flared_ml = gas_ml.saturating_sub(generator_ml);
            burning.vented_ml = burning.vented_ml.saturating_add(flared_ml);
        }
    }

    /// What the generator burnt by its curve, in ml; never more than the well gave, and what is left
    /// counts the next time.
    fn take_burnt(&mut self, gas_ml: u64) -> u64 {
        let per_ml = u128::from(self.config.heat_wh_per_m3).saturating_mul(MW_MS_PER_ML).max(1);
        let burnt_ml = self.open.burnt_mw_ms.checked_div(per_ml).unwrap_or(0);
        let burnt_ml = u64::try_from(burnt_ml).unwrap_or(u64::MAX).min(gas_ml);
        let taken = u128::from(burnt_ml).saturating_mul(per_ml);
        self.open.burnt_mw_ms = self.open.burnt_mw_ms.saturating_sub(taken);
        burnt_ml
    }

    /// Enters what was summed up into the account.
    pub(super) fn enter(&mut self, now: Timestamp) -> &Account {
        let whole = self.open.given_mw_ms.checked_div(MW_MS_PER_MWH).unwrap_or(0);
        self.open.given_mw_ms =
            self.open.given_mw_ms.saturating_sub(whole.saturating_mul(MW_MS_PER_MWH));
        let burning = Burning {
            generated_mwh: u64::try_from(whole).unwrap_or(u64::MAX),
            ..std::mem::take(&mut self.open.burning)
        };
        if burning != Burning::default() {
            let day = now.to_unix_ms().checked_div(DAY_MS).unwrap_or(0);
            self.account.add(day, &self.config.emissions.assumptions(), burning);
        }
        &self.account
    }

    /// Says what the generator is to do.
    pub(super) fn steer(
        &mut self,
        now: Timestamp,
        site: Option<&SiteState>,
        wanted: &Wanted,
    ) -> Steered {
        let recent = site.filter(|it| it.stale.is_none() && now.ms_since(it.at) <= SHOWN_MS_MAX);
        let runs = self.told.borrow().runs(now);
        let seen = Seen {
            now,
            gas: self.gas,
            runs,
            gives: self.gives,
            site: recent.map(|state| state.power_mw),
        };
        let before = *self.steer.told();
        let steered = self.steer.steer(&seen, wanted);
        if (before.runs, before.because) != (steered.runs, steered.because) {
            info!(
                target: "boltgrid::event::generator",
                runs = steered.runs, because = %steered.because,
                output_mw = steered.output.to_milliwatts(), gas_mw = ?self.gas, "generator steered"
            );
        }
        self.orders.send_if_modified(|order| {
            let is_news = *order != Some(steered);
            *order = Some(steered);
            is_news
        });
        steered
    }

    /// What the generator can give in an interval that starts at `starts`.
    pub(super) fn offer(&self, now: Timestamp, starts: Timestamp) -> Option<Power> {
        self.steer.offer(now, starts)
    }

    /// What a kilowatt-hour costs that the generator gives.
    pub(super) const fn cost(&self) -> Price {
        self.steer.generator().wear
    }

    /// What is wrong, in words.
    fn doubt(&mut self, now: Timestamp) {
        let told = self.told.borrow();
        let flows = self.gas.is_some_and(|gas| gas > Power::ZERO);
        let trouble = if told.burns(now) == Some(false) && flows {
            Some("the flare's flame is out: what the generator does not burn is vented".to_owned())
        } else if told.runs(now).is_none() && told.was_asked {
            Some("the generator does not answer".to_owned())
        } else if self.steer.is_off(now) {
            Some("the generator does something else than it is told".to_owned())
        } else if self.gives.is_none() && self.looked_at.is_some() {
            Some("the generator's meter says nothing".to_owned())
        } else if told.burns(now).is_none() && told.was_asked && self.config.flare.is_some() {
            Some("the flare does not answer, so nobody knows whether gas is vented".to_owned())
        } else {
            None
        };
        drop(told);
        if self.trouble != trouble {
            match &trouble {
                Some(why) => warn!(%why, "gas"),
                None => info!("gas, generator and flare are well again"),
            }
            self.trouble = trouble;
        }
    }

    /// What is shown of it.
    pub(super) fn status(&self, now: Timestamp) -> GasStatus {
        GasStatus::of(self, now)
    }
}

/// As `boltgrid_miners::gas` has it: a millilitre a millisecond, of which a cubic metre gives a
/// watt-hour, is so many milliwatts.
const MW_MS_PER_ML: u128 = 3_600;

/// What a meter showed, if that is recent.
fn recent<'a>(
    now: Timestamp,
    meters: &'a [MeterState],
    name: &str,
    role: Role,
) -> Option<&'a MeterValue> {
    let meter = meters.iter().find(|meter| &*meter.name == name && meter.role == role)?;
    let value = meter.last.as_ref().filter(|_| meter.stale.is_none())?;
    (now.ms_since(value.at) <= SHOWN_MS_MAX).then_some(value)
}

/// Counts what flowed through a gas meter; none where it said nothing new.
fn count(flow: &mut Flow, meters: &[MeterState], name: &str) -> Option<u64> {
    let meter = meters.iter().find(|meter| &*meter.name == name && meter.role == Role::Gas)?;
    let value = meter.last.as_ref().filter(|_| meter.stale.is_none())?;
    flow.count(value.at, value.shown.gas?.thousandths_floor()?)
}
