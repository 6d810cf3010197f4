//! A bitcoind of a test's own, on regtest, killed when the test ends in whatever way.

use std::env;
use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use boltgrid::config::lightning::{ChainSource, Login};
use jsonrpsee::core::client::ClientT;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use jsonrpsee::rpc_params;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::world::eventually;

/// Where mined coins go that nobody in the test is to have: the hash of nothing.
const NOBODY: &str = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202";
/// Blocks until a coinbase can be spent.
const MATURITY: u32 = 100;
const USER: &str = "test";
const PASSWORD: &str = "only-here";

/// A port that nobody listens at. Somebody else may take it before it is used; then the test fails.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One test at a time: beside each other, the timers of a dozen Lightning nodes outlast any patience.
static TURN: Mutex<()> = Mutex::const_new(());

/// The running bitcoind.
pub(crate) struct Bitcoind {
    _turn: MutexGuard<'static, ()>,
    process: Child,
    client: HttpClient,
    port: u16,
    dir: TempDir,
}

impl Drop for Bitcoind {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Bitcoind {
    /// Starts one, with mature coins; none where `BITCOIND_EXE` names none.
    pub(crate) async fn start() -> Option<Self> {
        let Some(program) = env::var_os("BITCOIND_EXE") else {
            eprintln!("NOT CHECKED: BITCOIND_EXE names no bitcoind, so Lightning has no chain");
            return None;
        };
        let _turn = TURN.lock().await;
        let dir = TempDir::with_prefix("boltgrid-bitcoind-").unwrap();
        let port = free_port();
        let log = File::create(dir.path().join("output")).unwrap();
        let process = Command::new(program)
            .arg("-regtest")
            .arg(format!("-datadir={}", dir.path().display()))
            .arg(format!("-rpcport={port}"))
            .arg(format!("-rpcuser={USER}"))
            .arg(format!("-rpcpassword={PASSWORD}"))
            .args(["-listen=0", "-listenonion=0", "-txindex=0", "-server=1"])
            .stdout(log.try_clone().unwrap())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        let url = format!("http://{USER}:{PASSWORD}@127.0.0.1:{port}");
        let client =
            HttpClientBuilder::default().request_timeout(Duration::from_secs(30)).build(url);
        let chain = Self { _turn, process, client: client.unwrap(), port, dir };
        eventually("bitcoind answers", async || chain.height().await.is_some()).await;
        chain.mine(1).await;
        Some(chain)
    }

    /// Where a node sees it.
    pub(crate) fn source(&self) -> ChainSource {
        let password_file = self.dir.path().join("password");
        std::fs::write(&password_file, PASSWORD).unwrap();
        ChainSource::Bitcoind {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            login: Login::Password { user: USER.to_owned(), password_file },
        }
    }

    pub(crate) async fn height(&self) -> Option<u64> {
        self.client.request("getblockcount", rpc_params![]).await.ok()
    }

    /// Mines blocks that pay nobody.
    pub(crate) async fn mine(&self, blocks: u32) {
        self.mine_to(NOBODY, blocks).await;
    }

    async fn mine_to(&self, address: &str, blocks: u32) {
        let params = rpc_params![blocks, address];
        let mined: Result<Value, _> = self.client.request("generatetoaddress", params).await;
        mined.unwrap();
    }

    /// Gives each of these addresses a block's reward, which can be spent when this returns.
    pub(crate) async fn fund(&self, addresses: &[String]) {
        for address in addresses {
            self.mine_to(address, 1).await;
        }
        self.mine(MATURITY).await;
    }

    /// Transactions that wait for a block.
    pub(crate) async fn waiting(&self) -> usize {
        let waiting: Vec<String> =
            self.client.request("getrawmempool", rpc_params![]).await.unwrap();
        waiting.len()
    }
}
