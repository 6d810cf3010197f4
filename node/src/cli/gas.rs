//! `boltgrid gas`: how the well, its generator and its flare are, and what became of the gas.
//! Not for: what is written down of them, which the config file says.

use std::io::Write;

use boltgrid_protocol::units::{Energy, Power, Price, Timestamp};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::error::CliError;
use super::export;
use super::node::Node;
use super::show;
use crate::dispatcher::{GasDay, GasStatus};
use crate::rpc::{DispatchListRpcClient, GasRpcClient};

/// See what becomes of a well's gas.
#[derive(Debug, Subcommand)]
pub(super) enum Gas {
    /// Show gas, generator and flare as the running node sees them
    Status(Node),
    /// Show what became of the gas day by day, and what that spared the air
    Account(Account),
}

/// Which days, and how.
#[derive(Debug, Args)]
pub(super) struct Account {
    /// Only days that began at this moment or later, in Unix ms
    #[arg(long, value_name = "UNIX_MS", default_value_t = 0)]
    from: u64,
    /// Print comma-separated values, with every number that was assumed and its source in each line
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    node: Node,
}

/// A day in a line, with all that it rests on.
#[derive(Debug, Serialize)]
struct Row<'a> {
    from_unix_ms: u64,
    gas_l: u64,
    generator_l: u64,
    flared_l: u64,
    vented_l: u64,
    generated_mwh: u64,
    ran_ms: u64,
    avoided_low_co2e_g: i64,
    avoided_high_co2e_g: i64,
    generator_ppm: u64,
    generator_source: &'a str,
    methane_ppm: u64,
    methane_source: &'a str,
    methane_ug_per_l: u64,
    methane_weight_source: &'a str,
    low_flare_ppm: u64,
    low_flare_source: &'a str,
    low_gwp_milli: u64,
    low_gwp_source: &'a str,
    high_flare_ppm: u64,
    high_flare_source: &'a str,
    high_gwp_milli: u64,
    high_gwp_source: &'a str,
}

impl<'a> From<&'a GasDay> for Row<'a> {
    fn from(day: &'a GasDay) -> Self {
        Self {
            from_unix_ms: day.from_unix_ms,
            gas_l: day.burnt.gas_l,
            generator_l: day.burnt.generator_l,
            flared_l: day.burnt.flared_l,
            vented_l: day.burnt.vented_l,
            generated_mwh: day.burnt.generated_mwh,
            ran_ms: day.ran_ms,
            avoided_low_co2e_g: day.avoided_low_co2e_g,
            avoided_high_co2e_g: day.avoided_high_co2e_g,
            generator_ppm: day.generator_ppm.value,
            generator_source: &day.generator_ppm.source,
            methane_ppm: day.methane_ppm.value,
            methane_source: &day.methane_ppm.source,
            methane_ug_per_l: day.methane_ug_per_l.value,
            methane_weight_source: &day.methane_ug_per_l.source,
            low_flare_ppm: day.low.flare_ppm.value,
            low_flare_source: &day.low.flare_ppm.source,
            low_gwp_milli: day.low.gwp_milli.value,
            low_gwp_source: &day.low.gwp_milli.source,
            high_flare_ppm: day.high.flare_ppm.value,
            high_flare_source: &day.high.flare_ppm.source,
            high_gwp_milli: day.high.gwp_milli.value,
            high_gwp_source: &day.high.gwp_milli.source,
        }
    }
}

impl Gas {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::Status(node) => {
                let status =
                    node.ask(|client| async move { DispatchListRpcClient::list(&client).await })?;
                if node.json {
                    return show::json(out, &status.gas);
                }
                match &status.gas {
                    Some(gas) => shown(out, gas),
                    None => Ok(writeln!(out, "no well: write one as `[gas]` in the config file")?),
                }
            }
            Self::Account(Account { from, csv, node }) => {
                let days = node.ask(|client| async move {
                    client.account(from.to_string(), u64::MAX.to_string()).await
                })?;
                if node.json {
                    return show::json(out, &days);
                }
                if csv {
                    let rows: Vec<Row<'_>> = days.iter().map(Row::from).collect();
                    return export::csv(out, &rows);
                }
                account(out, &days)
            }
        }
    }
}

fn shown(out: &mut impl Write, gas: &GasStatus) -> Result<(), CliError> {
    let power = |mw: i64| show::power(Power::from_milliwatts(mw));
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "not known".to_owned());
    let yes = |is: Option<bool>, yes: &str, no: &str| {
        or_unknown(is.map(|is| if is { yes } else { no }.to_owned()))
    };
    let litres = |litres: u64| show::milli(litres.into(), "m³");
    let told = if gas.is_to_run { "to run" } else { "to stand still" };
    let mut rows = vec![
        ("gas", or_unknown(gas.gas_mw.map(power))),
        ("generator", format!("{told}, and {}", yes(gas.runs, "runs", "stands still"))),
        ("gives", or_unknown(gas.power_mw.map(power))),
        ("is to give", power(gas.set_point_mw)),
        ("could give", or_unknown(gas.able_mw.map(power))),
        ("because", gas.reason.clone()),
        ("from", show::price(Price::from_msat_per_kwh(gas.wear_msat_per_kwh))),
        ("ran", or_unknown(gas.hours.map(|hours| format!("{hours} h")))),
        ("flare", yes(gas.flare_burns, "burns", "is out")),
        ("all gas", litres(gas.burnt.gas_l)),
        ("burnt in it", litres(gas.burnt.generator_l)),
        ("flared", litres(gas.burnt.flared_l)),
        ("vented", litres(gas.burnt.vented_l)),
        ("generated", show::energy(Energy::from_milliwatt_hours(gas.burnt.generated_mwh))),
    ];
    rows.extend(gas.trouble.clone().map(|trouble| ("TROUBLE", trouble)));
    Ok(show::rows(out, &rows)?)
}

fn account(out: &mut impl Write, days: &[GasDay]) -> Result<(), CliError> {
    if days.is_empty() {
        return Ok(writeln!(out, "nothing is kept of any gas yet")?);
    }
    let litres = |litres: u64| show::milli(litres.into(), "m³");
    for day in days {
        let date = show::moment(Timestamp::from_unix_ms(day.from_unix_ms));
        writeln!(
            out,
            "{}  gas {}  generator {}  flare {}  vented {}  gave {}  avoided {} to {} CO2e",
            date.split(' ').next().unwrap_or_default(),
            litres(day.burnt.gas_l),
            litres(day.burnt.generator_l),
            litres(day.burnt.flared_l),
            litres(day.burnt.vented_l),
            show::energy(Energy::from_milliwatt_hours(day.burnt.generated_mwh)),
            show::milli(day.avoided_low_co2e_g.into(), "kg"),
            show::milli(day.avoided_high_co2e_g.into(), "kg"),
        )?;
    }
    let Some(last) = days.last() else { return Ok(()) };
    writeln!(out, "\nThe last of these days rests on:")?;
    let ppm = |it: u64| show::milli(i128::from(it) / 10, "%");
    let rows = [
        ("generator burns", ppm(last.generator_ppm.value), &last.generator_ppm.source),
        ("methane in the gas", ppm(last.methane_ppm.value), &last.methane_ppm.source),
        ("a flare burns, low", ppm(last.low.flare_ppm.value), &last.low.flare_ppm.source),
        ("a flare burns, high", ppm(last.high.flare_ppm.value), &last.high.flare_ppm.source),
        (
            "methane warms, low",
            show::milli(last.low.gwp_milli.value.into(), "× CO2"),
            &last.low.gwp_milli.source,
        ),
        (
            "methane warms, high",
            show::milli(last.high.gwp_milli.value.into(), "× CO2"),
            &last.high.gwp_milli.source,
        ),
    ];
    let rows = rows.map(|(label, value, source)| (label, format!("{value}  ({source})")));
    Ok(show::rows(out, &rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatcher::{AssumedReport, GasBurnt, SourcedReport};

    fn sourced(value: u64, source: &str) -> SourcedReport {
        SourcedReport { value, source: source.to_owned() }
    }

    fn day() -> GasDay {
        let end = |ppm, gwp| AssumedReport {
            flare_ppm: sourced(ppm, "a paper"),
            gwp_milli: sourced(gwp, "a report"),
        };
        GasDay {
            from_unix_ms: 1_780_272_000_000,
            burnt: GasBurnt {
                gas_l: 1_440_000,
                generator_l: 900_000,
                flared_l: 540_000,
                vented_l: 0,
                generated_mwh: 2_500_000_000,
            },
            ran_ms: 86_400_000,
            avoided_low_co2e_g: 130_000,
            avoided_high_co2e_g: 1_200_000,
            generator_ppm: sourced(990_000, "stack test, \"2026\""),
            methane_ppm: sourced(900_000, "chromatograph"),
            methane_ug_per_l: sourced(677_590, "a rule"),
            low: end(980_000, 28_000),
            high: end(911_000, 29_800),
        }
    }

    #[test]
    fn a_day_is_a_line_for_people_with_what_it_rests_on_below() {
        let mut out = Vec::new();
        account(&mut out, &[day()]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("2026-06-01  gas 1440 m³  generator 900 m³  flare 540 m³"),
            "{text}"
        );
        assert!(text.contains("avoided 130 kg to 1200 kg CO2e"), "{text}");
        assert!(text.contains("98 %  (a paper)") && text.contains("29.8 × CO2"), "{text}");
    }

    #[test]
    fn a_table_has_every_number_and_its_source_in_each_line() {
        let mut out = Vec::new();
        export::csv(&mut out, &[Row::from(&day())]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("high_gwp_milli,high_gwp_source"), "{text}");
        assert!(
            text.contains("990000,\"stack test, \"\"2026\"\"\",900000,chromatograph"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 2);
    }
}
