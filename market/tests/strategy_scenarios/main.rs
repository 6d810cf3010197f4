//! What sites order and do in situations that people know, and what must hold in all others.

mod a_day;
mod dispatches;
mod generators;
mod miners;
mod orders;
mod whatever_comes;

use std::sync::LazyLock;

use boltgrid_market::GridPower;
use boltgrid_market::strategy::{
    Battery, Contracted, Dispatch, Flexible, Generation, Outlook, OwnerLimits, PvControl,
    Relations, Sample, Site, Situation, Throttle, dispatch, order,
};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::order::{Side, Source, Step};
use boltgrid_protocol::units::{Energy, Interval, Power, Price};

const HOUR_MS: u64 = 3_600_000;
const INTERVAL_MS: u64 = HOUR_MS / 4;
const LOSS_PPM: u32 = 30_000;

/// Retail 300 sat/kWh, feed-in 80 but −30 from 11:00 to 15:00, a connection of 160 kW.
static CHARTER: LazyLock<Charter> = LazyLock::new(|| {
    let registrar = "07".repeat(32);
    let charter = format!(
        r#"
        name = "a village"
        [interval]
        interval_ms = {INTERVAL_MS}
        gate_before_delivery_ms = 60000
        orders_open_before_gate_ms = 60000
        orders_close_before_gate_ms = 15000
        proposal_after_gate_ms = 2000
        view_ms = 5000
        views = 3
        confirm_by_after_gate_ms = 30000
        readings_by_after_delivery_ms = 60000
        clock_skew_max_ms = 1000
        [price]
        floor_msat_per_kwh = -200000
        ceiling_msat_per_kwh = 400000
        [connection]
        import_capacity_w = 160000
        export_capacity_w = 160000
        loss_ppm = {LOSS_PPM}
        [membership]
        registrars = ["{registrar}"]
        registrar_threshold = 1
        roster_epoch_intervals = 96
        bar_intervals = 10
        [tariff]
        clock = {{ anchor_unix_ms = 0, anchor_local_ms = 0, speed = 1 }}
        base = {{ retail_msat_per_kwh = 300000, feed_in_msat_per_kwh = 80000 }}
        [[tariff.period]]
        months = [4, 5, 6, 7, 8, 9]
        from_minute_of_day = 660
        until_minute_of_day = 900
        prices = {{ retail_msat_per_kwh = 300000, feed_in_msat_per_kwh = -30000 }}
        "#
    );
    Charter::from_toml(&charter).expect("the charter is one")
});

/// 2016-05-25.
const DAY: u64 = 16_946;

/// The interval that starts at a quarter of an hour of the day.
fn at(hour: u64, minute: u64) -> Interval {
    Interval::from_number(DAY * 96 + hour * 4 + minute / 15)
}

fn sat(sat_per_kwh: i64) -> Price {
    Price::from_msat_per_kwh(sat_per_kwh * 1000)
}

fn watts(watts: i64) -> Power {
    Power::from_watts(watts).expect("no village has petawatts")
}

fn kwh(kwh: u64) -> Energy {
    Energy::from_milliwatt_hours(kwh * 1_000_000)
}

fn wh(wh: u64) -> Energy {
    Energy::from_milliwatt_hours(wh * 1000)
}

const SITE: Site = Site {
    rated_import: Power::from_milliwatts(200_000_000),
    rated_export: Power::from_milliwatts(200_000_000),
    pv: PvControl::Curtailable,
    battery: None,
    limits: OwnerLimits { trade: true, buy_at_most: None, sell_at_least: None },
};

const MUST_RUN: Site = Site { pv: PvControl::MustRun, ..SITE };

/// 40 kWh, 10 kW, a tenth in reserve.
fn with_battery() -> Site {
    let battery = Battery {
        capacity: kwh(40),
        reserve: kwh(4),
        charge_at_most: watts(10_000),
        discharge_at_most: watts(10_000),
        efficiency_ppm: 950_000,
        wear: sat(20),
    };
    Site { battery: Some(battery), ..SITE }
}

/// A site expects this load and PV, in W, at this time; its battery holds so much.
fn situation(interval: Interval, load_w: i64, pv_w: i64, stored: Energy) -> Situation {
    let from = CHARTER.interval.start_of(interval);
    Situation {
        interval,
        expected: Sample { load: watts(load_w), pv: watts(pv_w) },
        stored,
        outlook: Outlook::new(&CHARTER, from, &[]),
        flexible: Vec::new(),
        generation: None,
    }
}

fn grid(power_w: i64, potential_w: i64) -> GridPower {
    GridPower { power_mw: watts(power_w), potential_mw: watts(potential_w), members: 13 }
}

fn order_of(site: &Site, situation: &Situation, grid: &GridPower) -> Vec<Step> {
    let order = order(&CHARTER, site, situation, grid, &Relations::default());
    order.map_or_else(Vec::new, |order| order.steps)
}

fn ordered(site: &Site, situation: &Situation) -> Vec<Step> {
    order_of(site, situation, &GridPower::default())
}

fn side(steps: &[Step], side: Side) -> Vec<Step> {
    steps.iter().filter(|step| step.side == side).copied().collect()
}

fn step(side: Side, source: Source, energy_mwh: Energy, limit_msat_per_kwh: Price) -> Step {
    Step { side, source, energy_mwh, limit_msat_per_kwh }
}
