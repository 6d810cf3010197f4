//! The escrow task: it feeds the engine and carries out what it wants, in order.
//!
//! Invariant (write-ahead, P21): what an effect persists is on disk before any other effect is carried
//! out; the first persist that fails ends the task, and with it the node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_market::effect::JournalEntry;
use boltgrid_market::escrow::{
    Effect, Escrows, Happened, HoldInvoice, Moment, View, Wanted, Willingness,
};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::direct::{Answer, Question};
use boltgrid_protocol::envelope::Signed;
use boltgrid_protocol::escrow::{Deed, EscrowAnswer, EscrowRefusal, EscrowTerms, HOLD_BLOCKS_MAX};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::lightning::{PaymentHash, Preimage};
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Interval, Msat};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::carry::{self, Work};
use super::desk::{Command, EscrowDesk, EscrowNotDone, Proposal};
use crate::clock;
use crate::config::lightning::BitcoinNetwork;
use crate::history::History;
use crate::lightning::{self, ChannelState, Delivery, LightningEvent, LightningHandle};
use crate::network::{LightningContacts, NetworkEvent, NetworkHandle};
use crate::store::{Archive, JournalError, JournalHandle};

/// Questions and answers waiting: a few of every escrow.
const EVENTS_MAX: usize = 128;
/// Requests to Lightning at once.
const WORK_MAX: usize = 16;
/// Between two looks at clock and chain.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Blocks beyond the least that a hold takes, where the owner says nothing: half a day.
const RESERVE_BLOCKS: u64 = 72;

/// What the task works with.
#[derive(Debug)]
pub(crate) struct EscrowAround {
    pub(crate) network: NetworkHandle,
    pub(crate) contacts: watch::Receiver<LightningContacts>,
    pub(crate) journal: JournalHandle,
    pub(crate) archive: Archive,
    pub(crate) history: watch::Receiver<History>,
    /// None where the node runs without: then it can be an arbiter only.
    pub(crate) lightning: Option<(LightningHandle, BitcoinNetwork)>,
}

/// What others hold of the task.
#[derive(Debug)]
pub(crate) struct EscrowEnds {
    /// What members ask and answer.
    pub(crate) of_escrow: mpsc::Sender<NetworkEvent>,
    /// Payments that are held.
    pub(crate) held: mpsc::Sender<Delivery>,
    /// The owner's wishes.
    pub(crate) desk: EscrowDesk,
}

/// The task.
#[derive(Debug)]
pub(crate) struct EscrowTask {
    engine: Escrows,
    around: EscrowAround,
    events: mpsc::Receiver<NetworkEvent>,
    held: mpsc::Receiver<Delivery>,
    commands: mpsc::Receiver<Command>,
}

/// Requests to Lightning under way, one at a time for each payment hash.
#[derive(Default)]
struct UnderWay {
    work: FuturesUnordered<Work>,
    busy: BTreeSet<PaymentHash>,
}

impl EscrowTask {
    /// The task, taking up what the journal holds.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub(crate) async fn new(
        grid: (Arc<Charter>, Rosters),
        key: Keypair,
        willing: Willingness,
        around: EscrowAround,
    ) -> Result<(Self, EscrowEnds), JournalError> {
        let journal = around.journal.load_escrows().await?;
        let engine = Escrows::new(grid, key, willing, &journal);
        let (of_escrow, events) = mpsc::channel(EVENTS_MAX);
        let (hold, held) = mpsc::channel(1);
        let (desk, commands) = EscrowDesk::new();
        let task = Self { engine, around, events, held, commands };
        Ok((task, EscrowEnds { of_escrow, held: hold, desk }))
    }

    /// Runs until shutdown.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when something that binds this node cannot be stored.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), JournalError> {
        let mut under_way = UnderWay::default();
        loop {
            let now = clock::now();
            let due = self.engine.next_moment(now).map(|due| due.ms_since(now));
            let sleep = Duration::from_millis(due.unwrap_or(u64::MAX)).min(LOOK_EVERY);
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some((hash, happened)) = under_way.work.next() => {
                    under_way.busy.remove(&hash);
                    if let Some(happened) = happened {
                        self.put(happened, &mut under_way).await?;
                    }
                }
                Some(event) = self.events.recv() => {
                    if let Some(happened) = self.read(event) {
                        self.put(happened, &mut under_way).await?;
                    }
                }
                Some(delivery) = self.held.recv() => self.hold(delivery, &mut under_way).await?,
                Some(command) = self.commands.recv() => {
                    self.command(command, &mut under_way).await?;
                }
                () = tokio::time::sleep(sleep) => {
                    self.put(Happened::Tick, &mut under_way).await?;
                }
            }
        }
    }

    fn moment(&self) -> Moment {
        let lightning = self.around.lightning.as_ref();
        let height = lightning.map(|(it, _)| it.status().height).filter(|height| *height > 0);
        let may_sign = self.around.history.borrow().sight().abstaining.is_none();
        Moment { now: clock::now(), height, may_sign }
    }

    /// A payment has arrived. It is told again until everything that follows is on disk.
    async fn hold(
        &mut self,
        delivery: Delivery,
        under_way: &mut UnderWay,
    ) -> Result<(), JournalError> {
        let LightningEvent::PaymentHeld { hash, amount, claim_before_height } = delivery.event()
        else {
            delivery.kept();
            return Ok(());
        };
        let held = Happened::Held {
            payment_hash: *hash,
            amount_msat: *amount,
            // Without a deadline nothing says how long it is held, so it is not.
            claim_before_height: claim_before_height.unwrap_or(0),
        };
        if self.moment().height.is_none() {
            debug!("how high the chain is is not known yet; the payment is told again");
            return Ok(());
        }
        self.put(held, under_way).await?;
        delivery.kept();
        Ok(())
    }

    /// What a member asks or answers, as the engine takes it.
    fn read(&self, event: NetworkEvent) -> Option<Happened> {
        match event {
            NetworkEvent::Asked { from, question: Question::Escrow(question), token } => {
                Some(Happened::Asked { from, question, token })
            }
            NetworkEvent::Told {
                by,
                question: Question::Escrow(question),
                answer: Answer::Escrow(answer),
            } => {
                let read = match hold_invoice(&answer) {
                    Some(bolt11) => self.read_invoice(&by, &bolt11)?,
                    None => None,
                };
                Some(Happened::Answered { by, question, answer, read })
            }
            // It is asked again.
            NetworkEvent::Unanswered { .. }
            | NetworkEvent::Asked { .. }
            | NetworkEvent::Told { .. }
            | NetworkEvent::Heard { .. }
            | NetworkEvent::Reply { .. }
            | NetworkEvent::InvoiceWord { .. }
            | NetworkEvent::Certificate { .. }
            | NetworkEvent::Shown(_)
            | NetworkEvent::Clocks(_) => None,
        }
    }

    /// What a payee's invoice says, if it is one. None where it is not known yet which Lightning node is
    /// the payee's, as after a start: then its word is as good as lost, and asked for again.
    fn read_invoice(&self, payee: &ParticipantId, bolt11: &str) -> Option<Option<HoldInvoice>> {
        let (_, network) = self.around.lightning.as_ref()?;
        let theirs = self.around.contacts.borrow().get(payee)?.node;
        let read = lightning::read(bolt11, *network);
        Some(read.map(|read| HoldInvoice {
            payment_hash: read.payment_hash,
            amount_msat: read.amount,
            expires_at: read.expires_at,
            final_cltv_blocks: read.final_cltv_blocks,
            is_direct: read.payee == theirs && !read.has_hints,
        }))
    }

    /// Gives the engine something that happened, and carries out what follows.
    async fn put(
        &mut self,
        happened: Happened,
        under_way: &mut UnderWay,
    ) -> Result<(), JournalError> {
        let effects = self.engine.handle(self.moment(), happened);
        self.carry_out(effects, under_way).await
    }

    async fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        under_way: &mut UnderWay,
    ) -> Result<(), JournalError> {
        let mut waiting = effects;
        while !waiting.is_empty() {
            let entries: Vec<JournalEntry> = waiting
                .iter()
                .filter_map(|effect| match effect {
                    Effect::Persist(entry) => Some(entry.clone()),
                    Effect::Want(_) | Effect::Tell(_) | Effect::NotTaken(_) => None,
                })
                .collect();
            if !entries.is_empty() {
                self.around.journal.record(entries).await?;
            }
            let mut more = Vec::new();
            for effect in waiting {
                match effect {
                    Effect::Persist(_) => {}
                    Effect::Tell(view) => log(&view),
                    Effect::NotTaken(why) => debug!(why, "escrow: not taken"),
                    Effect::Want(wanted) => more.extend(self.want(wanted, under_way)),
                }
            }
            waiting = more;
        }
        Ok(())
    }

    /// Does what is wanted, or begins to. What cannot be done now is wanted again.
    fn want(&mut self, wanted: Wanted, under_way: &mut UnderWay) -> Vec<Effect> {
        if let Some(hash) = carry::hash_of(&wanted) {
            let wanted = self.only_if_reached(wanted);
            let has_room = under_way.work.len() < WORK_MAX;
            match &self.around.lightning {
                Some((lightning, _)) if has_room && under_way.busy.insert(hash) => {
                    under_way.work.push(carry::begin(lightning.clone(), hash, wanted));
                }
                Some(_) => {}
                None => return self.without_lightning(&wanted),
            }
            return Vec::new();
        }
        let network = &self.around.network;
        let sent = match wanted {
            Wanted::Ask { to, question } => network.ask(to, Question::Escrow(question)),
            Wanted::Answer { token, answer } => network.answer(token, Answer::Escrow(answer)),
            Wanted::Readings { escrow, subject, edges } => {
                let found = self.readings(&subject, edges);
                return self.engine.handle(self.moment(), Happened::Readings { escrow, found });
            }
            Wanted::Make { .. }
            | Wanted::Pay { .. }
            | Wanted::Claim { .. }
            | Wanted::GiveBack { .. }
            | Wanted::Refuse(_) => Ok(()),
        };
        if let Err(error) = sent {
            warn!(%error, "not sent; it is sent again");
        }
        Vec::new()
    }

    /// A payment that would find no channel to its payee now is not begun now: it would fail for good.
    fn only_if_reached(&self, wanted: Wanted) -> Wanted {
        let Wanted::Pay { escrow, payment_hash, bolt11, begins } = wanted else { return wanted };
        let reaches = |(lightning, network): &(LightningHandle, BitcoinNetwork)| {
            let payee = lightning::read(&bolt11, *network).map(|read| read.payee);
            payee.is_some_and(|payee| lightning.status().partners().contains(&payee))
        };
        let begins = begins && self.around.lightning.as_ref().is_some_and(reaches);
        Wanted::Pay { escrow, payment_hash, bolt11, begins }
    }

    fn without_lightning(&mut self, wanted: &Wanted) -> Vec<Effect> {
        let Wanted::Make { escrow, .. } = wanted else { return Vec::new() };
        let made = Err(EscrowRefusal::NoLightning);
        self.engine.handle(self.moment(), Happened::Made { escrow: *escrow, made })
    }

    /// Signed readings of a member at two edges, as far as they are kept.
    fn readings(&self, subject: &ParticipantId, edges: [Interval; 2]) -> Vec<Vec<u8>> {
        let at = |edge| match self.around.archive.reading(edge, subject) {
            Ok(reading) => reading.map(|bytes| bytes.to_vec()),
            Err(error) => {
                warn!(%error, %subject, "a stored reading is not readable");
                None
            }
        };
        edges.into_iter().filter_map(at).collect()
    }

    async fn command(
        &mut self,
        command: Command,
        under_way: &mut UnderWay,
    ) -> Result<(), JournalError> {
        let at = self.moment();
        // Whoever has gone away misses the answer, not the work.
        match command {
            Command::List(answer) => drop(answer.send(Ok(self.engine.views().collect()))),
            Command::Propose(proposal, answer) => match self.propose(at, &proposal) {
                Ok((escrow, effects)) => {
                    self.carry_out(effects, under_way).await?;
                    drop(answer.send(Ok(escrow)));
                }
                Err(why) => drop(answer.send(Err(why))),
            },
            Command::Decide(escrow, accepts, answer) => {
                match self.engine.decide(at, escrow, accepts) {
                    Ok(effects) => {
                        self.carry_out(effects, under_way).await?;
                        drop(answer.send(Ok(())));
                    }
                    Err(why) => drop(answer.send(Err(why.into()))),
                }
            }
            Command::Release(escrow, answer) => match self.engine.release(at, escrow) {
                Ok(effects) => {
                    self.carry_out(effects, under_way).await?;
                    drop(answer.send(Ok(())));
                }
                Err(why) => drop(answer.send(Err(why.into()))),
            },
        }
        Ok(())
    }

    fn propose(
        &mut self,
        at: Moment,
        proposal: &Proposal,
    ) -> Result<(MessageHash, Vec<Effect>), EscrowNotDone> {
        let mut preimage = [0; 32];
        getrandom::fill(&mut preimage)
            .map_err(|error| EscrowNotDone::Randomness(error.to_string()))?;
        let mut terms = EscrowTerms {
            payee: proposal.payee,
            arbiter: proposal.arbiter,
            condition: proposal.condition,
            amount_msat: proposal.amount,
            payment_hash: Preimage::from_bytes(preimage).payment_hash(),
            hold_blocks: HOLD_BLOCKS_MAX,
            expires_at: at.now.plus_ms(proposal.stands_ms),
        };
        let least = self.engine.needed_blocks(at.now, &terms).saturating_add(RESERVE_BLOCKS);
        let chosen = u32::try_from(least).unwrap_or(u32::MAX).min(HOLD_BLOCKS_MAX);
        terms.hold_blocks = proposal.hold_blocks.unwrap_or(chosen);
        self.engine.check(at, &terms)?;
        self.check_channel(proposal)?;
        Ok(self.engine.propose(at, terms, Preimage::from_bytes(preimage))?)
    }

    /// Whether a channel with the payee can carry the amount.
    fn check_channel(&self, proposal: &Proposal) -> Result<(), EscrowNotDone> {
        let (lightning, _) = self.around.lightning.as_ref().ok_or(EscrowNotDone::NoLightning)?;
        let contacts = self.around.contacts.borrow();
        let contact = contacts.get(&proposal.payee).ok_or(EscrowNotDone::NoContact)?;
        let channels = lightning.status().channels;
        let usable = channels.iter().filter(|channel| {
            channel.counterparty == contact.node && channel.state == ChannelState::Usable
        });
        let most = usable.map(|channel| channel.sendable_at_once).max().unwrap_or_default();
        if most >= proposal.amount {
            return Ok(());
        }
        let to_sat = |msat: Msat| msat.to_millisatoshi().div_euclid(1_000);
        let (amount_sat, sendable_sat) = (to_sat(proposal.amount), to_sat(most));
        Err(EscrowNotDone::NoChannel { amount_sat, sendable_sat })
    }
}

/// The invoice in a payee's word; none in any other answer.
fn hold_invoice(answer: &EscrowAnswer) -> Option<String> {
    let EscrowAnswer::Signed(deed) = answer else { return None };
    match Signed::<Deed>::decode(deed.as_slice()).ok()?.body() {
        Deed::Hold { bolt11, .. } => Some(bolt11.clone()),
        Deed::Terms(_) | Deed::Arbitration { .. } => None,
    }
}

fn log(view: &View) {
    info!(
        escrow = %view.escrow, role = ?view.role, stage = ?view.stage,
        amount_msat = view.terms.amount_msat.to_millisatoshi(), payer = view.payer.short(),
        payee = view.terms.payee.short(), arbiter = view.terms.arbiter.short(), "escrow"
    );
}
