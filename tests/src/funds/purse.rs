//! A purse: a process that is nothing but a node's Lightning, its journal, and a book of payments in
//! it, so that it can be killed at any moment and be started again.
//!
//! It keeps to the order of a node's settling: an intent is on disk before Lightning is told to pay;
//! what Lightning knows of is not paid again; an event is kept before Lightning may forget it.
//! Not for: the market, and the network between members.

use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use boltgrid::config::lightning::{BitcoinNetwork, ChainSource, Login};
use boltgrid::config::{LightningConfig, LogConfig, LogFormat};
use boltgrid::lightning::{
    ChannelState, ChannelTerms, Delivery, Direction, InvoiceTerms, Lightning, LightningError,
    LightningEvent, LightningFailure, LightningHandle, LightningStartError, LightningStatus,
    PaymentOrder, PaymentState, Seed, SeedError,
};
use boltgrid::network::LightningContacts;
use boltgrid::store::{JournalError, Store, StoreError};
use boltgrid_protocol::lightning::{LightningId, PaymentHash};
use boltgrid_protocol::units::{Msat, OutOfRange};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::book::{Bill, Book, Stand};
use super::line::{Answered, Ask, Asked, Lane, Seen, Told};

/// Questions that wait.
const QUESTIONS_MAX: usize = 256;
/// How long an invoice can be paid.
const EXPIRY: Duration = Duration::from_secs(3_600);
/// The exit code of a purse whose test is gone.
const ORPHANED: i32 = 3;
/// What is logged: what Lightning says, since a failed seed is found out by it.
const LOG_FILTER: &str = "info,ldk=debug";

/// Where a purse is.
#[derive(Clone, Debug, clap::Args)]
pub struct PurseArguments {
    /// Its folder: the seed and the chain's password.
    #[arg(long)]
    pub folder: PathBuf,
    /// Where it listens.
    #[arg(long)]
    pub listen: String,
    /// The chain's host.
    #[arg(long)]
    pub chain_host: String,
    /// The chain's port.
    #[arg(long)]
    pub chain_port: u16,
    /// The chain's user; the password is in the file `password`.
    #[arg(long)]
    pub chain_user: String,
}

/// Folder of a purse's data inside its folder.
pub(super) const DATA: &str = "data";
/// The chain's password inside its folder.
pub(super) const PASSWORD: &str = "password";
/// The seed inside its folder.
const SEED: &str = "wallet.seed";

/// Why a purse ends.
#[derive(Debug, thiserror::Error)]
enum PurseError {
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Start(#[from] LightningStartError),
    #[error(transparent)]
    Failed(#[from] LightningFailure),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Logging(#[from] boltgrid::logging::LoggingError),
    #[error("a task of the purse panicked")]
    Panicked,
}

/// Is a purse until it is killed, or its test is gone.
#[must_use]
pub fn be_a_purse(arguments: &PurseArguments) -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime.map_err(PurseError::Io).and_then(|it| it.block_on(run(arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "purse: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What its parts hold.
#[derive(Clone)]
struct Purse {
    lightning: LightningHandle,
    book: Arc<Mutex<Book>>,
}

fn config(arguments: &PurseArguments) -> Result<LightningConfig, SeedError> {
    let seed_file = arguments.folder.join(SEED);
    if !seed_file.exists() {
        Seed::new()?.write(&seed_file)?;
    }
    let password_file = arguments.folder.join(PASSWORD);
    Ok(LightningConfig {
        network: BitcoinNetwork::Regtest,
        chain: ChainSource::Bitcoind {
            host: arguments.chain_host.clone(),
            port: arguments.chain_port,
            login: Login::Password { user: arguments.chain_user.clone(), password_file },
        },
        seed_file,
        listen: vec![arguments.listen.clone()],
        external: Vec::new(),
        forward: true,
        zero_conf_partners: Vec::new(),
    })
}

async fn run(arguments: &PurseArguments) -> Result<(), PurseError> {
    boltgrid::logging::start(&LogConfig {
        filter: LOG_FILTER.to_owned(),
        format: LogFormat::Text,
    })?;
    let config = config(arguments)?;
    let data = arguments.folder.join(DATA);
    let store = Store::open(&data)?;
    let (lightning, handle, mut events) = Lightning::open(config, &data, store.journal()).await?;
    let book = Arc::new(Mutex::new(Book::open(store.journal()).await?));
    let purse = Purse { lightning: handle, book };
    let stop = CancellationToken::new();
    let (_contacts, contacts) = watch::channel(LightningContacts::default());
    let mut node = JoinSet::new();
    node.spawn(lightning.run(stop.clone(), contacts));
    let (ask, mut asked) = mpsc::channel(QUESTIONS_MAX);
    std::thread::Builder::new().name("questions".to_owned()).spawn(move || listen(&ask))?;
    say(0, Told::Ready(purse.lightning.node_id()))?;
    let mut work: JoinSet<Result<(u64, Told), PurseError>> = JoinSet::new();
    let again = purse.clone();
    work.spawn(async move { again.inquire().await.map(|()| (0, Told::Done)) });
    let ended = loop {
        tokio::select! {
            ended = node.join_next() => break joined(ended.unwrap_or(Ok(Ok(())))).map_err(PurseError::from),
            Some(Asked { number, ask }) = asked.recv() => {
                if matches!(ask, Ask::Stop) {
                    break Ok(());
                }
                let purse = purse.clone();
                work.spawn(async move { Ok((number, purse.answer(ask).await?)) });
            }
            Some(done) = work.join_next() => match done {
                Ok(Ok((number, told))) => say(number, told)?,
                Ok(Err(error)) => break Err(error),
                Err(_) => break Err(PurseError::Panicked),
            },
            Some(delivery) = events.next() => if let Err(error) = purse.keep(delivery).await {
                break Err(error.into());
            },
        }
    };
    stop.cancel();
    if let Some(stopped) = node.join_next().await {
        // Why Lightning fails says more than that the journal does.
        joined(stopped)?;
    }
    drop(store);
    ended
}

fn joined(
    ended: Result<Result<(), LightningFailure>, tokio::task::JoinError>,
) -> Result<(), LightningFailure> {
    ended.unwrap_or(Err(LightningFailure::Panicked))
}

/// Reads questions; ends the process with the standard input, so that no purse outlives its test.
fn listen(ask: &mpsc::Sender<Asked>) {
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(asked) = serde_json::from_str(&line) else { break };
        if ask.blocking_send(asked).is_err() {
            return;
        }
    }
    std::process::exit(ORPHANED);
}

fn say(number: u64, told: Told) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Answered { number, told })?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

fn msat(millisatoshi: u64) -> Result<Msat, LightningError> {
    Msat::from_millisatoshi(millisatoshi)
        .map_err(|error: OutOfRange| LightningError::BadParameter(error.to_string()))
}

impl Purse {
    async fn answer(&self, ask: Ask) -> Result<Told, JournalError> {
        let told = match ask {
            Ask::Invoice { amount_msat } => self.invoice(amount_msat).await,
            Ask::Pay { bolt11, amount_msat, hash } => self.pay(bolt11, amount_msat, hash).await,
            Ask::Book => self.book().await,
            Ask::Address => Ok(self.lightning.address().await.map(Told::Address)),
            Ask::Open { with, address, size_sat, push_sat } => {
                let push = Msat::from_satoshi_saturating(push_sat);
                let terms = ChannelTerms { counterparty: with, address, size_sat, push };
                Ok(self.lightning.open_channel(terms).await.map(|_| Told::Done))
            }
            Ask::Connect { with, address } => {
                Ok(self.lightning.connect(with, address).await.map(|()| Told::Done))
            }
            Ask::Close { with, force } => Ok(self.close(with, force).await),
            // Seen to before it gets here.
            Ask::Stop => Ok(Ok(Told::Done)),
            Ask::Look => Ok(self.lightning.follow().await.map(|it| Told::Seen(seen(&it)))),
            Ask::Glance => Ok(self.lightning.refresh().await.map(|it| Told::Seen(seen(&it)))),
        };
        told.map(|told| told.unwrap_or_else(|error| Told::Refused(error.to_string())))
    }

    async fn invoice(
        &self,
        amount_msat: u64,
    ) -> Result<Result<Told, LightningError>, JournalError> {
        let amount = match msat(amount_msat) {
            Ok(amount) => amount,
            Err(error) => return Ok(Err(error)),
        };
        let terms = InvoiceTerms { amount, description: "a tranche".to_owned(), expiry: EXPIRY };
        let made = match self.lightning.invoice(terms).await {
            Ok(made) => made,
            Err(error) => return Ok(Err(error)),
        };
        let hash = made.payment_hash;
        let bill = Bill { hash, amount_msat, bolt11: None, stand: Stand::Invoiced };
        self.book.lock().await.write(bill).await?;
        Ok(Ok(Told::Invoice { bolt11: made.bolt11, hash }))
    }

    async fn pay(
        &self,
        bolt11: String,
        amount_msat: u64,
        hash: PaymentHash,
    ) -> Result<Result<Told, LightningError>, JournalError> {
        {
            let mut book = self.book.lock().await;
            if book.stand(&hash).is_some() {
                return Ok(Err(LightningError::PaidBefore));
            }
            let text = Some(bolt11.clone());
            book.write(Bill { hash, amount_msat, bolt11: text, stand: Stand::Intended }).await?;
        }
        self.send(bolt11, hash).await?;
        Ok(Ok(Told::Done))
    }

    /// Tells Lightning to pay; what it certainly did not send has failed.
    async fn send(&self, bolt11: String, hash: PaymentHash) -> Result<(), JournalError> {
        match self.lightning.pay(PaymentOrder { bolt11, fee_max: Msat::ZERO }).await {
            Err(LightningError::NoRoute | LightningError::BadParameter(_)) => {
                self.book.lock().await.set(hash, Stand::Failed).await
            }
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, %hash, "whether it is paid is asked again");
                Ok(())
            }
        }
    }

    /// Asks Lightning about what was begun, and begins anew what it has never heard of.
    async fn inquire(&self) -> Result<(), PurseError> {
        let begun = self.book.lock().await.begun();
        for Bill { hash, bolt11, .. } in begun {
            let Ok(known) = self.lightning.payment(hash).await else { continue };
            let known = known.filter(|known| known.direction == Direction::Outgoing);
            match (known.map(|known| known.state), bolt11) {
                (None, Some(bolt11)) => self.send(bolt11, hash).await?,
                (Some(PaymentState::Failed), _) => {
                    self.book.lock().await.set(hash, Stand::Failed).await?;
                }
                (Some(PaymentState::Done { preimage: Some(preimage), .. }), _) => {
                    self.book.lock().await.set(hash, Stand::Sent(preimage)).await?;
                }
                (None, None)
                | (Some(PaymentState::Pending | PaymentState::Done { preimage: None, .. }), _) => {}
            }
        }
        Ok(())
    }

    async fn book(&self) -> Result<Result<Told, LightningError>, JournalError> {
        if let Err(PurseError::Journal(error)) = self.inquire().await {
            return Err(error);
        }
        Ok(Ok(Told::Book(self.book.lock().await.bills())))
    }

    async fn close(&self, with: LightningId, force: bool) -> Result<Told, LightningError> {
        for channel in self.lightning.channels().await? {
            if channel.counterparty != with {
                continue;
            }
            if force {
                self.lightning.force_close_channel(channel.id).await?;
            } else {
                self.lightning.close_channel(channel.id).await?;
            }
        }
        Ok(Told::Done)
    }

    /// Writes down what follows from an event, and then lets Lightning forget it.
    async fn keep(&self, delivery: Delivery) -> Result<(), JournalError> {
        tracing::info!(event = ?delivery.event(), "told");
        let (hash, stand) = match delivery.event() {
            LightningEvent::PaymentReceived { hash, .. } => (*hash, Stand::Received),
            LightningEvent::PaymentSent { hash, preimage, .. } => (*hash, Stand::Sent(*preimage)),
            LightningEvent::PaymentFailed { hash, .. } => (*hash, Stand::Failed),
            LightningEvent::PaymentHeld { .. }
            | LightningEvent::PaymentForwarded { .. }
            | LightningEvent::ChannelPending { .. }
            | LightningEvent::ChannelReady { .. }
            | LightningEvent::ChannelClosed { .. }
            | LightningEvent::SplicePending { .. }
            | LightningEvent::SpliceFailed { .. } => {
                delivery.kept();
                return Ok(());
            }
        };
        self.book.lock().await.set(hash, stand).await?;
        delivery.kept();
        Ok(())
    }
}

fn seen(status: &LightningStatus) -> Seen {
    let LightningStatus { height, balances, channels, .. } = status;
    let lane = |it: &boltgrid::lightning::Channel| Lane {
        with: it.counterparty,
        is_usable: it.state == ChannelState::Usable,
        is_ready: it.state != ChannelState::Pending,
        sendable_msat: it.sendable.to_millisatoshi(),
    };
    Seen {
        height: *height,
        onchain_sat: balances.onchain_sat,
        channels_sat: balances.channels_sat,
        closing_sat: balances.closing_sat,
        channels: channels.iter().map(lane).collect(),
    }
}
