//! A purse's process, seen from the test: asked over its standard input, killed at any moment.
//! Not for: what it does ([`super::purse`]).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boltgrid_protocol::lightning::LightningId;
use boltgrid_testnet::chain::Access;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::line::{Answered, Ask, Asked, Told};

/// How long an answer may take: longer than Lightning itself gives up.
const ANSWER_TIME: Duration = Duration::from_secs(90);
/// How long a purse may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// What it writes, in its folder.
pub(super) const LOG_FILE: &str = "purse.log";

/// Who waits for which answer; none once the purse is gone.
type Waiting = Arc<Mutex<Option<BTreeMap<u64, oneshot::Sender<Told>>>>>;

/// The purse is gone, or does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// Asks a purse. Clones ask the same one.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    stdin: Arc<tokio::sync::Mutex<ChildStdin>>,
    waiting: Waiting,
    next: Arc<Mutex<u64>>,
}

impl Asker {
    /// Its answer.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Told, Gone> {
        let number = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next += 1;
            *next
        };
        let (sender, answer) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.as_mut().ok_or(Gone)?.insert(number, sender);
        }
        let mut line = serde_json::to_vec(&Asked { number, ask }).map_err(|_| Gone)?;
        line.push(b'\n');
        self.stdin.lock().await.write_all(&line).await.map_err(|_| Gone)?;
        match timeout(ANSWER_TIME, answer).await {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

/// A running purse. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) asker: Asker,
    pub(super) node: LightningId,
    _reader: JoinSet<()>,
}

impl Process {
    /// Starts one, and waits until it runs.
    pub(super) async fn start(
        program: &Path,
        folder: &Path,
        port: u16,
        chain: &Access,
    ) -> io::Result<Result<Self, ExitStatus>> {
        let log = File::options().create(true).append(true).open(folder.join(LOG_FILE))?;
        let mut child = Command::new(program)
            .arg("purse")
            .arg("--folder")
            .arg(folder)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--chain-host", &chain.host, "--chain-port", &chain.port.to_string()])
            .args(["--chain-user", &chain.user])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (ready, is_ready) = oneshot::channel();
        let waiting: Waiting = Arc::new(Mutex::new(Some(BTreeMap::from([(0, ready)]))));
        let mut reader = JoinSet::new();
        reader.spawn(read(stdout, Arc::clone(&waiting)));
        let (stdin, next) = (Arc::new(tokio::sync::Mutex::new(stdin)), Arc::default());
        let asker = Asker { stdin, waiting, next };
        match timeout(PATIENCE, is_ready).await {
            Ok(Ok(Told::Ready(node))) => Ok(Ok(Self { child, asker, node, _reader: reader })),
            Ok(_) => child.wait().await.map(Err),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "a purse does not start")),
        }
    }

    /// Lets it stand still, and waits until it does: a write that the system carries out is ended first.
    pub(super) async fn pause(&self) -> io::Result<()> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        kill_process(pid, Signal::STOP)?;
        let deadline = Instant::now() + PATIENCE;
        while !stands_still(pid)? {
            if Instant::now() >= deadline {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "a purse does not stand still",
                ));
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Ends it at once.
    pub(super) async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// How it ended, if it does in time.
    pub(super) async fn ended(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        match timeout(within, self.child.wait()).await {
            Ok(ended) => ended.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Stops it in order.
    pub(super) async fn stop(mut self) -> io::Result<Option<ExitStatus>> {
        // It ends instead of answering.
        let asked = self.asker.ask(Ask::Stop).await;
        drop(asked);
        self.ended(PATIENCE).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The reader ends with this, before it can say so to those who wait.
        *self.asker.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Whether every thread of a process is stopped, as its state in Linux' `/proc` says.
fn stands_still(pid: Pid) -> io::Result<bool> {
    for task in fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))? {
        let stat = fs::read_to_string(task?.path().join("stat"))?;
        // The name before it stands in brackets, and may hold anything.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if state != Some('T') {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Hands out answers until the purse is gone.
async fn read(stdout: ChildStdout, waiting: Waiting) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(Answered { number, told }) = serde_json::from_str(&line) else { continue };
        let waits = {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.as_mut().and_then(|waiting| waiting.remove(&number))
        };
        // Who has stopped waiting misses it.
        waits.map(|waits| waits.send(told).is_ok());
    }
    // Whoever asks later would wait for nobody.
    *waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
}
