//! What each kind of message must satisfy before anyone looks at what it means, and how long it may be.

use crate::agreement::{Ack, Proposal, Vote};
use crate::codec;
use crate::confirm::TradeConfirm;
use crate::envelope::{Context, Kind, MessageRejected, Payload};
use crate::escrow::{self, Deed, ESCROW_MIN_SAT, EscrowTerms, HOLD_BLOCKS_MAX, Releases};
use crate::evidence::Evidence;
use crate::forward::{Acceptance, Reply, Stack, Word, in_one_day};
use crate::invoice::{Invoice, TRANCHES_MAX};
use crate::masking::Share;
use crate::offer::{OFFER_LIFETIME_MAX_MS, Offer};
use crate::order::{Order, Side};
use crate::peer::{
    ADDRESS_MAX, ADDRESSES_MAX, LIFETIME_MAX_MS, LIGHTNING_ADDRESSES_MAX, LIGHTNING_SIGNATURE_MAX,
    PeerRecord,
};
use crate::reading::Reading;
use crate::roster::Member;
use crate::seal::Seal;
use crate::signing::PublicKey;
use crate::units::{Energy, Msat, Price};

fn require(holds: bool, problem: &'static str) -> Result<(), MessageRejected> {
    if holds { Ok(()) } else { Err(MessageRejected::Body(problem)) }
}

fn require_voter(context: &Context<'_>) -> Result<(), MessageRejected> {
    if context.member.enrolment.votes { Ok(()) } else { Err(MessageRejected::NotAVoter) }
}

impl Payload for Order {
    const KIND: Kind = Kind::Order;
    const LIMIT: usize = 1024;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        let author = (context.author, &context.member.enrolment);
        Ok(Self::check(self, context.charter, author, context.roster.members().len())?)
    }
}

impl Payload for Ack {
    const KIND: Kind = Kind::Ack;
    const LIMIT: usize = 1024;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        require_voter(context)?;
        let fits = self.held.fits(context.roster.members().len());
        require(fits, "the bitmap is not over the roster")
    }
}

impl Payload for Proposal {
    const KIND: Kind = Kind::Proposal;
    const LIMIT: usize = codec::ENCODED_MAX;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        let Context { charter, roster, author, interval, .. } = *context;
        require(self.view < charter.interval.views, "a view beyond the charter's")?;
        require(roster.leader(interval, self.view) == Some(author), "not this view's leader")?;
        require(self.valid_view.is_none_or(|valid| valid < self.view), "a valid view to come")?;
        require(self.acks.len() == roster.quorum(), "not a quorum of acks")?;
        require(self.book.is_well_formed(roster), "the book is not in order")
    }
}

impl Payload for Vote {
    const KIND: Kind = Kind::Vote;
    const LIMIT: usize = 512;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        require_voter(context)?;
        require(self.view < context.charter.interval.views, "a view beyond the charter's")
    }
}

impl Payload for TradeConfirm {
    const KIND: Kind = Kind::TradeConfirm;
    const LIMIT: usize = 512;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        let terms = &self.terms;
        require(
            context.author == terms.seller || context.author == terms.buyer,
            "signed by neither side",
        )?;
        require(terms.seller != terms.buyer, "both sides are one")?;
        let is_member = |side| context.roster.member(side).is_some();
        require(is_member(terms.seller) && is_member(terms.buyer), "a side is not a member")?;
        require(!terms.energy_mwh.is_zero(), "a trade without energy")
    }
}

impl Payload for Reading {
    const KIND: Kind = Kind::Reading;
    const LIMIT: usize = 512;

    fn key(member: &Member) -> &PublicKey {
        &member.meter_key
    }

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        let edge = context.charter.interval.start_of(context.interval);
        require(self.at == edge, "not a reading of its interval's start")
    }
}

impl Payload for Evidence {
    const KIND: Kind = Kind::Evidence;
    const LIMIT: usize = 4096;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        self.culprit(context.charter, context.roster).map(|_| ())
    }
}

impl Payload for PeerRecord {
    const KIND: Kind = Kind::PeerRecord;
    const LIMIT: usize = 4096;

    fn check(&self, _: &Context<'_>) -> Result<(), MessageRejected> {
        require((1..=ADDRESSES_MAX).contains(&self.addresses.len()), "no addresses, or too many")?;
        require(
            self.addresses.iter().all(|address| address.len() <= ADDRESS_MAX),
            "an address is too long",
        )?;
        require(
            self.made_at < self.expires_at
                && self.expires_at.ms_since(self.made_at) <= LIFETIME_MAX_MS,
            "it lives too long, or not at all",
        )?;
        let Some(lightning) = &self.lightning else { return Ok(()) };
        require(
            lightning.addresses.len() <= LIGHTNING_ADDRESSES_MAX,
            "too many addresses of a Lightning node",
        )?;
        require(
            lightning.addresses.iter().all(|address| address.len() <= ADDRESS_MAX),
            "an address of a Lightning node is too long",
        )?;
        require(
            lightning.signature.len() <= LIGHTNING_SIGNATURE_MAX,
            "a Lightning signature is too long",
        )
    }
}

/// Whether the author's connection point moves as much on a side in one interval.
fn is_within_rating(context: &Context<'_>, side: Side, energy: Energy) -> bool {
    let enrolment = &context.member.enrolment;
    let rated = match side {
        Side::Buy => enrolment.rated_import_mw,
        Side::Sell => enrolment.rated_export_mw,
    };
    rated.energy_over_floor(context.charter.interval.interval_ms).is_ok_and(|most| energy <= most)
}

fn require_price(context: &Context<'_>, price: Price) -> Result<(), MessageRejected> {
    require(context.charter.price.contains(price), "a price outside the band")
}

/// What each side's stack must satisfy (P29).
fn require_stack(
    context: &Context<'_>,
    stack: &Stack,
    side: Side,
    energy: Energy,
) -> Result<(), MessageRejected> {
    require(stack.is_well_formed(context.charter), "the levels are not in order")?;
    let top = stack.highest().checked_add(energy);
    let fits = top.is_some_and(|top| is_within_rating(context, side, top));
    require(fits, "more than the connection point is rated for")
}

impl Payload for Offer {
    const KIND: Kind = Kind::Offer;
    const LIMIT: usize = 256;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        require(!self.minimum_mwh.is_zero(), "a minimum of nothing")?;
        require(self.minimum_mwh <= self.energy_mwh, "a minimum above what is offered")?;
        require_price(context, self.price_msat_per_kwh)?;
        let fits = is_within_rating(context, self.product.side, self.energy_mwh);
        require(fits, "more than the connection point is rated for")?;
        require(in_one_day(context.charter, self.first, self.after), "not of one day")?;
        require(
            self.made_at < self.expires_at
                && self.expires_at.ms_since(self.made_at) <= OFFER_LIFETIME_MAX_MS,
            "it lives too long, or not at all",
        )
    }
}

impl Payload for Acceptance {
    const KIND: Kind = Kind::Acceptance;
    const LIMIT: usize = 2048;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        require(!self.energy_mwh.is_zero(), "an acceptance of nothing")?;
        require(self.offerer != context.member.enrolment.participant, "both sides are one")?;
        require_price(context, self.price_msat_per_kwh)?;
        require_stack(context, &self.stack, self.side(), self.energy_mwh)
    }
}

impl Payload for Reply {
    const KIND: Kind = Kind::Reply;
    const LIMIT: usize = 4096;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        let acceptance = self.acceptance(context.charter, context.roster)?;
        let accepted = acceptance.body();
        let author = context.member.enrolment.participant;
        require(accepted.offerer == author, "a reply to what was said to another")?;
        let Word::Forward(stack) = &self.word else { return Ok(()) };
        require(stack.span() == accepted.stack.span(), "a reply about other intervals")?;
        require_stack(context, stack, accepted.product.side, accepted.energy_mwh)
    }
}

impl Payload for Invoice {
    const KIND: Kind = Kind::Invoice;
    const LIMIT: usize = 1536;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        require(context.roster.member(self.payer).is_some(), "the payer is not a member")?;
        require(self.payer != context.author, "both sides are one")?;
        require((1..=TRANCHES_MAX).contains(&self.tranches), "no tranches, or too many")?;
        require(self.tranche < self.tranches, "a tranche beyond the last")?;
        require(self.amount_msat != Msat::ZERO, "an invoice over nothing")?;
        require(self.is_text(), "not the text of a Lightning invoice")
    }
}

/// What terms of an escrow must satisfy (P36).
fn require_terms(context: &Context<'_>, terms: &EscrowTerms) -> Result<(), MessageRejected> {
    let EscrowTerms { payee, arbiter, condition, .. } = terms;
    let payer = &context.member.enrolment.participant;
    let three = payee != payer && arbiter != payer && arbiter != payee;
    require(three, "payer, payee and arbiter are not three members")?;
    let is_member = |who| context.roster.index_of(who).is_some();
    require(is_member(payee) && is_member(arbiter), "payee or arbiter is not a member")?;
    let subject = match condition.releases {
        Releases::Delivered => payee,
        Releases::Missed => payer,
    };
    require(condition.subject == *subject, "the subject is not who promises delivery")?;
    require(!condition.energy_mwh.is_zero(), "a condition of no energy")?;
    require(condition.first < condition.until, "the condition ends before it starts")?;
    let least = Msat::from_satoshi_saturating(ESCROW_MIN_SAT);
    require(terms.amount_msat >= least, BELOW_MINIMUM)?;
    require((1..=HOLD_BLOCKS_MAX).contains(&terms.hold_blocks), TOO_MANY_BLOCKS)
}

/// Why an escrow has a least amount.
const BELOW_MINIMUM: &str = "an escrow of less than 10000 sat cannot be enforced: below 354 sat it is \
    dust, which has no output on the chain, and claiming a small one there costs more than half of \
    it at 20 sat/vB; take 10000 sat or more";
/// Why an escrow cannot be held for longer.
const TOO_MANY_BLOCKS: &str = "an escrow is held for 1 to 900 blocks, some six days: all time locks of \
    a payment together must stay below the 1008 blocks that Lightning allows";
const _: () = assert!(ESCROW_MIN_SAT == 10_000 && HOLD_BLOCKS_MAX == 900);

impl Payload for Deed {
    const KIND: Kind = Kind::Deed;
    const LIMIT: usize = 1536;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        match self {
            Self::Terms(terms) => require_terms(context, terms),
            Self::Arbitration { .. } => Ok(()),
            Self::Hold { bolt11, .. } => {
                require(escrow::is_text(bolt11), "not the text of a Lightning invoice")
            }
        }
    }
}

impl Payload for Seal {
    const KIND: Kind = Kind::Seal;
    const LIMIT: usize = 256;

    fn check(&self, _: &Context<'_>) -> Result<(), MessageRejected> {
        Ok(())
    }
}

impl Payload for Share {
    const KIND: Kind = Kind::Share;
    const LIMIT: usize = 256;

    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected> {
        let site = &context.member.enrolment;
        let feeders = &context.charter.feeders;
        require(
            feeders.iter().any(|feeder| feeder.feeds(site)),
            "a share of a member that is no feeder's site",
        )?;
        require(self.is_point(), "a commitment that is no point")
    }
}

#[cfg(test)]
mod tests;
