//! JSON-RPC about itself: `rpc.discover` returns the `OpenRPC` document of every method.
//!
//! The document is `docs/openrpc.json`, written anew by a test from the traits and types beside the methods,
//! and another test fails where it is not what they say.
//! Not for: who may call what ([`super::roles`]), though the document tells it.

#[cfg(test)]
mod document;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod source;

use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use serde_json::value::RawValue;

use super::Answers;
use super::code::Code;

/// The committed document.
const DOCUMENT: &str = include_str!("../../../docs/openrpc.json");

/// What the methods are.
#[rpc(server, client, namespace = "rpc", namespace_separator = ".")]
pub trait DiscoverRpc {
    /// The `OpenRPC` document of all methods: parameters, results, errors, and the role that each needs.
    #[method(name = "discover")]
    async fn discover(&self) -> RpcResult<Box<RawValue>>;
}

#[async_trait]
impl DiscoverRpcServer for Answers {
    async fn discover(&self) -> RpcResult<Box<RawValue>> {
        let document = RawValue::from_string(DOCUMENT.to_owned());
        Ok(document.map_err(|error| Code::NotFound.because(error.to_string()))?)
    }
}
