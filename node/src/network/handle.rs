//! What the other tasks hold of the network: a handle to tell it things, and the events it sends.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_market::abstention::PeerClocks;
use boltgrid_market::effect::Verdict;
use boltgrid_protocol::direct::{Answer, Question};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::InvoiceWord;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::offer::{Day, Product};
use boltgrid_protocol::peer::LightningContact;
use boltgrid_protocol::seal::{Opened, Shown};
use boltgrid_protocol::topic::Topic;
use tokio::sync::{mpsc, oneshot, watch};

use super::offers::FoundOffers;
use super::status::NetworkStatus;

/// Commands waiting for the network: more than one interval's traffic of a whole grid.
pub(super) const COMMANDS_MAX: usize = 1024;
/// Events waiting for the market: a burst of everybody's votes. Beyond it, messages are dropped and
/// counted as `overloaded`.
pub(super) const EVENTS_MAX: usize = 2048;

/// Where the members' Lightning nodes are, by participant. Each has signed for it.
pub type LightningContacts = Arc<BTreeMap<ParticipantId, LightningContact>>;

/// Something that came in. All messages are verified.
#[derive(Debug)]
pub enum NetworkEvent {
    /// A message.
    Heard {
        /// The message.
        message: Box<Message>,
        /// For a gossiped message, what to name it by in [`NetworkHandle::judge`]; it is passed on
        /// only once it is judged. `None` for what came directly.
        token: Option<u64>,
    },
    /// A member shows us its reading, since we trade with it.
    Shown(Box<Opened>),
    /// A member asks something; to be answered by [`NetworkHandle::answer`].
    Asked {
        /// Who asks.
        from: ParticipantId,
        /// What.
        question: Question,
        /// What to name it by in the answer.
        token: u64,
    },
    /// A member's word on an acceptance of ours; not yet verified.
    Reply {
        /// Whom we asked.
        from: ParticipantId,
        /// What it answered.
        bytes: Vec<u8>,
    },
    /// The payer's word on an invoice of ours.
    InvoiceWord {
        /// The payer.
        from: ParticipantId,
        /// The invoice.
        invoice: Vec<u8>,
        /// What it says.
        word: InvoiceWord,
    },
    /// A certificate that we asked for; not verified.
    Certificate {
        /// Who had it.
        from: ParticipantId,
        /// The encoded certificate.
        bytes: Vec<u8>,
    },
    /// A member answers a question about history or an escrow; not verified.
    Told {
        /// Who.
        by: ParticipantId,
        /// What it was asked.
        question: Question,
        /// What it says.
        answer: Answer,
    },
    /// Members were asked what their clocks show.
    Clocks(PeerClocks),
    /// A member could not be asked, would not answer or had nothing.
    Unanswered {
        /// Who.
        by: ParticipantId,
        /// What it was asked.
        question: Question,
    },
}

/// Something for the network to do.
#[derive(Debug)]
pub(super) enum Command {
    Gossip(Topic, Arc<[u8]>),
    Judge { token: u64, verdict: Verdict },
    SendTo { to: ParticipantId, bytes: Arc<[u8]> },
    Show { to: ParticipantId, shown: Box<Shown> },
    Ask { whom: ParticipantId, question: Question },
    Answer { token: u64, answer: Answer },
    Blame { whom: ParticipantId },
    PublishOffer(Arc<[u8]>),
    FindOffers { place: (Product, Day), answer: oneshot::Sender<FoundOffers> },
}

/// Why the network did not take a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkUnavailable {
    /// It has too much to do; the command is dropped.
    #[error("the network task has {COMMANDS_MAX} commands waiting and takes no more")]
    Busy,
    /// It has ended.
    #[error("the network task has ended")]
    Ended,
}

/// Tells the network what to do. No method waits.
#[derive(Clone, Debug)]
pub struct NetworkHandle {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<NetworkStatus>,
    contacts: watch::Receiver<LightningContacts>,
}

impl NetworkHandle {
    pub(super) const fn new(
        commands: mpsc::Sender<Command>,
        status: watch::Receiver<NetworkStatus>,
        contacts: watch::Receiver<LightningContacts>,
    ) -> Self {
        Self { commands, status, contacts }
    }

    /// Publishes a signed message to everyone. Where nobody listens yet, it is tried again until
    /// the message's interval is over.
    ///
    /// # Errors
    ///
    /// [`NetworkUnavailable`].
    pub fn gossip(&self, topic: Topic, bytes: Arc<[u8]>) -> Result<(), NetworkUnavailable> {
        self.send(Command::Gossip(topic, bytes))
    }

    /// Says what becomes of a gossiped message. One that is not judged within seconds is not
    /// passed on.
    ///
    /// # Errors
    ///
    /// [`NetworkUnavailable`].
    pub fn judge(&self, token: u64, verdict: Verdict) -> Result<(), NetworkUnavailable> {
        self.send(Command::Judge { token, verdict })
    }

    /// Sends a signed confirm to the other side of a trade, or an open reading of ours to somebody we
    /// trade with; tried again until its like no longer counts.
    ///
    /// # Errors
    ///
    /// [`NetworkUnavailable`].
    pub fn send_to(&self, to: ParticipantId, bytes: Arc<[u8]>) -> Result<(), NetworkUnavailable> {
        self.send(Command::SendTo { to, bytes })
    }

    /// Shows a reading of ours to somebody we trade with; tried again until readings of its instant no
    /// longer count.
    ///
    /// # Errors
    ///
    /// [`NetworkUnavailable`].
    pub fn show(&self, to: ParticipantId, shown: Box<Shown>) -> Result<(), NetworkUnavailable> {
        self.send(Command::Show { to, shown })
    }

    /// Asks a member something. Orders come back as [`NetworkEvent::Heard`], a certificate as
    /// [`NetworkEvent::Certificate`], history and readings as [`NetworkEvent::Told`], failure as [`NetworkEvent::Unanswered`].
    ///
    /// # Errors
    ///
    /// [`NetworkUnavailable`].
    pub fn ask(&self, whom: ParticipantId, question: Question) -> Result<(), NetworkUnavailable> {
        self.send(Command::Ask { whom, question })
    }

    /// Answers a member's question.
    ///
    /// # Errors
    ///
    /// [`NetworkUnavailable`].
    pub fn answer(&self, token: u64, answer: Answer) -> Result<(), NetworkUnavailable> {
        self.send(Command::Answer { token, answer })
    }

    /// Says that a member handed out false history, or asked for nonsense; it is charged for it.
    ///
    /// # Errors
    ///
    /// [`NetworkUnavailable`].
    pub fn blame(&self, whom: ParticipantId) -> Result<(), NetworkUnavailable> {
        self.send(Command::Blame { whom })
    }

    /// Publishes an offer of ours in the DHT, again and again for as long as it holds.
    ///
    /// # Errors
    ///
    /// [`NetworkUnavailable`].
    pub fn publish_offer(&self, bytes: Arc<[u8]>) -> Result<(), NetworkUnavailable> {
        self.send(Command::PublishOffer(bytes))
    }

    /// Looks up the standing offers of a product on a day; answered within seconds, if not
    /// completely. The receiver fails only where the network ends.
    ///
    /// # Errors
    ///
    /// [`NetworkUnavailable`].
    pub fn find_offers(
        &self,
        product: Product,
        day: Day,
    ) -> Result<oneshot::Receiver<FoundOffers>, NetworkUnavailable> {
        let (answer, found) = oneshot::channel();
        self.send(Command::FindOffers { place: (product, day), answer })?;
        Ok(found)
    }

    /// How the network is doing; brought up to date at every heartbeat (0.7 s).
    #[must_use]
    pub fn status(&self) -> NetworkStatus {
        self.status.borrow().clone()
    }

    /// The status as it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<NetworkStatus> {
        self.status.clone()
    }

    /// Where the members' Lightning nodes are, as far as their records were seen.
    #[must_use]
    pub fn lightning_contacts(&self) -> LightningContacts {
        Arc::clone(&self.contacts.borrow())
    }

    /// The same as it changes.
    #[must_use]
    pub fn watch_lightning_contacts(&self) -> watch::Receiver<LightningContacts> {
        self.contacts.clone()
    }

    fn send(&self, command: Command) -> Result<(), NetworkUnavailable> {
        self.commands.try_send(command).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => NetworkUnavailable::Busy,
            mpsc::error::TrySendError::Closed(_) => NetworkUnavailable::Ended,
        })
    }
}

/// What a handle's commands come to in a test that has no network.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Asked(mpsc::Receiver<Command>);

#[cfg(test)]
impl Asked {
    /// A handle of no network, and where what is asked by it comes out.
    pub(crate) fn of_nobody() -> (NetworkHandle, Self) {
        let (commands, asked) = mpsc::channel(COMMANDS_MAX);
        let (status, contacts) =
            (watch::channel(NetworkStatus::default()), watch::channel(Arc::default()));
        (NetworkHandle::new(commands, status.1, contacts.1), Self(asked))
    }

    /// The next question, and whom it is for.
    pub(crate) async fn next(&mut self) -> Option<(ParticipantId, Question)> {
        loop {
            if let Command::Ask { whom, question } = self.0.recv().await? {
                return Some((whom, question));
            }
        }
    }
}
