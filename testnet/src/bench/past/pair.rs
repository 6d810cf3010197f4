//! The two nodes together: what either engine wants done is done, until all of an interval is paid.
//! Not for: retrying for long; nothing goes wrong between two nodes of one process.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use boltgrid::lightning::{
    Delivery, InvoiceTerms, LightningError, LightningEvent, LightningHandle, PaymentOrder,
};
use boltgrid_market::effect::{Effect, JournalEntry};
use boltgrid_market::notice::Notice;
use boltgrid_market::payments::{Bolt11, Happened, Outcome, Stage, Told, Wanted};
use boltgrid_market::settlement::Settlement;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::invoice::Cause;
use boltgrid_protocol::units::{Interval, Timestamp};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::sleep;

use super::PastError;
use super::side::Side;

/// When nothing happens for so long, the engines look at their clocks.
const STALLED: Duration = Duration::from_secs(2);
/// How far these go on then, in ms.
const STALLED_MS: u64 = 1_000;
/// How often that may happen in one interval.
const STALLS_MAX: u32 = 60;
/// Messages that show a due, and how large one is.
const PROOF: (usize, usize) = (6, 250);

type Work = Pin<Box<dyn Future<Output = Result<Option<(usize, Happened)>, LightningError>> + Send>>;

/// The two.
pub(super) struct Pair {
    sides: [Side; 2],
    work: FuturesUnordered<Work>,
    queue: VecDeque<(usize, Happened, Option<Delivery>)>,
    /// What the engines' clocks show.
    now: Timestamp,
    /// Payments that either side has told are paid.
    paid: usize,
}

impl Pair {
    pub(super) fn new(sides: [Side; 2]) -> Self {
        let now = Timestamp::default();
        Self { sides, work: FuturesUnordered::new(), queue: VecDeque::new(), now, paid: 0 }
    }

    pub(super) const fn charter(&self) -> &Arc<Charter> {
        &self.sides[0].charter
    }

    pub(super) const fn handles(&self) -> [&LightningHandle; 2] {
        [&self.sides[0].handle, &self.sides[1].handle]
    }

    pub(super) fn listens_at(&self, side: usize) -> &str {
        &self.sides[side].listens_at
    }

    pub(super) const fn participant(&self, side: usize) -> ParticipantId {
        self.sides[side].participant
    }

    /// Where both are in the roster of an interval.
    pub(super) fn places(&self, interval: Interval) -> [RosterIndex; 2] {
        let roster = self.sides[0].rosters.clone().at(interval);
        let place = |side: &Side| roster.index_of(&side.participant).expect("it is enrolled");
        self.sides.each_ref().map(place)
    }

    /// Has both settle an interval, and waits until all of it is paid.
    pub(super) async fn settle(
        &mut self,
        now: Timestamp,
        settlements: &[Settlement; 2],
    ) -> Result<(), PastError> {
        (self.now, self.paid) = (now, 0);
        let expected: usize = settlements.iter().map(|it| it.trades.len()).sum();
        for (side, settlement) in settlements.iter().enumerate() {
            let proof = || vec![vec![0; PROOF.1]; PROOF.0];
            let causes = settlement.trades.iter().map(|it| Cause::Trade { index: it.terms.index });
            let proofs = causes.map(|cause| (cause, proof())).collect();
            let effects = self.sides[side].engine.settled(now, settlement, proofs);
            self.carry_out(side, effects).await?;
        }
        let mut stalls = 0;
        while self.paid < expected {
            if !self.queue.is_empty() {
                self.work_off().await?;
                continue;
            }
            let [first, second] = &mut self.sides;
            tokio::select! {
                Some(done) = self.work.next() => {
                    let done = done?.map(|(side, happened)| (side, happened, None));
                    self.queue.extend(done);
                }
                Some(delivery) = first.events.next() => self.queue.extend(take(0, delivery)),
                Some(delivery) = second.events.next() => self.queue.extend(take(1, delivery)),
                () = sleep(STALLED) => {
                    stalls += 1;
                    if stalls > STALLS_MAX {
                        return Err(PastError::NotReady("the payments of an interval"));
                    }
                    self.now = self.now.plus_ms(STALLED_MS);
                    for side in [0, 1] {
                        let effects = self.sides[side].engine.advance(self.now);
                        self.carry_out(side, effects).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes all that has happened, and keeps what follows from it at once.
    async fn work_off(&mut self) -> Result<(), PastError> {
        let (mut effects, mut deliveries) = ([Vec::new(), Vec::new()], Vec::new());
        for (side, happened, delivery) in std::mem::take(&mut self.queue) {
            effects[side].extend(self.sides[side].engine.handle(self.now, happened));
            deliveries.extend(delivery);
        }
        for (side, effects) in effects.into_iter().enumerate() {
            self.carry_out(side, effects).await?;
        }
        deliveries.into_iter().for_each(Delivery::kept);
        Ok(())
    }

    /// What is to be kept is kept first, as in a node.
    async fn carry_out(&mut self, side: usize, effects: Vec<Effect>) -> Result<(), PastError> {
        let mut entries: Vec<JournalEntry> = Vec::new();
        let mut wanted = Vec::new();
        for effect in effects {
            if let Effect::Persist(entry) = effect {
                entries.push(entry);
            } else if let Effect::Payment(it) = effect {
                wanted.push(it);
            } else if let Effect::Tell(Notice::Payment(told)) = effect
                && let Told::Payment(payment) = *told
            {
                self.paid += usize::from(matches!(payment.stage, Stage::Paid { .. }));
                self.sides[side].store.archive().put_payment(&payment)?;
            }
        }
        if !entries.is_empty() {
            self.sides[side].store.journal().record(entries).await?;
        }
        wanted.into_iter().for_each(|it| self.want(side, it));
        Ok(())
    }

    fn want(&mut self, side: usize, wanted: Wanted) {
        let lightning = self.sides[side].handle.clone();
        match wanted {
            Wanted::Make { due, tranche, amount_msat, expiry_ms } => {
                self.work.push(Box::pin(async move {
                    let expiry = Duration::from_millis(expiry_ms);
                    let description = format!("interval {}, tranche {tranche}", due.interval);
                    let terms = InvoiceTerms { amount: amount_msat, description, expiry };
                    let made = lightning.invoice(terms).await?;
                    let (payment_hash, expires_at) = (made.payment_hash, made.expires_at);
                    let read = Bolt11 { payment_hash, amount_msat: Some(amount_msat), expires_at };
                    let bolt11 = made.bolt11;
                    Ok(Some((side, Happened::Made { due, tranche, bolt11, read })))
                }));
            }
            Wanted::Send { invoice, .. } => {
                let other = 1 - side;
                let asked = self.sides[other].asked(invoice, self.now);
                self.queue.extend(asked.map(|asked| (other, asked, None)));
            }
            Wanted::Pay { bolt11, fee_max_msat, .. } => self.work.push(Box::pin(async move {
                let paid = lightning.pay(PaymentOrder { bolt11, fee_max: fee_max_msat }).await;
                paid.map(|_| None)
            })),
            // Nobody needs to be told or asked: whatever happens is told as an event.
            Wanted::Answer { .. } | Wanted::Inquire { .. } => {}
        }
    }

    /// What else nodes keep of an interval.
    pub(super) async fn write_rest(&self, settlements: &[Settlement; 2]) -> Result<(), PastError> {
        for (side, settlement) in self.sides.iter().zip(settlements) {
            side.write_rest(settlement).await?;
        }
        Ok(())
    }

    /// Stops both.
    pub(super) async fn stop(self) -> Result<(), PastError> {
        let [first, second] = self.sides;
        first.stop().await?;
        second.stop().await
    }
}

/// What an event means to a side; what means nothing is done with at once.
fn take(side: usize, delivery: Delivery) -> Option<(usize, Happened, Option<Delivery>)> {
    let told = |payment_hash, outcome| Happened::Told { payment_hash, outcome };
    let event = delivery.event();
    let happened = if let LightningEvent::PaymentReceived { hash, amount } = event {
        Happened::Received { payment_hash: *hash, amount_msat: *amount }
    } else if let LightningEvent::PaymentSent { hash, preimage, fee } = event {
        told(*hash, Outcome::Sent { preimage: *preimage, fee_msat: *fee })
    } else if let LightningEvent::PaymentFailed { hash, .. } = event {
        told(*hash, Outcome::Failed)
    } else {
        delivery.kept();
        return None;
    };
    Some((side, happened, Some(delivery)))
}
