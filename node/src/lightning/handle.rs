//! What the other tasks hold of Lightning: a handle to ask things of it. Events come by
//! [`super::event`].
//!
//! Not for: how it is done. Nothing here names the library that does it, and whoever holds the
//! receiving end of [`LightningHandle::new`] can stand in for it in a test.

use std::time::Duration;

use boltgrid_protocol::lightning::{LightningId, PaymentHash, Preimage};
use tokio::sync::{mpsc, oneshot, watch};

use super::channel::{Channel, ChannelId, ChannelTerms};
use super::payment::{Invoice, InvoiceTerms, KnownPayment, PaymentOrder, Transaction};
use super::status::LightningStatus;

/// Requests waiting for Lightning. More than one interval's tranches of a household; beyond it,
/// [`LightningError::Busy`].
pub const REQUESTS_MAX: usize = 256;
/// How long an asker waits for an answer. Opening a channel has to reach the other side first.
pub const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Why Lightning did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightningError {
    /// Too much is waiting. Nothing was done.
    #[error("Lightning has {REQUESTS_MAX} requests waiting and takes no more; try again later")]
    Busy,
    /// It has ended, or is about to. Whether it was done is not known.
    #[error("Lightning has ended; see the node's log")]
    Ended,
    /// No answer in time. Whether it was, or will be, done is not known.
    #[error("no answer from Lightning within {} s; look again later", ANSWER_TIME.as_secs())]
    TimedOut,
    /// This payment is under way or done already. Its outcome is told as an event, or can be asked.
    #[error("this payment is under way or done already")]
    PaidBefore,
    /// The payment was not sent, and will not be.
    #[error("the payment could not be sent: no route with enough money in it")]
    NoRoute,
    /// Not enough money in the on-chain wallet beyond what is kept in reserve for closing channels.
    #[error(
        "not enough money in the on-chain wallet; see `boltgrid wallet balances`, and note that \
         each channel keeps a reserve there"
    )]
    NotEnoughMoney,
    /// The coins may be spent already by what was funded before, which the wallet has not heard of yet.
    #[error(
        "another channel or splice is being funded, and the wallet has not seen yet by which coins; try \
         again in a minute"
    )]
    CoinsInUse,
    /// The other side could not be reached.
    #[error("the other node cannot be reached at this address")]
    Unreachable,
    /// There is no such channel.
    #[error("there is no such channel; see `boltgrid channel list`")]
    NoSuchChannel,
    /// A parameter is not what it should be.
    #[error("{0}")]
    BadParameter(String),
    /// The library or what is under it failed.
    #[error("Lightning failed: {0}; see the node's log")]
    Failed(String),
}

/// Where an answer goes. An asker that has gone away misses it.
pub type Reply<T> = oneshot::Sender<Result<T, LightningError>>;

/// Something asked of Lightning.
#[derive(Debug)]
pub enum Request {
    /// See [`LightningHandle::invoice`].
    Invoice(InvoiceTerms, Reply<Invoice>),
    /// See [`LightningHandle::hold_invoice`].
    HoldInvoice(InvoiceTerms, PaymentHash, Reply<Invoice>),
    /// See [`LightningHandle::long_hold_invoice`].
    LongHoldInvoice(InvoiceTerms, PaymentHash, u32, Reply<Invoice>),
    /// See [`LightningHandle::pay_direct`].
    PayDirect(String, Reply<PaymentHash>),
    /// See [`LightningHandle::claim`].
    Claim(Preimage, Reply<()>),
    /// See [`LightningHandle::refuse`].
    Refuse(PaymentHash, Reply<()>),
    /// See [`LightningHandle::pay`].
    Pay(PaymentOrder, Reply<PaymentHash>),
    /// See [`LightningHandle::payment`].
    Payment(PaymentHash, Reply<Option<KnownPayment>>),
    /// See [`LightningHandle::payments`].
    Payments(Vec<PaymentHash>, Reply<Vec<Option<KnownPayment>>>),
    /// See [`LightningHandle::transactions`].
    Transactions(Reply<Vec<Transaction>>),
    /// See [`LightningHandle::address`].
    Address(Reply<String>),
    /// See [`LightningHandle::send_onchain`].
    SendOnchain(Sending, Reply<String>),
    /// See [`LightningHandle::channels`].
    Channels(Reply<Vec<Channel>>),
    /// See [`LightningHandle::open_channel`].
    OpenChannel(ChannelTerms, Reply<ChannelId>),
    /// See [`LightningHandle::close_channel`] and [`LightningHandle::force_close_channel`].
    CloseChannel {
        /// Which.
        channel: ChannelId,
        /// Whether without the other side.
        force: bool,
        /// Where the answer goes.
        reply: Reply<()>,
    },
    /// See [`LightningHandle::splice_in`].
    SpliceIn(ChannelId, u64, Reply<()>),
    /// See [`LightningHandle::splice_out`].
    SpliceOut(ChannelId, u64, Reply<()>),
    /// See [`LightningHandle::connect`].
    Connect(LightningId, String, Reply<()>),
    /// See [`LightningHandle::sign`].
    Sign(Vec<u8>, Reply<String>),
    /// See [`LightningHandle::refresh`].
    Refresh(Reply<LightningStatus>),
    /// See [`LightningHandle::follow`].
    Follow(Reply<LightningStatus>),
}

/// Money to be sent on-chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// To which address of the node's network.
    pub address: String,
    /// How much; everything but the channels' reserve where nothing is said.
    pub amount_sat: Option<u64>,
}

/// Asks things of Lightning. Clones ask the same one. Every answer takes at most [`ANSWER_TIME`].
#[derive(Clone, Debug)]
pub struct LightningHandle {
    node_id: LightningId,
    requests: mpsc::Sender<Request>,
    status: watch::Receiver<LightningStatus>,
}

impl LightningHandle {
    /// A handle, and where its requests come out.
    #[must_use]
    pub fn new(
        node_id: LightningId,
        status: watch::Receiver<LightningStatus>,
    ) -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        (Self { node_id, requests, status }, receiver)
    }

    /// This node's id on Lightning.
    #[must_use]
    pub const fn node_id(&self) -> LightningId {
        self.node_id
    }

    /// Balances, channels and the chain as last seen, some seconds ago at most.
    #[must_use]
    pub fn status(&self) -> LightningStatus {
        self.status.borrow().clone()
    }

    /// The status as it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<LightningStatus> {
        self.status.clone()
    }

    /// Looks at balances and channels anew.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn refresh(&self) -> Result<LightningStatus, LightningError> {
        self.ask(Request::Refresh).await
    }

    /// Looks at the chain now, and not only when its time has come again, and at everything anew once
    /// the newest block is taken in.
    ///
    /// # Errors
    ///
    /// [`LightningError`], where the chain does not answer.
    pub async fn follow(&self) -> Result<LightningStatus, LightningError> {
        self.ask(Request::Follow).await
    }

    /// Makes an invoice. It is paid at most once by an honest payer, and nothing is done where it is
    /// never paid. An invoice whose answer was lost is as good as never made.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn invoice(&self, terms: InvoiceTerms) -> Result<Invoice, LightningError> {
        self.ask(|reply| Request::Invoice(terms, reply)).await
    }

    /// Makes an invoice to a hash whose preimage somebody else may hold: what is paid to it is told as
    /// [`super::event::LightningEvent::PaymentHeld`] and is ours only by [`Self::claim`].
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn hold_invoice(
        &self,
        terms: InvoiceTerms,
        hash: PaymentHash,
    ) -> Result<Invoice, LightningError> {
        self.ask(|reply| Request::HoldInvoice(terms, hash, reply)).await
    }

    /// Makes an invoice to a hash that can be held until 39 blocks before a time lock of so many
    /// blocks, and can be paid over a direct channel only.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn long_hold_invoice(
        &self,
        terms: InvoiceTerms,
        hash: PaymentHash,
        final_cltv_blocks: u32,
    ) -> Result<Invoice, LightningError> {
        self.ask(|reply| Request::LongHoldInvoice(terms, hash, final_cltv_blocks, reply)).await
    }

    /// Starts to pay an invoice over our channel with the payee, and over no other way. The rest is as
    /// in [`Self::pay`].
    ///
    /// # Errors
    ///
    /// As in [`Self::pay`].
    pub async fn pay_direct(&self, bolt11: String) -> Result<PaymentHash, LightningError> {
        self.ask(|reply| Request::PayDirect(bolt11, reply)).await
    }

    /// Claims a held payment.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn claim(&self, preimage: Preimage) -> Result<(), LightningError> {
        self.ask(|reply| Request::Claim(preimage, reply)).await
    }

    /// Gives a held payment back.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn refuse(&self, hash: PaymentHash) -> Result<(), LightningError> {
        self.ask(|reply| Request::Refuse(hash, reply)).await
    }

    /// Starts to pay an invoice. The answer says only that it is under way; how it ends is told as an
    /// event. What was paid, or is under way, is not paid again: that is
    /// [`LightningError::PaidBefore`].
    ///
    /// # Errors
    ///
    /// Nothing is under way after [`LightningError::NoRoute`], [`LightningError::BadParameter`] and
    /// [`LightningError::Busy`]; after [`LightningError::Ended`], [`LightningError::TimedOut`] and
    /// [`LightningError::Failed`] it may be: then ask again, which is safe.
    pub async fn pay(&self, order: PaymentOrder) -> Result<PaymentHash, LightningError> {
        self.ask(|reply| Request::Pay(order, reply)).await
    }

    /// What Lightning knows of a payment, in either direction. Where it knows nothing after a crash,
    /// the invoice may be paid again: what was on its way nevertheless answers
    /// [`LightningError::PaidBefore`].
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn payment(&self, hash: PaymentHash) -> Result<Option<KnownPayment>, LightningError> {
        self.ask(|reply| Request::Payment(hash, reply)).await
    }

    /// What Lightning knows of payments, each in its hash's place.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn payments(
        &self,
        hashes: Vec<PaymentHash>,
    ) -> Result<Vec<Option<KnownPayment>>, LightningError> {
        self.ask(|reply| Request::Payments(hashes, reply)).await
    }

    /// All transactions that the on-chain wallet knows of, the latest first.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn transactions(&self) -> Result<Vec<Transaction>, LightningError> {
        self.ask(Request::Transactions).await
    }

    /// A new on-chain address of the wallet.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn address(&self) -> Result<String, LightningError> {
        self.ask(Request::Address).await
    }

    /// Sends money on-chain, never what is in reserve for channels; returns the transaction's id.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn send_onchain(&self, sending: Sending) -> Result<String, LightningError> {
        self.ask(|reply| Request::SendOnchain(sending, reply)).await
    }

    /// All channels that are open or being opened.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn channels(&self) -> Result<Vec<Channel>, LightningError> {
        self.ask(Request::Channels).await
    }

    /// Connects to the other side and starts to open a channel with it. What becomes of it is told as
    /// events.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn open_channel(&self, terms: ChannelTerms) -> Result<ChannelId, LightningError> {
        self.ask(|reply| Request::OpenChannel(terms, reply)).await
    }

    /// Closes a channel together with the other side, which must be connected; the money is free at
    /// the next confirmation.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn close_channel(&self, channel: ChannelId) -> Result<(), LightningError> {
        self.ask(|reply| Request::CloseChannel { channel, force: false, reply }).await
    }

    /// Closes a channel without the other side: dearer, and the money is bound for about a day.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn force_close_channel(&self, channel: ChannelId) -> Result<(), LightningError> {
        self.ask(|reply| Request::CloseChannel { channel, force: true, reply }).await
    }

    /// Moves money from the on-chain wallet into a channel, which stays usable meanwhile.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn splice_in(
        &self,
        channel: ChannelId,
        amount_sat: u64,
    ) -> Result<(), LightningError> {
        self.ask(|reply| Request::SpliceIn(channel, amount_sat, reply)).await
    }

    /// Moves money out of a channel into the on-chain wallet; the channel stays usable meanwhile.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn splice_out(
        &self,
        channel: ChannelId,
        amount_sat: u64,
    ) -> Result<(), LightningError> {
        self.ask(|reply| Request::SpliceOut(channel, amount_sat, reply)).await
    }

    /// Connects to another node, as host:port, unless it is connected.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn connect(&self, node: LightningId, address: String) -> Result<(), LightningError> {
        self.ask(|reply| Request::Connect(node, address, reply)).await
    }

    /// Signs bytes with the Lightning node's key, so that `super::verify` can check it.
    ///
    /// # Errors
    ///
    /// [`LightningError`].
    pub async fn sign(&self, message: Vec<u8>) -> Result<String, LightningError> {
        self.ask(|reply| Request::Sign(message, reply)).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, LightningError> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(request(reply)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => LightningError::Busy,
            mpsc::error::TrySendError::Closed(_) => LightningError::Ended,
        })?;
        match tokio::time::timeout(ANSWER_TIME, answer).await {
            Ok(answered) => answered.unwrap_or(Err(LightningError::Ended)),
            Err(_) => Err(LightningError::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn handle() -> (LightningHandle, mpsc::Receiver<Request>) {
        let id = format!("02{}", "11".repeat(32)).parse().unwrap();
        let (_, status) = watch::channel(LightningStatus::default());
        LightningHandle::new(id, status)
    }

    #[tokio::test]
    async fn whoever_holds_the_other_end_answers() {
        let (handle, mut requests) = handle();
        let answer = async {
            let Some(Request::Address(reply)) = requests.recv().await else { panic!("no request") };
            reply.send(Ok("bcrt1q".to_owned())).unwrap();
        };
        let (asked, ()) = tokio::join!(handle.address(), answer);
        assert_eq!(asked, Ok("bcrt1q".to_owned()));
    }

    #[tokio::test]
    async fn a_request_to_nobody_ends_at_once() {
        let (handle, requests) = handle();
        drop(requests);
        assert_eq!(handle.channels().await, Err(LightningError::Ended));
    }

    #[tokio::test]
    async fn too_many_requests_are_refused_at_once() {
        let (handle, _requests) = handle();
        for _ in 0..REQUESTS_MAX {
            assert_eq!(handle.address().now_or_never(), None, "it waits for its answer");
        }
        assert_eq!(handle.address().now_or_never(), Some(Err(LightningError::Busy)));
    }
}
