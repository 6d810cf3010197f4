//! One node as a process of its own: this very program, run again as `boltgrid run`.
//!
//! No process outlives the testnet: the one that is dropped is killed, and one whose testnet was
//! killed sees its standard input end (see [`watch_parent`]). Each is in a process group of its own,
//! so that Ctrl-C reaches the testnet alone, which then stops its nodes in order.
//! Not for: what the node does.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::usage::Usage;

/// The hidden command under which this program is a node.
pub const NODE_COMMAND: &str = "node";
/// How long a node may take to stop in order.
const STOP_TIME: Duration = Duration::from_secs(10);
/// The exit code of a node whose testnet is gone.
const ORPHANED: i32 = 3;

/// A running node.
#[derive(Debug)]
pub struct NodeProcess {
    child: Child,
    pid: u32,
}

impl NodeProcess {
    /// Starts a node with a config file, and a file that says how wrong its clock is; what it writes
    /// is added to `log`.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn start(
        program: &Path,
        config: &Path,
        clock_offset: Option<&Path>,
        log: &Path,
    ) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new(program)
            .args([NODE_COMMAND, "--", "run", "--config"])
            .arg(config)
            .args(clock_offset.map(|_| "--clock-offset-file"))
            .args(clock_offset)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { child, pid })
    }

    /// Its number.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has used so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        Usage::of(self.pid)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends it at once and with no time to put anything away.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Asks it to stop.
    pub fn ask_to_stop(&self) {
        if let Err(error) = self.signal(Signal::TERM) {
            tracing::debug!(%error, pid = self.pid, "node was gone before it was stopped");
        }
    }

    /// Lets it stand still.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        Ok(kill_process(pid, signal)?)
    }

    /// Waits until it has stopped, having been asked to; then kills it. `None` if it had to be.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub async fn stopped(mut self) -> io::Result<Option<ExitStatus>> {
        match timeout(STOP_TIME, self.child.wait()).await {
            Ok(ended) => ended.map(Some),
            Err(_) => self.child.kill().await.map(|()| None),
        }
    }
}

/// Is a node: runs `boltgrid` with these arguments until it ends, or the testnet is gone.
#[must_use]
pub fn be_a_node(args: Vec<OsString>) -> ExitCode {
    // It ends with the process, whose only purpose is the node.
    drop(std::thread::Builder::new().name("parent".to_owned()).spawn(watch_parent));
    boltgrid::cli::main(std::iter::once(OsString::from("boltgrid")).chain(args))
}

/// Ends this process when the standard input does: nothing is ever written to it, so that its end
/// means that the testnet is gone. What the node has signed is on disk whenever it ends.
fn watch_parent() {
    let mut nothing = [0];
    while !matches!(io::stdin().read(&mut nothing), Ok(0) | Err(_)) {}
    std::process::exit(ORPHANED);
}
