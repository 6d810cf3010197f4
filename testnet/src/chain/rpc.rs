//! The chain's JSON-RPC, as bitcoind speaks it: requests of version 1 and 2 over HTTP.
//!
//! Not for: batches, named arguments, REST.

mod describe;
mod methods;
mod params;
mod server;

use serde_json::{Value, json};

use super::kept::{Kept, Refusal};
use super::rejection::Rejection;
pub(super) use params::Params;
pub(super) use server::Server;
pub use server::ServerError;

/// The request is no JSON.
const CODE_PARSE: i32 = -32_700;
/// The request is none.
const CODE_INVALID_REQUEST: i32 = -32_600;
/// There is no such method.
const CODE_NO_METHOD: i32 = -32_601;
/// The chain cannot be written.
const CODE_INTERNAL: i32 = -32_603;
/// Something is missing.
const CODE_MISC: i32 = -1;
/// Something is of the wrong type.
const CODE_TYPE: i32 = -3;
/// Nobody knows it.
const CODE_NOT_FOUND: i32 = -5;
/// Something has a wrong value.
const CODE_VALUE: i32 = -8;
/// It cannot be decoded.
const CODE_DECODE: i32 = -22;

/// Why a call gets no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: i32,
    pub(super) message: String,
}

impl Failure {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The HTTP status that bitcoind gives it, where the request is not of version 2.
    const fn status(&self) -> u16 {
        match self.code {
            CODE_INVALID_REQUEST => 400,
            CODE_NO_METHOD => 404,
            _ => 500,
        }
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::new(rejection.code(), rejection.to_string())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rejected(rejection) => rejection.into(),
            Refusal::Disk(error) => Self::new(CODE_INTERNAL, error.to_string()),
        }
    }
}

/// Answers a request: the HTTP status, and the body.
fn answer(kept: &Kept, body: &[u8], now_s: u64) -> (u16, Value) {
    let request: Value = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(_) => {
            return (500, reply(false, &Value::Null, Err(Failure::new(CODE_PARSE, "Parse error"))));
        }
    };
    let id = request.get("id").cloned().unwrap_or(Value::Null);
    let is_v2 = request.get("jsonrpc").and_then(Value::as_str) == Some("2.0");
    let result = call(kept, &request, now_s);
    let status = match &result {
        Err(failure) if !is_v2 => failure.status(),
        Ok(_) | Err(_) => 200,
    };
    (status, reply(is_v2, &id, result))
}

fn call(kept: &Kept, request: &Value, now_s: u64) -> Result<Value, Failure> {
    if !request.is_object() {
        let message = "a request is one object; batches are not served";
        return Err(Failure::new(CODE_INVALID_REQUEST, message));
    }
    let method = request.get("method").and_then(Value::as_str);
    let method = method.ok_or_else(|| Failure::new(CODE_INVALID_REQUEST, "Missing method"))?;
    let params = Params::of(request.get("params"))?;
    methods::call(&mut kept.lock(), method, &params, now_s)
}

fn reply(is_v2: bool, id: &Value, result: Result<Value, Failure>) -> Value {
    let error = |failure: Failure| json!({ "code": failure.code, "message": failure.message });
    match (is_v2, result) {
        (true, Ok(result)) => json!({ "jsonrpc": "2.0", "result": result, "id": id }),
        (true, Err(failure)) => json!({ "jsonrpc": "2.0", "error": error(failure), "id": id }),
        (false, Ok(result)) => json!({ "result": result, "error": null, "id": id }),
        (false, Err(failure)) => json!({ "result": null, "error": error(failure), "id": id }),
    }
}

#[cfg(test)]
mod tests;
