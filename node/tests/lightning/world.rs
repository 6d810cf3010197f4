//! Lightning nodes of a test, each in a folder of its own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use boltgrid::config::LightningConfig;
use boltgrid::config::lightning::{BitcoinNetwork, ChainSource};
use boltgrid::lightning::{
    Channel, ChannelState, ChannelTerms, Lightning, LightningEvent, LightningEvents,
    LightningFailure, LightningHandle, LightningStartError, Seed,
};
use boltgrid::network::LightningContacts;
use boltgrid::store::Store;
use boltgrid_protocol::units::Msat;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bitcoind::{Bitcoind, free_port};

/// How long anything may take on a busy machine. A Lightning node looks once a minute whether it has
/// lost a partner, and what is on its way to that one waits as long.
const PATIENCE: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(50);

/// Waits until something holds, and fails with `what` where it does not.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(POLL).await;
    }
}

pub(crate) fn msat(millisatoshi: u64) -> Msat {
    Msat::from_millisatoshi(millisatoshi).unwrap()
}

/// A node's folder and configuration, which outlive its runs.
pub(crate) struct Home {
    pub(crate) dir: TempDir,
    pub(crate) config: LightningConfig,
}

impl Home {
    pub(crate) fn new(chain: ChainSource) -> Self {
        let dir = TempDir::with_prefix("boltgrid-lightning-").unwrap();
        let seed_file = dir.path().join("wallet.seed");
        Seed::new().unwrap().write(&seed_file).unwrap();
        let config = LightningConfig {
            network: BitcoinNetwork::Regtest,
            chain,
            seed_file,
            listen: vec![format!("127.0.0.1:{}", free_port())],
            external: Vec::new(),
            forward: false,
            zero_conf_partners: Vec::new(),
        };
        Self { dir, config }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) async fn start(&self) -> Running {
        self.try_start().await.unwrap()
    }

    pub(crate) async fn try_start(&self) -> Result<Running, LightningStartError> {
        Running::start(&self.config, &self.data()).await
    }
}

/// A node that runs.
pub(crate) struct Running {
    pub(crate) handle: LightningHandle,
    pub(crate) events: LightningEvents,
    task: JoinSet<Result<(), LightningFailure>>,
    stop: CancellationToken,
    // Last, so that the journal outlives the task.
    _store: Store,
}

impl Running {
    async fn start(config: &LightningConfig, data: &Path) -> Result<Self, LightningStartError> {
        let store = Store::open(data).unwrap();
        let (lightning, handle, events) =
            Lightning::open(config.clone(), data, store.journal()).await?;
        let stop = CancellationToken::new();
        let (_, contacts) = watch::channel(LightningContacts::default());
        let mut task = JoinSet::new();
        task.spawn(lightning.run(stop.clone(), contacts));
        Ok(Self { handle, events, task, stop, _store: store })
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.task.join_next().await.unwrap().unwrap().unwrap();
    }

    /// The next event, kept at once.
    pub(crate) async fn next(&mut self) -> LightningEvent {
        let delivery = tokio::time::timeout(PATIENCE, self.events.next()).await;
        let delivery = delivery.expect("an event comes in time").unwrap();
        let event = delivery.event().clone();
        delivery.kept();
        event
    }

    /// The next event for which `wanted` is something; all before it are kept and passed over.
    pub(crate) async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(&LightningEvent) -> Option<T>,
    ) -> T {
        loop {
            if let Some(found) = wanted(&self.next().await) {
                return found;
            }
        }
    }

    pub(crate) async fn channel(&self) -> Option<Channel> {
        self.handle.channels().await.unwrap().pop()
    }

    pub(crate) async fn spendable_sat(&self) -> u64 {
        self.handle.refresh().await.unwrap().balances.spendable_sat
    }
}

/// Starts nodes, and gives each a block's reward.
pub(crate) async fn start_with_money<const N: usize>(
    chain: &Bitcoind,
    homes: [&Home; N],
) -> Vec<Running> {
    let mut nodes = Vec::new();
    let mut addresses = Vec::new();
    for home in homes {
        let node = home.start().await;
        addresses.push(node.handle.address().await.unwrap());
        nodes.push(node);
    }
    chain.fund(&addresses).await;
    for node in &nodes {
        eventually("the wallet sees its money", async || node.spendable_sat().await > 0).await;
    }
    nodes
}

/// Opens a channel in which both sides have money, and waits until both can use it.
pub(crate) async fn open(chain: &Bitcoind, from: &Running, to: (&Home, &Running)) {
    let (home, to) = to;
    let terms = ChannelTerms {
        counterparty: to.handle.node_id(),
        address: home.config.listen[0].clone(),
        size_sat: 500_000,
        push: msat(100_000_000),
    };
    from.handle.open_channel(terms).await.unwrap();
    eventually("the funding is sent out", async || chain.waiting().await > 0).await;
    chain.mine(6).await;
    for (node, with) in [(from, to.handle.node_id()), (to, from.handle.node_id())] {
        let usable = async || {
            let channels = node.handle.channels().await.unwrap();
            let mut channels = channels.into_iter().filter(|it| it.counterparty == with);
            channels.any(|it| it.state == ChannelState::Usable)
        };
        eventually("the channel is usable", usable).await;
    }
}

/// Two nodes with money and a usable channel, opened by the first, in which both have some.
pub(crate) async fn two_with_a_channel(chain: &Bitcoind) -> ((Home, Running), (Home, Running)) {
    let (payer, payee) = (Home::new(chain.source()), Home::new(chain.source()));
    let nodes = start_with_money(chain, [&payer, &payee]).await;
    let [first, second] = nodes.try_into().ok().unwrap();
    open(chain, &first, (&payee, &second)).await;
    ((payer, first), (payee, second))
}
