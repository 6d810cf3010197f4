//! What is durably true of one escrow: a fold over its records.
//!
//! Invariant: nothing but [`Escrow::apply`] changes what a restart must not forget. What is beside it
//! (timers, readings that were looked up) is forgotten on purpose.

use boltgrid_protocol::envelope::Signed;
use boltgrid_protocol::escrow::{Deed, EscrowTerms};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::lightning::Preimage;
use boltgrid_protocol::units::Timestamp;

use super::record::Record;
use super::said::{End, Role, Stage, View};

/// The first pause before something is tried again; each next one is twice as long.
const PAUSE_MIN_MS: u64 = 250;
/// The longest pause.
const PAUSE_MAX_MS: u64 = 15_000;

/// Blocks before the deadline at which a payee gives back what nobody released, so that it need not go
/// to the chain.
const GIVES_BACK_BEFORE_BLOCKS: u32 = 2;

/// What this node holds of an escrow, by its role.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Payer {
        preimage: Preimage,
        arbitration: Option<Vec<u8>>,
        /// The payee's invoice: with it, the intent to pay is stored.
        bolt11: Option<String>,
        is_released: bool,
    },
    Payee {
        deed: Vec<u8>,
        locked: Option<u32>,
        preimage: Option<Preimage>,
        gives_back: bool,
    },
    Arbiter {
        preimage: Preimage,
        deed: Vec<u8>,
        ruled: Option<bool>,
    },
}

/// What the readings show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Delivery.
    Delivered,
    /// Both readings, and no delivery.
    Missed,
    /// A reading is missing.
    Nothing,
}

/// What is being done, forgotten by a restart.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// When to do something again.
    pub(super) next: Timestamp,
    /// How often something was done since the last step forward.
    tries: u32,
    /// What the readings show that were found.
    pub(super) shown: Shown,
    /// Those readings.
    pub(super) proof: Vec<Vec<u8>>,
    /// Whether the payment is not begun any more.
    pub(super) is_late: bool,
    /// Whether the payee has said that it holds the preimage.
    pub(super) is_taken: bool,
    /// Pleas that wait for readings to be looked up.
    pub(super) pleas: Vec<(ParticipantId, u64)>,
    /// What was shown with the latest of them.
    pub(super) offered: Vec<Vec<u8>>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            next: Timestamp::default(),
            tries: 0,
            shown: Shown::Nothing,
            proof: Vec::new(),
            is_late: false,
            is_taken: false,
            pleas: Vec::new(),
            offered: Vec::new(),
        }
    }
}

impl Work {
    /// Waits before the next try, a little longer each time, but not beyond `moment` to come.
    pub(super) fn pause(&mut self, now: Timestamp, moment: Timestamp) {
        let pause = 1_u64.checked_shl(self.tries).and_then(|it| PAUSE_MIN_MS.checked_mul(it));
        let next = now.plus_ms(pause.unwrap_or(PAUSE_MAX_MS).min(PAUSE_MAX_MS));
        self.tries = self.tries.saturating_add(1);
        self.next = if moment > now { next.min(moment) } else { next };
    }

    /// Keeps readings that were shown with a plea, if there are any.
    pub(super) fn shown_by_others(&mut self, readings: &[Vec<u8>]) {
        if !readings.is_empty() {
            self.offered = readings.to_vec();
        }
    }

    /// Something has moved: the next step is tried at once.
    pub(super) const fn go_on(&mut self, now: Timestamp) {
        self.next = now;
        self.tries = 0;
    }
}

/// One escrow.
#[derive(Clone, Debug)]
pub(super) struct Escrow {
    pub(super) payer: ParticipantId,
    pub(super) signed: Vec<u8>,
    pub(super) terms: EscrowTerms,
    pub(super) part: Part,
    pub(super) over: Option<End>,
    pub(super) work: Work,
}

/// The terms in their signed form; none where these are others.
pub(super) fn read_terms(signed: &[u8]) -> Option<(ParticipantId, EscrowTerms)> {
    let signed = Signed::<Deed>::decode(signed).ok()?;
    let author = signed.header().author;
    match signed.body() {
        Deed::Terms(terms) => Some((author, terms.clone())),
        Deed::Arbitration { .. } | Deed::Hold { .. } => None,
    }
}

/// The invoice in a payee's word.
fn read_bolt11(deed: &[u8]) -> Option<String> {
    match Signed::<Deed>::decode(deed).ok()?.body() {
        Deed::Hold { bolt11, .. } => Some(bolt11.clone()),
        Deed::Terms(_) | Deed::Arbitration { .. } => None,
    }
}

impl Escrow {
    /// The escrow that a first record begins; none where it begins none.
    pub(super) fn begin(record: &Record) -> Option<Self> {
        let (signed, part) = match record {
            Record::Proposed { terms, preimage } => {
                let part = Part::Payer {
                    preimage: *preimage,
                    arbitration: None,
                    bolt11: None,
                    is_released: false,
                };
                (terms, part)
            }
            Record::Rules { terms, preimage, deed } => {
                (terms, Part::Arbiter { preimage: *preimage, deed: deed.clone(), ruled: None })
            }
            Record::Holds { terms, deed } => {
                let deed = deed.clone();
                let part = Part::Payee { deed, locked: None, preimage: None, gives_back: false };
                (terms, part)
            }
            Record::Arbitrated { .. }
            | Record::Intended { .. }
            | Record::Released
            | Record::Ruled { .. }
            | Record::Locked { .. }
            | Record::Learnt { .. }
            | Record::GivesBack
            | Record::Over(_) => return None,
        };
        let (payer, terms) = read_terms(signed)?;
        let (signed, work) = (signed.clone(), Work::default());
        Some(Self { payer, signed, terms, part, over: None, work })
    }

    /// Makes a later record true. False where it does not belong to this part.
    pub(super) fn apply(&mut self, record: &Record) -> bool {
        match (&mut self.part, record) {
            (_, Record::Over(end)) => self.over = Some(*end),
            (Part::Payer { arbitration, .. }, Record::Arbitrated { deed }) => {
                *arbitration = Some(deed.clone());
            }
            (Part::Payer { bolt11, .. }, Record::Intended { deed }) => *bolt11 = read_bolt11(deed),
            (Part::Payer { is_released, .. }, Record::Released) => *is_released = true,
            (Part::Arbiter { ruled, .. }, Record::Ruled { releases }) => *ruled = Some(*releases),
            (Part::Payee { locked, .. }, Record::Locked { claim_before_height }) => {
                *locked = Some(*claim_before_height);
            }
            (Part::Payee { preimage: known, .. }, Record::Learnt { preimage }) => {
                *known = Some(*preimage);
            }
            (Part::Payee { gives_back, .. }, Record::GivesBack) => *gives_back = true,
            _ => return false,
        }
        true
    }

    /// Whether a payee must give back now what it cannot claim.
    pub(super) fn is_near_its_end(&self, height: Option<u32>) -> bool {
        let Part::Payee { locked: Some(claim_before), preimage: None, gives_back: false, .. } =
            self.part
        else {
            return false;
        };
        height.is_some_and(|it| it.saturating_add(GIVES_BACK_BEFORE_BLOCKS) >= claim_before)
    }

    pub(super) const fn role(&self) -> Role {
        match self.part {
            Part::Payer { .. } => Role::Payer,
            Part::Payee { .. } => Role::Payee,
            Part::Arbiter { .. } => Role::Arbiter,
        }
    }

    fn stage(&self) -> Stage {
        if let Some(end) = self.over {
            return Stage::Over(end);
        }
        match &self.part {
            Part::Payer { is_released: true, .. }
            | Part::Payee { preimage: Some(_), .. }
            | Part::Arbiter { ruled: Some(true), .. } => Stage::Releasing,
            Part::Payer { bolt11: Some(_), .. } => Stage::Paying,
            Part::Payer { .. } => Stage::Proposed,
            Part::Payee { gives_back: true, .. } | Part::Arbiter { ruled: Some(false), .. } => {
                Stage::GivingBack
            }
            Part::Payee { locked: Some(_), .. } => Stage::Locked,
            Part::Payee { .. } | Part::Arbiter { .. } => Stage::Signed,
        }
    }

    /// As it is told.
    pub(super) fn view(&self, escrow: MessageHash) -> View {
        let claim_before_height = match self.part {
            Part::Payee { locked, .. } => locked,
            Part::Payer { .. } | Part::Arbiter { .. } => None,
        };
        View {
            escrow,
            payer: self.payer,
            terms: self.terms.clone(),
            role: self.role(),
            stage: self.stage(),
            claim_before_height,
        }
    }
}
