//! One connection of a machine to its pool.

use std::collections::{BTreeMap, VecDeque};

use boltgrid_protocol::units::Timestamp;
use serde_json::Value;
use sv1_api::json_rpc::{Message, Response, StandardRequest};

use super::{Difficulty, LINE_MAX, WORKER_MAX};
use crate::hash::HashRate;

/// Jobs whose difficulty is remembered; pools take shares of the last few.
const JOBS_MAX: usize = 64;
/// The longest name of a job, in bytes.
const JOB_MAX: usize = 128;
/// Questions of the machine that the pool has not answered.
const UNANSWERED_MAX: usize = 256;
/// A difficulty is asked for so often at most, in ms …
const ASK_EVERY_MS: u64 = 60_000;
/// … and, of a pool that does not give it, so many times in a row.
const ASKS_MAX: u8 = 3;
/// Our own questions have ids from here on; machines count from 0 or 1.
const OWN_IDS: u64 = 1_900_000_000;

/// Who said a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The machine.
    Machine,
    /// The pool.
    Pool,
}

/// What a line was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whether it goes on to the other side, as it is; what does not was an answer to us.
    pub passes: bool,
    /// What it meant.
    pub event: Option<Event>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The pool knows the worker by this name.
    Authorized(String),
    /// The pool took a share.
    Accepted(Difficulty),
    /// The pool refused one.
    Refused,
    /// The pool took one, and nobody knows what it stands for.
    Uncounted,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Too long.
    #[error("a line is longer than {LINE_MAX} bytes")]
    Long,
    /// No JSON.
    #[error("a line is no JSON")]
    NotJson,
    /// The pool sends the machine elsewhere, where nobody would count its work, and who knows for whom
    /// it would be.
    #[error("the pool sends the machine to another one")]
    Reconnect,
    /// More questions than a pool leaves unanswered.
    #[error("more than {UNANSWERED_MAX} of the machine's questions are not answered")]
    Unanswered,
    /// The machine uses an id of ours while we wait for an answer.
    #[error("an id of the machine's is ours")]
    Id,
}

/// What the machine asked.
#[derive(Clone, Debug)]
enum Asked {
    Authorize(String),
    Submit(Option<Difficulty>),
    Other,
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub struct Session {
    unanswered: BTreeMap<u64, Asked>,
    /// What shares of the next jobs stand for.
    difficulty: Option<Difficulty>,
    /// The latest jobs, each with its difficulty.
    jobs: VecDeque<(String, Option<Difficulty>)>,
    is_authorized: bool,
    /// Our question that waits for an answer.
    own: Option<u64>,
    asked_at: Option<Timestamp>,
    /// What was asked for last, and how often in a row.
    asks: Option<(Difficulty, u8)>,
    own_ids: u64,
}

impl Session {
    /// One that was just opened.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The share difficulty that the pool set last, if it is one.
    #[must_use]
    pub const fn difficulty(&self) -> Option<Difficulty> {
        self.difficulty
    }

    /// Takes a line without its end.
    ///
    /// # Errors
    ///
    /// [`Rejected`]: the connection is to end, both sides of it.
    pub fn heard(&mut self, from: Side, line: &[u8]) -> Result<Heard, Rejected> {
        if line.len() > LINE_MAX {
            return Err(Rejected::Long);
        }
        let passed = Heard { passes: true, event: None };
        let value: Value = serde_json::from_slice(line).map_err(|_| Rejected::NotJson)?;
        // Before anything else: whatever its id looks like.
        let method = value.get("method").and_then(Value::as_str);
        if from == Side::Pool && method == Some("client.reconnect") {
            return Err(Rejected::Reconnect);
        }
        let Ok(message) = serde_json::from_value::<Message>(value) else { return Ok(passed) };
        match (from, message) {
            (Side::Machine, Message::StandardRequest(request)) => {
                self.machine_asks(&request)?;
                Ok(passed)
            }
            (Side::Pool, Message::OkResponse(answer) | Message::ErrorResponse(answer)) => {
                Ok(self.pool_answers(&answer))
            }
            (Side::Pool, Message::Notification(told)) => {
                self.pool_tells(&told.method, &told.params);
                Ok(passed)
            }
            // Some pools number what they tell.
            (Side::Pool, Message::StandardRequest(told)) => {
                self.pool_tells(&told.method, &told.params);
                Ok(passed)
            }
            (
                Side::Machine,
                Message::Notification(_) | Message::OkResponse(_) | Message::ErrorResponse(_),
            ) => Ok(passed),
        }
    }

    /// A line for the pool that asks for a difficulty which fits a machine of this rate; `None` where
    /// what it has fits well enough, where it was asked for just now, or where the pool won't give it.
    pub fn ask(&mut self, now: Timestamp, rate: HashRate) -> Option<String> {
        let wanted = Difficulty::fitting(rate)?;
        let rests = self.asked_at.is_some_and(|at| now.ms_since(at) < ASK_EVERY_MS);
        let fits = self.difficulty.is_some_and(|it| !it.is_far_from(wanted));
        if !self.is_authorized || rests || fits || self.own.is_some() {
            return None;
        }
        let before = self.asks.filter(|(asked, _)| *asked == wanted).map_or(0, |(_, times)| times);
        if before >= ASKS_MAX {
            return None;
        }
        let id = OWN_IDS.saturating_add(self.own_ids);
        if self.unanswered.contains_key(&id) {
            return None;
        }
        self.own_ids = self.own_ids.saturating_add(1);
        (self.own, self.asked_at) = (Some(id), Some(now));
        self.asks = Some((wanted, before.saturating_add(1)));
        Some(format!(
            "{{\"id\":{id},\"method\":\"mining.suggest_difficulty\",\"params\":[{wanted}]}}"
        ))
    }

    fn machine_asks(&mut self, request: &StandardRequest) -> Result<(), Rejected> {
        if self.own == Some(request.id) {
            return Err(Rejected::Id);
        }
        let text = |place: usize| request.params.get(place).and_then(Value::as_str);
        let asked = match request.method.as_str() {
            "mining.authorize" => match text(0) {
                Some(worker) if worker.len() <= WORKER_MAX => Asked::Authorize(worker.to_owned()),
                Some(_) | None => Asked::Other,
            },
            "mining.submit" => {
                let job = text(1);
                let known = self.jobs.iter().rev().find(|(id, _)| Some(id.as_str()) == job);
                Asked::Submit(known.and_then(|(_, difficulty)| *difficulty))
            }
            _ => Asked::Other,
        };
        let is_full = self.unanswered.len() >= UNANSWERED_MAX;
        if is_full && !self.unanswered.contains_key(&request.id) {
            return Err(Rejected::Unanswered);
        }
        self.unanswered.insert(request.id, asked);
        Ok(())
    }

    fn pool_answers(&mut self, answer: &Response) -> Heard {
        if self.own == Some(answer.id) {
            self.own = None;
            return Heard { passes: false, event: None };
        }
        let is_yes = answer.error.is_none() && answer.result == Value::Bool(true);
        let event = match self.unanswered.remove(&answer.id) {
            Some(Asked::Authorize(worker)) if is_yes => {
                self.is_authorized = true;
                Some(Event::Authorized(worker))
            }
            Some(Asked::Submit(Some(difficulty))) if is_yes => Some(Event::Accepted(difficulty)),
            Some(Asked::Submit(None)) if is_yes => Some(Event::Uncounted),
            Some(Asked::Submit(_)) => Some(Event::Refused),
            Some(Asked::Authorize(_) | Asked::Other) | None => None,
        };
        Heard { passes: true, event }
    }

    fn pool_tells(&mut self, method: &str, params: &Value) {
        match method {
            "mining.set_difficulty" => {
                let said = params.get(0).and_then(|it| match it {
                    Value::Number(number) => Difficulty::from_number(number),
                    Value::Null
                    | Value::Bool(_)
                    | Value::String(_)
                    | Value::Array(_)
                    | Value::Object(_) => None,
                });
                self.difficulty = said;
            }
            "mining.notify" => {
                let job = params.get(0).and_then(Value::as_str);
                let Some(job) = job.filter(|job| job.len() <= JOB_MAX) else { return };
                // A name that is used again means the newer one.
                self.jobs.retain(|(id, _)| id != job);
                if self.jobs.len() >= JOBS_MAX {
                    self.jobs.pop_front();
                }
                self.jobs.push_back((job.to_owned(), self.difficulty));
            }
            _ => {}
        }
    }
}
