//! Logs to standard error: what is said where is decided by the configuration, and by the owner while the
//! node runs.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// Most characters of a filter: some dozen modules with a level each.
pub const FILTER_MAX: usize = 2048;

/// The process's logs; none where nobody started them, as in tests.
static LOGS: OnceLock<Logs> = OnceLock::new();

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error(
        "`log.filter` {filter:?} is not a filter: {source}; \
         try \"info\" or \"info,boltgrid=debug\""
    )]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Logs were started before in this process.
    #[error("logs were started twice: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Why logs go on as they are.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    /// The filter is not one.
    #[error("{0}; try \"info\" or \"info,boltgrid=debug\"")]
    Filter(#[from] ParseError),
    /// It is too long.
    #[error("a filter has at most {FILTER_MAX} characters")]
    TooLong,
    /// The logs have ended.
    #[error("the logs of this process cannot be changed any more: {0}")]
    Gone(#[from] reload::Error),
}

/// What puts another filter in place.
type Change = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// The logs of this process while it runs.
pub struct Logs {
    filter: Mutex<String>,
    format: LogFormat,
    change: Change,
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("filter", &self.filter).finish_non_exhaustive()
    }
}

/// Starts logging for the whole process.
///
/// # Errors
///
/// [`LoggingError`].
pub fn start(config: &LogConfig) -> Result<(), LoggingError> {
    let filter = parse(&config.filter)
        .map_err(|source| LoggingError::Filter { filter: config.filter.clone(), source })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let change: Change = match config.format {
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            builder.finish().try_init()?;
            Box::new(move |filter| handle.reload(filter))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.finish().try_init()?;
            Box::new(move |filter| handle.reload(filter))
        }
    };
    let filter = Mutex::new(config.filter.clone());
    // `try_init` lets only the first one come so far.
    drop(LOGS.set(Logs { filter, format: config.format, change }));
    Ok(())
}

/// The logs of this process, once they were started.
#[must_use]
pub fn of_this_process() -> Option<&'static Logs> {
    LOGS.get()
}

fn parse(filter: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(filter)
}

impl Logs {
    /// What is logged.
    #[must_use]
    pub fn filter(&self) -> String {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The form of a line.
    #[must_use]
    pub const fn format(&self) -> LogFormat {
        self.format
    }

    /// Has something else logged from now on, until the process ends.
    ///
    /// # Errors
    ///
    /// [`NotChanged`].
    pub fn set_filter(&self, filter: &str) -> Result<(), NotChanged> {
        if filter.len() > FILTER_MAX {
            return Err(NotChanged::TooLong);
        }
        let parsed = parse(filter)?;
        let mut kept = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        (self.change)(parsed)?;
        filter.clone_into(&mut kept);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    #[test]
    fn another_filter_holds_once_it_is_in_place_and_nonsense_changes_nothing() {
        let (told, changes) = mpsc::channel();
        let logs = Logs {
            filter: Mutex::new("info".to_owned()),
            format: LogFormat::Text,
            change: Box::new(move |filter| {
                told.send(filter.to_string()).unwrap();
                Ok(())
            }),
        };
        let logs = Arc::new(logs);
        logs.set_filter("warn,boltgrid=debug").unwrap();
        assert_eq!(logs.filter(), "warn,boltgrid=debug");
        assert_eq!(changes.recv().unwrap(), "boltgrid=debug,warn");
        for nonsense in ["loud=and=clear", &"x,".repeat(FILTER_MAX)] {
            assert!(logs.set_filter(nonsense).is_err());
        }
        assert_eq!(logs.filter(), "warn,boltgrid=debug");
        assert!(changes.try_recv().is_err());
    }
}
