//! The beginning of a run: a chain, nodes with coins, and channels that can be used.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::time::Duration;

use bitcoin::{Address, Amount, Network};
use boltgrid_protocol::lightning::LightningId;
use boltgrid_testnet::chain::{Client, Faucet, Source};
use boltgrid_testnet::run::disks::{Disks, DisksError};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Options, STARTING, Station, Trouble, World, tail};
use crate::funds::counts::Counts;
use crate::funds::line::{Ask, Told};
use crate::funds::link::Link;
use crate::funds::plan::{DEPOSIT_SAT, Opening, Plan};
use crate::funds::power::PowerDisk;
use crate::funds::purse::{DATA, PASSWORD};
use crate::funds::trace::Trace;

/// How long a wallet may take to see its coins, and a channel to be usable.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the transactions of a closing may take to be sent out.
const CLOSING_TIME: Duration = Duration::from_secs(2);
/// Confirmations until a channel can be used.
const CONFIRMATIONS: u32 = 6;
/// The id of a node before its first start.
const NOBODY: [u8; 33] = [2; 33];

impl World {
    /// Founds everything that a plan begins with.
    pub(in crate::funds) async fn found(plan: Plan, options: Options) -> Result<Self, Trouble> {
        let folder = TempDir::with_prefix("boltgrid-funds-")?;
        // A port of a program is free from looking for one until the program has it.
        let turn = STARTING.lock().await;
        let chain = Source::start(&options.chain, &folder.path().join("chain")).await?;
        drop(turn);
        let mut faucet = Faucet::new(chain.client(), plan.seed);
        let all = Amount::from_sat(DEPOSIT_SAT * (plan.nodes as u64 + 1));
        faucet.fill(all).await?;
        let mut stations = Vec::new();
        for node in 0..plan.nodes {
            let folder = folder.path().join(format!("node-{node}"));
            std::fs::create_dir_all(folder.join(DATA))?;
            std::fs::write(folder.join(PASSWORD), &chain.access().password)?;
            let id = LightningId::from_bytes(&NOBODY).expect("it begins with 2");
            stations.push(Station { folder, id, process: None });
        }
        let mut power = BTreeMap::new();
        for node in plan.power_disks() {
            // Who may not mount kills instead, and the count says so.
            if let Ok(disk) = PowerDisk::mount(&stations[node].folder.join(DATA)).await {
                power.insert(node, disk);
            }
        }
        let mut small = plan.small_disks();
        // That is a small disk, too.
        small.retain(|node| !power.contains_key(node));
        let small: Vec<_> = small.iter().map(|node| stations[*node].folder.join(DATA)).collect();
        let (disks, has_small_disks) = match Disks::mount(small.iter().map(|it| it.as_path())) {
            Ok(disks) => (disks, true),
            Err(DisksError::Mount { .. }) => (Disks::default(), false),
        };
        let mut links = BTreeMap::new();
        for from in 0..plan.nodes {
            for to in (0..plan.nodes).filter(|to| *to != from) {
                links.insert((from, to), Link::start().await?);
            }
        }
        let from = chain.client().height().await?;
        let trace = Trace::new(chain.client(), Vec::new(), from);
        let nobody = nobody(chain.client(), 0);
        let mut world = Self {
            plan,
            options,
            chain,
            faucet,
            stations,
            links,
            trace,
            pushed: Vec::new(),
            deals: BTreeMap::new(),
            begun: JoinSet::new(),
            violations: Vec::new(),
            counts: Counts::default(),
            story: Vec::new(),
            began: Instant::now(),
            nobody,
            has_small_disks,
            power,
            _disks: disks,
            folder,
        };
        world.fund(from).await?;
        world.open_channels().await?;
        world.tell("all channels are usable");
        Ok(world)
    }

    async fn fund(&mut self, from: u32) -> Result<(), Trouble> {
        let mut payees = Vec::new();
        for node in 0..self.plan.nodes {
            self.start(node).await?;
            let Some(Told::Address(address)) = self.ask(node, Ask::Address).await else {
                return Err(self.refused(node));
            };
            let address = Address::from_str(&address).ok();
            let address = address.and_then(|it| it.require_network(Network::Regtest).ok());
            let address = address.ok_or_else(|| self.refused(node))?;
            payees.push((address, Amount::from_sat(DEPOSIT_SAT)));
        }
        let scripts = payees.iter().map(|(address, _)| address.script_pubkey()).collect();
        self.trace = Trace::new(self.client(), scripts, from);
        self.faucet.pay(&payees).await?;
        self.mine(1).await?;
        for node in 0..self.plan.nodes {
            if !self.until((node, PATIENCE), |seen| seen.onchain_sat == DEPOSIT_SAT).await {
                return Err(Trouble::Time(format!("{node} does not see its coins")));
            }
        }
        Ok(())
    }

    /// What a node said last, as far as anything of it was told.
    fn refused(&self, node: usize) -> Trouble {
        let (said, why) = (tail(&self.stations[node].folder), self.story.last());
        Trouble::Refused { node, why: format!("{}; {said}", why.map_or("", String::as_str)) }
    }

    /// Whether every channel of the plan is there, be it usable or not.
    async fn is_complete(&mut self) -> Result<bool, Trouble> {
        for Opening { from, to, .. } in self.plan.channels.clone() {
            let with = self.stations[to].id;
            let Some(Told::Seen(seen)) = self.ask(from, Ask::Glance).await else {
                return Err(self.refused(from));
            };
            if seen.channels.iter().all(|it| it.with != with) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Opens every channel of the plan that is not there.
    pub(in crate::funds) async fn open_channels(&mut self) -> Result<(), Trouble> {
        let mut opened = Vec::new();
        if self.counts.opened > 0 && !self.is_complete().await? {
            // What hurries a closing spends coins of the wallet, which hears of that from the chain, and
            // would give the same coins to a new channel.
            self.until_waiting(1, CLOSING_TIME).await?;
            self.mine(1).await?;
        }
        for opening in self.plan.channels.clone() {
            let Opening { from, to, size_sat, push_sat, .. } = opening;
            let (with, address) = (self.stations[to].id, self.links[&(from, to)].address());
            let seen = self.ask(from, Ask::Glance).await;
            let Some(Told::Seen(seen)) = seen else { return Err(self.refused(from)) };
            if seen.channels.iter().any(|it| it.with == with) {
                continue;
            }
            let waiting = self.waiting().await?;
            let ask = Ask::Open { with, address, size_sat, push_sat };
            if self.ask(from, ask).await.is_none() {
                return Err(self.refused(from));
            }
            if !self.until_waiting(waiting + 1, PATIENCE).await? {
                return Err(Trouble::Time(format!("{from} sends no funding out")));
            }
            self.pushed.push((from, to, push_sat));
            opened.push(opening);
        }
        if opened.is_empty() {
            return Ok(());
        }
        self.counts.opened += opened.len() as u64;
        self.mine(CONFIRMATIONS).await?;
        for Opening { from, to, .. } in opened {
            for (node, with) in [(from, self.stations[to].id), (to, self.stations[from].id)] {
                if !self.until((node, PATIENCE), |seen| seen.can_use(&with)).await {
                    return Err(Trouble::Time(format!("{node} cannot use its channel")));
                }
            }
        }
        Ok(())
    }
}

/// An address of nobody's, another one for each number.
pub(super) fn nobody(chain: Client, number: u64) -> Address {
    Faucet::new(chain, !number).address()
}
