//! The end of a run: everybody is back, what is under way comes to its end, all channels are closed,
//! blocks are mined until everything is final, and then the accounts are checked.

use std::time::Duration;

use bitcoin::hashes::{Hash, sha256};
use boltgrid_protocol::lightning::{PaymentHash, Preimage};
use tokio::time::{Instant, sleep};

use super::book::Stand;
use super::check::{Account, Violation, check};
use super::line::{Ask, Seen, Told};
use super::plan::{DEPOSIT_SAT, Opening};
use super::process::LOG_FILE;
use super::trace::Found;
use super::world::{LOOK_EVERY, Trouble, World};

/// How long nodes may take to find each other again.
const QUIET_TIME: Duration = Duration::from_secs(20);
/// How long a closing together may take.
const CLOSE_TIME: Duration = Duration::from_secs(8);
/// Blocks that are mined one after the other, with a look between: few at first, while there is
/// something to be answered in time, then many. The last are repeated.
const BLOCKS: [u32; 12] = [1, 1, 1, 2, 3, 6, 6, 6, 12, 24, 48, 72];
/// Blocks after which everything must be final.
const BLOCKS_MAX: u32 = 2_016;
/// Blocks after which a cheat has what is its own, or never gets it.
const BOUND_BLOCKS: u32 = 400;
/// What Lightning says when it finds what it wrote second older than what it wrote first.
const STALE: &str = "was stale compared to";
/// Between a block and the next: what follows from one has to be sent out.
const BREATH: Duration = Duration::from_millis(300);

impl World {
    /// Brings everything to its end and checks it.
    pub(super) async fn finish(&mut self) -> Result<(), Trouble> {
        for node in 0..self.plan.nodes {
            self.start(node).await?;
        }
        self.find_each_other().await?;
        let is_quiet = self.settle().await;
        self.tell(if is_quiet { "payments are over" } else { "payments are still under way" });
        for Opening { from, to, ending: (node, force), .. } in self.plan.channels.clone() {
            let with = if node == from { to } else { from };
            self.close(node, with, force).await;
        }
        self.until_closing().await?;
        let is_final = self.mine_until_final().await?;
        self.tell(if is_final { "everything is final" } else { "not everything is final" });
        if !is_final {
            let said = format!("{:?}", self.follow().await?);
            self.violations.push(Violation::NotFinal { said });
        }
        self.settle().await;
        self.judge().await
    }

    /// Waits until all channels can be used again, but those of a cheat.
    async fn find_each_other(&mut self) -> Result<(), Trouble> {
        let deadline = Instant::now() + QUIET_TIME;
        while Instant::now() < deadline {
            let mut is_missing = false;
            for Opening { from, to, .. } in self.plan.channels.clone() {
                let with = self.stations[to].id;
                let Some(Told::Seen(seen)) = self.ask(from, Ask::Glance).await else { continue };
                let has = seen.channels.iter().any(|it| it.with == with && it.is_ready);
                let is_cheats = self.plan.cheat.is_some_and(|it| it == from || it == to);
                if has && !seen.can_use(&with) && !is_cheats {
                    is_missing = true;
                    self.connect(from).await;
                }
            }
            if !is_missing {
                return Ok(());
            }
            sleep(LOOK_EVERY * 5).await;
        }
        self.tell("not everybody finds each other again");
        self.look_for_ends().await
    }

    /// Waits until every channel's closing has been sent out, as far as it is in time.
    async fn until_closing(&mut self) -> Result<(), Trouble> {
        let deadline = Instant::now() + CLOSE_TIME;
        while Instant::now() < deadline {
            let seen = self.follow().await?;
            if seen.iter().flatten().all(|seen| seen.channels.is_empty()) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        // Who does not answer is left.
        for Opening { from, to, .. } in self.plan.channels.clone() {
            for (node, with) in [(from, to), (to, from)] {
                let has = |seen: &Seen, id| seen.channels.iter().any(|it| it.with == id);
                let id = self.stations[with].id;
                if let Some(Told::Seen(seen)) = self.ask(node, Ask::Glance).await
                    && has(&seen, id)
                {
                    self.close(node, with, true).await;
                }
            }
        }
        Ok(())
    }

    async fn mine_until_final(&mut self) -> Result<bool, Trouble> {
        let mut mined = 0;
        let mut steps = BLOCKS.into_iter().chain(std::iter::repeat(BLOCKS[BLOCKS.len() - 1]));
        while mined < BLOCKS_MAX {
            sleep(BREATH).await;
            let blocks = steps.next().unwrap_or(1);
            self.mine(blocks).await?;
            mined += blocks;
            self.counts.blocks += u64::from(blocks);
            for node in 0..self.plan.nodes {
                self.start(node).await?;
            }
            let seen = self.follow().await?;
            // What justice took from a cheat, its own Lightning tries to take for ever.
            let honest = seen.iter().enumerate().filter(|(node, _)| self.plan.cheat != Some(*node));
            if honest.filter_map(|(_, seen)| seen.as_ref()).all(Seen::is_out) {
                let wallets: u64 = seen.iter().flatten().map(|seen| seen.onchain_sat).sum();
                let found = self.trace.read().await?;
                let has_time = mined < BOUND_BLOCKS;
                let is_free =
                    found.bound_sat() == 0 || (self.is_cheats(&found, &seen) && !has_time);
                if wallets == found.spendable_sat() && is_free {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether what is in no wallet can only be a cheat's: its Lightning puts what is its own into one
    /// transaction with what justice took from it, and that can never be found in a block. All others
    /// have nothing on its way.
    fn is_cheats(&self, found: &Found, seen: &[Option<Seen>]) -> bool {
        let cheat = self.plan.cheat.and_then(|cheat| seen.get(cheat)?.as_ref());
        cheat.is_some_and(|cheat| found.bound_sat() <= cheat.closing_sat)
    }

    async fn judge(&mut self) -> Result<(), Trouble> {
        let seen = self.follow().await?;
        let mut accounts = Vec::new();
        for (node, seen) in seen.into_iter().enumerate() {
            let mut start_sat = DEPOSIT_SAT;
            for (from, to, sat) in &self.pushed {
                if *from == node {
                    start_sat -= sat;
                } else if *to == node {
                    start_sat += sat;
                }
            }
            let book = match self.ask(node, Ask::Book).await {
                Some(Told::Book(_)) if self.plan.cheat == Some(node) => None,
                Some(Told::Book(bills)) => Some(bills),
                _ => return Err(Trouble::Time(format!("{node} shows no book"))),
            };
            let end_sat = seen.unwrap_or_default().onchain_sat;
            accounts.push(Account { start_sat, end_sat, book });
        }
        for bill in accounts.iter().filter_map(|it| it.book.as_ref()).flatten() {
            match bill.stand {
                Stand::Sent(_) => self.counts.paid += 1,
                Stand::Failed => self.counts.failed += 1,
                Stand::Intended => self.counts.forgotten += 1,
                Stand::Invoiced | Stand::Received => {}
            }
        }
        self.counts.closed_as_stale += self.closed_as_stale();
        self.counts.to_miners += self.lost_to_miners(&accounts);
        let found = self.trace.read().await?;
        let violations = check(&accounts, &self.deals, found.coins(), opens);
        for (node, account) in accounts.iter().enumerate() {
            let Account { start_sat, end_sat, .. } = account;
            self.tell(&format!("{node} began with {start_sat} sat and has {end_sat}"));
        }
        self.tell(&format!("{:?}", found.coins()));
        if violations.iter().any(|it| matches!(it, Violation::Unaccounted { .. })) {
            self.tell(&format!("coins of theirs:\n    {}", found.list()));
        }
        self.violations.extend(violations);
        Ok(())
    }
}

impl World {
    /// How often nodes say that they closed a channel since a kill had left it stale.
    fn closed_as_stale(&self) -> u64 {
        let logs = self.stations.iter().map(|it| std::fs::read(it.folder.join(LOG_FILE)));
        let logs = logs.map(Result::unwrap_or_default);
        let count = |log: Vec<u8>| {
            let log = String::from_utf8_lossy(&log);
            let told =
                |line: &&str| line.contains("told event=ChannelClosed") && line.contains(STALE);
            log.lines().filter(told).count() as u64
        };
        logs.map(count).sum()
    }

    /// Payments too small for the chain that their payees counted and their payers did not.
    fn lost_to_miners(&self, accounts: &[Account]) -> u64 {
        let stands = |node: usize, hash: &PaymentHash, stand: Stand| {
            let mut bills = accounts[node].book.iter().flatten();
            bills.any(|bill| bill.hash == *hash && bill.stand == stand)
        };
        let lost = self.deals.iter().filter(|(hash, deal)| {
            stands(deal.from, hash, Stand::Failed) && stands(deal.to, hash, Stand::Received)
        });
        lost.count() as u64
    }
}

fn opens(preimage: &Preimage, hash: &PaymentHash) -> bool {
    sha256::Hash::hash(preimage.as_bytes()).as_byte_array() == hash.as_bytes()
}
