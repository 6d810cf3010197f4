//! A real Mosquitto, the one that `MOSQUITTO_EXE` names, on a port of this machine.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// `meter:secret`, as `mosquitto_passwd` writes it with 101 rounds and this salt.
const PASSWORDS: &str = include_str!("passwords");

/// It ends with the value.
pub(crate) struct Mosquitto {
    pub(crate) port: u16,
    folder: TempDir,
    child: Child,
}

impl Mosquitto {
    /// Starts one that takes `meter` with the password `secret` and nobody else; none where
    /// `MOSQUITTO_EXE` names none.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(|folder| {
            let passwords = folder.join("passwords");
            fs::write(&passwords, PASSWORDS).unwrap();
            format!("allow_anonymous false\npassword_file {}\n", passwords.display())
        })
    }

    /// Starts one with these settings of its listener, whose files may be in the folder; none where
    /// `MOSQUITTO_EXE` names none.
    pub(crate) fn start_with(settings: impl FnOnce(&Path) -> String) -> Option<Self> {
        if std::env::var_os("MOSQUITTO_EXE").is_none() {
            eprintln!("NOT CHECKED: MOSQUITTO_EXE names no mosquitto, so no real broker was there");
            return None;
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "user root\nlistener {port} 127.0.0.1\n{}persistence true\npersistence_location {}/\n",
            settings(folder.path()),
            folder.path().display()
        );
        fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let child = run(&folder, port);
        Some(Self { port, folder, child })
    }

    /// Ends it and starts it again.
    pub(crate) fn restart(&mut self) {
        self.end();
        self.child = run(&self.folder, self.port);
    }

    fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts it, and waits until it listens.
fn run(folder: &TempDir, port: u16) -> Child {
    let program = std::env::var_os("MOSQUITTO_EXE").unwrap();
    let mut child = Command::new(program)
        .arg("-c")
        .arg(folder.path().join("mosquitto.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if child.try_wait().unwrap().is_some() || Instant::now() > deadline {
            child.kill().ok();
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("mosquitto does not start: {said}");
        }
        sleep(Duration::from_millis(20));
    }
    child
}
