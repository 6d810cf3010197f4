//! What is shown of a well: how it is, and the account of what became of its gas, day by day.

use boltgrid_miners::emissions::{Account, Assumed, Assumptions, Avoided, Burning, Day, Sourced};
use boltgrid_protocol::units::{Power, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DAY_MS, Well};
use crate::status::{Quoted, QuotedOption};

/// Millilitres in a litre.
const ML_PER_L: u64 = 1_000;

/// What became of gas, and what the generator made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GasBurnt {
    /// What the well gave, in litres.
    #[serde(with = "Quoted")]
    pub gas_l: u64,
    /// What the generator burnt of it …
    #[serde(with = "Quoted")]
    pub generator_l: u64,
    /// … what the flare did …
    #[serde(with = "Quoted")]
    pub flared_l: u64,
    /// … and what was vented while its flame was out.
    #[serde(with = "Quoted")]
    pub vented_l: u64,
    /// What the generator gave.
    #[serde(with = "Quoted")]
    pub generated_mwh: u64,
}

impl From<Burning> for GasBurnt {
    fn from(burning: Burning) -> Self {
        Self {
            gas_l: burning.gas_ml / ML_PER_L,
            generator_l: burning.generator_ml / ML_PER_L,
            flared_l: burning.flared_ml() / ML_PER_L,
            vented_l: burning.vented_ml / ML_PER_L,
            generated_mwh: burning.generated_mwh,
        }
    }
}

/// A well, its generator and its flare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GasStatus {
    /// The heat of the gas that flows; none where the gas meter does not say.
    #[serde(with = "QuotedOption")]
    pub gas_mw: Option<i64>,
    /// Whether the generator is to run.
    pub is_to_run: bool,
    /// What it is to give.
    #[serde(with = "Quoted")]
    pub set_point_mw: i64,
    /// Whether it runs; none where it does not say.
    pub runs: Option<bool>,
    /// What it gives, by its meter.
    #[serde(with = "QuotedOption")]
    pub power_mw: Option<i64>,
    /// What the gas is enough for; none where that is less than its least load, or not known.
    #[serde(with = "QuotedOption")]
    pub able_mw: Option<i64>,
    /// Below which price it gives nothing.
    #[serde(with = "Quoted")]
    pub wear_msat_per_kwh: i64,
    /// For how many hours it ever ran, by its own word.
    pub hours: Option<u32>,
    /// Whether the flare burns; none where it does not say.
    pub flare_burns: Option<bool>,
    /// Why it does not give more.
    pub reason: String,
    /// What is wrong, in words.
    pub trouble: Option<String>,
    /// What became of all gas that the account knows of.
    #[serde(flatten)]
    pub burnt: GasBurnt,
}

impl GasStatus {
    pub(super) fn of(well: &Well, now: Timestamp) -> Self {
        let steered = well.steer.told();
        let told = well.told.borrow();
        let mw = Power::to_milliwatts;
        Self {
            gas_mw: well.gas.map(mw),
            is_to_run: steered.runs,
            set_point_mw: mw(steered.output),
            runs: told.runs(now),
            power_mw: well.gives.map(mw),
            able_mw: steered.able.map(mw),
            wear_msat_per_kwh: well.cost().to_msat_per_kwh(),
            hours: told.hours(),
            flare_burns: told.burns(now),
            reason: steered.because.to_string(),
            trouble: well.trouble.clone(),
            burnt: well.account.sum().plus(well.open.burning).into(),
        }
    }
}

/// A number and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourcedReport {
    /// The number.
    #[serde(with = "Quoted")]
    pub value: u64,
    /// Who says so.
    pub source: String,
}

/// What one end of the range assumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssumedReport {
    /// The part of its methane that the flare would have burnt, in parts per million.
    pub flare_ppm: SourcedReport,
    /// What a gram of methane warms as much as, in thousandths of a gram of carbon dioxide.
    pub gwp_milli: SourcedReport,
}

/// One day of a well's gas, and what was assumed of it. Where other things were assumed from some time
/// on, a day is there once for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GasDay {
    /// When the day began, in UTC.
    #[serde(with = "Quoted")]
    pub from_unix_ms: u64,
    /// What became of its gas.
    #[serde(flatten)]
    pub burnt: GasBurnt,
    /// For how long it ran.
    #[serde(with = "Quoted")]
    pub ran_ms: u64,
    /// What its burning the gas rather than the flare spared the air, in grams of carbon dioxide that
    /// would warm as much, at the lower end; negative where it lets more through than the flare.
    #[serde(with = "Quoted")]
    pub avoided_low_co2e_g: i64,
    /// The same at the higher end.
    #[serde(with = "Quoted")]
    pub avoided_high_co2e_g: i64,
    /// The part of its methane that the generator burns, in parts per million.
    pub generator_ppm: SourcedReport,
    /// The part of the gas that is methane, in parts per million by volume.
    pub methane_ppm: SourcedReport,
    /// What a litre of methane weighs, in micrograms.
    pub methane_ug_per_l: SourcedReport,
    /// What the lower end assumes.
    pub low: AssumedReport,
    /// What the higher end assumes.
    pub high: AssumedReport,
}

impl From<Sourced> for SourcedReport {
    fn from(Sourced { value, source }: Sourced) -> Self {
        Self { value, source }
    }
}

impl From<Assumed> for AssumedReport {
    fn from(Assumed { flare_ppm, gwp_milli }: Assumed) -> Self {
        Self { flare_ppm: flare_ppm.into(), gwp_milli: gwp_milli.into() }
    }
}

impl From<Day> for GasDay {
    fn from(Day { day, burning, avoided }: Day) -> Self {
        let Avoided { low_co2e_g, high_co2e_g, assumptions, .. } = avoided;
        let Assumptions { generator_ppm, methane_ppm, methane_ug_per_l, low, high } = assumptions;
        Self {
            from_unix_ms: day.saturating_mul(DAY_MS),
            burnt: burning.into(),
            ran_ms: burning.ran_ms,
            avoided_low_co2e_g: low_co2e_g,
            avoided_high_co2e_g: high_co2e_g,
            generator_ppm: generator_ppm.into(),
            methane_ppm: methane_ppm.into(),
            methane_ug_per_l: methane_ug_per_l.into(),
            low: low.into(),
            high: high.into(),
        }
    }
}

/// The days of an account that began in `from_unix_ms ..= until_unix_ms`, oldest first.
pub(in crate::dispatcher) fn days(
    account: &Account,
    from_unix_ms: u64,
    until_unix_ms: u64,
) -> Vec<GasDay> {
    let from = from_unix_ms.div_ceil(DAY_MS);
    account.days(from, until_unix_ms / DAY_MS).map(GasDay::from).collect()
}
