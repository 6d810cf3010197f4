//! A payer, a payee and an arbiter: three real node processes with meters and Lightning on a chain of
//! our own, asked over JSON-RPC and killed at will.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bitcoin::{Address, Amount, Network};
use boltgrid::access::secret::Secret;
use boltgrid::clock;
use boltgrid::rpc::client::client;
use boltgrid::rpc::escrow::{EscrowReport, EscrowStage, ProposeTerms};
use boltgrid::rpc::wallet::{ChannelStage, OpenTerms};
use boltgrid::rpc::{
    ChannelRpcClient, EscrowListRpcClient, EscrowRpcClient, NodeRpcClient, WalletRpcClient,
};
use boltgrid_protocol::escrow::Releases;
use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::Timestamp;
use boltgrid_testnet::chain::{Choice, Faucet, Source};
use boltgrid_testnet::devices::{DeviceFarm, Meters, SharedPlant};
use boltgrid_testnet::plant::{Plant, PlantOptions, TICKS_PER_INTERVAL};
use boltgrid_testnet::run::ports;
use boltgrid_testnet::run::process::NodeProcess;
use boltgrid_testnet::scenario::{RURAL1, Scenario};
use jsonrpsee::http_client::HttpClient;
use tempfile::TempDir;
use tokio::time::sleep;

/// How long anything may take on a busy machine. A Lightning node looks once a minute whether it has
/// lost a partner.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long a node may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
const PROGRAM: &str = env!("CARGO_BIN_EXE_boltgrid-testnet");
const NAMES: [&str; 3] = ["payer", "payee", "arbiter"];
/// Length of an interval.
pub(crate) const INTERVAL_MS: u64 = 5_000;
/// What every node is given on the chain, and what is in the channel.
const FUNDS: Amount = Amount::from_sat(3_000_000);
const CHANNEL_SAT: u64 = 1_000_000;
/// What is locked in every escrow of these tests.
pub(crate) const ESCROW_SAT: u64 = 20_000;
/// What every node signs without asking its owner.
const UNASKED_MAX_SAT: u64 = 50_000;
/// More than that.
pub(crate) const ASKED_SAT: u64 = UNASKED_MAX_SAT + 10_000;
/// More than any meter here shows.
const TOO_MUCH_MWH: u64 = 1_000_000_000_000;

/// How many lines of each log a failure shows.
const LAST_WORDS: usize = 60;
/// What every node says in every interval.
const DAILY: [&str; 4] = ["interval cleared", "interval settled", "set points", "reading signed"];

pub(crate) const PAYER: usize = 0;
pub(crate) const PAYEE: usize = 1;
pub(crate) const ARBITER: usize = 2;

/// The phases of an interval, short enough for [`INTERVAL_MS`].
const PHASES: &str = "[interval]
interval_ms = 5000
gate_before_delivery_ms = 3000
orders_open_before_gate_ms = 3000
orders_close_before_gate_ms = 1000
proposal_after_gate_ms = 100
view_ms = 500
views = 4
confirm_by_after_gate_ms = 2500
readings_by_after_delivery_ms = 2500
clock_skew_max_ms = 1000

";

fn boltgrid(folder: &Path, arguments: &[&str]) -> String {
    let mut child = Command::new(PROGRAM)
        .args(["node", "--"])
        .args(arguments)
        .current_dir(folder)
        .env_remove("BOLTGRID_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It ends when its standard input does.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn is_daily(line: &str) -> bool {
    DAILY.iter().any(|daily| line.contains(daily))
}

const fn is_over(stage: EscrowStage) -> bool {
    matches!(
        stage,
        EscrowStage::Released | EscrowStage::GivenBack | EscrowStage::Lapsed | EscrowStage::Refused
    )
}

/// Waits until something holds, and fails with `what` where it does not.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(LOOK).await;
    }
}

struct Node {
    folder: PathBuf,
    process: Option<NodeProcess>,
    client: HttpClient,
    id: String,
}

pub(crate) struct World {
    nodes: Vec<Node>,
    chain: Source,
    faucet: Faucet,
    farm: DeviceFarm,
    folder: TempDir,
}

impl World {
    /// Three nodes that know each other, with a channel from the payer to the payee.
    pub(crate) async fn new(choice: &Choice) -> Self {
        let folder = TempDir::with_prefix("boltgrid-escrow-").unwrap();
        let chain = Source::start(choice, folder.path()).await.unwrap();
        let farm = meters().await;
        let faucet = Faucet::new(chain.client(), 1);
        let nodes = found(folder.path(), &chain, &farm);
        let mut world = Self { nodes, chain, faucet, farm, folder };
        (0..3).for_each(|node| world.start(node));
        for node in 0..3 {
            world.is_up(node).await;
            world.nodes[node].id = world.client(node).status().await.unwrap().participant;
        }
        world.fund().await;
        world.open().await;
        world
    }

    pub(crate) fn client(&self, node: usize) -> HttpClient {
        self.nodes[node].client.clone()
    }

    pub(crate) fn id(&self, node: usize) -> String {
        self.nodes[node].id.clone()
    }

    pub(crate) fn start(&mut self, node: usize) {
        let Node { folder, process, .. } = &mut self.nodes[node];
        let (config, log) = (folder.join("config.toml"), folder.join("log"));
        *process = Some(NodeProcess::start(Path::new(PROGRAM), &config, None, &log).unwrap());
    }

    /// Ends a node at once, with no time to put anything away.
    pub(crate) async fn kill(&mut self, node: usize) {
        self.nodes[node].process.take().unwrap().kill().await.unwrap();
    }

    pub(crate) async fn kill_and_start(&mut self, node: usize) {
        self.kill(node).await;
        self.start(node);
    }

    /// Waits until a node answers and knows everybody.
    pub(crate) async fn is_up(&self, node: usize) {
        let client = self.client(node);
        eventually("a node is up", async || {
            client.status().await.is_ok_and(|it| {
                let lightning = it.lightning.as_ref();
                it.network.members_connected == 2
                    && lightning.is_some_and(|it| it.members_known >= 2)
            })
        })
        .await;
    }

    async fn fund(&mut self) {
        self.faucet.fill(FUNDS * 4).await.unwrap();
        let mut payees = Vec::new();
        for node in 0..3 {
            let address = self.client(node).address().await.unwrap().address;
            let address: Address<bitcoin::address::NetworkUnchecked> = address.parse().unwrap();
            payees.push((address.require_network(Network::Regtest).unwrap(), FUNDS));
        }
        self.faucet.pay(&payees).await.unwrap();
        self.faucet.mine(1).await.unwrap();
        for node in 0..3 {
            let client = self.client(node);
            eventually("the wallet sees its money", async || {
                client.balances().await.is_ok_and(|it| it.spendable_sat > 0)
            })
            .await;
        }
    }

    /// Opens a channel from the payer to the payee, and waits until both can use it.
    pub(crate) async fn open(&self) {
        let (payer, payee) = (self.client(PAYER), self.client(PAYEE));
        let terms = OpenTerms {
            counterparty: self.id(PAYEE),
            address: None,
            size_sat: CHANNEL_SAT,
            push_msat: Some(100_000_000),
        };
        ChannelRpcClient::open(&payer, terms).await.unwrap();
        let asked = self.chain.client();
        eventually("the funding is sent out", async || {
            let waiting = asked.call("getrawmempool", serde_json::json!([])).await.unwrap();
            !waiting.as_array().unwrap().is_empty()
        })
        .await;
        self.faucet.mine(6).await.unwrap();
        for client in [payer, payee] {
            eventually("the channel is usable", async || {
                let channels = client.channels().await.unwrap_or_default();
                channels.iter().any(|it| it.state == ChannelStage::Usable)
            })
            .await;
        }
    }

    pub(crate) async fn mine(&self, blocks: u32) {
        self.faucet.mine(blocks).await.unwrap();
    }

    /// Finds blocks, and waits until both sides of the channel have seen them.
    pub(crate) async fn mine_and_see(&self, blocks: u32) {
        let before = self.height(PAYER).await.max(self.height(PAYEE).await);
        self.mine(blocks).await;
        for node in [PAYER, PAYEE] {
            eventually("a node sees the new blocks", async || {
                self.height(node).await >= before + blocks
            })
            .await;
        }
    }

    pub(crate) async fn height(&self, node: usize) -> u32 {
        let status = self.client(node).status().await.ok();
        status.and_then(|it| it.lightning).map_or(0, |it| it.height_blocks)
    }

    /// What a command of the node's owner prints.
    pub(crate) fn command(&self, node: usize, arguments: &[&str]) -> String {
        boltgrid(&self.nodes[node].folder, &[arguments, &["--config", "config.toml"]].concat())
    }

    /// Terms whose condition is over two intervals that begin soon.
    pub(crate) fn terms(&self, releases: Releases, is_met: bool) -> ProposeTerms {
        let current = clock::now().to_unix_ms() / INTERVAL_MS;
        ProposeTerms {
            payee: self.id(PAYEE),
            arbiter: self.id(ARBITER),
            amount_sat: ESCROW_SAT,
            releases,
            side: Side::Sell,
            energy_mwh: if is_met { 1 } else { TOO_MUCH_MWH },
            first_interval: current + 3,
            until_interval: current + 5,
            hold_blocks: Some(100),
            stands_minutes: 2,
        }
    }

    /// Proposes such an escrow, over intervals so much later; returns its name.
    pub(crate) async fn propose(&self, releases: Releases, is_met: bool, later: u64) -> String {
        self.propose_of(ESCROW_SAT, releases, is_met, later).await
    }

    /// The same of another amount.
    pub(crate) async fn propose_of(
        &self,
        amount_sat: u64,
        releases: Releases,
        is_met: bool,
        later: u64,
    ) -> String {
        let client = self.client(PAYER);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut terms = ProposeTerms { amount_sat, ..self.terms(releases, is_met) };
            terms.first_interval += later;
            terms.until_interval += later;
            match EscrowRpcClient::propose(&client, terms).await {
                Ok(proposed) => return proposed.escrow,
                // A node that was just started first has to find its partners again.
                Err(error) => assert!(Instant::now() < deadline, "not proposed: {error}"),
            }
            sleep(LOOK).await;
        }
    }

    pub(crate) async fn view(&self, node: usize, escrow: &str) -> Option<EscrowReport> {
        let escrows = self.client(node).escrows().await.ok()?;
        escrows.into_iter().find(|it| it.escrow == escrow)
    }

    pub(crate) async fn is(&self, node: usize, escrow: &str, stage: EscrowStage) {
        let what = format!("{} sees {stage:?}", NAMES[node]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let view = self.view(node, escrow).await;
            if view.as_ref().is_some_and(|it| it.stage == stage) {
                return;
            }
            let is_lost = view
                .as_ref()
                .is_some_and(|it| matches!(it.stage, EscrowStage::Refused | EscrowStage::Lapsed));
            let is_in_time = Instant::now() < deadline && !is_lost;
            assert!(is_in_time, "{}\nnot in time, or never: {what}: {view:?}", self.last_words());
            sleep(LOOK).await;
        }
    }

    /// Waits for a stage; true where the channel goes to the chain instead. Lightning's library writes what
    /// a channel is and what the node knows of it one after the other, and closes the channel of a node
    /// that was killed in between: all goes on, but on the chain.
    pub(crate) async fn is_unless_on_chain(
        &self,
        node: usize,
        escrow: &str,
        stage: EscrowStage,
    ) -> bool {
        let mut goes_to_chain = false;
        let what = format!("{} sees {stage:?}, or the channel goes to the chain", NAMES[node]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let view = self.view(node, escrow).await;
            if view.as_ref().is_some_and(|it| it.stage == stage) {
                return false;
            }
            goes_to_chain |= self.goes_to_chain().await;
            if goes_to_chain {
                return true;
            }
            assert!(
                Instant::now() < deadline,
                "not in time: {what}: {view:?}\n{}",
                self.last_words()
            );
            sleep(LOOK).await;
        }
    }

    /// Whether the channel is closed, as a node that is up says: money is in none that is open.
    async fn goes_to_chain(&self) -> bool {
        for node in [PAYER, PAYEE] {
            let client = self.client(node);
            let has_none = client.channels().await.is_ok_and(|channels| channels.is_empty());
            if has_none && client.balances().await.is_ok_and(|it| it.channels_sat > 0) {
                return true;
            }
        }
        false
    }

    /// Finds blocks until an escrow whose channel goes to the chain is over for both sides; returns how,
    /// which is the same for both.
    pub(crate) async fn settles_on_chain(&self, escrow: &str) -> EscrowStage {
        self.mine(1).await;
        let mut ends = [None; 2];
        let deadline = Instant::now() + PATIENCE;
        while ends.contains(&None) {
            let mut all_done = true;
            for (place, node) in [PAYER, PAYEE].into_iter().enumerate() {
                let stage = self.view(node, escrow).await.map(|it| it.stage);
                ends[place] = stage.filter(|stage| is_over(*stage));
                // Until somebody acts, blocks would only use up the time of the lock.
                all_done &= stage.is_some_and(|stage| stage != EscrowStage::Locked);
            }
            if all_done {
                self.mine(1).await;
            }
            let words = || format!("{ends:?}\n{}", self.last_words());
            assert!(Instant::now() < deadline, "not settled on the chain in time: {}", words());
            sleep(LOOK).await;
        }
        let [payer, payee] = ends.map(|end| end == Some(EscrowStage::Released));
        assert_eq!(payer, payee, "one of the two has the amount: {ends:?}\n{}", self.last_words());
        if payee { EscrowStage::Released } else { EscrowStage::GivenBack }
    }

    /// What a node has in all, in its wallet, in channels, and on its way out of closed ones.
    pub(crate) async fn owned_sat(&self, node: usize) -> u64 {
        let balances = self.client(node).balances().await.unwrap();
        balances.onchain_sat + balances.channels_sat + balances.closing_sat
    }

    /// What the payer can still send, in whole satoshi, once nothing is on its way.
    pub(crate) async fn sendable_sat(&self) -> u64 {
        let channels = self.client(PAYER).channels().await.unwrap();
        channels.iter().map(|it| it.sendable_msat / 1000).sum()
    }

    pub(crate) async fn channel_is_open(&self) -> bool {
        self.client(PAYER).channels().await.is_ok_and(|it| it.len() == 1)
    }

    /// The ends of all three logs, for whoever has to find out why.
    fn last_words(&self) -> String {
        let mut words = String::new();
        for (node, name) in NAMES.iter().enumerate() {
            let log = self.log(node);
            let lines: Vec<&str> = log.lines().filter(|line| !is_daily(line)).collect();
            let last = lines.len().saturating_sub(LAST_WORDS);
            words.push_str(&format!("-- {name}\n{}\n", lines[last..].join("\n")));
        }
        words
    }

    pub(crate) fn log(&self, node: usize) -> String {
        fs::read_to_string(self.nodes[node].folder.join("log")).unwrap()
    }

    pub(crate) async fn stop(mut self) {
        for node in &mut self.nodes {
            if let Some(process) = node.process.take() {
                process.kill().await.unwrap();
            }
        }
        self.farm.stop().await;
        self.chain.stop().await.unwrap();
        drop(self.folder);
    }
}

/// Meters of sites with PV, at noon of a day in May.
async fn meters() -> DeviceFarm {
    let scenario = Arc::new(Scenario::builtin(RURAL1).unwrap());
    let epoch = clock::now().to_unix_ms() / INTERVAL_MS * INTERVAL_MS;
    let options = PlantOptions {
        nodes: NonZeroUsize::new(3).unwrap(),
        seed: 7,
        interval_ms: INTERVAL_MS,
        ticks_per_interval: TICKS_PER_INTERVAL,
        start_row: scenario.profiles.row_at("2016-05-25T11:00:00").unwrap(),
        epoch: Timestamp::from_unix_ms(epoch),
    };
    let plant: SharedPlant = Arc::new(Mutex::new(Plant::new(scenario, options).unwrap()));
    DeviceFarm::start(plant, Arc::new(clock::now), Meters::Sunspec).await.unwrap()
}

/// Founds a grid of three and writes their configs.
fn found(at: &Path, chain: &Source, farm: &DeviceFarm) -> Vec<Node> {
    boltgrid(at, &["charter", "new"]);
    let charter = fs::read_to_string(at.join("charter.toml")).unwrap();
    let (before, rest) = charter.split_once("[interval]").unwrap();
    let (_, after) = rest.split_once("# The prices that orders may name").unwrap();
    fs::write(at.join("charter.toml"), format!("{before}{PHASES}#{after}")).unwrap();
    fs::create_dir(at.join("enrolments")).unwrap();
    let access = chain.access();
    fs::write(at.join("password"), &access.password).unwrap();
    let held = ports::hold(9).unwrap();
    let port = |node: usize, of: usize| held[node * 3 + of].number();
    let mut nodes = Vec::new();
    for (place, name) in NAMES.iter().enumerate() {
        boltgrid(at, &["init", "--non-interactive", "--dir", name, "--charter", "charter.toml"]);
        let request = format!("{name}.request");
        let who = ["enrol", "request", "--founding", "--dir", name, "--connection-point", name];
        let what = ["--import-w", "50000", "--export-w", "50000", "-o", &request];
        boltgrid(at, &[&who[..], &what].concat());
        let enrolment = format!("enrolments/{name}.enrolment");
        boltgrid(at, &["enrol", "sign", &request, "-o", &enrolment]);
        let before = place.checked_sub(1);
        let bootstrap = before.map(|before| format!("\"/ip4/127.0.0.1/tcp/{}\"", port(before, 0)));
        let folder = at.join(name);
        let config = format!(
            "charter_file = \"../charter.toml\"\nenrolments_dir = \"../enrolments\"\n\
             [network]\nlisten = [\"/ip4/127.0.0.1/tcp/{}\"]\nbootstrap = [{}]\nmdns = false\n\
             [rpc]\nlisten = \"127.0.0.1:{}\"\n\
             [lightning]\nnetwork = \"regtest\"\nlisten = [\"127.0.0.1:{}\"]\n\
             bitcoind_url = \"http://{}:{}\"\nbitcoind_user = \"{}\"\n\
             bitcoind_password_file = \"../password\"\n\
             [channels]\nautomatic = false\n\
             [owner]\ntrade = false\narbitrate_max_sat = {UNASKED_MAX_SAT}\n\
             escrow_accept_max_sat = {UNASKED_MAX_SAT}\n\
             [site.meter]\naddress = \"{}\"\nunit = 1\nrating_w = 50000\n",
            port(place, 0),
            bootstrap.unwrap_or_default(),
            port(place, 1),
            port(place, 2),
            access.host,
            access.port,
            access.user,
            farm.sites()[place].address,
        );
        fs::write(folder.join("config.toml"), config).unwrap();
        let config = format!("{name}/config.toml");
        let token = ["token", "create", "test", "--role", "admin", "--config", &config];
        let token = Secret::shown(boltgrid(at, &token).trim());
        let address = format!("127.0.0.1:{}", port(place, 1));
        let client = client(address, token.as_ref(), ANSWER_TIME).unwrap();
        nodes.push(Node { folder, process: None, client, id: String::new() });
    }
    nodes
}
