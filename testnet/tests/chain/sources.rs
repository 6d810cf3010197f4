//! A node's Lightning on each chain source that a config file can name: coins come, a channel opens, a
//! payment is made, the channel is closed, and coins go out again.

use std::path::Path;
use std::time::{Duration, Instant};

use bitcoin::{Address, Amount, Network};
use boltgrid::config::LightningConfig;
use boltgrid::config::lightning::{BitcoinNetwork, ChainSource, Login};
use boltgrid::lightning::{
    ChannelState, ChannelTerms, InvoiceTerms, Lightning, LightningEvents, LightningFailure,
    LightningHandle, PaymentOrder, PaymentState, Seed, Sending,
};
use boltgrid::network::LightningContacts;
use boltgrid::store::Store;
use boltgrid_protocol::units::Msat;
use boltgrid_testnet::chain::{Choice, Faucet};
use boltgrid_testnet::run::ports;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::servers::Servers;
use super::world::{Ground, turn};

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks, at each of which the chain is asked.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What every node is given.
const FUNDS: Amount = Amount::from_sat(1_000_000);

/// Lightning as a node of Boltgrid has it.
struct Wallet {
    handle: LightningHandle,
    address: String,
    task: JoinSet<Result<(), LightningFailure>>,
    stop: CancellationToken,
    _store: Store,
}

/// Keeps whatever happens.
async fn keep(mut events: LightningEvents) -> Result<(), LightningFailure> {
    while let Some(delivery) = events.next().await {
        delivery.kept();
    }
    Ok(())
}

impl Wallet {
    async fn start(folder: &Path, chain: ChainSource) -> Self {
        let seed_file = folder.join("wallet.seed");
        Seed::new().unwrap().write(&seed_file).unwrap();
        let address = format!("127.0.0.1:{}", ports::hold(1).unwrap()[0].number());
        let config = LightningConfig {
            network: BitcoinNetwork::Regtest,
            chain,
            seed_file,
            listen: vec![address.clone()],
            external: Vec::new(),
            forward: true,
            zero_conf_partners: Vec::new(),
        };
        let data = folder.join("data");
        let store = Store::open(&data).unwrap();
        let (lightning, handle, events) =
            Lightning::open(config, &data, store.journal()).await.unwrap();
        let stop = CancellationToken::new();
        let (_, contacts) = watch::channel(LightningContacts::default());
        let mut task = JoinSet::new();
        task.spawn(lightning.run(stop.clone(), contacts));
        task.spawn(keep(events));
        Self { handle, address, task, stop, _store: store }
    }

    async fn onchain_address(&self) -> Address {
        let address = self.handle.address().await.unwrap();
        address.parse::<Address<_>>().unwrap().require_network(Network::Regtest).unwrap()
    }

    /// Asks the chain until something holds.
    async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&LightningHandle) -> bool) {
        let began = Instant::now();
        loop {
            drop(self.handle.follow().await);
            if holds(&self.handle).await {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "not in time: {what}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn until_usable(&self) {
        let usable = async |it: &LightningHandle| {
            let channels = it.channels().await.unwrap();
            channels.iter().any(|it| it.state == ChannelState::Usable)
        };
        self.until("the channel is usable", usable).await;
    }

    async fn onchain(&self) -> Amount {
        Amount::from_sat(self.handle.refresh().await.unwrap().balances.onchain_sat)
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.task.join_next().await {
            ended.unwrap().unwrap();
        }
    }
}

async fn waits(faucet: &Faucet) -> bool {
    let waiting = faucet.client().call("getrawmempool", serde_json::json!([])).await.unwrap();
    !waiting.as_array().unwrap().is_empty()
}

fn lives_by(source: impl Fn(&Ground, &Servers) -> ChainSource) {
    let _turn = turn();
    Runtime::new().unwrap().block_on(live_by(source));
}

async fn live_by(source: impl Fn(&Ground, &Servers) -> ChainSource) {
    let ground = Ground::start(&Choice::Embedded).await;
    let servers = Servers::start(ground.source.client()).await;
    let mut faucet = Faucet::new(ground.source.client(), 1);
    faucet.fill(FUNDS * 3).await.unwrap();
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let payer = Wallet::start(folders[0].path(), source(&ground, &servers)).await;
    let payee = Wallet::start(folders[1].path(), source(&ground, &servers)).await;
    let payees = [(payer.onchain_address().await, FUNDS), (payee.onchain_address().await, FUNDS)];
    faucet.pay(&payees).await.unwrap();
    faucet.mine(1).await.unwrap();
    for wallet in [&payer, &payee] {
        wallet.until("coins have come", async |_| wallet.onchain().await == FUNDS).await;
    }

    let terms = ChannelTerms {
        counterparty: payee.handle.node_id(),
        address: payee.address.clone(),
        size_sat: 300_000,
        push: Msat::ZERO,
    };
    let channel = payer.handle.open_channel(terms).await.unwrap();
    payer.until("the funding is sent out", async |_| waits(&faucet).await).await;
    faucet.mine(6).await.unwrap();
    for wallet in [&payer, &payee] {
        wallet.until_usable().await;
    }
    let amount = Msat::from_satoshi_saturating(50_000);
    let (description, expiry) = ("energy".to_owned(), Duration::from_secs(600));
    let invoice = payee.handle.invoice(InvoiceTerms { amount, description, expiry }).await.unwrap();
    let order = PaymentOrder { bolt11: invoice.bolt11, fee_max: Msat::ZERO };
    let hash = payer.handle.pay(order).await.unwrap();
    let is_paid = async |it: &LightningHandle| {
        let known = it.payment(hash).await.unwrap();
        matches!(known, Some(it) if matches!(it.state, PaymentState::Done { .. }))
    };
    payer.until("it is paid", is_paid).await;
    payee.until("it is received", is_paid).await;

    payer.handle.close_channel(channel).await.unwrap();
    payer.until("the closing is sent out", async |_| waits(&faucet).await).await;
    faucet.mine(6).await.unwrap();
    let has = FUNDS + Amount::from_sat(50_000);
    payee
        .until("the closed channel's coins are there", async |_| payee.onchain().await == has)
        .await;
    let address = faucet.address().to_string();
    let sending = Sending { address, amount_sat: None };
    payee.handle.send_onchain(sending).await.unwrap();
    payee.until("the coins are sent out", async |_| waits(&faucet).await).await;
    faucet.mine(1).await.unwrap();
    payee.until("all coins are gone", async |_| payee.onchain().await == Amount::ZERO).await;

    payer.stop().await;
    payee.stop().await;
    ground.source.stop().await.unwrap();
}

#[test]
fn a_wallet_lives_by_an_esplora_server() {
    lives_by(|_, servers| ChainSource::Esplora(servers.esplora_url.clone()));
}

#[test]
fn a_wallet_lives_by_an_electrum_server() {
    lives_by(|_, servers| ChainSource::Electrum(servers.electrum_url.clone()));
}

#[test]
fn a_wallet_lives_by_a_bitcoind_that_is_logged_in_to_by_its_cookie() {
    let folder = tempfile::tempdir().unwrap();
    let cookie = folder.path().join(".cookie");
    lives_by(|ground, _| {
        let access = ground.source.access();
        std::fs::write(&cookie, format!("{}:{}", access.user, access.password)).unwrap();
        ChainSource::Bitcoind {
            host: access.host.clone(),
            port: access.port,
            login: Login::CookieFile(cookie.clone()),
        }
    });
}
