//! Where the owner asks the openings' task to open shares, or to say what opening them would give away.

use std::time::Duration;

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::masking::OpeningWord;
use boltgrid_protocol::units::{Interval, NetEnergy};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::INTERVALS_AT_ONCE;
use super::own::NoOpening;

/// Wishes waiting for the task: one is done after the other.
const COMMANDS_MAX: usize = 4;
/// How long all of a wish may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What the owner wants opened.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// To whom.
    pub to: ParticipantId,
    /// The first interval.
    pub first: Interval,
    /// The last one.
    pub last: Interval,
    /// Whether only to say what would be given away.
    pub is_dry: bool,
}

/// Why nothing was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// No interval, or too many.
    #[error(
        "name one interval or more, the first one first, and at most {INTERVALS_AT_ONCE} at once"
    )]
    Span,
    /// Nobody of the grid.
    #[error("the arbiter must be a member of the grid")]
    NoMember,
    /// The task has too much to do, or has ended.
    #[error("the node has too much to do, or is stopping; nothing was opened, try again")]
    Busy,
    /// It took too long.
    #[error("it took too long; some intervals may be open, and opening them again does no harm")]
    Late,
}

/// What became of one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedInterval {
    /// The interval.
    pub interval: Interval,
    /// What the arbiter sees of it, or would see: the energy, and how many masks.
    pub given: Result<(NetEnergy, usize), NoOpening>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of opening an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was sent.
    NotSent,
    /// The arbiter could not be reached, or would not answer.
    NotAnswered,
    /// It said this.
    Said(OpeningWord),
}

pub(super) type Answer = oneshot::Sender<Result<Vec<OpenedInterval>, NotOpened>>;

/// Asks the openings' task. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct OpeningsDesk {
    wishes: mpsc::Sender<(Wish, Answer)>,
}

impl OpeningsDesk {
    pub(super) fn new() -> (Self, mpsc::Receiver<(Wish, Answer)>) {
        let (wishes, receiver) = mpsc::channel(COMMANDS_MAX);
        (Self { wishes }, receiver)
    }

    /// Opens intervals to a member, and says what became of each.
    ///
    /// # Errors
    ///
    /// [`NotOpened`].
    pub async fn open(&self, wish: Wish) -> Result<Vec<OpenedInterval>, NotOpened> {
        let (sender, answer) = oneshot::channel();
        self.wishes.try_send((wish, sender)).map_err(|_| NotOpened::Busy)?;
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(answered) => answered.unwrap_or(Err(NotOpened::Busy)),
            Err(_) => Err(NotOpened::Late),
        }
    }
}
