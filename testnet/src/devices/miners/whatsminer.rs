//! A WhatsMiner M60S: its API v3 at port 4433, and at port 4028 what is left of v2.
//!
//! What changes something needs a token: the first eight letters of the base64 of
//! `sha256(command + password + salt + time)`, by an account that may.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boltgrid_protocol::units::Power;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Rig;
use crate::plant::MachineCommand;

/// The account that may change things, and its password, as machines come.
const ACCOUNT: &str = "super";
/// Its salt.
const SALT: &str = "BoltGrid";
/// How far the time of a token may be from its own, in s.
const TOKEN_S: u64 = 60;
/// Its firmware: of November 2024 or later, which is when v3 began.
const FIRMWARE: &str = "20251209.16.Rel2";
/// Letters of a token.
const TOKEN_LEN: usize = 8;
/// What it says when all is well, when a token is wrong, and when a value is.
const OK: i64 = 0;
const DENIED: i64 = -4;
const INVALID: i64 = -2;

/// Answers at port 4028.
pub(super) fn old(rig: &Rig, asked: &Value) -> Value {
    let when = rig.seconds();
    let status = |status: &str, message: &str| json!([{"STATUS": status, "When": when, "Code": 131, "Msg": message, "Description": "btminer"}]);
    let command = asked.get("command").or_else(|| asked.get("cmd"));
    match command.and_then(Value::as_str).unwrap_or_default() {
        "devdetails" => {
            let all = (0..3).map(|board| {
                json!({"DEVDETAILS": board, "Name": "SM", "ID": board,
                "Driver": "bitmicro", "Kernel": "", "Model": "M60S_VK40"})
            });
            let all: Vec<Value> = all.collect();
            json!({"STATUS": status("S", "Device Details"), "DEVDETAILS": all, "id": 1})
        }
        "get_version" => json!({"STATUS": "S", "When": when, "Code": 131,
            "Msg": {"api_ver": "3.0.2", "fw_ver": FIRMWARE, "platform": "H616", "chip": "K40"},
            "Description": ""}),
        other => json!({"STATUS": "E", "When": when, "Code": 14,
            "Msg": format!("invalid cmd: {other}"), "Description": "btminer"}),
    }
}

/// Answers at port 4433.
pub(super) fn answer(rig: &Rig, asked: &Value) -> Value {
    let command = asked.get("cmd").and_then(Value::as_str).unwrap_or_default();
    let param = asked.get("param").cloned().unwrap_or(Value::Null);
    let (code, message) = if command.starts_with("set.") {
        set(rig, asked, command, &param)
    } else {
        get(rig, command, &param)
    };
    json!({"code": code, "when": rig.seconds(), "msg": message, "desc": command})
}

/// The token of a command.
fn token(command: &str, seconds: u64) -> String {
    let secret = format!("{command}{ACCOUNT}{SALT}{seconds}");
    let mut token = STANDARD.encode(Sha256::digest(secret.as_bytes()));
    token.truncate(TOKEN_LEN);
    token
}

fn set(rig: &Rig, asked: &Value, command: &str, param: &Value) -> (i64, Value) {
    let text = |key: &str| asked.get(key).and_then(Value::as_str).unwrap_or_default();
    let seconds = asked.get("ts").and_then(Value::as_u64).unwrap_or_default();
    // The clock of a testnet is not the world's, which is what tokens carry; so any time will do that
    // is one.
    let timely = seconds > TOKEN_S;
    if text("account") != ACCOUNT || text("token") != token(command, seconds) || !timely {
        return (DENIED, json!("token or account is wrong"));
    }
    let tell =
        |command| if rig.tell(command) { (OK, json!("ok")) } else { (INVALID, json!("busy")) };
    match (command, param) {
        ("set.miner.service", Value::String(it)) if it == "stop" => tell(MachineCommand::Sleep),
        ("set.miner.service", Value::String(it)) if it == "start" => tell(MachineCommand::Wake),
        ("set.miner.service", Value::String(it)) if it == "restart" => tell(MachineCommand::Reboot),
        ("set.system.reboot", _) => tell(MachineCommand::Reboot),
        ("set.miner.power_limit", limit) => match watts(limit) {
            Some(limit) if limit <= rig.truth().rating.rated => tell(MachineCommand::Limit(limit)),
            Some(_) | None => (INVALID, json!("invalid power limit")),
        },
        ("set.miner.mode" | "set.system.led", _) => (OK, json!("ok")),
        (_, _) => (INVALID, json!("unknown command")),
    }
}

/// A limit in W, as a whole number or as a float that is one.
#[expect(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    reason = "clients send floats, and what fits is checked before"
)]
fn watts(limit: &Value) -> Option<Power> {
    let watts = limit.as_f64().or_else(|| limit.as_str()?.parse().ok())?;
    (1.0..=99_999.0).contains(&watts).then(|| Power::from_milliwatts((watts * 1_000.0) as i64))
}

fn get(rig: &Rig, command: &str, param: &Value) -> (i64, Value) {
    let part = param.as_str().unwrap_or_default();
    let message = match (command, part) {
        ("get.device.info", "salt") => json!({"salt": SALT}),
        ("get.device.info", "") => device(rig),
        ("get.device.info", part) => {
            let all = device(rig);
            json!({part: all.get(part).cloned().unwrap_or(Value::Null)})
        }
        ("get.miner.status", "summary") => json!({"summary": summary(rig)}),
        ("get.miner.status", "pools") => json!({"pools": []}),
        ("get.miner.status", "edevs") => json!({"edevs": boards(rig)}),
        ("get.miner.status", _) => {
            let parts = [("summary", summary(rig)), ("pools", json!([])), ("edevs", boards(rig))];
            let asked = |name: &str| part.split('+').any(|it| it == name);
            parts.into_iter().filter(|(name, _)| asked(name)).collect()
        }
        ("get.miner.setting", _) => json!({"power-limit": limit_w(rig), "power-mode": "normal",
            "fast-boot": "disable", "power-percent": 100}),
        ("get.system.setting", _) => json!({"api-port": 4433}),
        ("get.fan.setting", _) => json!({"fan-poweroff-cool": 0, "fan-zero-speed": 0}),
        (_, _) => return (INVALID, json!("unknown command")),
    };
    (OK, message)
}

fn limit_w(rig: &Rig) -> i64 {
    rig.truth().limit.to_milliwatts() / 1_000
}

fn device(rig: &Rig) -> Value {
    let truth = rig.truth();
    let (site, machine) = (rig.site, rig.machine);
    json!({
        "miner": {"board-num": "3", "type": "M60S_VK40", "hash-board": "K40", "fast-boot": "disable",
            "miner-sn": format!("WM{site:04}{machine:02}"), "pool-strategy": "FAILOVER",
            "pcbsn0": "A0", "pcbsn1": "A1", "pcbsn2": "A2",
            "working": if truth.awake { "true" } else { "false" }},
        "network": {"hostname": format!("whatsminer-{site}-{machine}"), "proto": "dhcp",
            "ip": rig.address.to_string(), "netmask": "255.255.255.0",
            "mac": format!("02:10:00:01:{:02x}:{:02x}", site % 256, machine % 256)},
        "power": {"type": "P221B", "model": "P221B", "vendor": "1", "mode": "1", "fanspeed": 6_344,
            "hwversion": "RT0159", "swversion": "230224.220429", "sn": "1"},
        "salt": SALT,
        "error-code": [],
        "system": {"api": "3.0.2", "apiswitch": "1", "control-board-version": "CB6V10",
            "fwversion": FIRMWARE, "ledstatus": "auto", "platform": "H616"},
    })
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "the API speaks floats")]
fn summary(rig: &Rig) -> Value {
    let truth = rig.truth();
    let ths = truth.hash_rate_gh_per_s as f64 / 1_000.0;
    let watts = truth.power.to_milliwatts() as f64 / 1_000.0;
    let celsius = truth.chips_m_celsius as f64 / 1_000.0;
    json!({
        "elapsed": 3_600, "bootup-time": 60, "freq-avg": 625, "target-freq": 625,
        "hash-realtime": ths, "hash-1min": ths, "hash-15min": ths, "hash-average": ths,
        "factory-hash": truth.rating.hash_rate_gh_per_s as f64 / 1_000.0,
        "power-realtime": watts, "power-5min": watts, "power-limit": limit_w(rig),
        "power-rate": if ths > 0.0 { watts / ths } else { 0.0 },
        "chip-temp-min": celsius - 8.0, "chip-temp-avg": celsius - 4.0, "chip-temp-max": celsius,
        "board-temperature": [celsius - 20.0, celsius - 20.0, celsius - 20.0],
        "environment-temperature": 25.0, "fan-speed-in": 5_400, "fan-speed-out": 5_280,
        "up-freq-finish": i32::from(ths > 0.0),
    })
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "the API speaks floats")]
fn boards(rig: &Rig) -> Value {
    let truth = rig.truth();
    let ths = truth.hash_rate_gh_per_s as f64 / 3_000.0;
    let celsius = truth.chips_m_celsius as f64 / 1_000.0;
    let board = |slot: u32| {
        json!({"id": slot, "slot": slot, "hash-average": ths,
        "factory-hash": truth.rating.hash_rate_gh_per_s as f64 / 3_000.0,
        "freq": 625, "effective-chips": 184, "chip-temp-min": celsius - 8.0,
        "chip-temp-avg": celsius - 4.0, "chip-temp-max": celsius})
    };
    (0..3).map(board).collect()
}
