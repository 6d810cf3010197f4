//! Asking the market task to trade ahead on the owner's behalf: offer, withdraw, accept, list.
//!
//! Every method waits for an answer, for a bounded time. Not for: deciding or signing anything; the
//! market does, and its journal stands between it and the world.

use std::time::Duration;

use boltgrid_market::forwards::{Held, Terms};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::forward::Refusal;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::offer::{Day, Offer, Product};
use boltgrid_protocol::order::OrderRejected;
use boltgrid_protocol::units::{Energy, Interval, Msat};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::instructions::{Instructions, ORDERS_MAX, StepTerms};
use crate::rpc::order::{InstructionsReport, OwnOrderReport};
use crate::rpc::payment::AccountReport;
use crate::rpc::settlement::DueReport;

/// Commands waiting for the market task.
const COMMANDS_MAX: usize = 16;
/// How long the market task may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the author of an offer may take to say its word, before we say that it is still open.
const WORD_TIMEOUT: Duration = Duration::from_secs(5);

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The market does not want to; the text names the reason as in `not_taken`.
    #[error("{}", explain(.0))]
    NotTaken(&'static str),
    /// The market task has too much to do, or has ended.
    #[error("the node has too much to do, or is stopping; nothing was signed, try again")]
    Busy,
    /// The order breaks a rule.
    #[error("{0} (P8)")]
    BadOrder(OrderRejected),
    /// The order is placed, or about to be.
    #[error(
        "it is too late for this interval: its order is placed or about to be; `market.orders` says \
         until when each can be changed"
    )]
    WindowOver,
    /// Nobody knows so far ahead.
    #[error("an order may be placed a week ahead at most")]
    TooFarAhead,
    /// Not in the roster.
    #[error("this node is not a member of the grid in that interval")]
    NotAMember,
    /// Too many wait.
    #[error("{ORDERS_MAX} own orders wait already; withdraw some")]
    TooManyOrders,
    /// The disk.
    #[error(
        "it cannot be written to the data folder, so it does not hold; the node's log says why"
    )]
    NotKept,
    /// It took too long; whether something was signed, `forward.list` and `offer.list` show.
    #[error(
        "the node took too long to answer; see `forward.list` and `offer.list` for what it did"
    )]
    Late,
}

/// Reasons of the market in words for who asked, with what to do.
fn explain(why: &str) -> &str {
    match why {
        "own_offer" => "this is the node's own offer; withdraw it instead of accepting it",
        "beyond_the_offer" => {
            "this is not inside the offer: choose intervals that it covers, and energy from its \
             minimum to what it offers"
        }
        "offer_no_longer_stands" => "the offer was withdrawn or has expired; list offers again",
        "acceptance_too_late" => {
            "it is too late for the first interval; choose one that starts at least an interval \
             before its order window"
        }
        "too_many_open_acceptances" => {
            "too many acceptances wait for their reply; try again when some are replied to"
        }
        "not_a_member_in_all_intervals" => {
            "one of the two is not a member in all of these intervals; choose earlier ones"
        }
        "intervals_too_uneven" => {
            "what is traded before differs too often over these intervals; accept fewer at a time"
        }
        "acceptance_above_rating" => {
            "with what is traded before, this is more than the connection point is rated for"
        }
        "offer_too_far_ahead" => "an offer may be for the next seven days only",
        "offer_too_late" => "it is too late for the last interval of the offer; choose later ones",
        "offer_lives_too_long" => {
            "an offer may stand for a day at most; leave `expires_at_unix_ms` out, and it is \
             renewed for as long as it can be accepted"
        }
        "offer_invalid" => {
            "others would not take such an offer: energy within the rating, a minimum above zero \
             and not above the energy, a price inside the charter's band, all intervals in one \
             day of UTC"
        }
        "nothing_to_forgive" => {
            "this member owes nothing that is in dispute and was never in default; \
             `boltgrid payment accounts` and `boltgrid payment disputes` show who is"
        }
        "no_such_offer" => "the node has no standing offer of this product on this day",
        "own_offer_abstaining" | "own_acceptance_abstaining" => {
            "the node abstains and signs nothing new; `boltgrid status` says why, and what to do"
        }
        other => other,
    }
}

/// What became of an acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides have signed.
    Forward,
    /// The offer's author does not take it; neither is bound.
    Refused(Refusal),
    /// Nobody replied in time, so it is void.
    Void,
    /// The author of the offer has not said its word yet; it is asked again.
    Open,
}

/// What a counterparty was forgiven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgiven {
    /// How many dues.
    pub dues: usize,
    /// What was not paid of them.
    pub unpaid_msat: Msat,
}

/// What to accept of an offer.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The offer.
    pub offer: Verified<Offer>,
    /// The first interval.
    pub first: Interval,
    /// The interval after the last.
    pub after: Interval,
    /// How much in every interval.
    pub energy_mwh: Energy,
}

/// Other standing instructions, and who gives them.
#[derive(Debug)]
pub(crate) struct Instruction {
    pub(crate) instructions: Instructions,
    pub(crate) by: String,
    /// Whether it is only asked what would follow.
    pub(crate) is_dry: bool,
}

/// What the market task answers to a command.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, NotDone>>;

/// What the market task is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Offer(Terms, Answer<Offer>),
    Withdraw(Product, Day, Answer<Offer>),
    /// The answer is a second one to wait for: the word of the offer's author.
    Accept(Box<Wanted>, Answer<oneshot::Receiver<Outcome>>),
    Forwards(Answer<Vec<Held>>),
    Accounts(Answer<Vec<AccountReport>>),
    Forgive(ParticipantId, Answer<Forgiven>),
    Orders(Answer<Vec<OwnOrderReport>>),
    /// Without steps the interval is left to the planner.
    Order(Interval, Option<Vec<StepTerms>>, Answer<()>),
    Dues(Answer<Vec<DueReport>>),
    Instructions(Answer<InstructionsReport>),
    Instruct(Instruction, Answer<InstructionsReport>),
}

/// Where the market task is asked.
#[derive(Clone, Debug)]
pub struct Trading {
    commands: mpsc::Sender<Command>,
}

impl Trading {
    /// The two ends: one to ask at, one to answer from.
    #[must_use]
    pub(crate) fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        (Self { commands }, receiver)
    }

    /// Signs and publishes an offer, in place of one of the same product and day.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn offer(&self, terms: Terms) -> Result<Offer, NotDone> {
        self.ask(|answer| Command::Offer(terms, answer)).await
    }

    /// Withdraws an offer; what was accepted of it stays.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn withdraw(&self, product: Product, day: Day) -> Result<Offer, NotDone> {
        self.ask(|answer| Command::Withdraw(product, day, answer)).await
    }

    /// Accepts some of an offer and waits a few seconds for its author's word.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn accept(&self, wanted: Wanted) -> Result<Outcome, NotDone> {
        let word = self.ask(|answer| Command::Accept(Box::new(wanted), answer)).await?;
        match timeout(WORD_TIMEOUT, word).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) | Err(_) => Ok(Outcome::Open),
        }
    }

    /// The trades ahead that are not over.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn forwards(&self) -> Result<Vec<Held>, NotDone> {
        self.ask(Command::Forwards).await
    }

    /// How this node stands with everyone it traded with.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn accounts(&self) -> Result<Vec<AccountReport>, NotDone> {
        self.ask(Command::Accounts).await
    }

    /// What is due and not paid.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn dues(&self) -> Result<Vec<DueReport>, NotDone> {
        self.ask(Command::Dues).await
    }

    /// Forgives a counterparty what it owes and is in dispute, and trusts it as a newcomer.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn forgive(&self, counterparty: ParticipantId) -> Result<Forgiven, NotDone> {
        self.ask(|answer| Command::Forgive(counterparty, answer)).await
    }

    /// The node's orders that are placed or wait, and what would be ordered next.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn orders(&self) -> Result<Vec<OwnOrderReport>, NotDone> {
        self.ask(Command::Orders).await
    }

    /// Has something else ordered for an interval than what the planner would, or leaves it to the planner.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn order(
        &self,
        interval: Interval,
        steps: Option<Vec<StepTerms>>,
    ) -> Result<(), NotDone> {
        self.ask(|answer| Command::Order(interval, steps, answer)).await
    }

    /// The standing instructions.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn instructions(&self) -> Result<InstructionsReport, NotDone> {
        self.ask(Command::Instructions).await
    }

    /// Replaces the standing instructions, or only says what would follow.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub async fn instruct(
        &self,
        instructions: Instructions,
        by: String,
        is_dry: bool,
    ) -> Result<InstructionsReport, NotDone> {
        let instruction = Instruction { instructions, by, is_dry };
        self.ask(|answer| Command::Instruct(instruction, answer)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, NotDone> {
        let (sender, answer) = oneshot::channel();
        self.commands.try_send(command(sender)).map_err(|_| NotDone::Busy)?;
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NotDone::Busy),
            Err(_) => Err(NotDone::Late),
        }
    }
}
