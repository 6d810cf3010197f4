//! Each kind of step.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use boltgrid_testnet::run::disks;
use tokio::time::{Instant, sleep};

use super::founding::nobody;
use super::{Flaw, LOOK_EVERY, Trouble, World, tail};
use crate::funds::check::{Deal, Violation};
use crate::funds::line::{Ask, Seen, Told};
use crate::funds::purse::DATA;
use crate::funds::step::Step;

/// How long payments may take to be over, where nothing is in their way.
const SETTLE_TIME: Duration = Duration::from_secs(10);
/// How long they may, where a channel is closed or cannot be used: some end only with blocks.
const BROKEN_TIME: Duration = Duration::from_secs(2);
/// How long a node may go on without room on its disk.
const FULL_TIME: Duration = Duration::from_secs(40);
/// How long a closing may take to be sent out.
const SEND_TIME: Duration = Duration::from_secs(10);
/// Blocks after which a cheat has its money, if nobody is awake.
const SLEEP_BLOCKS: u32 = 150;
/// How long it may take to claim what it can after so many blocks, …
const SLEEP_TIME: Duration = Duration::from_secs(3);
/// … and how often that is, at most.
const SLEEPS_MAX: usize = 8;
/// How long a channel may take to be usable again after a start.
const RETURN_TIME: Duration = Duration::from_secs(60);
/// What a cheat keeps beside its data.
const COPY: &str = "copy";
/// What a node whose disk is full must say.
const ADVICE: &str = "free some disk space";

impl World {
    /// Does one step.
    pub(in crate::funds) async fn step(&mut self, step: &Step) -> Result<(), Trouble> {
        self.tell(&step.to_string());
        match step {
            Step::Pay { from, to, amount_msat } => {
                self.pay(Deal { from: *from, to: *to, amount_msat: *amount_msat });
            }
            Step::Settle => drop(self.settle().await),
            Step::Renew => {
                self.settle().await;
                self.open_channels().await?;
            }
            Step::Kill { node, after_ms } => {
                sleep(Duration::from_millis(*after_ms)).await;
                self.kill(*node).await?;
                self.counts.kills += 1;
            }
            Step::CutPower { node, after_ms } => {
                sleep(Duration::from_millis(*after_ms)).await;
                self.cut_power(*node).await?;
            }
            Step::Stop { node } => self.stop(*node).await?,
            Step::Start { node } => {
                self.start(*node).await?;
                self.connect(*node).await;
                if self.plan.cheat == Some(*node) {
                    self.until_it_can_pay(*node).await;
                }
            }
            Step::Cut { from, to, after_ms } => {
                sleep(Duration::from_millis(*after_ms)).await;
                self.cut(*from, *to, true);
                self.counts.cuts += 1;
            }
            Step::Mend { from, to } => {
                self.cut(*from, *to, false);
                self.connect(*from).await;
            }
            Step::Mine { blocks } => self.mine(*blocks).await?,
            Step::Reorg { depth } => {
                self.counts.reorgs += 1;
                self.nobody = nobody(self.client(), self.counts.reorgs);
                self.client().reorganise(*depth, &self.nobody).await?;
                self.follow().await?;
            }
            Step::Close { node, with, force, after_ms } => {
                sleep(Duration::from_millis(*after_ms)).await;
                self.close(*node, *with, *force).await;
            }
            Step::FillDisk { node } => self.fill_disk(*node).await?,
            Step::FreeDisk { node } => disks::free(&self.data(*node))?,
            Step::Keep { node } => {
                // What a kill leaves may be stale, and such a channel is closed at the next start.
                self.stop(*node).await?;
                let folder = &self.stations[*node].folder;
                copy(&folder.join(DATA), &folder.join(COPY))?;
            }
            Step::Cheat { node } => self.cheat(*node).await?,
        }
        self.look_for_ends().await
    }

    fn data(&self, node: usize) -> std::path::PathBuf {
        self.stations[node].folder.join(DATA)
    }

    /// Begins a payment between two that run.
    fn pay(&mut self, deal: Deal) {
        let (Some(payer), Some(payee)) = (self.asker(deal.from), self.asker(deal.to)) else {
            return;
        };
        self.counts.payments += 1;
        let amount_msat = deal.amount_msat;
        self.begun.spawn(async move {
            let made = payee.ask(Ask::Invoice { amount_msat }).await;
            let Ok(Told::Invoice { bolt11, hash }) = made else { return None };
            // Whoever is killed meanwhile says in its book how far it got.
            drop(payer.ask(Ask::Pay { bolt11, amount_msat, hash }).await);
            Some((hash, deal))
        });
    }

    /// Waits until nobody who runs has a payment under way, as long as there is hope; whether that
    /// came to be.
    pub(in crate::funds) async fn settle(&mut self) -> bool {
        let within = if self.is_whole().await { SETTLE_TIME } else { BROKEN_TIME };
        let deadline = Instant::now() + within;
        let begun = async {
            while let Some(begun) = self.begun.join_next().await {
                self.deals.extend(begun.ok().flatten());
            }
        };
        if tokio::time::timeout_at(deadline, begun).await.is_err() {
            return false;
        }
        while Instant::now() < deadline {
            let mut is_over = true;
            for node in 0..self.stations.len() {
                if let Some(Told::Book(bills)) = self.ask(node, Ask::Book).await {
                    let under_way = |it: &crate::funds::book::Bill| {
                        it.stand == crate::funds::book::Stand::Intended
                    };
                    is_over &= !bills.iter().any(under_way);
                }
            }
            if is_over {
                return true;
            }
            sleep(LOOK_EVERY).await;
        }
        false
    }

    pub(in crate::funds) async fn kill(&mut self, node: usize) -> Result<(), Trouble> {
        self.look_for_ends().await?;
        if let Some(process) = self.stations[node].process.take() {
            process.kill().await?;
        }
        Ok(())
    }

    /// Ends a node's process, and takes from its disk what only the system had.
    async fn cut_power(&mut self, node: usize) -> Result<(), Trouble> {
        let (Some(process), Some(disk)) =
            (self.stations[node].process.as_ref(), self.power.get(&node))
        else {
            self.counts.power_not_cut += 1;
            return self.kill(node).await;
        };
        process.pause().await?;
        disk.keep()?;
        self.kill(node).await?;
        if let Some(disk) = self.power.get(&node) {
            disk.put_back().await?;
        }
        self.counts.power_cuts += 1;
        Ok(())
    }

    async fn stop(&mut self, node: usize) -> Result<(), Trouble> {
        let Some(process) = self.stations[node].process.take() else { return Ok(()) };
        let ended = process.stop().await?;
        if !ended.is_some_and(|status| status.success()) {
            let said = format!("told to stop, {ended:?}: {}", tail(&self.stations[node].folder));
            self.violations.push(Violation::Ended { node, said });
        }
        self.counts.stops += 1;
        Ok(())
    }

    pub(in crate::funds) fn cut(&self, one: usize, other: usize, is_cut: bool) {
        for pair in [(one, other), (other, one)] {
            if let Some(link) = self.links.get(&pair) {
                link.cut(is_cut);
            }
        }
    }

    /// Has a node find the others again, both ways: Lightning by itself would take a minute.
    pub(in crate::funds) async fn connect(&mut self, node: usize) {
        let channels = self.plan.channels.clone();
        for it in channels.iter().filter(|it| it.from == node || it.to == node) {
            let other = if it.from == node { it.to } else { it.from };
            let dialled = self.links[&(node, other)].address();
            let ask = Ask::Connect { with: self.stations[other].id, address: dialled };
            if self.stations[other].process.is_some() {
                self.ask(node, ask).await;
            }
        }
    }

    pub(in crate::funds) async fn close(&mut self, node: usize, with: usize, force: bool) {
        let with = self.stations[with].id;
        if self.ask(node, Ask::Close { with, force }).await.is_some() {
            let count =
                if force { &mut self.counts.closed_by_force } else { &mut self.counts.closed };
            *count += 1;
        }
    }

    /// Fills a node's disk; it must end by itself, saying what to do.
    async fn fill_disk(&mut self, node: usize) -> Result<(), Trouble> {
        if !self.has_small_disks {
            self.counts.disks_not_filled += 1;
            return self.kill(node).await;
        }
        disks::fill(&self.data(node))?;
        self.counts.disks_filled += 1;
        let deadline = Instant::now() + FULL_TIME;
        // Something has to be written for it to notice.
        drop(self.asker(node).map(|asker| {
            self.begun.spawn(async move {
                drop(asker.ask(Ask::Invoice { amount_msat: 1_000 }).await);
                None
            })
        }));
        let Some(mut process) = self.stations[node].process.take() else { return Ok(()) };
        let ended = process.ended(deadline - Instant::now()).await?;
        let said = tail(&self.stations[node].folder);
        match ended {
            None => {
                let said = format!("it goes on: {said}");
                self.violations.push(Violation::DiskFull { node, said });
                process.kill().await?;
            }
            Some(status) if status.code() == Some(1) && said.contains(ADVICE) => {}
            Some(status) => {
                let said = format!("{status}: {said}");
                self.violations.push(Violation::DiskFull { node, said });
            }
        }
        Ok(())
    }

    /// Waits until a cheat can pay whom it will cheat: where its payments after the copy fail, the copy
    /// is no lie.
    async fn until_it_can_pay(&mut self, node: usize) {
        let with = self.stations[node + 1].id;
        if !self.until((node, RETURN_TIME), |seen| seen.can_use(&with)).await {
            self.tell(&format!("{node} cannot use its channel again"));
        }
    }

    /// A cheat starts from the copy that it kept, far from those it cheats, and closes by it.
    async fn cheat(&mut self, node: usize) -> Result<(), Trouble> {
        self.kill(node).await?;
        let folder = self.stations[node].folder.clone();
        fs::rename(folder.join(DATA), folder.join("newest"))?;
        fs::rename(folder.join(COPY), folder.join(DATA))?;
        let others: Vec<usize> = (0..self.plan.nodes).filter(|other| *other != node).collect();
        for other in &others {
            self.cut(node, *other, true);
        }
        if self.options.flaw == Some(Flaw::Sleep) {
            for other in &others {
                self.kill(*other).await?;
            }
        }
        self.start(node).await?;
        self.follow().await?;
        let waiting = self.waiting().await?;
        for other in others {
            let with = self.stations[other].id;
            self.ask(node, Ask::Close { with, force: true }).await;
        }
        if self.until_waiting(waiting + 1, SEND_TIME).await? {
            self.counts.cheats += 1;
        }
        self.mine(1).await?;
        if self.options.flaw == Some(Flaw::Sleep) {
            self.sleep_on(node).await?;
        }
        Ok(())
    }
}

impl World {
    /// Finds blocks until a cheat has all that its copy gives it: payments that were on their way when
    /// it was made have to be claimed in two steps, each of which has to wait.
    async fn sleep_on(&mut self, cheat: usize) -> Result<(), Trouble> {
        for _ in 0..SLEEPS_MAX {
            self.mine(SLEEP_BLOCKS).await?;
            if self.until((cheat, SLEEP_TIME), Seen::is_out).await {
                return Ok(());
            }
        }
        self.tell(&format!("{cheat} has not all that its copy gives it"));
        Ok(())
    }
}

/// Copies a folder and all in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let there = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &there)?;
        } else {
            fs::copy(entry.path(), there)?;
        }
    }
    Ok(())
}
