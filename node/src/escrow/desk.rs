//! Where the owner asks the escrow task to do something. Every method waits for an answer, for a
//! bounded time.

use std::time::Duration;

use boltgrid_market::escrow::{NotDone, View};
use boltgrid_protocol::escrow::Condition;
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::units::Msat;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Wishes waiting for the task.
const COMMANDS_MAX: usize = 16;
/// How long the task may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EscrowNotDone {
    /// The engine does not want to.
    #[error(transparent)]
    Engine(#[from] NotDone),
    /// The node has no Lightning.
    #[error("this node has no Lightning to pay with; set `[lightning]` in its config")]
    NoLightning,
    /// The payee's Lightning node is not known.
    #[error("the payee's Lightning node is not known; it must be online, with Lightning")]
    NoContact,
    /// There is no channel with the payee that can carry it.
    #[error(
        "no usable channel with the payee can carry {amount_sat} sat at once (now at most \
         {sendable_sat} sat): an amount in escrow goes over a direct channel only, so that nobody on \
         the way can take it; see `boltgrid channel list`"
    )]
    NoChannel {
        /// What was to be locked.
        amount_sat: u64,
        /// What the best channel can carry.
        sendable_sat: u64,
    },
    /// The operating system gives no random bytes.
    #[error("no randomness for a preimage: {0}")]
    Randomness(String),
    /// The task has too much to do, or has ended.
    #[error("the node has too much to do, or is stopping; nothing was signed, try again")]
    Busy,
    /// It took too long.
    #[error("the node took too long to answer; see `boltgrid escrow list` for what it did")]
    Late,
}

/// What the owner proposes.
#[derive(Clone, Copy, Debug)]
pub struct Proposal {
    /// Who may get the amount.
    pub payee: ParticipantId,
    /// Who rules.
    pub arbiter: ParticipantId,
    /// What decides.
    pub condition: Condition,
    /// How much.
    pub amount: Msat,
    /// For how many blocks; as many as it takes, and a reserve, where nothing is said.
    pub hold_blocks: Option<u32>,
    /// For how long the others may sign.
    pub stands_ms: u64,
}

pub(super) type Answer<T> = oneshot::Sender<Result<T, EscrowNotDone>>;

/// What the task is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Propose(Box<Proposal>, Answer<MessageHash>),
    Decide(MessageHash, bool, Answer<()>),
    Release(MessageHash, Answer<()>),
    List(Answer<Vec<View>>),
}

/// Asks the escrow task. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct EscrowDesk {
    commands: mpsc::Sender<Command>,
}

impl EscrowDesk {
    pub(super) fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        (Self { commands }, receiver)
    }

    /// Signs terms and begins to ask arbiter and payee; returns the escrow's name.
    ///
    /// # Errors
    ///
    /// [`EscrowNotDone`].
    pub async fn propose(&self, proposal: Proposal) -> Result<MessageHash, EscrowNotDone> {
        self.ask(|answer| Command::Propose(Box::new(proposal), answer)).await
    }

    /// Takes part in an escrow, as its arbiter or payee, or declines to.
    ///
    /// # Errors
    ///
    /// [`EscrowNotDone`].
    pub async fn decide(&self, escrow: MessageHash, accepts: bool) -> Result<(), EscrowNotDone> {
        self.ask(|answer| Command::Decide(escrow, accepts, answer)).await
    }

    /// Gives the amount to the payee, whatever the readings say.
    ///
    /// # Errors
    ///
    /// [`EscrowNotDone`].
    pub async fn release(&self, escrow: MessageHash) -> Result<(), EscrowNotDone> {
        self.ask(|answer| Command::Release(escrow, answer)).await
    }

    /// All escrows, also those that wait for the owner or are over.
    ///
    /// # Errors
    ///
    /// [`EscrowNotDone`].
    pub async fn list(&self) -> Result<Vec<View>, EscrowNotDone> {
        self.ask(Command::List).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, EscrowNotDone> {
        let (sender, answer) = oneshot::channel();
        self.commands.try_send(command(sender)).map_err(|_| EscrowNotDone::Busy)?;
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(answered) => answered.unwrap_or(Err(EscrowNotDone::Busy)),
            Err(_) => Err(EscrowNotDone::Late),
        }
    }
}
