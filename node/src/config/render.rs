//! A configuration as a commented file: what `boltgrid init` writes, and `config.example.toml`.
//!
//! Every key there is stands in the file with what it means: set, or commented out with its default
//! or, where it has none, with an example. The same list makes the page of [`reference`].

#[cfg(test)]
mod reference;

use std::fmt::Write;

use toml::{Table, Value};

use super::RawConfig;

/// A table of the file; the unnamed one stands at the top.
struct Section {
    name: &'static str,
    about: &'static str,
    keys: &'static [Key],
}

/// A key and what it means.
struct Key {
    name: &'static str,
    about: &'static str,
    /// Shown where there is no default.
    example: &'static str,
    /// The least and the most that a number may be, where that is less than its type holds. What is
    /// said here is held against the check.
    range: Option<(u32, u32)>,
}

const fn key(name: &'static str, about: &'static str) -> Key {
    Key { name, about, example: "", range: None }
}

impl Key {
    const fn like(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    const fn within(self, least: u32, most: u32) -> Self {
        Self { range: Some((least, most)), ..self }
    }

    /// What it means, with the range where there is one.
    fn meaning(&self) -> String {
        match self.range {
            None => self.about.to_owned(),
            Some((least, most)) => format!("{} {least} to {most}.", self.about),
        }
    }
}

const SECTIONS: &[Section] = &[
    Section {
        name: "",
        about: "A Boltgrid node. Relative paths start at the folder of this file.\n\
                A line that is commented out shows the default, or an example where there is none.",
        keys: &[
            key("data_dir", "Folder of the journal (what this node has signed) and the archive."),
            key(
                "participant_key_file",
                "The key that is this participant. Keep a copy in a safe place.",
            ),
            key("meter_key_file", "The key that signs the meter's readings."),
            key("next_meter_key_file", "The key that signs them from the epoch on in which it is enrolled in place of\n\
                        that one: make and ask for it with `boltgrid enrol request --next-meter-key`.").like("\"meter.next.key\""),
            key("charter_file", "The grid's charter, the same at every member."),
            key("enrolments_dir", "Folder with the `.enrolment` files of all members."),
            key("keep_days", "Days that past intervals are kept.").within(1, 3_650),
            key("miner", "The machines that mine, each with its driver: asic, or relay-http and relay-modbus for\n\
                        anything behind a plug or coil. `appetite` is \"when_it_pays\",\n\
                        \"only_when_negative\" or { below_msat_per_kwh = 50000 }. See [mining].").like("[{ name = \"cellar\", driver = \"asic\", address = \"192.168.1.50\" }]"),
        ],
    },
    Section {
        name: "meter_key_hsm",
        about: "An ed25519 key in a hardware security module in place of meter_key_file (PKCS#11, for\n\
                a node that is built with `--features pkcs11`): all of these, or none.",
        keys: &[
            key("module_file", "The module's library.").like("\"/usr/lib/softhsm/libsofthsm2.so\""),
            key("token_label", "The label of the token.").like("\"grid\""),
            key("key_label", "The label of the key pair.").like("\"meter\""),
            key("pin_file", "A file with the user's PIN, readable by its owner only.").like("\"meter.pin\""),
        ],
    },
    Section {
        name: "catch_up",
        about: "Learning from other members what this node missed while it was off.",
        keys: &[
            key("days", "How far back, at most keep_days; 0 for not at all.").within(0, 3_650),
            key("every_minutes", "How often, where nothing is known to be missing.").within(1, 10_080),
        ],
    },
    Section {
        name: "network",
        about: "Where others reach this node, and whom it calls first.",
        keys: &[
            key("listen", "Multiaddresses to listen at."),
            key(
                "external",
                "Multiaddresses at which others reach this node, where it cannot find out itself:\n\
                 behind a router with a forwarded port, say.",
            ),
            key(
                "bootstrap",
                "Multiaddresses of nodes to call first; one that is up is enough.\n\
                 One looks like \"/ip4/192.0.2.7/tcp/9333\".",
            ),
            key("mdns", "Whether to look for nodes on the local network as well."),
        ],
    },
    Section {
        name: "rpc",
        about: "JSON-RPC, for `boltgrid status` and for programs, with /metrics and /health on the same\n\
                port. Whoever can read the data folder may do everything; all others show a token, which\n\
                `boltgrid token create` makes. From other machines a token may only look, unless there\n\
                is TLS.",
        keys: &[
            key("listen", "IP address and port."),
            key("hosts", "Names by which browsers call this node, beside those of this machine.").like("[\"boltgrid.home.example\"]"),
            key(
                "proxies",
                "IP addresses of proxies that pass on what browsers ask, such as Home Assistant's ingress.\n\
                 Whoever calls by one may do what its role says, as from this machine: name it only if\n\
                 nobody can read along on the way to it.",
            ),
            key("tls_certificate_file", "A chain of certificates as PEM, this node's first; read at the start.").like("\"tls/fullchain.pem\""),
            key("tls_key_file", "The certificate's private key as PEM.").like("\"tls/privkey.pem\""),
            key("requests_per_s", "Calls a second that one caller may make.").within(1, 100_000),
        ],
    },
    Section {
        name: "dashboard",
        about: "What the pages on that port show besides what the node knows.",
        keys: &[
            key("fiat_currency", "A currency in which amounts are shown beside sat, by your own rate: its three letters.").like("\"EUR\""),
            key("fiat_per_bitcoin", "What a bitcoin is worth in it. Nothing is reckoned by this, and nobody is asked.").like("60000").within(1, u32::MAX),
        ],
    },
    Section {
        name: "lightning",
        about: "Payments over Lightning, by a wallet in this node. With `network` and a place where the\n\
                chain is seen, trades are paid; with nothing said here, they are only accounted for.",
        keys: &[
            key("network", "\"signet\" or \"regtest\" to try it, \"mainnet\" for real bitcoin. There is no default.").like("\"regtest\""),
            key(
                "accept_mainnet",
                "Without this, \"mainnet\" is refused: real money, and a young program.",
            ),
            key(
                "seed_file",
                "The wallet's 24 words. Whoever reads them has the money; keep them on paper too.",
            ),
            key("bitcoind_url", "Where the chain is seen: one of `bitcoind_url`, `esplora_url`, `electrum_url`.\n\
                        JSON-RPC of a bitcoind of the owner's, which sees what this wallet does.").like("\"http://127.0.0.1:8332\""),
            key("bitcoind_cookie_file", "Log in to bitcoind by its cookie file, read when this node starts...").like("\"/var/lib/bitcoind/.cookie\""),
            key("bitcoind_user", "... or as this user, ...").like("\"boltgrid\""),
            key("bitcoind_password_file", "... with the password in this file.").like("\"bitcoind.password\""),
            key("esplora_url", "An Esplora server, whose owner learns what this wallet does.").like("\"https://esplora.example/api\""),
            key("electrum_url", "An Electrum server, whose owner learns what this wallet does.").like("\"ssl://electrum.example:50002\""),
            key(
                "listen",
                "Host and port to listen at for other Lightning nodes; [] to call others only.",
            ),
            key(
                "external",
                "Host and port at which others reach it, where that is not `listen`: behind a router, say.",
            ),
            key(
                "forward",
                "Whether to pass on payments between other members, at no fee, where the charter\n\
                 allows it. Plans of channels count on it: with whom a member does not pass on,\n\
                 others may be left without a way to pay.",
            ),
            key(
                "zero_conf_partners",
                "Lightning ids of nodes whose channels count before they are confirmed. Such a node\n\
                 can take back what it pays until then: name only whom you would lend it.",
            ),
        ],
    },
    Section {
        name: "channels",
        about: "What the node does about its payment channels by itself, where it pays over Lightning.\n\
                `boltgrid channel plan` shows what it would do now, and why.",
        keys: &[
            key("automatic", "Whether plans are carried out; without, they are only shown."),
            key("every_minutes", "How often the node plans.").within(1, 10_080),
            key("channels_max", "Most channels, those that others opened included.").within(0, 8),
            key(
                "anchor_reserve_sat",
                "What stays on the chain for each, to close it when fees are high.",
            ),
            key("capacity_min_sat", "The smallest channel.").within(20_000, 16_777_215),
            key("capacity_max_sat", "The largest channel, not below capacity_min_sat.").within(20_000, 16_777_215),
            key("fill_days", "How many days of payments a channel is filled with.").within(2, 3_650),
            key("refill_days", "A channel is refilled when it lasts for fewer days than this, which is less than fill_days.").within(1, 3_649),
            key("horizon_days", "Within how many days channels must have paid for themselves.").within(1, 3_650),
            key("idle_days", "After how many days without a payment a channel is closed.").within(1, 3_650),
            key("fee_share_max_percent", "Most of what is paid and received within the horizon that may go into fees.").within(0, 100),
            key("splices", "Whether channels are refilled by splicing; without, they are not."),
        ],
    },
    Section {
        name: "owner",
        about: "What the owner wants. Prices are in millisatoshi per kWh and may be negative.",
        keys: &[
            key("trade", "Whether to place orders; without, the site is only metered."),
            key("buy_at_most_msat_per_kwh", "Never buy above this price. Left out: the supplier's retail price.").like("280000"),
            key("sell_at_least_msat_per_kwh", "Never sell below this price what can be kept or turned down.\n\
                        Left out: the supplier's feed-in price.").like("90000"),
            key("reserve_state_of_charge_percent", "What stays in the battery for the house.").within(0, 100),
            key("wear_msat_per_kwh", "What a kWh through the battery costs in wear; not negative."),
            key("battery_efficiency_percent", "What arrives of a kWh on its way into the battery, and again out of it.").within(1, 100),
            key(
                "newcomer_credit_sat",
                "What a member that never paid yet may owe; at least what one tranche of the charter\n\
                 costs. The limit grows by half of what it pays in time, and a default cuts it.",
            ),
            key("credit_max_sat", "What any member may owe at most, whatever it has paid."),
            key(
                "arbitrate_max_sat",
                "Be the arbiter of escrows up to this amount without asking the owner; 0: always ask.\n\
                 See `boltgrid escrow --help`.",
            ),
            key(
                "escrow_accept_max_sat",
                "Be the payee of escrows up to this amount without asking the owner; 0: always ask.",
            ),
        ],
    },
    Section {
        name: "home_assistant",
        about: "Home Assistant: everything that this node measures, earns and pays appears there by\n\
                itself. It needs an MQTT broker that Home Assistant listens to; without one named here,\n\
                nothing is told.",
        keys: &[
            key("broker", "Where the broker is: host, host:port, or mqtts://host over TLS.").like("\"127.0.0.1:1883\""),
            key("credentials_file", "A file that begins with `user:password`, where the broker asks for it.").like("\"mqtt.credentials\""),
            key("tls", "Over TLS, whose certificate counts where no public authority signed it: that of an\n\
                        authority in a file, or the one of this `certificate_sha256`; and where the broker\n\
                        asks for a certificate, `client_certificate_file` and `client_key_file`.").like("{ ca_file = \"ca.pem\" }"),
            key("discovery_prefix", "What Home Assistant's discovery topics begin with."),
            key("every_ms", "How often what changed is told.").within(100, 3_600_000),
        ],
    },
    Section {
        name: "mining",
        about: "What hashing earns and costs, and how the machines in `miner` are switched.\n\
                `boltgrid miner decisions` shows what follows from it.",
        keys: &[
            key("hashprice_msat_per_th_day", "What a terahash a second earns in a day; where nothing is said, it follows from\n\
                        difficulty and fees of the chain that [lightning] sees.").like("52400"),
            key("hashprice_feed", "Who says so, where you would rather believe somebody: an address, where in its JSON it\n\
                        stands, and in what unit: sat_per_th_day, sat_per_ph_day or btc_per_ph_day.").like("{ url = \"https://feed.example/v1\", pointer = \"/hashprice\", unit = \"sat_per_ph_day\" }"),
            key("pool_fee_ppm", "What the pool keeps of it, in parts per million.").within(0, 1_000_000),
            key("wear_msat_per_kwh", "What running wears a machine by; not negative."),
            key("start_sat", "What a start costs."),
            key("on_s_min", "How long a machine runs at least, in s …").within(0, 86_400),
            key("off_s_min", "… and how long it rests at least.").within(0, 86_400),
            key("starts_per_day_max", "How often it is started within a day.").within(0, 1_000),
            key("dead_band_w", "For a smaller change than this its power is left as it is.").within(0, 1_000_000_000),
            key("power_w_max", "What all of them may draw together: their fuse.").within(0, 1_000_000_000),
            key("step_w_max", "How much more they may draw from one second to the next.").within(0, 1_000_000_000),
            key("starts_at_once_max", "How many are started at once.").within(0, 1_000),
            key(
                "grid_support",
                "Whether those that follow within 2 s draw less while frequency or voltage is low,\n\
                 and more while it is high, whatever power costs.",
            ),
            key("nominal_mhz", "The frequency as it should be, in mHz.").within(1, u32::MAX),
            key("nominal_mv", "The voltage as it should be, in mV.").within(1, u32::MAX),
            key("rules_file", "What you want of machines, whatever the plan says; see docs/rules.md.").like("\"rules.toml\""),
            key("place", "The rooms and tanks that machines warm; see docs/dispatch.md.").like("[{ name = \"tank\", machines = [\"cellar\"], wanted_celsius = 55, hottest_celsius = 70, wh_per_kelvin = 349, fuel_msat_per_kwh = 90000, heat_ppm = 900000 }]"),
            key("stratum", "Where machines mine through this node, so that what they prove by accepted work is held\n\
                        against what they say; see docs/miners.md. What they mine for is theirs.").like("{ listen = \"192.168.1.2:3333\", pool = \"pool.example:3333\" }"),
        ],
    },
    Section {
        name: "gas",
        about: "A well whose gas goes into a generator, and what is left into a flare; see docs/flare.md.",
        keys: &[
            key("meter", "The one of [[site.meters]] (role gas) that counts all that the well gives. Without, there\n\
                        is no well.").like("\"well\""),
            key("flare_meter", "The one that counts what flows to the flare; without, what the generator burns follows\n\
                        from its curve.").like("\"flare\""),
            key(
                "heat_wh_per_m3",
                "What a cubic metre gives when it burns: its lower heating value.",
            ),
            key(
                "flow_window_s",
                "Over how long the flow is taken, in s: a few pulses of the meter.",
            ),
            key(
                "flow_m3_per_h_max",
                "More than this does not flow: what shows more is another counter.",
            ),
            key("generator", "The generator: its meter (role generator), what it gives and how well from its least load\n\
                        to its rated one, below which price it gives nothing, and where its controller has what.").like("{ meter = \"generator\", curve = [{ output_w = 30000, efficiency_ppm = 240000 }, { output_w = 100000, efficiency_ppm = 340000 }], wear_msat_per_kwh = 15000, control = { address = \"192.168.1.70\", run_coil = 0, set_point_register = 0, runs_input = 0 } }"),
            key("flare", "Where the flare says whether its flame burns.").like("{ address = \"192.168.1.71\", flame_input = 0 }"),
            key("emissions", "What only you know of gas and generator, and where you know it from.").like("{ generator_ppm = { value = 980000, source = \"stack test of 2026\" }, methane_ppm = { value = 850000, source = \"chromatograph\" } }"),
        ],
    },
    Section {
        name: "alerts",
        about: "What to tell you of, and whom; see docs/alerts.md. `boltgrid alert test NAME`\n\
                shows whether a receiver is reached.",
        keys: &[
            key("quiet_from", "When it begins to be quiet, in the grid's standard time: only what is urgent is told\n\
                        then, and the rest afterwards.").like("\"22:00\""),
            key("quiet_until", "Until when.").like("\"07:00\""),
            key("again_after_minutes", "How often what lasts is told again; 0 for never."),
            key("receivers", "Whom: a webhook, ntfy, telegram, mqtt or mail.").like("[{ name = \"phone\", to = { ntfy = { url = \"https://ntfy.sh/a-name-that-nobody-guesses\" } } }]"),
            key("rules", "Of what.").like("[{ name = \"a device is silent\", when = \"device_silent\", for_s = 60, urgent = true }]"),
        ],
    },
    Section {
        name: "log",
        about: "Logs, to standard error.",
        keys: &[
            key("filter", "How much: error, warn, info, debug, trace, or \"info,boltgrid=debug\"."),
            key("format", "\"text\" for people or \"json\" for programs."),
        ],
    },
];

/// Writes `config` as a commented file.
#[must_use]
pub fn render(config: &RawConfig) -> String {
    let set = table(config);
    let defaults = table(&RawConfig::defaults());
    let mut out = String::new();
    for section in SECTIONS {
        line(&mut out, &comment(section.about));
        if !section.name.is_empty() {
            line(&mut out, &format!("[{}]", section.name));
        }
        for key in section.keys {
            line(&mut out, "");
            line(&mut out, &comment(&key.meaning()));
            let entry = match (value(&set, section, key), value(&defaults, section, key)) {
                (Some(set), _) => format!("{} = {set}", key.name),
                (None, Some(default)) => format!("# {} = {default}", key.name),
                (None, None) => format!("# {} = {}", key.name, key.example),
            };
            line(&mut out, &entry);
        }
        line(&mut out, "");
    }
    out.push_str(&site(&set));
    out
}

/// What the site's devices look like in the file.
const SITE_ABOUT: &str = "\
The site's meters and devices. Where no `driver` is named, a device speaks SunSpec over Modbus: its
address is host or host:port, its unit is 1 where nothing is said. Whatever the driver, a device may
have a `name`, a `rating_w`, and `inverted = true` where it was mounted the wrong way round. A rating
or capacity is needed only where the device says none.
`[site.meter]` is at the grid connection; a site may have several [[site.pv]] and [[site.battery]],
which the node reads and commands, and [[site.meters]], which it reads: each has a name and a role,
one of grid, pv, battery, load, generator, gas, feeder. Power is positive where it is taken. Those
in [[site.virtual]] are meters that are made of others. `settles` names the meter whose readings are
signed; it is [site.meter] where nothing is said. See `boltgrid meter --help`.
With `place`, in thousandths of a degree, north and east positive, PV is held against the sun.";
const SITE_EXAMPLE: &str = "\
[site]
sample_every_ms = 1000
set_point_lead_ms = 12000
settles = \"meter\"
place = { latitude_millidegrees = 52520, longitude_millidegrees = 13405 }

[site.meter]
address = \"192.168.1.20:502\"
unit = 1
rating_w = 17000

[[site.pv]]
address = \"192.168.1.21\"
rating_w = 10000

[[site.battery]]
address = \"192.168.1.22\"
capacity_wh = 10000

[[site.meters]]
name = \"barn\"
role = \"load\"
driver = \"sunspec\"
address = \"192.168.1.23\"

[[site.virtual]]
name = \"house\"
role = \"grid\"
sum = [\"meter\", \"-barn\"]";

fn site(set: &Table) -> String {
    let devices = set.get("site").map(|site| Table::from_iter([("site".to_owned(), site.clone())]));
    let text = devices.map_or_else(|| comment(SITE_EXAMPLE), |site| site.to_string());
    format!("{}\n\n{}\n", comment(SITE_ABOUT), text.trim_end())
}

fn table(config: &RawConfig) -> Table {
    Table::try_from(config).expect("a configuration holds only what TOML can say")
}

fn value<'a>(table: &'a Table, section: &Section, key: &Key) -> Option<&'a Value> {
    if section.name.is_empty() {
        table.get(key.name)
    } else {
        table.get(section.name)?.get(key.name)
    }
}

fn comment(text: &str) -> String {
    let line = |line: &str| if line.is_empty() { "#".to_owned() } else { format!("# {line}") };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests;
