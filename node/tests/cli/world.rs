//! A node and its commands as processes, in a folder of their own.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// How long something may take that takes a second on an idle machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// What a command did.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// Its output, when it went well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// What it complained about, when it did not, for another reason than wrong arguments.
    pub(crate) fn refused(self) -> String {
        assert!([1, 3, 4].contains(&self.code), "{}: {}{}", self.code, self.out, self.err);
        self.err
    }
}

pub(crate) fn boltgrid(folder: &Path, arguments: &[&str]) -> Done {
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

pub(crate) const REQUEST: [&str; 8] = [
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
pub(crate) fn founded() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    boltgrid(dir.path(), &["charter", "new", "--name", "Mill \"Lane\""]).ok();
    boltgrid(dir.path(), &["init", "--charter", "charter.toml"]).ok();
    dir
}

/// Sets something in the config file of the node of `boltgrid/`.
pub(crate) fn set(folder: &Path, before: &str, after: &str) {
    let config = folder.join("boltgrid/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains(before), "{before} is not in {text}");
    fs::write(config, text.replace(before, after)).unwrap();
}

/// A node of the binary, stopped when dropped.
pub(crate) struct Running {
    pub(crate) process: Child,
    pub(crate) log: Lines<BufReader<ChildStderr>>,
    pub(crate) rpc: String,
    /// The cookie of its start.
    pub(crate) cookie: String,
}

impl Running {
    /// Starts the node of `boltgrid/` and waits until it answers.
    pub(crate) fn start(folder: &Path, more: &[&str]) -> Self {
        Self::start_under(folder, more, &[])
    }

    /// The same with variables in its environment, as whoever starts it sets them.
    pub(crate) fn start_under(folder: &Path, more: &[&str], variables: &[(&str, &OsStr)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_boltgrid"))
            .args(["run", "--listen", "/ip4/127.0.0.1/tcp/0", "--rpc", "127.0.0.1:0"])
            .args(["--log", "info", "--log-format", "json"])
            .args(more)
            .current_dir(folder)
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let rpc = log
            .by_ref()
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .find(|line| line["message"] == "JSON-RPC listens")
            .and_then(|line| Some(line["address"].as_str()?.to_owned()))
            .expect("a node that starts says where it answers");
        let cookie = fs::read_to_string(folder.join("boltgrid/data/rpc.cookie")).unwrap();
        let cookie = cookie.strip_prefix("__cookie__:").unwrap().to_owned();
        Self { process, log, rpc, cookie }
    }

    /// The status and the body that a path of its HTTP port answers to its owner.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.get_as(path, &self.cookie)
    }

    /// The same to whoever shows `token`.
    pub(crate) fn get_as(&self, path: &str, token: &str) -> (u16, String) {
        let own = self.headers(token);
        let (code, mut answer) = self.ask(path, &own);
        let mut rest = String::new();
        answer.read_to_string(&mut rest).unwrap();
        (code, rest.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// The status, and what JSON-RPC answers to whoever shows `token`; null where it is no JSON.
    pub(crate) fn call(&self, token: &str, call: &Value) -> (u16, Value) {
        let (body, mut stream) = (call.to_string(), TcpStream::connect(&self.rpc).unwrap());
        let headers = self.headers(token);
        write!(
            stream,
            "POST /rpc HTTP/1.1\r\n{headers}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, serde_json::from_str(body).unwrap_or_default())
    }

    /// The headers of a request by this node's own name.
    pub(crate) fn headers(&self, token: &str) -> String {
        format!("Host: {}\r\nConnection: close\r\nAuthorization: Bearer {token}", self.rpc)
    }

    /// Asks with headers of one's own: the code, and what comes after it.
    pub(crate) fn ask(&self, path: &str, headers: &str) -> (u16, BufReader<TcpStream>) {
        let mut stream = TcpStream::connect(&self.rpc).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n\r\n").unwrap();
        let (mut answer, mut first) = (BufReader::new(stream), String::new());
        answer.read_line(&mut first).unwrap();
        (first.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    /// Sends SIGTERM and waits for the end: the exit code, and the last line of the log.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
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

/// A folder with a node that is the only member of its grid.
pub(crate) fn enrolled() -> tempfile::TempDir {
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
