//! Bare Lightning nodes, each a process of its own as a testnet's nodes are, on a chain with coins and
//! with the channels that a testnet begins with.
//! Not for: what is paid; see [`super::replay`].

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bitcoin::{Address, Amount, Network};
use futures::future::join_all;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::peer::BARE_COMMAND;
use super::said::{Answer, Ask, Asked, End, Told};
use crate::chain::{Choice, ClientError, Faucet, FaucetError, Mining, Source, SourceError};
use crate::run::money::{BLOCK_EVERY, CONFIRMATIONS, HUBS, PUSH_MSAT, SIZE_SAT, given};
use crate::run::ports::{self, Port};

/// How long anything may take that is not a payment.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a payment may take, and an answer.
const PAY_TIME: Duration = Duration::from_secs(60);
/// How long a process may take to stop.
const STOP_TIME: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why there are no bare nodes, or why they do not pay.
#[derive(Debug, thiserror::Error)]
pub enum BareError {
    /// The chain.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Asking it.
    #[error(transparent)]
    Chain(#[from] ClientError),
    /// The faucet.
    #[error(transparent)]
    Faucet(#[from] FaucetError),
    /// Ports, folders and processes.
    #[error("bare Lightning nodes cannot be started: {0}")]
    Start(#[source] io::Error),
    /// One of them says no.
    #[error("bare Lightning node {node} cannot {what}: {problem}")]
    Node {
        /// Which.
        node: usize,
        /// What it was to do.
        what: &'static str,
        /// What it says.
        problem: String,
    },
    /// They do not get there.
    #[error(
        "after {} s bare Lightning nodes have no {what}; take fewer nodes on a slow machine",
        PATIENCE.as_secs()
    )]
    NotReady {
        /// What is missing.
        what: &'static str,
    },
    /// A payment.
    #[error("bare Lightning node {payer} could not pay {payee}")]
    NotPaid {
        /// Who.
        payer: usize,
        /// Whom.
        payee: usize,
    },
}

/// What was told of a payment, or who waits for it.
type Ends = BTreeMap<(String, End), Result<u64, oneshot::Sender<u64>>>;

/// What a process has told.
#[derive(Debug, Default)]
struct Heard {
    answers: BTreeMap<u64, oneshot::Sender<Result<Answer, String>>>,
    ends: Ends,
}

type SharedHeard = Arc<Mutex<Heard>>;

fn lock(heard: &SharedHeard) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bare node.
#[derive(Debug)]
struct Peer {
    number: usize,
    address: String,
    child: Child,
    input: AsyncMutex<(u64, ChildStdin)>,
    heard: SharedHeard,
}

/// All of them, and their chain.
#[derive(Debug)]
pub(super) struct Bare {
    peers: Vec<Peer>,
    _mining: Mining,
    source: Source,
    _listening: JoinSet<()>,
    _folder: TempDir,
}

impl Bare {
    /// Starts so many processes of `program` with coins and channels.
    pub(super) async fn start(program: &Path, count: usize, seed: u64) -> Result<Self, BareError> {
        let folder = tempfile::Builder::new().prefix("boltgrid-bare-").tempdir();
        let folder = folder.map_err(BareError::Start)?;
        let source = Source::start(&Choice::Embedded, folder.path()).await?;
        let held = ports::hold(count).map_err(BareError::Start)?;
        let numbers: Vec<u16> = held.iter().map(Port::number).collect();
        drop(held);
        let (mut peers, mut listening) = (Vec::new(), JoinSet::new());
        for (number, port) in numbers.into_iter().enumerate() {
            let dir = folder.path().join(number.to_string());
            let (peer, output) = Peer::start((program, &dir), (number, port), &source)?;
            listening.spawn(listen(output, Arc::clone(&peer.heard)));
            peers.push(peer);
        }
        let mut faucet = Faucet::new(source.client(), seed);
        fund(&peers, &mut faucet).await?;
        open_channels(&peers, &faucet).await?;
        let mining = Mining::start(source.client(), faucet.address(), BLOCK_EVERY);
        Ok(Self { peers, _mining: mining, source, _listening: listening, _folder: folder })
    }

    /// Makes one payment. Returns when the payer had its receipt, once the payee has seen it arrive
    /// as well.
    pub(super) async fn pay(
        &self,
        (payer, payee): (usize, usize),
        amount_msat: u64,
    ) -> Result<u64, BareError> {
        let not_paid = || BareError::NotPaid { payer, payee };
        let (Some(from), Some(to)) = (self.peers.get(payer), self.peers.get(payee)) else {
            return Err(not_paid());
        };
        let made = to.ask("make an invoice", Ask::Invoice { amount_msat }).await?;
        let Answer::Invoice { bolt11, payment_hash } = made else { return Err(not_paid()) };
        let ends = [(from, End::Sent), (to, End::Received)];
        let [sent, received] = ends.map(|(peer, end)| peer.end(&payment_hash, end));
        let fee_max_msat = amount_msat / FEE_DIVISOR;
        from.ask("pay", Ask::Pay { bolt11, fee_max_msat }).await?;
        let both = timeout(PAY_TIME, async { tokio::join!(sent, received) }).await;
        match both {
            Ok((Ok(sent_at), Ok(_))) => Ok(sent_at),
            Ok(_) | Err(_) => Err(not_paid()),
        }
    }

    /// Ends all of them and their chain; those that take too long are killed.
    pub(super) async fn stop(self) {
        let Self { peers, source, .. } = self;
        join_all(peers.into_iter().map(Peer::stop)).await;
        if let Err(error) = source.stop().await {
            tracing::warn!(%error, "the chain of the bare nodes did not end in order");
        }
    }
}

/// What a payment may cost at most, as in a node: one part in so many.
const FEE_DIVISOR: u64 = 100;

impl Peer {
    fn start(
        (program, dir): (&Path, &Path),
        (number, port): (usize, u16),
        source: &Source,
    ) -> Result<(Self, ChildStdout), BareError> {
        let access = source.access();
        let mut child = Command::new(program)
            .args([BARE_COMMAND, "--port", &port.to_string(), "--dir"])
            .arg(dir)
            .args(["--chain-host", &access.host, "--chain-port", &access.port.to_string()])
            .args(["--chain-user", &access.user, "--chain-password", &access.password])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(BareError::Start)?;
        let no_pipe = || BareError::Start(io::ErrorKind::BrokenPipe.into());
        let input = child.stdin.take().ok_or_else(no_pipe)?;
        let output = child.stdout.take().ok_or_else(no_pipe)?;
        let peer = Self {
            number,
            address: format!("127.0.0.1:{port}"),
            child,
            input: AsyncMutex::new((0, input)),
            heard: SharedHeard::default(),
        };
        Ok((peer, output))
    }

    /// Asks, and waits for the answer.
    async fn ask(&self, what: &'static str, ask: Ask) -> Result<Answer, BareError> {
        let failed = |problem: String| BareError::Node { node: self.number, what, problem };
        let (answer, answered) = oneshot::channel();
        {
            let mut input = self.input.lock().await;
            input.0 += 1;
            let asked = Asked { number: input.0, ask };
            lock(&self.heard).answers.insert(asked.number, answer);
            let mut line = serde_json::to_vec(&asked).expect("a question is plain data");
            line.push(b'\n');
            let written = input.1.write_all(&line).await;
            written.map_err(|error| failed(error.to_string()))?;
        }
        let answered = timeout(PAY_TIME, answered).await;
        let answered = answered.map_err(|_| failed("it does not answer".to_owned()))?;
        answered.map_err(|_| failed("it has ended".to_owned()))?.map_err(failed)
    }

    /// Resolves with the time at which a payment came to this end.
    fn end(&self, payment_hash: &str, end: End) -> oneshot::Receiver<u64> {
        let (tell, told) = oneshot::channel();
        let mut heard = lock(&self.heard);
        match heard.ends.remove(&(payment_hash.to_owned(), end)) {
            // Nobody else waits for it.
            Some(Ok(at_unix_ms)) => drop(tell.send(at_unix_ms)),
            Some(Err(_)) | None => {
                heard.ends.insert((payment_hash.to_owned(), end), Err(tell));
            }
        }
        told
    }

    async fn state(&self) -> Result<(String, Amount, usize), BareError> {
        match self.ask("say how it is", Ask::State).await? {
            Answer::State { node_id, onchain_sat, channels_usable } => {
                Ok((node_id, Amount::from_sat(onchain_sat), channels_usable))
            }
            Answer::Address(_) | Answer::Invoice { .. } | Answer::Done => {
                Err(self.misunderstood("say how it is"))
            }
        }
    }

    async fn wallet(&self) -> Result<Address, BareError> {
        let what = "name an address";
        let Answer::Address(address) = self.ask(what, Ask::Address).await? else {
            return Err(self.misunderstood(what));
        };
        let address = address.parse::<Address<_>>().ok();
        let address = address.and_then(|address| address.require_network(Network::Regtest).ok());
        address.ok_or_else(|| self.misunderstood(what))
    }

    fn misunderstood(&self, what: &'static str) -> BareError {
        let problem = "it answers something else".to_owned();
        BareError::Node { node: self.number, what, problem }
    }

    async fn stop(self) {
        let Self { mut child, input, number, .. } = self;
        drop(input);
        if timeout(STOP_TIME, child.wait()).await.is_err() {
            tracing::debug!(number, "a bare node did not stop in time");
            drop(child.kill().await);
        }
    }
}

/// Hears what a process tells until it ends.
async fn listen(output: ChildStdout, heard: SharedHeard) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Told::Answer { number, answer }) => {
                if let Some(waiting) = lock(&heard).answers.remove(&number) {
                    drop(waiting.send(answer));
                }
            }
            Ok(Told::Payment { payment_hash, end, at_unix_ms }) => {
                let mut heard = lock(&heard);
                match heard.ends.remove(&(payment_hash.clone(), end)) {
                    Some(Err(waiting)) => drop(waiting.send(at_unix_ms)),
                    Some(Ok(_)) | None => {
                        heard.ends.insert((payment_hash, end), Ok(at_unix_ms));
                    }
                }
            }
            Err(error) => tracing::warn!(%error, line, "a bare node says something else"),
        }
    }
    // Nobody waits for one that has ended.
    *lock(&heard) = Heard::default();
}

/// Gives every node as much as a testnet does, and waits until it sees it.
async fn fund(peers: &[Peer], faucet: &mut Faucet) -> Result<(), BareError> {
    let given = given(peers.len());
    let wallets = join_all(peers.iter().map(Peer::wallet)).await;
    let wallets: Vec<Address> = wallets.into_iter().collect::<Result<_, _>>()?;
    let count = u64::try_from(peers.len()).unwrap_or(u64::MAX);
    faucet.fill(given * count * 2).await?;
    let payees: Vec<_> = wallets.into_iter().map(|address| (address, given)).collect();
    faucet.pay(&payees).await?;
    until("coins", peers, |_, onchain, _| onchain >= given).await
}

/// Opens the channels that a testnet begins with, one hub after the other.
async fn open_channels(peers: &[Peer], faucet: &Faucet) -> Result<(), BareError> {
    for (hub, at) in peers.iter().enumerate().take(HUBS) {
        let (node_id, _, _) = at.state().await?;
        let opening = peers.iter().skip(hub + 1).map(|opener| {
            let (node_id, address) = (node_id.clone(), at.address.clone());
            let (size_sat, push_msat) = (SIZE_SAT, PUSH_MSAT);
            opener.ask("open a channel", Ask::Open { node_id, address, size_sat, push_msat })
        });
        for opened in join_all(opening).await {
            opened?;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let waiting = faucet.client().call("getmempoolinfo", serde_json::json!([])).await?;
            if waiting["size"].as_u64().unwrap_or(0) > 0 {
                faucet.mine(CONFIRMATIONS).await?;
            }
            let all = peers.len();
            let wanted = |number: usize| {
                let accepted = if number <= hub { all - 1 - number } else { 0 };
                accepted + number.min(hub + 1)
            };
            if are(peers, |number, _, usable| usable >= wanted(number)).await? {
                break;
            }
            if Instant::now() >= deadline {
                return Err(BareError::NotReady { what: "usable channels" });
            }
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

async fn until(
    what: &'static str,
    peers: &[Peer],
    holds: impl Fn(usize, Amount, usize) -> bool,
) -> Result<(), BareError> {
    let deadline = Instant::now() + PATIENCE;
    while !are(peers, &holds).await? {
        if Instant::now() >= deadline {
            return Err(BareError::NotReady { what });
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Whether something holds of all: of their numbers, coins and usable channels.
async fn are(
    peers: &[Peer],
    holds: impl Fn(usize, Amount, usize) -> bool,
) -> Result<bool, BareError> {
    for (number, state) in join_all(peers.iter().map(Peer::state)).await.into_iter().enumerate() {
        let (_, onchain, usable) = state?;
        if !holds(number, onchain, usable) {
            return Ok(false);
        }
    }
    Ok(true)
}
