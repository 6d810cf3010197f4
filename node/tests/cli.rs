//! The binary as its user meets it: from an empty folder to a grid with a member, and what it says
//! when something is wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// How long something may take that takes a second on an idle machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// What a command did.
struct Done {
    code: i32,
    out: String,
    err: String,
}

impl Done {
    /// Its output, when it went well.
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// What it complained about, when it did not.
    fn refused(self) -> String {
        assert_eq!(self.code, 1, "{}{}", self.out, self.err);
        self.err
    }
}

fn boltgrid(folder: &Path, arguments: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_boltgrid"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("BOLTGRID_CONFIG")
        .env_remove("BOLTGRID_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Done {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

const REQUEST: [&str; 8] = [
    "enrol",
    "request",
    "--connection-point",
    "House 7",
    "--import-w",
    "17000",
    "--export-w",
    "10000",
];

/// A folder with a charter, its registrar's key and a node in `boltgrid/`.
fn founded() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    boltgrid(dir.path(), &["charter", "new", "--name", "Mill \"Lane\""]).ok();
    boltgrid(dir.path(), &["init", "--charter", "charter.toml"]).ok();
    dir
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
    let refused = boltgrid(dir.path(), &["run"]).refused();
    assert!(refused.contains("boltgrid/config.toml"), "{refused}");
    assert!(refused.contains("boltgrid init"), "{refused}");

    let dir = founded();
    let refused = boltgrid(dir.path(), &["run", "--log", "loud=and=clear"]).refused();
    assert!(refused.contains("log.filter"), "{refused}");
    fs::write(dir.path().join("boltgrid/config.toml"), "keep_dys = 1").unwrap();
    let refused = boltgrid(dir.path(), &["run"]).refused();
    assert!(refused.contains("unknown field `keep_dys`"), "{refused}");
}

/// A node of the binary, stopped when dropped.
struct Running {
    process: Child,
    log: Lines<BufReader<ChildStderr>>,
    rpc: String,
}

impl Running {
    /// Starts the node of `boltgrid/` and waits until it answers.
    fn start(folder: &Path, more: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_boltgrid"))
            .args(["run", "--listen", "/ip4/127.0.0.1/tcp/0", "--rpc", "127.0.0.1:0"])
            .args(["--log", "info", "--log-format", "json"])
            .args(more)
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let rpc = log
            .by_ref()
            .map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap())
            .find(|line| line["message"] == "JSON-RPC listens")
            .and_then(|line| Some(line["address"].as_str()?.to_owned()))
            .expect("a node that starts says where it answers");
        Self { process, log, rpc }
    }

    /// The status and the body that a path of its HTTP port answers.
    fn get(&self, path: &str) -> (u16, String) {
        let own = format!("Host: {}\r\nConnection: close", self.rpc);
        let (code, mut answer) = self.ask(path, &own);
        let mut rest = String::new();
        answer.read_to_string(&mut rest).unwrap();
        (code, rest.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// Asks with headers of one's own: the code, and what comes after it.
    fn ask(&self, path: &str, headers: &str) -> (u16, BufReader<TcpStream>) {
        let mut stream = TcpStream::connect(&self.rpc).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n\r\n").unwrap();
        let (mut answer, mut first) = (BufReader::new(stream), String::new());
        answer.read_line(&mut first).unwrap();
        (first.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    /// Sends SIGTERM and waits for the end: the exit code, and the last line of the log.
    fn terminate(mut self) -> (Option<i32>, String) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let last = self.log.by_ref().map(Result::unwrap).last().unwrap_or_default();
        (self.process.wait().unwrap().code(), last)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails for one that has ended, which is as well.
        drop(self.process.kill());
        self.process.wait().unwrap();
    }
}

#[test]
fn no_web_page_reaches_a_node_by_another_name_or_by_a_websocket() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let port = node.rpc.rsplit(':').next().unwrap();
    for own in ["127.0.0.1", "localhost", "[::1]"] {
        let headers = format!("Host: {own}:{port}\r\nConnection: close");
        assert_eq!(node.ask("/health", &headers).0, 200, "{own}");
    }
    let foreign = format!("Host: rebound.example:{port}\r\nConnection: close");
    assert_eq!(node.ask("/health", &foreign).0, 403);

    let upgrade = format!(
        "Host: {}\r\nOrigin: http://page.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        node.rpc
    );
    let (code, _) = node.ask("/", &upgrade);
    assert_eq!(code, 403, "not upgraded");
}

/// A folder with a node that is the only member of its grid.
fn enrolled() -> tempfile::TempDir {
    let dir = founded();
    let arguments = ["--founding", "-o", "me.request"];
    boltgrid(dir.path(), &[&REQUEST[..], &arguments].concat()).ok();
    let enrolment = "boltgrid/enrolments/me.enrolment";
    boltgrid(dir.path(), &["enrol", "sign", "me.request", "-o", enrolment]).ok();
    let config = dir.path().join("boltgrid/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(config, text.replace("# mdns = true", "mdns = false")).unwrap();
    dir
}

#[test]
fn a_node_whose_clock_jumps_says_so_in_status_health_metrics_and_log() {
    let dir = enrolled();
    let mut node = Running::start(dir.path(), &["--clock-offset-file", "offset"]);
    assert_eq!(node.get("/health"), (200, "ok\n".to_owned()));
    let (code, metrics) = node.get("/metrics");
    assert_eq!(code, 200);
    for line in [
        "# TYPE boltgrid_abstaining gauge",
        "boltgrid_abstaining{cause=\"clock_jumped\"} 0",
        "boltgrid_abstaining{cause=\"eclipsed\"} 0",
        "boltgrid_peers_connected 0",
        "boltgrid_intervals_total{outcome=\"decided\"} 0",
        "boltgrid_payload_bytes_total{direction=\"in\"} 0",
        "# EOF",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} is not in\n{metrics}");
    }
    assert_ne!(node.get("/elsewhere").0, 200);

    fs::write(dir.path().join("offset"), "30000").unwrap();
    let began = Instant::now();
    while node.get("/health").0 == 200 {
        assert!(began.elapsed() < DEADLINE, "it notices");
        std::thread::sleep(LOOK);
    }
    let (code, health) = node.get("/health");
    assert_eq!(code, 503);
    assert!(health.starts_with("abstains (clock_jumped): "), "{health}");
    assert!(node.get("/metrics").1.contains("boltgrid_abstaining{cause=\"clock_jumped\"} 1\n"));
    let status = boltgrid(dir.path(), &["status", "--rpc", &node.rpc]).ok();
    for words in ["ABSTAINS", "jumped forward by", "chronyc tracking", "FOR TESTS ONLY"] {
        assert!(status.contains(words), "{words} is not in\n{status}");
    }
    let said = node.log.find(|line| line.as_ref().unwrap().contains("abstaining")).unwrap();
    assert!(said.unwrap().contains("ClockJumped"));
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
