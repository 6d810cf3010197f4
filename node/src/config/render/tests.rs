//! What is rendered is whole, right, and what stands in the repository.

use std::fs;
use std::path::PathBuf;

use boltgrid_metering::drivers::TlsConfig;
use boltgrid_miners::hash::Hashprice;
use boltgrid_protocol::units::Price;

use super::*;
use crate::alerts::rule::{Rule, When};
use crate::alerts::send::{Destination, ReceiverConfig};
use crate::config::{RawGas, RawHsm, RawLightning, RawNetwork, RawOwner};
use crate::dispatcher::{FeedUnit, HashpriceFeed};
use crate::site::SiteConfig;
use crate::stratum::StratumConfig;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml");
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.md");

/// A configuration that says everything there is to say.
fn everything() -> RawConfig {
    let mut all = RawConfig::defaults();
    let text = || Some("text".to_owned());
    all.lightning = RawLightning {
        network: text(),
        bitcoind_url: text(),
        bitcoind_cookie_file: Some("file".into()),
        bitcoind_user: text(),
        bitcoind_password_file: Some("file".into()),
        esplora_url: text(),
        electrum_url: text(),
        ..all.lightning
    };
    all.alerts.quiet_from = "22:00".parse().ok();
    all.alerts.quiet_until = "07:00".parse().ok();
    let webhook = Destination::Webhook { url: "http://house/".into(), token_file: None };
    all.alerts.receivers = vec![ReceiverConfig { name: "phone".into(), to: webhook }];
    all.alerts.rules = vec![Rule {
        name: "odd".into(),
        when: When::Anomaly,
        for_s: 0,
        urgent: false,
        receivers: Vec::new(),
    }];
    all.miner = vec![
        toml::from_str("name = \"a\"\ndriver = \"asic\"\naddress = \"b\"").expect("it is one"),
    ];
    all.mining.hashprice_msat_per_th_day = Some(Hashprice::from_msat_per_th_day(1));
    all.mining.rules_file = Some("file".into());
    all.mining.hashprice_feed = Some(HashpriceFeed {
        url: "http://feed/".into(),
        pointer: "/a".into(),
        unit: FeedUnit::SatPerPhDay,
    });
    all.mining.stratum = Some(StratumConfig {
        listen: "127.0.0.1:3333".parse().expect("an address"),
        pool: "pool:3333".into(),
    });
    all.mining.place = vec![
        toml::from_str(
            "name = \"tank\"\nmachines = []\nwanted_celsius = 5\nhottest_celsius = 7\n\
             wh_per_kelvin = 1\nfuel_msat_per_kwh = 1\nheat_ppm = 1",
        )
        .expect("it is one"),
    ];
    all.gas = well();
    all.home_assistant.broker = text();
    all.home_assistant.credentials_file = Some("file".into());
    all.home_assistant.tls =
        Some(TlsConfig { ca_file: Some("file".into()), ..TlsConfig::default() });
    all.rpc.tls_certificate_file = Some("file".into());
    all.rpc.tls_key_file = Some("file".into());
    all.dashboard.fiat_currency = text();
    all.dashboard.fiat_per_bitcoin = Some(1);
    all.next_meter_key_file = Some("file".into());
    all.meter_key_hsm = RawHsm {
        module_file: Some("file".into()),
        token_label: text(),
        key_label: text(),
        pin_file: Some("file".into()),
    };
    all.owner.buy_at_most_msat_per_kwh = Some(Price::from_msat_per_kwh(1));
    all.owner.sell_at_least_msat_per_kwh = Some(Price::from_msat_per_kwh(-1));
    all
}

/// A well of which everything is said.
fn well() -> RawGas {
    let sourced = "{ value = 1, source = \"a\" }";
    let text = format!(
        "meter = \"a\"\nflare_meter = \"a\"\nheat_wh_per_m3 = 1\nflow_window_s = 1\n\
         flow_m3_per_h_max = 1\nflare = {{ address = \"a\", flame_input = 0 }}\n\
         emissions = {{ generator_ppm = {sourced}, methane_ppm = {sourced} }}\n\
         [generator]\nmeter = \"a\"\ncurve = []\nwear_msat_per_kwh = 1\n\
         control = {{ address = \"a\", run_coil = 0, set_point_register = 0, runs_input = 0 }}\n"
    );
    toml::from_str(&text).expect("it is one")
}

/// The keys of all sections; a table inside a section is one key of it.
fn keys_of(prefix: &str, table: &Table) -> Vec<String> {
    let mut keys = Vec::new();
    for (name, value) in table {
        if let (Value::Table(inner), "") = (value, prefix) {
            keys.extend(keys_of(&format!("{name}."), inner));
        } else {
            keys.push(format!("{prefix}{name}"));
        }
    }
    keys.sort_unstable();
    keys
}

#[test]
fn every_key_is_explained_and_every_explanation_is_of_a_key() {
    let mut explained: Vec<String> = SECTIONS
        .iter()
        .flat_map(|section| section.keys.iter().map(move |key| (section.name, key.name)))
        .map(|(section, key)| format!("{section}.{key}").trim_start_matches('.').to_owned())
        .collect();
    explained.sort_unstable();
    assert_eq!(explained, keys_of("", &table(&everything())));
}

#[test]
fn the_example_in_the_repository_is_what_is_rendered() {
    let rendered = render(&RawConfig::default());
    let example = fs::read_to_string(EXAMPLE).unwrap_or_default();
    assert_eq!(
        example, rendered,
        "run `cargo test -p boltgrid --lib -- --ignored the_example_is_written_anew`"
    );
}

#[test]
#[ignore = "writes config.example.toml after its text was changed"]
fn the_example_is_written_anew() {
    fs::write(EXAMPLE, render(&RawConfig::default())).unwrap();
}

#[test]
fn the_example_says_nothing_but_defaults_and_is_right_with_every_line_in_use() {
    let example = render(&RawConfig::default());
    let parsed = RawConfig::from_toml(&example).unwrap();
    assert_eq!(table(&parsed), table(&RawConfig::default()));

    let in_use = |line: &str| {
        let bare = line.strip_prefix("# ")?;
        let is_entry = bare.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        (is_entry || bare.starts_with('[')).then(|| bare.to_owned())
    };
    let all: Vec<String> =
        example.lines().map(|line| in_use(line).unwrap_or_else(|| line.to_owned())).collect();
    let parsed = RawConfig::from_toml(&all.join("\n")).unwrap();
    assert!(parsed.site.is_some());
    let without_site = RawConfig { site: None, ..parsed };
    assert_eq!(keys_of("", &table(&without_site)), keys_of("", &table(&everything())));
}

#[test]
fn what_is_set_is_read_back_the_same() {
    let config = RawConfig {
        data_dir: Some(PathBuf::from("/var/lib/\"boltgrid\"")),
        network: RawNetwork {
            bootstrap: Some(vec!["/ip4/192.0.2.7/tcp/9333".to_owned()]),
            mdns: Some(false),
            ..RawNetwork::default()
        },
        owner: RawOwner {
            sell_at_least_msat_per_kwh: Some(Price::from_msat_per_kwh(-30_000)),
            ..RawOwner::default()
        },
        site: Some(SiteConfig::default()),
        ..RawConfig::default()
    };
    let parsed = RawConfig::from_toml(&render(&config)).unwrap();
    assert_eq!(table(&parsed), table(&config));
}

#[test]
fn the_reference_in_the_repository_is_what_is_made_of_the_keys() {
    let committed = fs::read_to_string(REFERENCE).unwrap_or_default();
    assert_eq!(
        committed,
        reference::reference(),
        "run `cargo test -p boltgrid --lib -- --ignored the_reference_is_written_anew`"
    );
}

#[test]
#[ignore = "writes docs/config.md after a key was changed"]
fn the_reference_is_written_anew() {
    fs::write(REFERENCE, reference::reference()).unwrap();
}

/// Whether a config file with this number at a key, and what that needs beside it, is right.
fn takes(section: &str, key: &str, number: u32) -> bool {
    let beside = match key {
        "capacity_min_sat" => "capacity_max_sat = 16777215\n",
        "capacity_max_sat" => "capacity_min_sat = 20000\n",
        "fill_days" => "refill_days = 1\n",
        "refill_days" => "fill_days = 3650\n",
        "fiat_per_bitcoin" => "fiat_currency = \"EUR\"\n",
        "every_ms" => "broker = \"127.0.0.1:1883\"\n",
        _ => "",
    };
    let table = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
    let raw = RawConfig::from_toml(&format!("{table}{beside}{key} = {number}"));
    raw.is_ok_and(|raw| crate::config::Config::checked(raw, "config.toml".as_ref()).is_ok())
}

#[test]
fn numbers_may_be_what_their_range_says_and_nothing_else() {
    let defaults = table(&RawConfig::defaults());
    let mut looked_at = 0;
    for section in SECTIONS {
        for key in section.keys {
            let shown = reference::shown(key, value(&defaults, section, key));
            if !shown.is_some_and(|it| it.is_integer()) {
                assert_eq!(key.range, None, "{} is no number", key.name);
                continue;
            }
            let (least, most) = key.range.unwrap_or((0, u32::MAX));
            let takes = |number| takes(section.name, key.name, number);
            let name = format!("{}.{}", section.name, key.name);
            assert!(takes(least) && takes(most), "{name} is said to be {least} to {most}");
            let beyond = [least.checked_sub(1), most.checked_add(1)].into_iter().flatten();
            for number in beyond {
                assert!(
                    !takes(number),
                    "{name} is said to be {least} to {most}, and may be {number}"
                );
            }
            looked_at += 1;
        }
    }
    assert!(looked_at > 30, "only {looked_at} numbers");
}
