//! The openings' task: it answers those who open to this node, and opens what the owner wants, one
//! interval after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::direct::{Answer, Question};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::masking::Opening;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::Interval;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::arbiter::Arbiter;
use super::desk::{self, OpenedInterval, OpeningsDesk, Outcome, Wish};
use crate::clock;
use crate::network::{NetworkEvent, NetworkHandle};
use crate::store::Archive;

/// Openings and words waiting: what some members send in a burst.
const EVENTS_MAX: usize = 64;
/// How long an arbiter may take to say its word on one interval.
const WORD_TIMEOUT: Duration = Duration::from_secs(6);

/// The task.
#[derive(Debug)]
pub(crate) struct OpeningsTask {
    key: Keypair,
    network: NetworkHandle,
    arbiter: Arbiter,
    events: mpsc::Receiver<NetworkEvent>,
    wishes: mpsc::Receiver<(Wish, desk::Answer)>,
}

/// No further interval is opened once a wish has taken as long as this: with the last word, whoever asked
/// has its answer before a command gives up (`crate::cli::rpc`), and asks for the rest anew.
const WISH_TIME: Duration = Duration::from_secs(12);

/// A wish that is being done.
struct UnderWay {
    to: ParticipantId,
    /// Of which interval a word is waited for, and until when.
    waits: Option<(Interval, Instant)>,
    /// What is still to be sent.
    left: VecDeque<(Interval, Opening)>,
    told: Vec<OpenedInterval>,
    /// Nothing is sent any more from then on.
    until: Instant,
    answer: desk::Answer,
}

impl OpeningsTask {
    /// The task, where others send it what comes in, and where the owner asks it.
    pub(crate) fn new(
        grid: (Arc<Charter>, Rosters),
        key: Keypair,
        (network, archive): (NetworkHandle, Archive),
    ) -> (Self, mpsc::Sender<NetworkEvent>, OpeningsDesk) {
        let (of_openings, events) = mpsc::channel(EVENTS_MAX);
        let (desk, wishes) = OpeningsDesk::new();
        let arbiter = Arbiter::new(grid, archive);
        (Self { key, network, arbiter, events, wishes }, of_openings, desk)
    }

    /// Runs until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut under_way = None::<UnderWay>;
        loop {
            let waits = under_way.as_ref().and_then(|it| it.waits);
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(event) = self.events.recv() => self.hear(event, &mut under_way),
                Some((wish, answer)) = self.wishes.recv(), if under_way.is_none() => {
                    under_way = self.begin(wish, answer);
                }
                () = sleep_until(waits.map_or_else(Instant::now, |(_, until)| until)),
                    if waits.is_some() =>
                {
                    self.word(Outcome::NotAnswered, &mut under_way);
                }
            }
        }
    }

    fn hear(&mut self, event: NetworkEvent, under_way: &mut Option<UnderWay>) {
        match event {
            NetworkEvent::Asked { from, question: Question::Open { interval, opening }, token } => {
                let word = self.arbiter.take(&from, interval, &opening);
                let answer = Answer::Open(word);
                if let Err(error) = self.network.answer(token, answer) {
                    warn!(%error, "not answered; whoever opened does so again");
                }
            }
            NetworkEvent::Told {
                by,
                question: Question::Open { interval, .. },
                answer: Answer::Open(word),
            } if is_waited_for(under_way.as_ref(), &by, interval) => {
                self.word(Outcome::Said(word), under_way);
            }
            NetworkEvent::Unanswered { by, question: Question::Open { interval, .. } }
                if is_waited_for(under_way.as_ref(), &by, interval) =>
            {
                self.word(Outcome::NotAnswered, under_way);
            }
            // Too late, or nothing of ours.
            NetworkEvent::Asked { .. }
            | NetworkEvent::Told { .. }
            | NetworkEvent::Unanswered { .. }
            | NetworkEvent::Heard { .. }
            | NetworkEvent::Reply { .. }
            | NetworkEvent::InvoiceWord { .. }
            | NetworkEvent::Certificate { .. }
            | NetworkEvent::Shown(_)
            | NetworkEvent::Clocks(_) => {}
        }
    }

    /// Begins to do what the owner wants; none where nothing is waited for.
    fn begin(&mut self, wish: Wish, answer: desk::Answer) -> Option<UnderWay> {
        let prepared = match self.arbiter.prepare(&self.key, &wish, clock::now()) {
            Ok(prepared) => prepared,
            Err(why) => {
                drop(answer.send(Err(why)));
                return None;
            }
        };
        let (left, told) = if wish.is_dry {
            (VecDeque::new(), prepared.into_iter().map(|(told, _)| told).collect())
        } else {
            let sent = prepared.iter().filter_map(|(told, it)| Some((told.interval, it.clone()?)));
            (sent.collect(), prepared.iter().map(|(told, _)| told.clone()).collect())
        };
        let until = Instant::now() + WISH_TIME;
        let under_way = UnderWay { to: wish.to, waits: None, left, told, until, answer };
        self.next(under_way)
    }

    /// Sends the next opening; answers the owner once there is none.
    fn next(&mut self, mut under_way: UnderWay) -> Option<UnderWay> {
        if Instant::now() >= under_way.until {
            under_way.left.clear();
        }
        while let Some((interval, opening)) = under_way.left.pop_front() {
            info!(to = %under_way.to, %interval, masks = opening.masks(), "opening a share");
            let me = self.key.participant_id();
            let outcome = if under_way.to == me {
                Outcome::Said(self.arbiter.take(&me, interval, &opening))
            } else {
                match self.network.ask(under_way.to, Question::Open { interval, opening }) {
                    Ok(()) => {
                        under_way.waits = Some((interval, Instant::now() + WORD_TIMEOUT));
                        return Some(under_way);
                    }
                    Err(_) => Outcome::NotAnswered,
                }
            };
            under_way.note(interval, outcome);
        }
        let UnderWay { told, answer, .. } = under_way;
        drop(answer.send(Ok(told)));
        None
    }

    /// What became of the interval that is waited for.
    fn word(&mut self, outcome: Outcome, under_way: &mut Option<UnderWay>) {
        let Some(mut it) = under_way.take() else { return };
        if let Some((interval, _)) = it.waits.take() {
            it.note(interval, outcome);
        }
        if outcome == Outcome::NotAnswered {
            // Whoever does not answer once is not asked on.
            it.left.clear();
        }
        *under_way = self.next(it);
    }
}

impl UnderWay {
    fn note(&mut self, interval: Interval, outcome: Outcome) {
        let place = self.told.iter_mut().find(|it| it.interval == interval);
        if let Some(it) = place {
            it.outcome = outcome;
        }
    }
}

fn is_waited_for(under_way: Option<&UnderWay>, by: &ParticipantId, interval: Interval) -> bool {
    under_way.is_some_and(|it| {
        it.to == *by && it.waits.is_some_and(|(waits_for, _)| waits_for == interval)
    })
}
