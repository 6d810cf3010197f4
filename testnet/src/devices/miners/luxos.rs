//! LuxOS on an Antminer S19k Pro: the answers of its API at port 4028.
//!
//! Power goes by profiles, and only while its thermal management ("ATM") is off; what changes
//! something needs a session. Asleep it keeps saying that it is alive.

use std::sync::{Arc, Mutex, PoisonError};

use boltgrid_protocol::units::Power;
use serde_json::{Map, Value, json};

use super::Rig;
use crate::plant::MachineCommand;

/// What it says it runs.
const DESCRIPTION: &str = "LUXminer 2025.4.8.220305-57b389c7";
/// A session without a question for this long is over, in s.
const SESSION_S: u64 = 60;
/// The profiles besides the default one: clock in MHz and what it draws then, in W.
const PROFILES: [(u32, u32); 9] = [
    (190, 784),
    (265, 1_080),
    (315, 1_299),
    (365, 1_533),
    (415, 1_785),
    (465, 2_052),
    (515, 2_336),
    (615, 2_954),
    (690, 3_461),
];
/// What it draws by the default profile, in W, and its clock in MHz.
const DEFAULT: (u32, u32) = (590, 2_794);
/// The boards of an S19k Pro.
const BOARDS: u64 = 3;

/// What it keeps of those who ask.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<State>>);

#[derive(Clone, Debug)]
struct State {
    open: Option<(String, u64)>,
    count: u64,
    cares: bool,
}

impl Default for State {
    fn default() -> Self {
        Self { open: None, count: 0, cares: true }
    }
}

/// Answers a question.
pub(super) fn answer(rig: &Rig, sessions: &Sessions, asked: &Value) -> Value {
    let command = asked.get("command").and_then(Value::as_str).unwrap_or_default();
    let parameter = match asked.get("parameter") {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let mut state = sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
    if command.contains('+') {
        let answers = command
            .split('+')
            .map(|one| (one.to_owned(), json!([one_answer(rig, &mut state, one, &parameter)])));
        let mut all: Map<String, Value> = answers.collect();
        all.insert("id".to_owned(), json!(1));
        return Value::Object(all);
    }
    one_answer(rig, &mut state, command, &parameter)
}

fn one_answer(rig: &Rig, state: &mut State, command: &str, parameter: &str) -> Value {
    let said = match command {
        "session" | "logon" | "logoff" => session(rig, state, command),
        "curtail" | "profileset" | "atmset" | "rebootdevice" => {
            privileged(rig, state, command, parameter)
        }
        "atm" => Ok(json!({"ATM": [{"Enabled": state.cares, "MinProfile": "190MHz",
            "MaxProfile": "690MHz", "StartupMinutes": 15, "PostRampMinutes": 15,
            "TempWindow": 5}]})),
        "config" => Ok(json!({"CONFIG": [config(rig, state)]})),
        other => shown(rig, other, parameter),
    };
    let (status, text, body) = match said {
        Ok(body) => ("S", command.to_owned(), body),
        Err(why) => ("E", why, json!({})),
    };
    let mut answer = json!({"STATUS": [{"STATUS": status, "Code": 22, "Msg": text,
        "Description": DESCRIPTION, "When": rig.seconds()}], "id": 1});
    if let (Value::Object(answer), Value::Object(body)) = (&mut answer, body) {
        answer.extend(body);
    }
    answer
}

fn session(rig: &Rig, state: &mut State, command: &str) -> Result<Value, String> {
    let now = rig.seconds();
    state.open.take_if(|(_, seen)| now.saturating_sub(*seen) >= SESSION_S);
    let id = |id: &str| json!({"SESSION": [{"SessionID": id}]});
    match (command, state.open.take()) {
        ("logon", Some(open)) => {
            state.open = Some(open);
            Err("Another session is active".to_owned())
        }
        ("logon", None) => {
            state.count += 1;
            let new = format!("s{:07x}", state.count.wrapping_mul(0x9e37_79b9) & 0xfff_ffff);
            let answer = id(&new);
            state.open = Some((new, now));
            Ok(answer)
        }
        ("session", open) => {
            let answer = id(open.as_ref().map_or("", |(open, _)| open));
            state.open = open;
            Ok(answer)
        }
        (_, Some(_)) => Ok(json!({})),
        (_, None) => Err("No session".to_owned()),
    }
}

fn privileged(
    rig: &Rig,
    state: &mut State,
    command: &str,
    parameter: &str,
) -> Result<Value, String> {
    let (given, rest) = parameter.split_once(',').unwrap_or((parameter, ""));
    let now = rig.seconds();
    match &mut state.open {
        Some((open, seen)) if open == given && now.saturating_sub(*seen) < SESSION_S => *seen = now,
        Some(_) | None => return Err("Invalid session id".to_owned()),
    }
    let tell = |command| {
        if rig.tell(command) { Ok(json!({})) } else { Err("Command refused".to_owned()) }
    };
    match (command, rest) {
        ("curtail", "sleep") => tell(MachineCommand::Sleep),
        ("curtail", "wakeup") => tell(MachineCommand::Wake),
        ("rebootdevice", _) => tell(MachineCommand::Reboot),
        ("atmset", settings) => {
            let said = settings.split(',').find_map(|it| it.strip_prefix("enabled="));
            let said = said.ok_or_else(|| "Nothing to set".to_owned())?;
            state.cares = said == "true";
            Ok(json!({}))
        }
        ("profileset", _) if state.cares => Err("ATM is enabled".to_owned()),
        ("profileset", name) => {
            let found = profiles().find(|(known, ..)| known == name);
            let (.., watts) = found.ok_or_else(|| format!("Profile {name} not found"))?;
            tell(MachineCommand::Limit(Power::from_milliwatts(i64::from(watts) * 1_000)))?;
            Ok(json!({"PROFILE": [{"Profile": name}]}))
        }
        (_, other) => Err(format!("Invalid parameter {other}")),
    }
}

/// Name, clock in MHz and power in W, by power.
fn profiles() -> impl Iterator<Item = (String, u32, u32)> {
    let all = PROFILES.into_iter().chain([DEFAULT]);
    let mut all: Vec<_> = all
        .map(|(mhz, watts)| {
            let name = if mhz == DEFAULT.0 { "default".into() } else { format!("{mhz}MHz") };
            (name, mhz, watts)
        })
        .collect();
    all.sort_by_key(|(.., watts)| *watts);
    all.into_iter()
}

/// The profile that a power belongs to.
fn profile_of(power: Power) -> (String, u32, u32) {
    let watts = power.to_milliwatts() / 1_000;
    let default = ("default".to_owned(), DEFAULT.0, DEFAULT.1);
    profiles().take_while(|(.., it)| i64::from(*it) <= watts).last().unwrap_or(default)
}

fn config(rig: &Rig, state: &State) -> Value {
    let truth = rig.truth();
    let curtail = if truth.awake { "None" } else { "Sleep" };
    let (profile, ..) = profile_of(truth.limit);
    let (site, machine) = (rig.site, rig.machine);
    json!({
        "ASC Count": BOARDS, "ControlBoardType": "cvitek", "CurtailMode": curtail, "DHCP": true,
        "FeeStatus": "Ok", "GreenLed": "auto", "RedLed": "auto",
        "Hostname": format!("luxos-{site}-{machine}"), "IPAddr": rig.address.to_string(),
        "IsAtmEnabled": state.cares, "IsPowerSupplyOn": truth.awake, "IsTuning": false,
        "MACAddr": format!("02:10:00:00:{:02x}:{:02x}", site % 256, machine % 256),
        "Model": "Antminer S19k Pro", "NameplateTHS": 121.8, "OS": "LuxOS", "Pool Count": 0,
        "Profile": profile, "SerialNumber": format!("LUX{site:04}{machine:02}"),
        "SystemStatus": "Normal", "ImmersionMode": false, "Strategy": "Failover",
    })
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "the API speaks floats")]
fn shown(rig: &Rig, command: &str, parameter: &str) -> Result<Value, String> {
    let truth = rig.truth();
    let ghs = truth.hash_rate_gh_per_s as f64;
    let celsius = truth.chips_m_celsius / 1_000;
    let watts = truth.power.to_milliwatts() / 1_000;
    let (_, mhz, _) = profile_of(truth.limit);
    let warm = format!("{celsius}-{celsius}-{celsius}-{celsius}");
    let boards = 0..BOARDS;
    Ok(match command {
        "version" => json!({"VERSION": [{"API": "3.7", "LUXminer": "2025.4.8.220305-57b389c7",
            "Miner": "2025.4.8.220305", "CompileTime": "Tue Apr  8 22:05:35 UTC 2025",
            "Type": "Antminer S19k Pro"}]}),
        "power" => json!({"POWER": [{"PSU": false, "Watts": watts}]}),
        "profiles" => {
            let all = profiles().map(|(name, mhz, watts)| {
                json!({"Profile Name": name,
                "Frequency": mhz, "Watts": watts, "Voltage": 13.2, "IsTuned": true,
                "IsDynamic": true, "CanRestore": true, "HasOverrides": false, "Step": "0",
                "Hashrate": f64::from(watts) * 0.0436})
            });
            json!({"PROFILES": all.collect::<Vec<_>>()})
        }
        "summary" => json!({"SUMMARY": [{"Elapsed": 3_600, "GHS 5s": ghs, "GHS av": ghs,
            "GHS 30m": ghs, "Accepted": 100, "Rejected": 0, "Hardware Errors": 0, "Utility": 1.0,
            "Found Blocks": 0, "Best Share": 1}]}),
        "stats" => json!({"STATS": [
            {"Type": "Antminer S19k Pro", "Miner": "2025.4.8.220305"},
            {"ID": "BTM_SOC0", "Elapsed": 3_600, "GHS 5s": ghs, "GHS av": ghs, "miner_count": BOARDS,
             "frequency": mhz, "chain_rate1": ghs / 3.0, "chain_rate2": ghs / 3.0,
             "chain_rate3": ghs / 3.0, "temp_chip1": warm, "temp_chip2": warm, "temp_chip3": warm,
             "temp_pcb1": warm, "temp_pcb2": warm, "temp_pcb3": warm, "chain_acn1": 77, "chain_acn2": 77, "chain_acn3": 77},
        ]}),
        "devs" => {
            let all = boards.map(|board| {
                json!({"ASC": board, "ID": board, "Board": board,
                "Name": "SM", "Enabled": "Y", "Status": if truth.awake { "Alive" } else { "Dead" },
                "Temperature": celsius, "MHS 5s": ghs * 1_000.0 / 3.0,
                "MHS av": ghs * 1_000.0 / 3.0, "Nominal MHS": 40_600_000.0,
                "SerialNumber": format!("B{board}"), "IsRamping": false, "Profile": "default"})
            });
            json!({"DEVS": all.collect::<Vec<_>>()})
        }
        "temps" => {
            let all = boards.map(|board| {
                json!({"ID": board, "TEMP": board, "Board": celsius - 8,
                "Chip": celsius, "TopLeft": celsius - 3, "TopRight": celsius - 2,
                "BottomLeft": celsius - 1, "BottomRight": celsius})
            });
            json!({"TEMPS": all.collect::<Vec<_>>()})
        }
        "fans" => {
            let all = (0..4).map(|fan| json!({"FAN": fan, "ID": fan, "RPM": 3_600, "Speed": 60}));
            json!({"FANS": all.collect::<Vec<_>>()})
        }
        "tempctrl" => json!({"TEMPCTRL": [{"Mode": "Automatic", "Target": 60, "Hot": 75,
            "Dangerous": 85}]}),
        "events" => json!({"EVENTS": []}),
        "pools" => json!({"POOLS": []}),
        "groups" => json!({"GROUPS": []}),
        "limits" => json!({"LIMITS": [{}]}),
        "voltageget" => json!({"VOLTAGE": [{"Board": parameter, "Voltage": 13.2}]}),
        "healthchipget" => json!({"CHIPS": []}),
        other => return Err(format!("Invalid command {other}")),
    })
}
