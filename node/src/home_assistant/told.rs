//! What Home Assistant is told: each quantity of the node by its name there, its unit and its kind.
//!
//! Numbers are exact decimals in the units that Home Assistant expects: W, kWh, V, Hz, %, sat.
//! A quantity that is not known now is told as unknown, never as zero.

use boltgrid_protocol::units::Power;

use crate::dispatcher::{DispatchStatus, MachineStatus};
use crate::history::History;
use crate::lightning::LightningStatus;
use crate::site::SiteState;

/// Decimal places of what comes in thousandths.
const THOUSANDTHS: usize = 3;
/// Decimal places of milliwatt-hours in kWh.
const MWH_IN_KWH: usize = 6;

/// A quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// By which it is known for ever.
    pub(super) key: &'static str,
    /// What people call it.
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    /// What Home Assistant calls its kind, where it knows it, and how it is counted there.
    pub(super) device_class: Option<&'static str>,
    pub(super) state_class: Option<&'static str>,
    /// The number; `None` while it is not known.
    pub(super) value: Option<String>,
}

impl Told {
    /// What goes up and down.
    fn measured(
        key: &'static str,
        name: &'static str,
        (unit, device_class): (&'static str, &'static str),
        value: Option<String>,
    ) -> Self {
        let device_class = Some(device_class);
        Self { key, name, unit, device_class, state_class: Some("measurement"), value }
    }

    fn power(key: &'static str, name: &'static str, power: Option<Power>) -> Self {
        let value = power.map(|power| decimal(power.to_milliwatts(), THOUSANDTHS));
        Self::measured(key, name, ("W", "power"), value)
    }

    /// What only grows.
    fn register(key: &'static str, name: &'static str, energy_mwh: Option<u64>) -> Self {
        let value = energy_mwh.map(|energy_mwh| decimal_unsigned(energy_mwh, MWH_IN_KWH));
        let state_class = Some("total_increasing");
        Self { key, name, unit: "kWh", device_class: Some("energy"), state_class, value }
    }

    /// Home Assistant adds nothing up in a currency that it doesn't know.
    fn money(
        key: &'static str,
        name: &'static str,
        unit: &'static str,
        value: Option<String>,
    ) -> Self {
        Self { key, name, unit, device_class: Some("monetary"), state_class: None, value }
    }
}

/// Everything, in the order in which it is shown. What the site does not have, such as a battery, is
/// left out.
pub(super) fn told(
    site: Option<&SiteState>,
    history: &History,
    lightning: Option<&LightningStatus>,
    dispatch: &DispatchStatus,
) -> Vec<Told> {
    let mut all = of_site(site);
    all.extend(of_machines(&dispatch.machines));
    let price = history.last_concluded().and_then(|interval| interval.price_msat_per_kwh);
    let price = price.map(|msat| decimal(msat, THOUSANDTHS));
    all.push(Told::money("price", "Price", "sat/kWh", price));
    if let Some(lightning) = lightning {
        let paid = history.payments();
        let msat = |msat| Some(decimal_unsigned(msat, THOUSANDTHS));
        let balance_sat = lightning.held_sat().map(|sat| sat.to_string());
        all.push(Told::money("balance", "Balance", "sat", balance_sat));
        all.push(Told::money("earned", "Earned since start", "sat", msat(paid.received_msat)));
        all.push(Told::money("paid", "Paid since start", "sat", msat(paid.sent_msat)));
        all.push(Told::money("due_to_us", "Owed to this site", "sat", msat(paid.due_to_us_msat)));
        all.push(Told::money("due_by_us", "Owed by this site", "sat", msat(paid.due_by_us_msat)));
    }
    all
}

fn of_site(site: Option<&SiteState>) -> Vec<Told> {
    // Values that can't be relied on any more are not told.
    let now = site.filter(|site| site.stale.is_none());
    let power = |pick: fn(&SiteState) -> Option<Power>| now.and_then(pick);
    let energy = |pick: fn(&SiteState) -> u64| now.map(pick);
    let mut all = vec![
        Told::power("power", "Power", power(|it| Some(it.power_mw))),
        Told::register(
            "import_energy",
            "Energy imported",
            energy(|it| it.import_register_mwh.to_milliwatt_hours()),
        ),
        Told::register(
            "export_energy",
            "Energy exported",
            energy(|it| it.export_register_mwh.to_milliwatt_hours()),
        ),
        Told::power("load_power", "Load", power(|it| Some(it.load_mw))),
        Told::power("pv_power", "PV", power(|it| Some(it.pv_mw))),
        Told::power("surplus_power", "Surplus", power(surplus)),
    ];
    if let Some(voltage_mv) = site.and_then(|it| it.voltage_mv) {
        let value = now.map(|_| decimal_unsigned(voltage_mv.into(), THOUSANDTHS));
        all.push(Told::measured("voltage", "Voltage", ("V", "voltage"), value));
    }
    if let Some(frequency_mhz) = site.and_then(|it| it.frequency_mhz) {
        let value = now.map(|_| decimal_unsigned(frequency_mhz.into(), THOUSANDTHS));
        all.push(Told::measured("frequency", "Frequency", ("Hz", "frequency"), value));
    }
    if let Some(battery) = site.and_then(|it| it.battery) {
        let stored_mwh = battery.stored_mwh.to_milliwatt_hours();
        let capacity_mwh = battery.capacity_mwh.to_milliwatt_hours();
        let charge = (u128::from(stored_mwh) * 100_000).checked_div(capacity_mwh.into());
        let charge = charge.and_then(|charge| u64::try_from(charge).ok()).filter(|_| now.is_some());
        let charge = charge.map(|charge| decimal_unsigned(charge, THOUSANDTHS));
        let stored = now.map(|_| decimal_unsigned(stored_mwh, MWH_IN_KWH));
        let power = now.map(|_| battery.power_mw);
        all.push(Told::power("battery_power", "Battery", power));
        all.push(Told::measured("battery_charge", "Battery charge", ("%", "battery"), charge));
        let kind = ("kWh", "energy_storage");
        all.push(Told::measured("battery_energy", "Battery energy", kind, stored));
    }
    all
}

/// What machines do together. A node without any tells nothing of them, and what one of them does that
/// is not known leaves the sum unknown.
fn of_machines(machines: &[MachineStatus]) -> Vec<Told> {
    if machines.is_empty() {
        return Vec::new();
    }
    let power_mw =
        machines.iter().map(|it| it.power_mw).try_fold(0_i64, |sum, mw| sum.checked_add(mw?));
    let rate_gh = machines
        .iter()
        .map(|it| it.hash_rate_gh_per_s)
        .try_fold(0_u64, |sum, gh| sum.checked_add(gh?));
    let rate = rate_gh.map(|gh| decimal_unsigned(gh, THOUSANDTHS));
    vec![
        Told::power("miner_power", "Miners", power_mw.map(Power::from_milliwatts)),
        Told {
            key: "miner_hash_rate",
            name: "Hash rate",
            unit: "TH/s",
            device_class: None,
            state_class: Some("measurement"),
            value: rate,
        },
    ]
}

/// What the site gives, and could give more, beyond what it uses itself.
fn surplus(site: &SiteState) -> Option<Power> {
    let curtailed = site.pv_potential_mw.checked_sub(site.pv_mw)?;
    Some(curtailed.checked_sub(site.power_mw)?.max(Power::ZERO))
}

/// A number of which the last `places` digits are behind the point.
fn decimal(value: i64, places: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", decimal_unsigned(value.unsigned_abs(), places))
}

fn decimal_unsigned(value: u64, places: usize) -> String {
    let digits = format!("{value:0width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    format!("{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::units::{Energy, Timestamp};

    use super::*;
    use crate::site::{BatteryState, Failure, Stale};

    fn watts(watts: i64) -> Power {
        Power::from_watts(watts).unwrap()
    }

    fn site() -> SiteState {
        SiteState {
            at: Timestamp::default(),
            power_mw: watts(-1_500),
            load_mw: watts(500),
            pv_mw: watts(2_000),
            pv_potential_mw: watts(2_700),
            pv_curtailable: true,
            generator_mw: Power::ZERO,
            battery: None,
            import_register_mwh: Energy::from_milliwatt_hours(1_234_567_890),
            export_register_mwh: Energy::from_milliwatt_hours(7),
            voltage_mv: Some(230_100),
            frequency_mhz: None,
            stale: None,
        }
    }

    fn value(told: &[Told], key: &str) -> Option<String> {
        told.iter().find(|it| it.key == key).unwrap().value.clone()
    }

    #[test]
    fn numbers_are_exact_and_in_the_units_people_use() {
        let told = told(Some(&site()), &History::default(), None, &DispatchStatus::default());
        let says = |key| value(&told, key).unwrap();
        assert_eq!((says("power"), says("load_power")), ("-1500.000".into(), "500.000".into()));
        assert_eq!(says("import_energy"), "1234.567890");
        assert_eq!(says("export_energy"), "0.000007");
        // 1500 W flow out, and 700 W more could.
        assert_eq!((says("surplus_power"), says("voltage")), ("2200.000".into(), "230.100".into()));
        assert_eq!(value(&told, "price"), None);
        let lacks = ["battery_power", "frequency", "balance", "miner_power"];
        assert!(!told.iter().any(|it| lacks.contains(&it.key)));
    }

    #[test]
    fn a_balance_is_unknown_until_the_wallet_has_seen_the_chain() {
        let balance = |lightning: &LightningStatus| {
            let none = DispatchStatus::default();
            value(&told(None, &History::default(), Some(lightning), &none), "balance")
        };
        assert_eq!(balance(&LightningStatus::default()), None);
        let seen = LightningStatus { synced_at_unix_s: Some(1), ..LightningStatus::default() };
        assert_eq!(balance(&seen).as_deref(), Some("0"));
    }

    #[test]
    fn machines_are_told_of_together_and_not_at_all_while_one_is_unknown() {
        let machine = |power_mw, hash_rate_gh_per_s| MachineStatus {
            power_mw,
            hash_rate_gh_per_s,
            ..MachineStatus::default()
        };
        let mut machines = vec![machine(Some(3_250_500), Some(110_500)), machine(Some(0), Some(0))];
        let told = of_machines(&machines);
        assert_eq!(value(&told, "miner_power").unwrap(), "3250.500");
        assert_eq!(value(&told, "miner_hash_rate").unwrap(), "110.500");
        machines.push(machine(None, Some(1)));
        let told = of_machines(&machines);
        assert_eq!(value(&told, "miner_power"), None);
        assert_eq!(value(&told, "miner_hash_rate").unwrap(), "110.501");
    }

    #[test]
    fn a_battery_is_told_of_where_there_is_one() {
        let energy = Energy::from_milliwatt_hours;
        let battery = BatteryState {
            power_mw: watts(-300),
            stored_mwh: energy(2_000_000),
            capacity_mwh: energy(3_000_000),
            charge_max_mw: watts(1),
            discharge_max_mw: watts(1),
        };
        let site = SiteState { battery: Some(battery), ..site() };
        let told = of_site(Some(&site));
        assert_eq!(value(&told, "battery_charge").unwrap(), "66.666");
        assert_eq!(value(&told, "battery_energy").unwrap(), "2.000000");
        assert_eq!(value(&told, "battery_power").unwrap(), "-300.000");
    }

    #[test]
    fn every_quantity_of_a_site_is_of_a_kind_that_home_assistant_knows() {
        let battery = BatteryState {
            power_mw: Power::ZERO,
            stored_mwh: Energy::ZERO,
            capacity_mwh: Energy::ZERO,
            charge_max_mw: Power::ZERO,
            discharge_max_mw: Power::ZERO,
        };
        let site = SiteState { battery: Some(battery), frequency_mhz: Some(50_000), ..site() };
        let told = of_site(Some(&site));
        let kinds: Vec<_> =
            told.iter().map(|it| (it.key, it.unit, it.device_class, it.state_class)).collect();
        let measured = |key, unit, class| (key, unit, Some(class), Some("measurement"));
        let grows = |key| (key, "kWh", Some("energy"), Some("total_increasing"));
        let expected = [
            measured("power", "W", "power"),
            grows("import_energy"),
            grows("export_energy"),
            measured("load_power", "W", "power"),
            measured("pv_power", "W", "power"),
            measured("surplus_power", "W", "power"),
            measured("voltage", "V", "voltage"),
            measured("frequency", "Hz", "frequency"),
            measured("battery_power", "W", "power"),
            measured("battery_charge", "%", "battery"),
            measured("battery_energy", "kWh", "energy_storage"),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn what_cannot_be_relied_on_is_unknown_and_does_not_vanish() {
        let stale = Some(Stale { device: "meter".into(), failure: Failure::Late });
        let told = of_site(Some(&SiteState { stale, ..site() }));
        assert!(told.iter().any(|it| it.key == "voltage"));
        assert!(told.iter().all(|it| it.value.is_none()), "{told:?}");
        assert!(of_site(None).iter().all(|it| it.value.is_none()));
    }
}
