//! Callers that ask on a schedule, whatever becomes of the calls before, and one that asks faster than it may.
//! Not for: subscribers.

use std::collections::BTreeMap;
use std::time::Duration;

use boltgrid::rpc::code::Code;
use jsonrpsee::core::client::{ClientT as _, Error};
use jsonrpsee::core::params::{ArrayParams, BatchRequestBuilder, ObjectParams};
use jsonrpsee::http_client::HttpClient;
use serde::de::IgnoredAny;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Calls that a caller has under way at most; each turn waits for the answer before.
const TURNS: usize = 8;
/// Calls of a batch.
const BATCH: u32 = 100;
/// What is asked, in turn: what dashboards and scripts ask most. Those in `SINCE` of an interval and later.
const PLAIN: [&str; 3] = ["node.status", "market.orders", "meter.list"];
const SINCE: [&str; 3] = ["market.prices", "market.trades", "payment.list"];

/// What came of calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    /// How long each answer took, in microseconds.
    pub(super) took_us: Vec<u64>,
    /// Calls that were refused, by the code, or not answered.
    pub(super) errors: BTreeMap<String, u64>,
}

impl Calls {
    fn note(&mut self, took: Duration, answer: &Result<(), Error>) {
        self.took_us.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        if let Err(error) = answer {
            *self.errors.entry(named(error)).or_default() += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.took_us.extend(other.took_us);
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
    }
}

/// An error by its code, or why there was no answer.
fn named(error: &Error) -> String {
    if let Error::Call(refusal) = error {
        return refusal.code().to_string();
    }
    if matches!(error, Error::RequestTimeout) {
        return "no answer in time".to_owned();
    }
    format!("no answer: {error}")
}

/// When a turn asks: first, how often, and until when.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    due: Instant,
    every: Duration,
    until: Instant,
}

/// Asks `per_s` times a second in all, of what was since an interval, over this span of time.
pub(super) async fn call(
    callers: &[HttpClient],
    per_s: u32,
    since: u64,
    (from, until): (Instant, Instant),
) -> Calls {
    let callers: Vec<&HttpClient> = callers.iter().flat_map(|it| [it; TURNS]).collect();
    let turns = u32::try_from(callers.len()).unwrap_or(u32::MAX);
    let every = Duration::from_secs(1) * turns / per_s;
    let mut open = JoinSet::new();
    for (place, caller) in (0..turns).zip(callers) {
        // One after the other, so that calls come evenly.
        let due = from + every * place / turns;
        let first = usize::try_from(place).unwrap_or_default();
        open.spawn(turn(caller.clone(), Schedule { due, every, until }, (first, since)));
    }
    let mut all = Calls::default();
    while let Some(ended) = open.join_next().await {
        all.add(ended.expect("a turn does not panic"));
    }
    all
}

async fn turn(
    caller: HttpClient,
    Schedule { mut due, every, until }: Schedule,
    (first, since): (usize, u64),
) -> Calls {
    let mut calls = Calls::default();
    let mut place = first;
    while due < until {
        // Whoever is late has waited since the call was due, not since it could be made.
        let is_late = Instant::now() > due;
        sleep_until(due).await;
        let began = if is_late { due } else { Instant::now() };
        let answer = ask(&caller, place, since).await;
        calls.note(began.elapsed(), &answer);
        due += every;
        place += 1;
    }
    calls
}

async fn ask(caller: &HttpClient, place: usize, since: u64) -> Result<(), Error> {
    let kinds = PLAIN.len() + SINCE.len();
    let place = place % kinds;
    if let Some(method) = PLAIN.get(place) {
        caller.request::<IgnoredAny, _>(method, ArrayParams::new()).await?;
        return Ok(());
    }
    let mut params = ObjectParams::new();
    params.insert("from_interval", since.to_string()).map_err(Error::ParseError)?;
    caller.request::<IgnoredAny, _>(SINCE[place - PLAIN.len()], params).await?;
    Ok(())
}

/// Asks three times as often as a caller may in a second, in batches; returns how many calls were answered, and
/// how many refused for this reason.
pub(super) async fn too_often(caller: &HttpClient, per_s_max: u32) -> Result<(u64, u64), Error> {
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..(3 * per_s_max).div_ceil(BATCH) {
        let mut batch = BatchRequestBuilder::new();
        for _ in 0..BATCH {
            batch.insert("market.instructions", ArrayParams::new()).map_err(Error::ParseError)?;
        }
        for answer in caller.batch_request::<IgnoredAny>(batch).await? {
            match answer {
                Ok(_) => answered += 1,
                Err(why) if why.code() == Code::TooOften.number() => refused += 1,
                Err(why) => return Err(Error::Call(why.into_owned())),
            }
        }
    }
    Ok((answered, refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_what_became_of_them() {
        let refused = |code: Code| Err(Error::Call(code_of(code)));
        let mut calls = Calls::default();
        let took = Duration::from_micros(250);
        calls.note(took, &Ok(()));
        calls.note(took, &refused(Code::Busy));
        calls.note(took, &Err(Error::RequestTimeout));
        let mut all = calls.clone();
        all.add(calls);
        assert_eq!(all.took_us, [250; 6]);
        let busy = Code::Busy.number().to_string();
        assert_eq!(all.errors, [(busy, 2), ("no answer in time".to_owned(), 2)].into());
    }

    fn code_of(code: Code) -> jsonrpsee::types::ErrorObjectOwned {
        jsonrpsee::types::ErrorObjectOwned::owned(code.number(), code.meaning(), None::<()>)
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_nobody_answers_is_counted_as_often_as_it_was_due() {
        // Nobody listens there, so that each call fails at once.
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let caller = boltgrid::rpc::client::client(nobody, None, Duration::from_secs(1)).unwrap();
        let from = Instant::now();
        let calls = call(&[caller], 100, 0, (from, from + Duration::from_secs(2))).await;
        assert_eq!(calls.took_us.len(), 200);
        assert_eq!(calls.errors.values().sum::<u64>(), 200);
    }
}
