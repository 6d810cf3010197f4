//! A real bitcoind as a child process, on regtest, in a folder of its own.
//!
//! It never outlives its owner: a shell between the two kills it when its standard input ends, and
//! that ends with the owner, however that comes. Not for: one that runs already.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::access::Access;
use super::client::{Client, ClientError};

/// How long it may take until it answers.
const START_TIME: Duration = Duration::from_secs(60);
/// Between two questions whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long it may take to stop in order.
const STOP_TIME: Duration = Duration::from_secs(20);
/// Who asks it.
const USER: &str = "boltgrid";
/// What it writes goes there, in its folder.
const LOG_FILE: &str = "bitcoind.log";

/// Runs its arguments as a child, and kills that when the standard input ends.
const KEEPER: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ read -r _ <&3; kill -9 "$child"; } &
watch=$!
wait "$child"
status=$?
kill "$watch"
exit "$status"
"#;

/// Why there is no bitcoind.
#[derive(Debug, thiserror::Error)]
pub enum BitcoindError {
    /// It cannot be started.
    #[error("{} cannot be started: {source}; name a bitcoind by --bitcoind PATH", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It ended.
    #[error("bitcoind ended by itself ({status}); see {}", log.display())]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it wrote.
        log: PathBuf,
    },
    /// It does not answer.
    #[error("bitcoind does not answer: {0}")]
    Silent(#[source] ClientError),
    /// It cannot be watched or stopped.
    #[error("bitcoind cannot be watched or stopped: {0}")]
    Process(#[source] io::Error),
}

/// A running bitcoind.
#[derive(Debug)]
pub struct Bitcoind {
    child: Child,
    access: Access,
}

impl Bitcoind {
    /// Starts `program` in `folder`, where it answers on `port`, and waits until it does.
    ///
    /// # Errors
    ///
    /// [`BitcoindError`].
    pub async fn start(
        program: &Path,
        folder: &Path,
        port: u16,
        password: &str,
    ) -> Result<Self, BitcoindError> {
        let log = folder.join(LOG_FILE);
        let failed = |source| BitcoindError::Start { path: program.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let out = File::options().create(true).append(true).open(&log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        // Asked for first, since the shell would only say so in the log.
        std::fs::metadata(program).map_err(failed)?;
        let child = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(program)
            .args(["-regtest", "-server", "-listen=0", "-listenonion=0", "-discover=0"])
            .args(["-dnsseed=0", "-fallbackfee=0.00001", "-rpcbind=127.0.0.1"])
            .arg("-rpcallowip=127.0.0.1")
            .arg(format!("-datadir={}", folder.display()))
            .arg(format!("-rpcport={port}"))
            .arg(format!("-rpcuser={USER}"))
            .arg(format!("-rpcpassword={password}"))
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let access = Access {
            host: "127.0.0.1".to_owned(),
            port,
            user: USER.to_owned(),
            password: password.to_owned(),
        };
        let mut bitcoind = Self { child, access };
        bitcoind.until_it_answers(log).await?;
        Ok(bitcoind)
    }

    async fn until_it_answers(&mut self, log: PathBuf) -> Result<(), BitcoindError> {
        let client = Client::new(self.access.clone());
        let deadline = Instant::now() + START_TIME;
        loop {
            let Err(error) = client.height().await else { return Ok(()) };
            if let Some(status) = self.child.try_wait().map_err(BitcoindError::Process)? {
                return Err(BitcoindError::Ended { status, log });
            }
            if Instant::now() >= deadline {
                return Err(BitcoindError::Silent(error));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// How to ask it.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// Stops it in order, and kills it where that takes too long.
    ///
    /// # Errors
    ///
    /// [`BitcoindError::Process`].
    pub async fn stop(mut self) -> Result<(), BitcoindError> {
        if let Err(error) = Client::new(self.access.clone()).call("stop", json!([])).await {
            tracing::debug!(%error, "bitcoind was gone before it was stopped");
        }
        match timeout(STOP_TIME, self.child.wait()).await {
            Ok(ended) => ended.map(drop).map_err(BitcoindError::Process),
            // With the shell its standard input goes, and then bitcoind.
            Err(_) => self.child.kill().await.map_err(BitcoindError::Process),
        }
    }
}
