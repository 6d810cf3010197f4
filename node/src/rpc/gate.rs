//! What stands before every method, alone or in a batch: whether the caller's role allows it, and
//! whether the caller asks too often.
//! Not for: who the caller is ([`crate::http::guard`] has found out).

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use boltgrid_protocol::units::Timestamp;
use jsonrpsee::Extensions;
use jsonrpsee::MethodResponse;
use jsonrpsee::core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT};
use jsonrpsee::types::error::METHOD_NOT_FOUND_CODE;
use jsonrpsee::types::{ErrorObjectOwned, Request};
use tower::Layer;

use super::code::Code;
use super::roles;
use crate::access::{Caller, tokens};
use crate::clock;
use crate::http::guard::{Limited, Standing};

/// Callers whose pace is remembered: all tokens, the cookie, and some that were revoked.
const CALLERS_MAX: usize = 2 * tokens::TOKENS_MAX;
/// Milliseconds of its pace that a caller may use at once.
const BURST_MS: u64 = 1000;
/// Thousandths of a call.
const CALL: u64 = 1000;

/// Puts [`Gate`] before the methods.
#[derive(Clone, Debug)]
pub(crate) struct GateLayer(Arc<Mutex<Paces>>);

/// Looks at every call.
#[derive(Clone, Debug)]
pub(crate) struct Gate<S> {
    inner: S,
    paces: Arc<Mutex<Paces>>,
}

/// How often each caller has called of late.
#[derive(Debug)]
struct Paces {
    requests_per_s: u32,
    callers: BTreeMap<Arc<str>, Pace>,
}

/// What a caller has left, in thousandths of a call, at a moment.
#[derive(Clone, Copy, Debug)]
struct Pace {
    left: u64,
    at: Timestamp,
}

impl GateLayer {
    /// A gate that lets each caller call so many times a second.
    pub(super) fn new(requests_per_s: u32) -> Self {
        Self(Arc::new(Mutex::new(Paces { requests_per_s, callers: BTreeMap::new() })))
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, paces: Arc::clone(&self.0) }
    }
}

impl Paces {
    /// Takes one call of a caller's pace: a bucket that fills at the pace and holds [`BURST_MS`] of it.
    fn take(&mut self, caller: &Arc<str>, now: Timestamp) -> Result<(), ErrorObjectOwned> {
        let full = u64::from(self.requests_per_s).saturating_mul(BURST_MS);
        if self.callers.len() >= CALLERS_MAX && !self.callers.contains_key(caller) {
            self.callers.clear();
        }
        let pace = self.callers.entry(Arc::clone(caller)).or_insert(Pace { left: full, at: now });
        let passed_ms = now.to_unix_ms().saturating_sub(pace.at.to_unix_ms());
        let refilled = passed_ms.saturating_mul(u64::from(self.requests_per_s));
        *pace = Pace { left: pace.left.saturating_add(refilled).min(full), at: now };
        match pace.left.checked_sub(CALL) {
            Some(left) => {
                pace.left = left;
                Ok(())
            }
            None => Err(Code::TooOften.because(format!(
                "{caller} may call {} times a second (`rpc.requests_per_s`); try again shortly",
                self.requests_per_s
            ))),
        }
    }
}

impl<S> Gate<S> {
    /// Whether a call may pass.
    fn admit(&self, method: &str, extensions: &Extensions) -> Result<(), ErrorObjectOwned> {
        let caller = extensions.get::<Caller>();
        let caller = caller.expect("nobody comes to a method but through the guard");
        // A WebSocket lives on when the token that opened it is revoked; its calls do not.
        let standing = extensions.get::<Standing>().map(|it| it.holds(clock::now()));
        if let Some(Err(gone)) = standing {
            return Err(Code::NotAllowed.because(gone.to_string()));
        }
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        paces.take(&caller.name, clock::now())?;
        let needed = roles::needed(method).ok_or_else(|| no_such(method))?;
        if caller.role >= needed {
            return Ok(());
        }
        let limited = extensions.get::<Limited>().is_some_and(|it| it.0);
        Err(Code::NotAllowed.because(if limited {
            format!(
                "{method} needs the role {needed}, and nobody has it over plain HTTP from another \
                 machine; call from the node's own machine, or set up TLS (`rpc.tls_certificate_file`)"
            )
        } else {
            format!(
                "{method} needs the role {needed}, and {} has {}; `boltgrid token create NAME --role \
                 {needed}` makes a token that may",
                caller.name, caller.role
            )
        }))
    }
}

/// The refusal of a method that there is not, with those that are meant perhaps.
fn no_such(method: &str) -> ErrorObjectOwned {
    let noun = method.split('.').next().unwrap_or_default();
    let near: Vec<&str> = roles::METHODS
        .iter()
        .map(|it| it.0)
        .filter(|it| it.split('.').next() == Some(noun))
        .collect();
    let message = if near.is_empty() {
        "there is no such method; `rpc.discover` lists all".to_owned()
    } else {
        format!("there is no such method; there are {}", near.join(", "))
    };
    ErrorObjectOwned::owned(METHOD_NOT_FOUND_CODE, message, None::<()>)
}

impl<S> RpcServiceT for Gate<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Send
        + Sync
        + Clone
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let refused = self.admit(request.method_name(), request.extensions()).err();
        let inner = self.inner.clone();
        async move {
            match refused {
                None => inner.call(request).await,
                Some(why) => MethodResponse::error(request.id().into_owned(), why),
            }
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let looked_at = batch.into_iter().map(|entry| {
            let call = entry?;
            match self.admit(call.method_name(), call.extensions()) {
                Ok(()) => Ok(call),
                Err(why) => Err(match call {
                    BatchEntry::Call(call) => BatchEntryErr::new(call.id().into_owned(), why),
                    BatchEntry::Notification(_) => {
                        BatchEntryErr::new(jsonrpsee::types::Id::Null, why)
                    }
                }),
            }
        });
        self.inner.batch(Batch::from(looked_at.collect()))
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        // Nothing here is done by a notification, so there is nothing to refuse.
        self.inner.notification(notification)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn a_caller_has_a_second_of_its_pace_at_once_and_then_its_pace() {
        let mut paces = Paces { requests_per_s: 3, callers: BTreeMap::new() };
        let (mine, at) = (caller("mine"), Timestamp::from_unix_ms);
        for _ in 0..3 {
            paces.take(&mine, at(5000)).unwrap();
        }
        let refused = paces.take(&mine, at(5000)).unwrap_err();
        assert_eq!(refused.code(), Code::TooOften.number());
        assert!(refused.message().contains("mine may call 3 times a second"));
        paces.take(&caller("other"), at(5000)).unwrap();
        assert!(paces.take(&mine, at(5333)).is_err(), "333 ms are not quite a call");
        paces.take(&mine, at(5334)).unwrap();
        assert!(paces.take(&mine, at(5334)).is_err());
        assert!(paces.take(&mine, at(1)).is_err(), "a clock set back gives nothing");
    }

    #[test]
    fn callers_that_come_and_go_do_not_pile_up() {
        let mut paces = Paces { requests_per_s: 1, callers: BTreeMap::new() };
        for number in 0..10 * CALLERS_MAX {
            paces.take(&caller(&number.to_string()), Timestamp::from_unix_ms(1)).unwrap();
        }
        assert!(paces.callers.len() <= CALLERS_MAX);
    }
}
