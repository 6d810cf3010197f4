//! Every key of the config file as a page, `docs/config.md`: type and unit, default, range, meaning.
//!
//! It is made of the list that also makes the example file, and a test holds the committed page against
//! it. Not for: what machines, alerts and devices may say inside their tables; their own pages have that.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::{Key, SECTIONS, SITE_ABOUT, SITE_EXAMPLE, Section, line, table, value};
use crate::config::RawConfig;

/// What stands above the keys.
const HEAD: &str = "\
# The config file

`boltgrid init` writes it, [config.example.toml](../node/config.example.toml) shows it with every line \
in place, and `boltgrid run --config FILE` reads it.
What the file does not say has its default; the command line wins over the file.
A key that is not known is an error, which names it.
Relative paths start at the folder of the file, and `${CREDENTIALS_DIRECTORY}` stands for the folder \
of secrets that systemd hands over ([install.md](install.md#secrets)).

This page is made from the node's own list of keys, and a test fails where it is not what the node \
reads: `cargo test -p boltgrid --lib -- --ignored the_reference_is_written_anew`.";

/// Units by what a name ends in; the first that fits counts.
const UNITS: [(&str, &str); 20] = [
    ("_msat_per_kwh", "msat/kWh"),
    ("_msat_per_th_day", "msat per TH/s and day"),
    ("requests_per_s", "per second"),
    ("_sat", "sat"),
    ("_ppm", "parts per million"),
    ("_percent", "%"),
    ("_minutes", "minutes"),
    ("_ms", "ms"),
    ("_s_min", "s"),
    ("_w_max", "W"),
    ("_mhz", "mHz"),
    ("_mv", "mV"),
    ("_w", "W"),
    ("_per_day_max", "per day"),
    ("keep_days", "days"),
    ("_days", "days"),
    ("days", "days"),
    ("_at_once_max", "machines"),
    ("channels_max", "channels"),
    ("", ""),
];

/// Tables whose keys have pages of their own.
const PAGES: [(&str, &str); 8] = [
    ("miner", "miners.md"),
    ("hashprice_feed", "dispatch.md"),
    ("place", "dispatch.md"),
    ("stratum", "miners.md"),
    ("receivers", "alerts.md"),
    ("rules", "alerts.md"),
    ("tls", "json-maps.md#over-tls"),
    ("", ""),
];

/// The page.
pub(super) fn reference() -> String {
    let defaults = table(&RawConfig::defaults());
    let mut out = String::new();
    line(&mut out, HEAD);
    for section in SECTIONS {
        let name = section.name;
        line(&mut out, "");
        line(
            &mut out,
            &if name.is_empty() { "## The node".into() } else { format!("## [{name}]") },
        );
        line(&mut out, "");
        let about = if name.is_empty() { "Keys at the top of the file." } else { section.about };
        line(&mut out, &in_one_line(about));
        line(&mut out, "");
        line(&mut out, "| key | type | default | meaning |");
        line(&mut out, "|---|---|---|---|");
        for key in section.keys {
            line(&mut out, &row(section, key, value(&defaults, section, key)));
        }
    }
    line(&mut out, "\n## [site]\n");
    line(&mut out, &in_one_line(SITE_ABOUT));
    line(
        &mut out,
        "Drivers and what each may say are in [meters.md](meters.md), [modbus.md](modbus.md) and \
                    [json-maps.md](json-maps.md).",
    );
    write!(out, "\n```toml\n{SITE_EXAMPLE}\n```\n").expect("writing to a string cannot fail");
    out
}

fn row(section: &Section, key: &Key, default: Option<&Value>) -> String {
    let Some(shown) = shown(key, default) else {
        panic!("`{}.{}` has neither a default nor an example that is TOML", section.name, key.name)
    };
    let default = match default {
        Some(Value::Array(list)) if list.is_empty() && key.example.is_empty() => "`[]`".to_owned(),
        Some(default) if !is_empty(default) => format!("`{default}`"),
        Some(_) | None => format!("none; such as `{}`", key.example),
    };
    let cells =
        [format!("`{}`", key.name), kind(key, &shown), default, in_one_line(&key.meaning())];
    format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

/// A value of a key: its default, or its example where it has none.
pub(super) fn shown(key: &Key, default: Option<&Value>) -> Option<Value> {
    let example = || format!("it = {}", key.example).parse::<Table>().ok()?.remove("it");
    default.cloned().or_else(example)
}

/// Whether a default says nothing, so that an example says more.
fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// What a value is, with its unit.
fn kind(key: &Key, value: &Value) -> String {
    let page = || {
        let page = PAGES.iter().find(|(name, _)| *name == key.name).map_or("", |(_, page)| *page);
        if page.is_empty() { String::new() } else { format!(", see [{page}]({page})") }
    };
    match value {
        Value::String(_) if key.name.ends_with("_file") => "path of a file".to_owned(),
        Value::String(_) if key.name.ends_with("_dir") => "path of a folder".to_owned(),
        Value::String(_) => "text".to_owned(),
        Value::Boolean(_) => "`true` or `false`".to_owned(),
        Value::Integer(_) => match unit(key.name) {
            "" => "whole number".to_owned(),
            unit => format!("whole number, {unit}"),
        },
        Value::Array(list) if list.first().is_some_and(Value::is_table) => {
            format!("list of tables{}", page())
        }
        Value::Array(_) if !page().is_empty() => format!("list of tables{}", page()),
        Value::Array(_) => "list of text".to_owned(),
        Value::Table(_) => format!("table{}", page()),
        Value::Float(_) | Value::Datetime(_) => {
            panic!("no key holds a float or a date, and `{}` does", key.name)
        }
    }
}

fn unit(name: &str) -> &'static str {
    UNITS.iter().find(|(end, _)| name.ends_with(end)).map_or("", |(_, unit)| unit)
}

fn in_one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}
