//! One machine and its pool: what one says the other hears, byte for byte.

use std::fmt;
use std::io;
use std::time::Duration;

use boltgrid_miners::stratum::{Rejected, Session, Side};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::ledger::Ledger;
use super::line::Lines;
use crate::clock;

/// How long a pool may take to answer the call.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a side may take to read a line.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// How long both may be quiet: pools send jobs about twice a minute.
const QUIET_MAX: Duration = Duration::from_secs(600);
/// How often it is looked whether another difficulty fits.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// One side hung up.
    By(Side),
    /// The pool is not there.
    NoPool(io::Error),
    /// One side said what nobody passes on.
    Rejected(Side, Rejected),
    /// Something failed on the way to or from a side.
    Failed(Side, io::Error),
    /// Nobody said anything.
    Quiet,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |side: &Side| match side {
            Side::Machine => "the machine",
            Side::Pool => "the pool",
        };
        match self {
            Self::By(side) => write!(f, "{} hung up", who(side)),
            Self::NoPool(error) => write!(f, "the pool is not reached: {error}"),
            Self::Rejected(side, why) => write!(f, "{} was hung up on: {why}", who(side)),
            Self::Failed(side, error) => {
                write!(f, "the connection to {} failed: {error}", who(side))
            }
            Self::Quiet => write!(f, "nothing was said for {} s", QUIET_MAX.as_secs()),
        }
    }
}

/// Passes lines on until one side hangs up, or says what nobody passes on.
pub(super) async fn pass(mut machine: TcpStream, pool: &str, ledger: &Ledger) -> Ended {
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let called = timeout(CONNECT_MAX, TcpStream::connect(pool)).await;
    let mut pool = match called.unwrap_or_else(|_| Err(late())) {
        Ok(pool) => pool,
        Err(error) => return Ended::NoPool(error),
    };
    // A share that waits for others is late; where it cannot be set it only takes longer.
    for stream in [&machine, &pool] {
        if let Err(error) = stream.set_nodelay(true) {
            return Ended::Failed(Side::Machine, error);
        }
    }
    let (machine_reads, mut to_machine) = machine.split();
    let (pool_reads, mut to_pool) = pool.split();
    let (mut from_machine, mut from_pool) = (Lines::of(machine_reads), Lines::of(pool_reads));
    let mut session = Session::new();
    let mut worker: Option<String> = None;
    let mut look = interval(LOOK_EVERY);
    let mut heard_at = Instant::now();
    loop {
        let (from, line) = tokio::select! {
            line = from_machine.next() => (Side::Machine, line),
            line = from_pool.next() => (Side::Pool, line),
            _ = look.tick() => {
                let Some(worker) = &worker else { continue };
                let now = clock::now();
                let Some(fits) = ledger.look(now, worker, session.difficulty()) else { continue };
                let Some(asked) = session.ask(now, fits) else { continue };
                if let Err(error) = send(&mut to_pool, format!("{asked}\n").as_bytes()).await {
                    return Ended::Failed(Side::Pool, error);
                }
                continue;
            }
            () = sleep_until(heard_at + QUIET_MAX) => return Ended::Quiet,
        };
        heard_at = Instant::now();
        let line = match line {
            Ok(Some(line)) => line,
            Ok(None) => return Ended::By(from),
            Err(error) => return Ended::Failed(from, error),
        };
        let text = line.trim_ascii_end();
        if text.is_empty() {
            continue;
        }
        let heard = match session.heard(from, text) {
            Ok(heard) => heard,
            Err(why) => return Ended::Rejected(from, why),
        };
        if let Some(event) = heard.event {
            ledger.happened(clock::now(), &mut worker, event);
        }
        if !heard.passes {
            continue;
        }
        let (sent, to) = match from {
            Side::Machine => (send(&mut to_pool, line).await, Side::Pool),
            Side::Pool => (send(&mut to_machine, line).await, Side::Machine),
        };
        if let Err(error) = sent {
            return Ended::Failed(to, error);
        }
    }
}

async fn send(to: &mut (impl AsyncWrite + Unpin), line: &[u8]) -> io::Result<()> {
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    timeout(WRITE_MAX, to.write_all(line)).await.unwrap_or_else(|_| Err(late()))
}
