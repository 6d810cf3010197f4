//! JSON-RPC of trades ahead of the auction: `offer.publish`, `offer.withdraw`, `offer.list`,
//! `offer.accept` and `forward.list`.
//!
//! Publishing, withdrawing and accepting **sign** in the owner's name.
//! Not for: what is signed or bound; that is the market's.

use boltgrid_market::forwards::{Held, Terms};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::offer::{Day, Offer, Product};
use boltgrid_protocol::units::{Energy, Interval, Price, Timestamp};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answers;
use super::code::Code;
use crate::network::FoundOffers;
use crate::status::shapes::ProductShape;
use crate::status::{Quoted, QuotedOption};
use crate::trading::{NotDone, Outcome, Wanted};

/// Offers of this node and of others. Days are counted from 1970-01-01 UTC, in decimal strings.
#[rpc(server, client, namespace = "offer", namespace_separator = ".")]
pub trait OfferRpc {
    /// Signs an offer and publishes it, in place of an earlier one of the same product and day.
    #[method(name = "publish", param_kind = map)]
    async fn publish(&self, offer: OfferTerms) -> RpcResult<OfferReport>;

    /// Withdraws the node's offer of a product on a day; what was accepted of it stays.
    #[method(name = "withdraw", param_kind = map)]
    async fn withdraw(&self, product: Product, day: String) -> RpcResult<OfferReport>;

    /// The standing offers of all members, the best first.
    #[method(name = "list", param_kind = map)]
    async fn list(&self, product: Product, day: String) -> RpcResult<OfferList>;

    /// Signs an acceptance of some of another member's offer, and waits a few seconds for its word.
    #[method(name = "accept", param_kind = map)]
    async fn accept(&self, acceptance: AcceptTerms) -> RpcResult<AcceptReport>;
}

/// The node's trades ahead.
#[rpc(server, client, namespace = "forward", namespace_separator = ".")]
pub trait ForwardRpc {
    /// All that are not over, by hash.
    #[method(name = "list")]
    async fn forwards(&self) -> RpcResult<Vec<ForwardReport>>;
}

/// What to offer: the parameter of `offer.publish`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferTerms {
    /// What the node does, and from or for what.
    #[schemars(with = "ProductShape")]
    pub product: Product,
    /// How much in every interval.
    #[serde(with = "Quoted")]
    pub energy_mwh: u64,
    /// The least that may be accepted in every interval.
    #[serde(with = "Quoted")]
    pub minimum_mwh: u64,
    /// At what price; negative means that the seller pays.
    #[serde(with = "Quoted")]
    pub price_msat_per_kwh: i64,
    /// The first interval.
    #[serde(with = "Quoted")]
    pub first_interval: u64,
    /// The interval after the last, in the same day of UTC.
    #[serde(with = "Quoted")]
    pub after_interval: u64,
    /// When it ends, within a day; by default as long as anything of it can be accepted.
    #[serde(default, with = "QuotedOption")]
    pub expires_at_unix_ms: Option<u64>,
}

/// What to accept: the parameter of `offer.accept`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptTerms {
    /// Whose offer.
    pub offerer: String,
    /// Which of its offers.
    #[schemars(with = "ProductShape")]
    pub product: Product,
    /// How much in every interval.
    #[serde(with = "Quoted")]
    pub energy_mwh: u64,
    /// The price that the offer was seen with; with another one nothing is signed.
    #[serde(with = "Quoted")]
    pub price_msat_per_kwh: i64,
    /// The first interval.
    #[serde(with = "Quoted")]
    pub first_interval: u64,
    /// The interval after the last.
    #[serde(with = "Quoted")]
    pub after_interval: u64,
}

/// One offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferReport {
    /// Who offers.
    pub offerer: String,
    /// What it does, and from or for what.
    #[schemars(with = "ProductShape")]
    pub product: Product,
    /// How much in every interval, all acceptances together.
    #[serde(with = "Quoted")]
    pub energy_mwh: u64,
    /// The least that may be accepted in every interval.
    #[serde(with = "Quoted")]
    pub minimum_mwh: u64,
    /// At what price; negative means that the seller pays.
    #[serde(with = "Quoted")]
    pub price_msat_per_kwh: i64,
    /// The first interval.
    #[serde(with = "Quoted")]
    pub first_interval: u64,
    /// The interval after the last.
    #[serde(with = "Quoted")]
    pub after_interval: u64,
    /// When delivery of the first interval starts.
    #[serde(with = "Quoted")]
    pub from_unix_ms: u64,
    /// When delivery of the last interval ends.
    #[serde(with = "Quoted")]
    pub to_unix_ms: u64,
    /// When the offer ends, unless it is signed again.
    #[serde(with = "Quoted")]
    pub expires_at_unix_ms: u64,
    /// Whether it no longer stands.
    pub withdrawn: bool,
}

/// Offers: the result of `offer.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferList {
    /// The best first: the cheapest that sell, the dearest that buy.
    pub offers: Vec<OfferReport>,
    /// Whether everybody who was asked answered; otherwise there may be more.
    pub is_complete: bool,
}

/// What became of an acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AcceptState {
    /// Both sides have signed.
    Forward,
    /// The offer's author does not take it; neither is bound.
    Refused,
    /// Nobody replied in time; neither is bound.
    Void,
    /// The offer's author has not said its word yet; it is asked again.
    Open,
}

/// The result of `offer.accept`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcceptReport {
    /// What became of it.
    pub state: AcceptState,
    /// Why it was refused; none where it was not.
    pub why: Option<String>,
}

/// One trade ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardReport {
    /// The hash of the acceptance that it was made by, the same on both sides.
    pub acceptance: String,
    /// Who gives energy.
    pub seller: String,
    /// Who takes it.
    pub buyer: String,
    /// What was offered.
    #[schemars(with = "ProductShape")]
    pub product: Product,
    /// Whether it was offered by this node; otherwise this node accepted it.
    pub is_own_offer: bool,
    /// How much in every interval.
    #[serde(with = "Quoted")]
    pub energy_mwh: u64,
    /// At what price; negative means that the seller pays.
    #[serde(with = "Quoted")]
    pub price_msat_per_kwh: i64,
    /// The first interval.
    #[serde(with = "Quoted")]
    pub first_interval: u64,
    /// The interval after the last.
    #[serde(with = "Quoted")]
    pub after_interval: u64,
    /// When delivery of the first interval starts.
    #[serde(with = "Quoted")]
    pub from_unix_ms: u64,
    /// When delivery of the last interval ends.
    #[serde(with = "Quoted")]
    pub to_unix_ms: u64,
}

impl OfferReport {
    fn of(charter: &Charter, offerer: &ParticipantId, offer: &Offer) -> Self {
        Self {
            offerer: offerer.to_string(),
            product: offer.product,
            energy_mwh: offer.energy_mwh.to_milliwatt_hours(),
            minimum_mwh: offer.minimum_mwh.to_milliwatt_hours(),
            price_msat_per_kwh: offer.price_msat_per_kwh.to_msat_per_kwh(),
            first_interval: offer.first.to_number(),
            after_interval: offer.after.to_number(),
            from_unix_ms: charter.interval.start_of(offer.first).to_unix_ms(),
            to_unix_ms: charter.interval.start_of(offer.after).to_unix_ms(),
            expires_at_unix_ms: offer.expires_at.to_unix_ms(),
            withdrawn: offer.withdrawn,
        }
    }
}

impl ForwardReport {
    fn of(charter: &Charter, held: &Held) -> Self {
        let forward = &held.forward;
        let (first, after) = forward.seller_stack.span();
        Self {
            acceptance: held.acceptance.to_string(),
            seller: forward.seller.to_string(),
            buyer: forward.buyer.to_string(),
            product: forward.product,
            is_own_offer: held.offered,
            energy_mwh: forward.energy_mwh.to_milliwatt_hours(),
            price_msat_per_kwh: forward.price_msat_per_kwh.to_msat_per_kwh(),
            first_interval: first.to_number(),
            after_interval: after.to_number(),
            from_unix_ms: charter.interval.start_of(first).to_unix_ms(),
            to_unix_ms: charter.interval.start_of(after).to_unix_ms(),
        }
    }
}

impl From<Outcome> for AcceptReport {
    fn from(outcome: Outcome) -> Self {
        let of = |state| Self { state, why: None };
        match outcome {
            Outcome::Forward => of(AcceptState::Forward),
            Outcome::Void => of(AcceptState::Void),
            Outcome::Open => of(AcceptState::Open),
            Outcome::Refused(why) => {
                Self { state: AcceptState::Refused, why: Some(why.to_string()) }
            }
        }
    }
}

impl Answers {
    async fn find(&self, product: Product, day: Day) -> Result<FoundOffers, ErrorObjectOwned> {
        let busy = "the network has too much to do, or is stopping; try again";
        let found = self.network.find_offers(product, day).map_err(|_| Code::Busy.because(busy))?;
        found.await.map_err(|_| Code::Busy.because(busy))
    }
}

#[async_trait]
impl OfferRpcServer for Answers {
    async fn publish(&self, offer: OfferTerms) -> RpcResult<OfferReport> {
        let terms = Terms {
            product: offer.product,
            energy_mwh: Energy::from_milliwatt_hours(offer.energy_mwh),
            minimum_mwh: Energy::from_milliwatt_hours(offer.minimum_mwh),
            price_msat_per_kwh: Price::from_msat_per_kwh(offer.price_msat_per_kwh),
            first: Interval::from_number(offer.first_interval),
            after: Interval::from_number(offer.after_interval),
            expires_at: offer.expires_at_unix_ms.map(Timestamp::from_unix_ms),
        };
        let offer = self.trading.offer(terms).await.map_err(not_done)?;
        Ok(OfferReport::of(&self.charter, &self.participant, &offer))
    }

    async fn withdraw(&self, product: Product, day: String) -> RpcResult<OfferReport> {
        let offer = self.trading.withdraw(product, parse_day(&day)?).await.map_err(not_done)?;
        Ok(OfferReport::of(&self.charter, &self.participant, &offer))
    }

    async fn list(&self, product: Product, day: String) -> RpcResult<OfferList> {
        let found = self.find(product, parse_day(&day)?).await?;
        let report =
            |it: &Verified<Offer>| OfferReport::of(&self.charter, &it.participant(), it.body());
        let offers = found.offers.iter().map(report).collect();
        Ok(OfferList { offers, is_complete: found.is_complete })
    }

    async fn accept(&self, acceptance: AcceptTerms) -> RpcResult<AcceptReport> {
        let offerer: ParticipantId = acceptance.offerer.parse().map_err(|_| {
            Code::BadParameter.because("`offerer` is a participant's id, as `offer.list` shows it")
        })?;
        let first = Interval::from_number(acceptance.first_interval);
        let day = Day::of(self.charter.interval.start_of(first));
        let found = self.find(acceptance.product, day).await?;
        let price = Price::from_msat_per_kwh(acceptance.price_msat_per_kwh);
        let offer = found.offers.into_iter().find(|it| it.participant() == offerer);
        let offer = offer.filter(|it| it.body().price_msat_per_kwh == price).ok_or_else(|| {
            let message = "this member has no such standing offer on the day of `first_interval` \
                           at this price; see `offer.list`";
            Code::NotFound.because(message)
        })?;
        let wanted = Wanted {
            offer,
            first,
            after: Interval::from_number(acceptance.after_interval),
            energy_mwh: Energy::from_milliwatt_hours(acceptance.energy_mwh),
        };
        Ok(self.trading.accept(wanted).await.map_err(not_done)?.into())
    }
}

#[async_trait]
impl ForwardRpcServer for Answers {
    async fn forwards(&self) -> RpcResult<Vec<ForwardReport>> {
        let held = self.trading.forwards().await.map_err(not_done)?;
        Ok(held.iter().map(|held| ForwardReport::of(&self.charter, held)).collect())
    }
}

fn parse_day(day: &str) -> Result<Day, ErrorObjectOwned> {
    day.parse().map(Day::from_number).map_err(|_| {
        let message = "a day is a decimal number in a string, counted from 1970-01-01 UTC, such \
                       as \"20613\"";
        Code::BadParameter.because(message)
    })
}

fn not_done(why: NotDone) -> ErrorObjectOwned {
    Code::NotDone.because(why.to_string())
}
