//! What the service manager (systemd) is told: that the node is ready, how it is, that its market lives,
//! and that it stops. Where there is none, nothing is.
//!
//! Invariant: the watchdog is fed only if the market task went round since it was fed last. A node whose
//! other tasks run on while its market hangs is ended and started anew.
//! Not for: signals and exit codes (the command line), or when tasks stop ([`crate::tasks`]).

use std::env;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock;
use crate::http::health::Readiness;

/// How often the manager is told how the node is, where the watchdog asks for no more.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How often before the watchdog bites it is fed, so that a single look that comes late is no end.
const FEEDS_PER_BITE: u32 = 4;
/// The market goes round once in [`clock::LOOK_EVERY`] when nothing happens: a watchdog that bites
/// sooner than a few of those would bite a node that is well.
const BITE_MIN: Duration = Duration::from_secs(8);
const _: () = assert!(BITE_MIN.as_millis() >= 16 * clock::LOOK_EVERY.as_millis());
/// How long the watchdog holds still while the node stops: longer than all its tasks may take. The
/// manager's own time-out for stopping holds all the same.
const STOP_TIME: Duration = Duration::from_secs(600);

/// How often the market task went round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Called by the market task each time round, and by nobody else.
    pub(crate) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn beats(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Says something to the manager.
type Tell = Box<dyn FnMut(&[NotifyState<'_>]) -> io::Result<()> + Send>;
/// How the node is, in one line.
type Condition = Box<dyn Fn() -> String + Send>;

/// The task that tells the service manager.
pub(crate) struct Service {
    pulse: Pulse,
    condition: Condition,
    tell: Tell,
    /// After which silence the manager ends this process; none where it does not watch.
    bites_after: Option<Duration>,
    /// Whether something could not be told; said once.
    is_deaf: bool,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("bites_after", &self.bites_after).finish_non_exhaustive()
    }
}

impl Service {
    /// The task, where the manager that started this process wants to be told.
    pub(crate) fn open(pulse: Pulse, readiness: Readiness) -> Option<Self> {
        env::var_os("NOTIFY_SOCKET")?;
        let bites_after = sd_notify::watchdog_enabled();
        if let Some(bite) = bites_after.filter(|it| *it < BITE_MIN) {
            warn!(
                watchdog_ms = bite.as_millis(),
                "the watchdog bites sooner than the node can be sure to feed it; set `WatchdogSec` to \
                 {} s or more",
                BITE_MIN.as_secs()
            );
        }
        let condition = Box::new(move || condition(&readiness.missing()));
        Some(Self::new(pulse, condition, Box::new(sd_notify::notify), bites_after))
    }

    fn new(pulse: Pulse, condition: Condition, tell: Tell, bites_after: Option<Duration>) -> Self {
        Self { pulse, condition, tell, bites_after, is_deaf: false }
    }

    /// Tells until shutdown, and then that the node stops. Start it before all other tasks, so that it
    /// is the first to be stopped.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let every = self.bites_after.map_or(TELL_EVERY, |it| (it / FEEDS_PER_BITE).min(TELL_EVERY));
        let mut looks = tokio::time::interval(every.min(clock::LOOK_EVERY));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut told) = (0, String::new());
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = looks.tick() => {}
            }
            let beats = self.pulse.beats();
            if beats == seen {
                continue;
            }
            let now = (self.condition)();
            let status = NotifyState::Status(&now);
            if seen == 0 {
                // The market has taken up what it signed before, and its first time round is done.
                self.tell(&[NotifyState::Ready, NotifyState::Watchdog, status]);
                info!("ready");
                looks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
                looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            } else if now == told {
                self.tell(&[NotifyState::Watchdog]);
            } else {
                self.tell(&[NotifyState::Watchdog, status]);
            }
            (seen, told) = (beats, now);
        }
        let hold = u32::try_from(STOP_TIME.as_micros()).unwrap_or(u32::MAX);
        let watchdog = NotifyState::WatchdogUsec(hold);
        let states = [NotifyState::Stopping, NotifyState::Status("stopping"), watchdog];
        // A manager that does not watch is not made to.
        let states = if self.bites_after.is_some() { &states[..] } else { &states[..2] };
        self.tell(states);
    }

    fn tell(&mut self, states: &[NotifyState<'_>]) {
        match (self.tell)(states) {
            Ok(()) => self.is_deaf = false,
            Err(error) if !self.is_deaf => {
                warn!(%error, "the service manager cannot be told how the node is");
                self.is_deaf = true;
            }
            Err(_) => {}
        }
    }
}

fn condition(missing: &[String]) -> String {
    if missing.is_empty() {
        "ready".to_owned()
    } else {
        format!("not ready: {}", missing.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    type Told = Arc<Mutex<Vec<String>>>;

    /// A service that writes down what it tells, and its pulse.
    fn service(bites_after: Option<Duration>) -> (Service, Pulse, Told) {
        let (pulse, told) = (Pulse::default(), Told::default());
        let write_down = Arc::clone(&told);
        let tell: Tell = Box::new(move |states| {
            let all: Vec<_> = states.iter().map(ToString::to_string).collect();
            write_down.lock().unwrap().push(all.join(" "));
            Ok(())
        });
        let condition = Box::new(|| condition(&[]));
        (Service::new(pulse.clone(), condition, tell, bites_after), pulse, told)
    }

    fn feeds(told: &Told) -> usize {
        told.lock().unwrap().iter().filter(|it| it.contains("WATCHDOG=1")).count()
    }

    async fn pass(time: Duration, mut each_second: impl FnMut()) {
        for _ in 0..time.as_secs() {
            each_second();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_fed_while_the_market_goes_round_and_never_while_it_hangs() {
        let bite = Duration::from_secs(60);
        let (service, pulse, told) = service(Some(bite));
        let stop = CancellationToken::new();
        let running = service.run(stop.clone());
        let hangs = async {
            pass(bite, || ()).await;
            assert_eq!(told.lock().unwrap().len(), 0, "not ready before the market went round");
            pass(bite, || pulse.beat()).await;
            assert!(told.lock().unwrap()[0].starts_with("READY=1"), "{told:?}");
            let fed = feeds(&told);
            assert!(fed >= 8, "fed {fed} times in a minute");
            pass(bite, || ()).await;
            // One beat may be left from before.
            assert!(feeds(&told) <= fed + 1, "fed although the market hangs");
            stop.cancel();
        };
        tokio::join!(running, hangs);
        let last = told.lock().unwrap().last().cloned().unwrap();
        assert!(last.contains("STOPPING=1") && last.contains("WATCHDOG_USEC=600000000"), "{last}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_manager_that_does_not_watch_is_told_that_the_node_is_ready_and_that_it_stops() {
        let (service, pulse, told) = service(None);
        let stop = CancellationToken::new();
        let running = service.run(stop.clone());
        tokio::join!(running, async {
            pass(Duration::from_secs(3), || pulse.beat()).await;
            stop.cancel();
        });
        let told = told.lock().unwrap();
        assert!(told[0].contains("READY=1") && told[0].contains("STATUS=ready"), "{told:?}");
        assert_eq!(told.last().unwrap(), "STOPPING=1 STATUS=stopping");
    }

    #[test]
    fn what_is_missing_is_said_in_one_line() {
        let missing = ["hears no other node".to_owned(), "site: meter".to_owned()];
        assert_eq!(condition(&missing), "not ready: hears no other node; site: meter");
    }
}
