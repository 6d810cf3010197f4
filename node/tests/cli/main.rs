//! The binary as its user meets it: from an empty folder to a grid with a member, and what it says
//! when something is wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod doctor;
mod fuzz;
mod grafana;
mod limits;
mod openrpc;
mod pages;
mod port;
mod service;
#[path = "../websocket/mod.rs"]
mod websocket;
mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use world::{REQUEST, Running, boltgrid, enrolled, founded};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_grid_is_founded_and_has_a_member() {
    let dir = founded();
    let at = |name: &str| dir.path().join(name);
    let grid = boltgrid(dir.path(), &["charter", "check", "charter.toml"]).ok();
    let shown = boltgrid(dir.path(), &["charter", "show", "boltgrid/charter.toml"]).ok();
    assert!(shown.contains("Mill \"Lane\""), "{shown}");
    let grid_id = grid.trim().rsplit(' ').next().unwrap();
    assert!(shown.contains(grid_id), "{shown}");

    boltgrid(dir.path(), &[&REQUEST[..], &["--founding", "-o", "house7.request"]].concat()).ok();
    let unsigned = boltgrid(dir.path(), &["enrol", "show", "house7.request"]).ok();
    assert!(unsigned.contains("House 7") && unsigned.contains("nobody yet"), "{unsigned}");
    let arguments = ["enrol", "show", "house7.request", "--charter", "charter.toml"];
    let refused = boltgrid(dir.path(), &arguments).refused();
    assert!(refused.contains("0 registrars signed"), "{refused}");

    let signed = boltgrid(dir.path(), &["enrol", "sign", "house7.request"]).ok();
    assert!(signed.contains("House 7") && signed.contains("1 of 1 signatures"), "{signed}");
    let arguments = ["enrol", "show", "house7.enrolment", "--charter", "charter.toml"];
    assert!(boltgrid(dir.path(), &arguments).ok().contains("is a member"));
    let certified = fs::read(at("house7.enrolment")).unwrap();

    let again = boltgrid(dir.path(), &["enrol", "sign", "house7.request"]).refused();
    assert!(again.contains("house7.enrolment exists"), "{again}");
    assert_eq!(fs::read(at("house7.enrolment")).unwrap(), certified);
}

#[test]
fn secrets_are_for_their_owner_only_and_never_overwritten() {
    let dir = founded();
    let at = |name: &str| dir.path().join(name);
    let secrets = ["registrar.key", "boltgrid/participant.key", "boltgrid/meter.key"];
    let before = secrets.map(|name| fs::read_to_string(at(name)).unwrap());
    for (name, text) in secrets.iter().zip(&before) {
        assert_eq!(mode(&at(name)), 0o600, "{name}");
        assert_eq!(text.trim().len(), 64, "{name}");
    }
    assert_eq!(mode(&at("boltgrid")), 0o700);

    let refused = boltgrid(dir.path(), &["init"]).refused();
    assert!(refused.contains("boltgrid/config.toml exists"), "{refused}");
    let refused = boltgrid(dir.path(), &["charter", "new"]).refused();
    assert!(refused.contains("charter.toml exists"), "{refused}");
    let refused = boltgrid(dir.path(), &["charter", "new", "-o", "other.toml"]).refused();
    assert!(refused.contains("registrar.key exists"), "{refused}");
    assert!(!at("other.toml").exists());

    fs::remove_file(at("boltgrid/config.toml")).unwrap();
    boltgrid(dir.path(), &["init"]).ok();
    assert_eq!(secrets.map(|name| fs::read_to_string(at(name)).unwrap()), before);
}

#[test]
fn init_writes_what_it_was_told_and_nothing_when_it_was_told_nonsense() {
    let dir = tempfile::tempdir().unwrap();
    let refused = boltgrid(dir.path(), &["init", "--bootstrap", "192.0.2.7:9333"]).refused();
    assert!(refused.contains("network.bootstrap") && refused.contains("/ip4/"), "{refused}");
    let refused = boltgrid(dir.path(), &["init", "--charter", "nowhere.toml"]).refused();
    assert!(refused.contains("nowhere.toml"), "{refused}");
    assert!(!dir.path().join("boltgrid").exists(), "nothing is left of a command that failed");

    let address = "/ip4/192.0.2.7/tcp/9333";
    let arguments = ["init", "--bootstrap", address, "--meter", "192.0.2.20:1502/126"];
    let out = boltgrid(dir.path(), &arguments).ok();
    assert!(out.contains("boltgrid enrol request"), "{out}");
    let config = fs::read_to_string(dir.path().join("boltgrid/config.toml")).unwrap();
    assert!(config.contains(&format!("bootstrap = [\"{address}\"]")), "{config}");
    assert!(config.contains("192.0.2.20:1502") && config.contains("126"), "{config}");
}

#[test]
fn init_sets_any_line_of_the_config_file_and_follows_it() {
    let dir = tempfile::tempdir().unwrap();
    let refused = boltgrid(dir.path(), &["init", "--set", "keep_dys = 3"]).refused();
    assert!(refused.contains("--set") && refused.contains("keep_dys"), "{refused}");
    let refused = boltgrid(dir.path(), &["init", "--set", "keep_days = 0"]).refused();
    assert!(refused.contains("`keep_days`") && refused.contains("1 to 3650"), "{refused}");
    assert!(!dir.path().join("boltgrid").exists(), "nothing is left of a command that failed");

    let lines = ["meter_key_file = \"keys.meter\"", "rpc.requests_per_s = 7", "rpc.hosts = ['a']"];
    let set = lines.iter().flat_map(|line| ["--set", line]);
    boltgrid(dir.path(), &["init"].into_iter().chain(set).collect::<Vec<_>>()).ok();
    let config = fs::read_to_string(dir.path().join("boltgrid/config.toml")).unwrap();
    assert!(config.contains("\nrequests_per_s = 7\n"), "{config}");
    assert!(config.contains("\nhosts = [\"a\"]\n"), "{config}");
    assert_eq!(mode(&dir.path().join("boltgrid/keys.meter")), 0o600, "made where the file says");
}

#[test]
fn a_wrong_charter_is_refused_with_the_parameter_and_the_reason() {
    let dir = founded();
    let right = fs::read_to_string(dir.path().join("charter.toml")).unwrap();
    let check = |from: &str, to: &str, expected: &[&str]| {
        let wrong = right.replacen(from, to, 1);
        assert_ne!(wrong, right);
        fs::write(dir.path().join("wrong.toml"), wrong).unwrap();
        let refused = boltgrid(dir.path(), &["charter", "check", "wrong.toml"]).refused();
        for part in [&["wrong.toml"], expected].concat() {
            assert!(refused.contains(part), "{refused}");
        }
    };
    check("interval_ms = 300000", "interval_ms = 0", &["interval.interval_ms", "1000"]);
    check("views = 4", "views = 40", &["interval.views"]);
    check("floor_msat_per_kwh = -200000", "floor_msat_per_kwh = 2000000", &["price.floor"]);
    check("loss_ppm = 30000", "loss_ppm = \"3 %\"", &["loss_ppm", "invalid type"]);
    check(
        "registrar_threshold = 1",
        "registrar_threshold = 2",
        &["membership.registrar_threshold"],
    );
    check("[price]", "[prices]", &["unknown field `prices`"]);
}

#[test]
fn the_founding_charter_holds_with_its_examples_in_use() {
    let dir = founded();
    let text = fs::read_to_string(dir.path().join("charter.toml")).unwrap();
    let (before, tariff) = text.split_once("# [[tariff.period]]").unwrap();
    let (period, feeders) = tariff.split_once("# [[feeder]]").unwrap();
    let in_use = |examples: &str| examples.replace("\n# ", "\n");
    let period = in_use(period.split("\n\n").next().unwrap());
    let all = format!("{before}[[tariff.period]]{period}\n[[feeder]]{}", in_use(feeders));
    fs::write(dir.path().join("all.toml"), all).unwrap();
    let shown = boltgrid(dir.path(), &["charter", "show", "all.toml"]).ok();
    assert!(shown.contains("-30 sat/kWh from 11:00 to 15:00"), "{shown}");
    assert!(shown.contains("Mill Lane, north side: House 1, House 3"), "{shown}");
}

#[test]
fn only_a_registrar_of_the_grid_can_sign() {
    let dir = founded();
    let other = founded();
    let foreign = other.path().join("registrar.key");
    let foreign = foreign.to_str().unwrap();
    boltgrid(dir.path(), &REQUEST).ok();
    let arguments = ["enrol", "sign", "member.request", "--registrar-key", foreign];
    let refused = boltgrid(dir.path(), &arguments).refused();
    assert!(refused.contains("not a registrar of this charter"), "{refused}");

    let charter = other.path().join("charter.toml");
    let arguments = ["enrol", "sign", "member.request", "--charter", charter.to_str().unwrap()];
    let refused = boltgrid(dir.path(), &arguments).refused();
    assert!(refused.contains("for grid"), "{refused}");
    assert!(!dir.path().join("member.enrolment").exists());
}

#[test]
fn two_registrars_sign_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let keys = ["a", "b"].map(|name| {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        boltgrid(&folder, &["charter", "new"]).ok();
        let shown = boltgrid(&folder, &["charter", "show", "charter.toml"]).ok();
        shown.lines().find(|line| line.trim().len() == 64).unwrap().trim().to_owned()
    });
    let registrars = ["--registrar", &keys[0], "--registrar", &keys[1], "--threshold", "2"];
    boltgrid(dir.path(), &[&["charter", "new"], &registrars[..]].concat()).ok();
    assert!(!dir.path().join("registrar.key").exists(), "keys were given");
    boltgrid(dir.path(), &["init", "--charter", "charter.toml"]).ok();
    boltgrid(dir.path(), &REQUEST).ok();

    let sign = |file, key| boltgrid(dir.path(), &["enrol", "sign", file, "--registrar-key", key]);
    let first = sign("member.request", "a/registrar.key").ok();
    assert!(first.contains("1 of 2") && first.contains("another registrar"), "{first}");
    let second = sign("member.enrolment", "b/registrar.key").ok();
    assert!(second.contains("2 of 2"), "{second}");
    let arguments = ["enrol", "show", "member.enrolment", "--charter", "charter.toml"];
    assert!(boltgrid(dir.path(), &arguments).ok().contains("is a member"));
}

#[test]
fn commands_that_need_a_node_say_so_when_there_is_none() {
    let dir = founded();
    // Nothing listens at port 1 of this machine.
    let refused = boltgrid(dir.path(), &["status", "--rpc", "127.0.0.1:1"]).refused();
    assert!(refused.contains("no node answers at 127.0.0.1:1"), "{refused}");
    assert_eq!(boltgrid(dir.path(), &["status", "--rpc", "127.0.0.1:1"]).code, 3);
    assert!(refused.contains("refused") && refused.contains("boltgrid run"), "{refused}");
    let refused = boltgrid(dir.path(), &["status", "--rpc", "here"]).refused();
    assert!(refused.contains("rpc.listen"), "{refused}");
    let refused = boltgrid(dir.path(), &["replay", "7"]).refused();
    assert!(refused.contains("no book is stored for interval 7"), "{refused}");
    let refused = boltgrid(dir.path(), &["replay", "7", "--config", "nowhere.toml"]).refused();
    assert!(refused.contains("nowhere.toml") && refused.contains("boltgrid init"), "{refused}");
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let dir = tempfile::tempdir().unwrap();
    // Without a name for the file a browser would be let in to set the node up.
    let named = ["run", "--config", "boltgrid/config.toml"];
    let refused = boltgrid(dir.path(), &named).refused();
    assert!(refused.contains("boltgrid/config.toml"), "{refused}");
    assert!(refused.contains("boltgrid init"), "{refused}");

    let dir = founded();
    let refused = boltgrid(dir.path(), &["run", "--log", "loud=and=clear"]).refused();
    assert!(refused.contains("log.filter"), "{refused}");
    fs::write(dir.path().join("boltgrid/config.toml"), "keep_dys = 1").unwrap();
    let refused = boltgrid(dir.path(), &["run"]).refused();
    assert!(refused.contains("unknown field `keep_dys`"), "{refused}");
}

#[test]
fn a_node_runs_answers_and_stops_in_order() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let status = boltgrid(dir.path(), &["status", "--rpc", &node.rpc]).ok();
    assert!(status.contains("member with a vote; 1 members, 1 voters"), "{status}");
    let json = boltgrid(dir.path(), &["status", "--rpc", &node.rpc, "--json"]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["grid_name"], "Mill \"Lane\"");

    let arguments = ["run", "--listen", "/ip4/127.0.0.1/tcp/0", "--rpc", "127.0.0.1:0"];
    let second = boltgrid(dir.path(), &arguments).refused();
    assert!(second.contains(&format!("(process {})", node.process.id())), "{second}");
    let replay = boltgrid(dir.path(), &["replay", "7", "--rpc", &node.rpc]).refused();
    assert!(replay.contains("no book is stored for interval 7"), "asked the node: {replay}");

    let (code, last) = node.terminate();
    assert_eq!(code, Some(0), "{last}");
    assert!(last.contains("stopped"), "{last}");
    assert_eq!(fs::read_to_string(dir.path().join("boltgrid/data/lock")).unwrap(), "");
}

#[test]
fn wrong_arguments_are_told_apart_from_failures_and_help_is_neither() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(boltgrid(dir.path(), &["frobnicate"]).code, 2);
    assert_eq!(boltgrid(dir.path(), &["replay", "noon"]).code, 2);
    let device = boltgrid(dir.path(), &["init", "--meter", "meter.local/none"]);
    assert_eq!(device.code, 2);
    assert!(device.err.contains("host[:port][/unit]"), "{}", device.err);
    let help = boltgrid(dir.path(), &["--help"]).ok();
    assert!(help.contains("Examples:") && help.contains("boltgrid charter new"), "{help}");
    assert!(boltgrid(dir.path(), &["--version"]).ok().starts_with("boltgrid "));
}
