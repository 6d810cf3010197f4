//! Keeps what machines were told, so that it can be exported: a listener like any other, for which the
//! dispatcher does not wait.
//! Not for: deciding, or what must be known after a restart to decide well (`dispatcher::kept`).

use boltgrid_protocol::units::{Power, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::dispatcher::Log;
use crate::live::{Listener, Live, News, NoNews, Topic};
use crate::store::{Archive, DecisionRecord};

/// The task that keeps them.
#[derive(Debug)]
pub(crate) struct Decisions {
    archive: Archive,
    listener: Listener,
}

impl From<&Log> for DecisionRecord {
    fn from(log: &Log) -> Self {
        Self {
            at: Timestamp::from_unix_ms(log.at_unix_ms),
            machine: log.machine.clone(),
            set_point: log.set_point_mw.map(Power::from_milliwatts),
            reason: log.reason.clone(),
        }
    }
}

impl From<DecisionRecord> for Log {
    fn from(it: DecisionRecord) -> Self {
        Self {
            at_unix_ms: it.at.to_unix_ms(),
            machine: it.machine,
            set_point_mw: it.set_point.map(Power::to_milliwatts),
            reason: it.reason,
        }
    }
}

impl Decisions {
    /// Listens from now on.
    pub(crate) fn new(archive: Archive, live: &Live) -> Self {
        Self { archive, listener: live.listen() }
    }

    /// Keeps decisions until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let news = tokio::select! {
                () = shutdown.cancelled() => return,
                news = self.listener.next_about(Topic::Decisions) => news,
            };
            match news {
                Ok(news) => self.keep(&news),
                Err(NoNews::Missed(missed)) => {
                    warn!(
                        missed,
                        "news came too fast; decisions among them are not in the archive"
                    );
                }
                // Who decides has stopped; this waits to be told the same.
                Err(NoNews::Stopping) => return shutdown.cancelled().await,
            }
        }
    }

    fn keep(&self, news: &News) {
        if let News::Decision(log) = news
            && let Err(error) = self.archive.put_decision(&DecisionRecord::from(log))
        {
            warn!(%error, machine = log.machine, "decision not stored; an export lacks it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn decision(at_unix_ms: u64, set_point_mw: Option<i64>) -> Log {
        let (machine, reason) = ("cellar".to_owned(), "surplus, \"cheap\"".to_owned());
        Log { at_unix_ms, machine, set_point_mw, reason }
    }

    #[tokio::test]
    async fn what_machines_are_told_is_kept_as_it_was_told_until_it_is_pruned() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (live, stop) = (Live::default(), CancellationToken::new());
        let keeper = Decisions::new(store.archive(), &live);
        let told = [decision(5, Some(1_200_000)), decision(7, Some(0)), decision(9, None)];
        for it in &told {
            live.tell(|| News::Decision(it.clone()));
        }
        drop(live);
        let watching = stop.clone();
        let kept = keeper.run(watching);
        let archive = store.archive();
        let at = Timestamp::from_unix_ms;
        let of = |from, before| -> Vec<Log> {
            archive.decisions(at(from), at(before)).map(|it| it.unwrap().into()).collect()
        };
        let looked = async {
            while of(0, u64::MAX).len() < told.len() {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        tokio::join!(kept, looked);
        assert_eq!(of(0, u64::MAX), [told[2].clone(), told[1].clone(), told[0].clone()]);
        assert_eq!(of(5, 7), [told[0].clone()]);
        assert_eq!(archive.prune_decisions_before(at(9)).unwrap(), 2);
        assert_eq!(of(0, u64::MAX), [told[2].clone()]);
    }
}
