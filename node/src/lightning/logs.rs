//! The library's own log, as part of the node's: under the target `ldk`, one level lower, since what
//! it calls news is detail here.

use std::sync::{Mutex, PoisonError};

use ldk_node::logger::{LogLevel, LogRecord, LogWriter};

/// The target of the library's log, for `log.filter`: "info,ldk=debug".
const TARGET: &str = "ldk";

/// Said twelve times at every block where a chain is too young or too quiet to tell of fees.
const EXPECTED: &str = "Failed to retrieve fee rate estimates";

/// Passes the library's log on, and remembers the last thing that went wrong: its errors say what
/// failed, but only its log says why.
#[derive(Debug, Default)]
pub(super) struct Logs {
    last_error: Mutex<Option<String>>,
}

impl Logs {
    /// What went wrong last, as the library put it.
    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl LogWriter for Logs {
    fn log(&self, record: LogRecord<'_>) {
        let LogRecord { level, args, module_path: module, .. } = record;
        match level {
            LogLevel::Gossip | LogLevel::Trace | LogLevel::Debug => {
                tracing::trace!(target: TARGET, module, "{args}");
            }
            LogLevel::Info => tracing::debug!(target: TARGET, module, "{args}"),
            LogLevel::Warn => tracing::info!(target: TARGET, module, "{args}"),
            LogLevel::Error => {
                let text = args.to_string();
                if text.starts_with(EXPECTED) {
                    tracing::debug!(target: TARGET, module, "{text}");
                } else {
                    tracing::warn!(target: TARGET, module, "{text}");
                }
                *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
        }
    }
}
