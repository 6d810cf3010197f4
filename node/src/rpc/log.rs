//! JSON-RPC of the node's logs: `node.log`, which only reads, and `node.set_log`.
//! Not for: reading log lines, which go to standard error, or changing the config file.

use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answers;
use super::code::Code;
use crate::access::Caller;
use crate::config::LogFormat;
use crate::logging::{self, Logs, NotChanged};

/// What is logged.
#[rpc(server, client, namespace = "node", namespace_separator = ".")]
pub trait LogRpc {
    /// What is logged, and in which form.
    #[method(name = "log")]
    async fn log(&self) -> RpcResult<LogReport>;

    /// Has something else logged from now on until the node ends, such as `info,boltgrid=debug`; the
    /// config file stays as it is.
    #[method(name = "set_log", param_kind = map, with_extensions)]
    async fn set_log(&self, filter: String) -> RpcResult<LogReport>;
}

/// The node's logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogReport {
    /// What is logged: a level, and levels of parts, with commas between them.
    pub filter: String,
    /// The form of a line: text or json.
    pub format: String,
}

impl From<&Logs> for LogReport {
    fn from(logs: &Logs) -> Self {
        let format = match logs.format() {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        Self { filter: logs.filter(), format: format.to_owned() }
    }
}

fn logs() -> Result<&'static Logs, ErrorObjectOwned> {
    logging::of_this_process()
        .ok_or_else(|| Code::NotDone.because("this process keeps no logs of its own"))
}

#[async_trait]
impl LogRpcServer for Answers {
    async fn log(&self) -> RpcResult<LogReport> {
        Ok(LogReport::from(logs()?))
    }

    async fn set_log(&self, extensions: &Extensions, filter: String) -> RpcResult<LogReport> {
        let logs = logs()?;
        logs.set_filter(&filter).map_err(|why| {
            let code = match why {
                NotChanged::Filter(_) | NotChanged::TooLong => Code::BadParameter,
                NotChanged::Gone(_) => Code::NotDone,
            };
            code.because(why.to_string())
        })?;
        let by = extensions.get::<Caller>();
        let by = by.expect("nobody comes to a method but through the guard");
        tracing::warn!(filter, by = %by.name, "what is logged was changed");
        Ok(LogReport::from(logs))
    }
}
