//! The fields of Edge Mining's policies: what they are here, or why they never were anything.

/// What a field of a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A quantity here, of the same sign and unit.
    Same(&'static str),
    /// A quantity here, of the other sign.
    Opposite(&'static str),
    /// The hour of the clock.
    Hour,
    /// Comparing it was always false, for this reason.
    NeverTrue(&'static str),
    /// It worked, and rules here know nothing of it.
    Elsewhere,
    /// There never was such a field.
    Unknown,
}

/// What a field is, by its path.
pub(super) fn field(path: &str) -> Field {
    use Field::{Elsewhere, Hour, NeverTrue, Opposite, Same, Unknown};
    match path {
        "energy_state.production" => Same("pv_w"),
        "energy_state.consumption.current_power" => Same("load_w"),
        "energy_state.battery.state_of_charge" => Same("battery_percent"),
        "energy_state.battery.current_power" | "energy_state.battery.charging_power" => {
            Same("battery_w")
        }
        "energy_state.battery.discharging_power" => Opposite("battery_w"),
        "energy_state.grid.current_power" | "energy_state.grid.importing_power" => Same("power_w"),
        "energy_state.grid.exporting_power" => Opposite("power_w"),
        "forecast.next_hour_energy" | "forecast.next_hour_power" => {
            Same("forecast_pv_next_hour_wh")
        }
        "sun.elevation" => Same("sun_degrees"),
        "timestamp.hour" => Hour,
        "timestamp.weekday" => NeverTrue(
            "weekday is a method that is never called, so it equals no number; write { weekday = [\"sat\", \"sun\"] }",
        ),
        "home_load_forecast" => {
            NeverTrue("it is an object and not a number, so comparing it fails")
        }
        "energy_state.consumption"
        | "energy_state.battery"
        | "energy_state.grid"
        | "forecast"
        | "sun" => NeverTrue("it is an object and not a value, so comparing it fails"),
        "miner.status" => NeverTrue(
            "the status is an enum that equals no text, whatever its case; the node itself sees to machines that fail",
        ),
        _ => {
            let known =
                ["energy_source.", "energy_state.external_source", "energy_state.timestamp"];
            let known = known.iter().any(|it| path.starts_with(it));
            let parts = [
                "forecast.avg_next_4_hours_power",
                "tracker_current_hashrate",
                "energy_state.battery.remaining_capacity",
                "energy_state.battery.timestamp",
                "energy_state.grid.timestamp",
                "energy_state.consumption.timestamp",
                "timestamp.minute",
                "timestamp.day",
                "timestamp.month",
                "timestamp.year",
                "miner.name",
                "miner.active",
                "miner.hash_rate",
                "miner.hash_rate_max",
                "miner.power_consumption",
                "miner.power_consumption_max",
            ];
            let suns = [
                "dawn", "sunrise", "noon", "midnight", "sunset", "dusk", "daylight", "night",
                "twilight", "azimuth", "zenith",
            ];
            let of_sun = path.strip_prefix("sun.").is_some_and(|it| {
                suns.contains(&it)
                    || it.starts_with("time_before_")
                    || it.starts_with("time_after_")
            });
            if known || of_sun || parts.contains(&path) { Elsewhere } else { Unknown }
        }
    }
}
