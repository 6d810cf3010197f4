//! Escrow at one node: as payer, payee or arbiter, from proposed terms to the end (P36 to P38).
//!
//! ```text
//!   payer ── terms, preimage ──► arbiter: stores it, signs that it will rule
//!   payer ── terms, word ──────► payee:   signs an invoice to the hash
//!   payer ══ payment, held ════► payee:   locked
//!   readings release: payer ── preimage ──► payee claims; or arbiter ── preimage ──► payee, who asks
//!   readings do not:  payee gives back; or the time lock does
//! ```
//!
//! Invariants: the intent to pay, the preimage before it leaves or claims, and giving back are
//! persisted first; a payee that has begun to give back never claims; nobody but the payer and the
//! arbiter knows the preimage before one of them releases it.
//! Not for: Lightning itself, sockets, or where readings are kept.

mod arbiter;
mod asking;
mod payee;
mod payer;
mod record;
mod said;
mod state;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{MessageRejected, Signed, Verified, hash_unverified};
use boltgrid_protocol::escrow::{
    Deed, EscrowAnswer, EscrowQuestion, EscrowRefusal, EscrowTerms, TERMS_LIFETIME_MAX_MS,
};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::lightning::Preimage;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Interval, Timestamp};

use crate::effect::{JournalEntry, Slot};
use record::{Entry, Log, Record};
use state::Escrow;

pub use said::{
    Effect, End, Happened, HoldInvoice, Incoming, Moment, NotDone, Outgoing, Role, Stage, View,
    Wanted, Willingness,
};

/// Most escrows at once that are not over; an arbiter's are not, until no block can be late any more.
pub const LIVE_MAX: usize = 256;
/// Most escrows that are remembered after they are over.
const OVER_MAX: usize = 256;
/// How long a block takes on average.
pub const BLOCK_MS: u64 = 600_000;
/// What a hold must leave after the arbiter can be asked, for blocks that come fast.
pub const RESERVE_MS: u64 = 6 * BLOCK_MS;
/// How long after the terms expired a payment may still arrive.
const ARRIVES_WITHIN_MS: u64 = 7_200_000;

/// Terms that wait: for the owner, or for an invoice.
#[derive(Clone, Debug)]
struct Asked {
    payer: ParticipantId,
    signed: Vec<u8>,
    terms: EscrowTerms,
    /// For the arbiter, the preimage; none where this node is the payee.
    preimage: Option<Preimage>,
    decided: Option<Result<(), EscrowRefusal>>,
}

/// The escrows of one node.
///
/// Bounded by [`LIVE_MAX`] and [`OVER_MAX`], and each by a few messages; so are terms that wait.
#[derive(Debug)]
pub struct Escrows {
    charter: Arc<Charter>,
    rosters: Rosters,
    key: Keypair,
    me: ParticipantId,
    willing: Willingness,
    escrows: BTreeMap<MessageHash, Escrow>,
    asked: BTreeMap<MessageHash, Asked>,
    log: Log,
    unreadable: usize,
}

impl Escrows {
    /// The escrows of the participant with this key, taking up what its journal holds of them.
    #[must_use]
    pub fn new(
        (charter, rosters): (Arc<Charter>, Rosters),
        key: Keypair,
        willing: Willingness,
        journal: &[JournalEntry],
    ) -> Self {
        let mut escrows = Self {
            charter,
            rosters,
            me: key.participant_id(),
            key,
            willing,
            escrows: BTreeMap::new(),
            asked: BTreeMap::new(),
            log: Log::default(),
            unreadable: 0,
        };
        let mut records = BTreeMap::new();
        for entry in journal {
            if let Slot::Escrow(interval, place) = entry.slot {
                records.insert((interval, place), &entry.bytes);
            }
        }
        for ((interval, place), bytes) in records {
            escrows.log.fill(interval, place);
            let is_read = Entry::from_bytes(bytes).is_ok_and(|entry| escrows.apply(&entry));
            escrows.unreadable = escrows.unreadable.saturating_add(usize::from(!is_read));
        }
        escrows
    }

    /// Makes a record true. False where it means nothing.
    fn apply(&mut self, entry: &Entry) -> bool {
        let Entry { escrow, record } = entry;
        if let Some(known) = self.escrows.get_mut(escrow) {
            return known.apply(record);
        }
        let Some(begun) = Escrow::begin(record) else { return false };
        self.escrows.insert(*escrow, begun);
        true
    }

    /// Every escrow, with those that wait for the owner.
    pub fn views(&self) -> impl Iterator<Item = View> + '_ {
        let asked = self.asked.iter().map(|(escrow, asked)| self.view_asked(*escrow, asked));
        asked.chain(self.escrows.iter().map(|(escrow, it)| it.view(*escrow)))
    }

    fn view_asked(&self, escrow: MessageHash, asked: &Asked) -> View {
        View {
            escrow,
            payer: asked.payer,
            terms: asked.terms.clone(),
            role: if asked.terms.arbiter == self.me { Role::Arbiter } else { Role::Payee },
            stage: match asked.decided {
                None => Stage::Asked,
                Some(Ok(())) => Stage::Signed,
                Some(Err(why)) => Stage::Over(End::Refused(why)),
            },
            claim_before_height: None,
        }
    }

    /// Takes one input and says what is to be done, in order.
    pub fn handle(&mut self, at: Moment, happened: Happened) -> Vec<Effect> {
        let mut effects = match happened {
            Happened::Tick => Vec::new(),
            Happened::Asked { from, question, token } => self.asked(at, from, question, token),
            Happened::Answered { by, question, answer, read } => {
                self.answered(at, (by, &question), answer, read)
            }
            Happened::Made { escrow, made } => self.made(at, escrow, made),
            Happened::Held { payment_hash, amount_msat, claim_before_height } => {
                self.held(at, payment_hash, amount_msat, claim_before_height)
            }
            Happened::Paid { escrow, outcome } => self.paid(at, escrow, outcome),
            Happened::Received { escrow, state } => self.received(at, escrow, state),
            Happened::Readings { escrow, found } => self.found(at, escrow, &found),
        };
        effects.extend(self.advance(at));
        effects
    }

    /// Whatever is due.
    fn advance(&mut self, at: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.unreadable > 0 {
            self.unreadable = 0;
            effects.push(Effect::NotTaken("journal_of_other_escrows"));
        }
        let due = |it: &Escrow| {
            it.over.is_none() && (it.work.next <= at.now || it.is_near_its_end(at.height))
        };
        let due: Vec<MessageHash> =
            self.escrows.iter().filter(|(_, it)| due(it)).map(|(escrow, _)| *escrow).collect();
        for escrow in due {
            let role = self.escrows.get(&escrow).map(Escrow::role);
            effects.extend(match role {
                Some(Role::Payer) => self.pay(at, escrow),
                Some(Role::Payee) => self.hold(at, escrow),
                Some(Role::Arbiter) | None => Vec::new(),
            });
        }
        self.forget(at.now);
        effects
    }

    /// When something is due at the latest although nothing happens.
    #[must_use]
    pub fn next_moment(&self, now: Timestamp) -> Option<Timestamp> {
        let waits = |it: &&Escrow| it.over.is_none() && it.role() != Role::Arbiter;
        let live = self.escrows.values().filter(waits);
        live.map(|it| it.work.next.max(now.plus_ms(1))).min()
    }

    fn asked(
        &mut self,
        at: Moment,
        from: ParticipantId,
        question: EscrowQuestion,
        token: u64,
    ) -> Vec<Effect> {
        let (mut effects, answer) = match question {
            EscrowQuestion::Arbitrate { terms, preimage } => {
                self.asked_to_sign(at, from, terms, Some(preimage))
            }
            EscrowQuestion::Hold { terms, arbitration } => {
                match self.is_arbitrated(at.now, &terms, &arbitration) {
                    true => self.asked_to_sign(at, from, terms, None),
                    false => (Vec::new(), EscrowAnswer::Refused(EscrowRefusal::Invalid)),
                }
            }
            EscrowQuestion::Release { escrow, preimage } => {
                self.told_preimage(at, from, escrow, preimage)
            }
            EscrowQuestion::Plead { escrow, readings } => {
                return self.plea(at, (from, token), escrow, &readings);
            }
        };
        effects.push(answer_to(token, answer));
        effects
    }

    fn live(&self) -> impl Iterator<Item = &Escrow> {
        self.escrows.values().filter(|it| it.over.is_none())
    }

    /// Makes a record true, has it written down first, and tells of it.
    fn write_and_tell(&mut self, escrow: MessageHash, record: Record) -> Vec<Effect> {
        let mut effects = self.write(escrow, record);
        effects.extend(self.tell(escrow));
        effects
    }

    fn write(&mut self, escrow: MessageHash, record: Record) -> Vec<Effect> {
        let entry = Entry { escrow, record };
        if !self.apply(&entry) {
            return vec![Effect::NotTaken("record_of_no_escrow")];
        }
        let Some(over) = self.escrows.get(&escrow).map(|it| self.over_in(&it.terms)) else {
            return Vec::new();
        };
        vec![Effect::Persist(self.log.write(over, &entry))]
    }

    fn tell(&self, escrow: MessageHash) -> Option<Effect> {
        self.escrows.get(&escrow).map(|it| Effect::Tell(Box::new(it.view(escrow))))
    }

    fn end(&mut self, escrow: MessageHash, end: End) -> Vec<Effect> {
        self.write_and_tell(escrow, Record::Over(end))
    }

    fn answered(
        &mut self,
        at: Moment,
        (by, question): (ParticipantId, &EscrowQuestion),
        answer: EscrowAnswer,
        read: Option<HoldInvoice>,
    ) -> Vec<Effect> {
        let named = match question {
            EscrowQuestion::Arbitrate { terms, .. } | EscrowQuestion::Hold { terms, .. } => {
                hash_unverified(terms).ok()
            }
            EscrowQuestion::Release { escrow, .. } | EscrowQuestion::Plead { escrow, .. } => {
                Some(*escrow)
            }
        };
        let Some(escrow) = named else { return Vec::new() };
        let Some(known) = self.escrows.get(&escrow).filter(|it| it.over.is_none()) else {
            return Vec::new();
        };
        let (arbiter, payee) = (known.terms.arbiter, known.terms.payee);
        match (known.role(), question) {
            (Role::Payer, EscrowQuestion::Arbitrate { .. }) if by == arbiter => {
                self.arbitrated(at, escrow, answer)
            }
            (Role::Payer, EscrowQuestion::Hold { .. }) if by == payee => {
                self.accepted(at, escrow, answer, read)
            }
            (Role::Payer, EscrowQuestion::Release { .. }) if by == payee => {
                self.was_told(escrow, &answer)
            }
            (Role::Payer, EscrowQuestion::Plead { .. }) if by == arbiter => {
                self.defended(escrow, &answer)
            }
            (Role::Payee, EscrowQuestion::Plead { .. }) if by == arbiter => {
                self.ruled(at, escrow, &answer)
            }
            _ => vec![Effect::NotTaken("escrow_answer_of_another")],
        }
    }

    /// Signs a deed as everyone else will verify it.
    fn sign(&mut self, now: Timestamp, deed: &Deed) -> Result<Verified<Deed>, MessageRejected> {
        let interval = self.charter.interval.interval_at(now);
        let roster = self.rosters.at(interval);
        Verified::sign(deed, interval, (&self.me, &self.key), (&self.charter, &roster))
    }

    fn verify(&mut self, now: Timestamp, bytes: Vec<u8>) -> Option<Verified<Deed>> {
        let roster = self.rosters.at(self.charter.interval.interval_at(now));
        Signed::<Deed>::decode(bytes).ok()?.verify(&self.charter, &roster).ok()
    }

    /// The interval in which an escrow is over for good, whatever the chain does.
    fn over_in(&self, terms: &EscrowTerms) -> Interval {
        self.charter.interval.interval_at(over_by(terms))
    }

    fn forget(&mut self, now: Timestamp) {
        self.asked.retain(|_, it| now < it.terms.expires_at);
        let is_done = |it: &Escrow| it.over.is_some() || it.role() == Role::Arbiter;
        self.escrows.retain(|_, it| now <= over_by(&it.terms) || !is_done(it));
        let mut over: Vec<_> = self
            .escrows
            .iter()
            .filter(|(_, it)| it.over.is_some())
            .map(|(escrow, it)| (it.terms.expires_at, *escrow))
            .collect();
        over.sort_unstable();
        let too_many = over.len().saturating_sub(OVER_MAX);
        for (_, escrow) in over.into_iter().take(too_many) {
            self.escrows.remove(&escrow);
        }
        let oldest = self.escrows.values().map(|it| self.over_in(&it.terms)).min();
        let current = self.charter.interval.interval_at(now);
        self.log.forget_before(oldest.unwrap_or(current).min(current));
    }
}

/// When an escrow is over for good: blocks at half their usual pace, and a day.
fn over_by(terms: &EscrowTerms) -> Timestamp {
    let blocks = u64::from(terms.final_cltv_blocks());
    let longest_ms = blocks.saturating_mul(BLOCK_MS).saturating_mul(2);
    terms.expires_at.plus_ms(longest_ms.saturating_add(TERMS_LIFETIME_MAX_MS))
}

const fn answer_to(token: u64, answer: EscrowAnswer) -> Effect {
    Effect::Want(Wanted::Answer { token, answer })
}
