//! A small testnet of real nodes in processes, and a way in for each node's owner.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use boltgrid::access::Role;
use boltgrid::access::tokens::{TokenFile, Wish};
use boltgrid_protocol::units::Timestamp;
use tokio::process::{Child, Command};

/// How long nodes may take until they have data folders.
const PATIENCE: Duration = Duration::from_secs(120);

/// The running testnet, which ends with this.
pub(crate) struct World {
    child: Child,
    folder: PathBuf,
    log: PathBuf,
    /// The sites' names.
    pub(crate) sites: Vec<String>,
}

impl World {
    /// Starts a testnet in an empty folder.
    pub(crate) async fn start(folder: &Path, args: &[&str]) -> Self {
        let log_file = folder.join("testnet.log");
        let log = std::fs::File::create(&log_file).unwrap();
        let kept = folder.join("kept");
        let mut child = Command::new(env!("CARGO_BIN_EXE_boltgrid-testnet"))
            .args(["run", "--headless", "--keep"])
            .arg(&kept)
            .args(args)
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let started = Instant::now();
        let mut sites = Vec::new();
        let has = |site: &String, file: &str| kept.join(site).join(file).exists();
        // All configs are there before the first node is started.
        while sites.is_empty() || !sites.iter().all(|it| has(it, "data/rpc.cookie")) {
            if let Some(ended) = child.try_wait().unwrap() {
                let said = std::fs::read_to_string(&log_file).unwrap();
                panic!("the testnet ended with {ended}:\n{said}");
            }
            assert!(started.elapsed() < PATIENCE, "the nodes of the testnet got no cookies");
            tokio::time::sleep(Duration::from_millis(100)).await;
            let entries = std::fs::read_dir(&kept).into_iter().flatten();
            let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
            sites = names.filter(|it| has(it, "config.toml")).collect();
            sites.sort();
        }
        Self { child, folder: kept, log: log_file, sites }
    }

    /// The first site that has mining machines.
    pub(crate) fn site_with_machines(&self) -> String {
        let has = |site: &&String| self.config(site).contains_key("miner");
        self.sites.iter().find(has).expect("a site with machines").clone()
    }

    /// The config file of a site's node.
    pub(crate) fn config_file(&self, site: &str) -> PathBuf {
        self.folder.join(site).join("config.toml")
    }

    fn config(&self, site: &str) -> toml::Table {
        let config = std::fs::read_to_string(self.config_file(site));
        config.unwrap().parse().unwrap()
    }

    /// The address of the testnet's own page, without the slash at its end.
    pub(crate) fn overview(&self) -> String {
        let said = std::fs::read_to_string(&self.log).unwrap();
        let after = said.split("the testnet's page is at ").nth(1).expect("it is said");
        after.split_whitespace().next().unwrap().trim_end_matches('/').to_owned()
    }

    /// The text of the grid's charter.
    pub(crate) fn charter(&self) -> String {
        let site = &self.sites[0];
        let file = self.config(site)["charter_file"].as_str().unwrap().to_owned();
        std::fs::read_to_string(self.folder.join(site).join(file)).unwrap()
    }

    /// Where a site's meter is.
    pub(crate) fn meter(&self, site: &str) -> String {
        self.config(site)["site"]["meter"]["address"].as_str().unwrap().to_owned()
    }

    /// The chain's bitcoind: its address, user and password.
    pub(crate) fn bitcoind(&self) -> [String; 3] {
        let site = &self.sites[0];
        let lightning = self.config(site)["lightning"].as_table().unwrap().clone();
        let text = |key: &str| lightning[key].as_str().unwrap().to_owned();
        let password = self.folder.join(site).join(text("bitcoind_password_file"));
        let password = std::fs::read_to_string(password).unwrap().trim().to_owned();
        [text("bitcoind_url"), text("bitcoind_user"), password]
    }

    /// The address of a site's dashboard, without the slash at its end.
    pub(crate) fn address(&self, site: &str) -> String {
        format!("http://{}", self.config(site)["rpc"]["listen"].as_str().unwrap())
    }

    /// A new token for a site's node.
    pub(crate) fn token(&self, site: &str, name: &str, role: Role) -> String {
        let data = self.folder.join(site).join("data");
        let created_at = Timestamp::from_unix_ms(1);
        let wish = Wish { name: name.to_owned(), role, created_at, expires_at: None };
        TokenFile::in_folder(&data).create(wish).unwrap().reveal().to_owned()
    }

    /// Ends the testnet and its nodes.
    pub(crate) async fn end(mut self) {
        self.child.kill().await.unwrap();
    }
}
