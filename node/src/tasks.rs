//! The one place where tasks start and stop.
//!
//! The first task to end, well or badly, stops all others; then they are waited for in the order in
//! which they were started, each for a bounded time.

use std::future::Future;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

/// How long a task may take to stop.
const STOP_TIME: Duration = Duration::from_secs(10);

/// The long-lived tasks of a node.
#[derive(Debug)]
pub(crate) struct Tasks<E> {
    shutdown: CancellationToken,
    ended: JoinSet<(&'static str, Result<(), E>)>,
    started: Vec<Started>,
}

#[derive(Debug)]
struct Started {
    name: &'static str,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// A task ended that should have run for as long as the node.
#[derive(Debug, thiserror::Error)]
pub enum TaskError<E: std::error::Error + 'static> {
    /// It gave up.
    #[error("the {task} task gave up: {source}")]
    Failed {
        /// Which task.
        task: &'static str,
        /// Why.
        source: E,
    },
    /// It returned although nobody asked it to, which is a bug.
    #[error("the {0} task ended by itself, which is a bug")]
    Ended(&'static str),
    /// It panicked.
    #[error("a task panicked, which is a bug: {0}")]
    Panicked(#[source] JoinError),
}

impl<E: std::error::Error + Send + 'static> Tasks<E> {
    pub(crate) fn new(shutdown: CancellationToken) -> Self {
        Self { shutdown, ended: JoinSet::new(), started: Vec::new() }
    }

    /// Starts a task, which ends when the token that it is given is cancelled.
    ///
    /// Tasks are stopped in the order in which they are started: what takes work in comes first,
    /// what work rests on comes last.
    pub(crate) fn start<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let running = task(stop.clone());
        let on_end = ended.clone().drop_guard();
        self.ended.spawn(async move {
            let result = running.await;
            drop(on_end);
            (name, result)
        });
        self.started.push(Started { name, stop, ended });
    }

    /// Waits for shutdown or for the first task to end, then stops all in order.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when it was a task that ended.
    pub(crate) async fn wait(mut self) -> Result<(), TaskError<E>> {
        let first = tokio::select! {
            () = self.shutdown.cancelled() => None,
            ended = self.ended.join_next() => ended,
        };
        info!("stopping");
        for Started { name, stop, ended } in &self.started {
            stop.cancel();
            if tokio::time::timeout(STOP_TIME, ended.cancelled()).await.is_err() {
                error!(task = name, seconds = STOP_TIME.as_secs(), "task does not stop");
            } else {
                debug!(task = name, "task stopped");
            }
        }
        let mut result = first.map_or(Ok(()), |ended| verdict(ended, false));
        while let Some(Some(ended)) = self.ended.join_next().now_or_never() {
            result = result.and(verdict(ended, true));
        }
        self.ended.shutdown().await;
        result
    }
}

/// What the end of a task means; to return is right only once everything stops.
fn verdict<E: std::error::Error>(
    ended: Result<(&'static str, Result<(), E>), JoinError>,
    stopping: bool,
) -> Result<(), TaskError<E>> {
    match ended {
        Ok((_, Ok(()))) if stopping => Ok(()),
        Ok((task, Ok(()))) => Err(TaskError::Ended(task)),
        Ok((task, Err(source))) => Err(TaskError::Failed { task, source }),
        Err(panic) => Err(TaskError::Panicked(panic)),
    }
}
