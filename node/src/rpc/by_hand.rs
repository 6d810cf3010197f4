//! JSON-RPC of payments by the owner's own hand: `payment.invoice`, `payment.pay`, `payment.look_up` and
//! `payment.by_hand`.
//!
//! They move the owner's money.
//! Not for: what trades come to; the node asks for that and pays it by itself, and keeps it
//! ([`super::payment`]). Nothing here changes what anybody owes.

use std::time::Duration;

use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::units::{Interval, Msat};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::code::Code;
use super::past::{page, span};
use super::wallet::not_done;
use super::{Answers, unreadable};
use crate::clock;
use crate::lightning::{
    self, Direction, InvoiceTerms, KnownPayment, LightningError, PaymentOrder, PaymentState,
};
use crate::status::{Quoted, QuotedOption};
use crate::store::ByHandRecord;

/// Most bytes of a description: what BOLT 11 has room for.
const DESCRIPTION_BYTES_MAX: usize = 639;
/// How long an invoice can be paid where nothing is said, in seconds: what BOLT 11 takes for granted.
const EXPIRY_DEFAULT_S: u32 = 3_600;
/// The longest that an invoice can be paid, in seconds: thirty days.
const EXPIRY_MAX_S: u32 = 30 * 86_400;
/// Most that forwarding may cost where nothing is said. Members forward for nothing.
const FEE_MAX_DEFAULT: Msat = Msat::from_satoshi_saturating(10);

/// Paying and being paid by hand.
#[rpc(server, client, namespace = "payment", namespace_separator = ".")]
pub trait ByHandRpc {
    /// Makes an invoice (BOLT 11) that whoever has a way to this node can pay once, for an hour unless
    /// `expiry_s` says otherwise (thirty days at most). It is beside all trades: what is paid to it settles
    /// nothing that is owed.
    #[method(name = "invoice", param_kind = map)]
    async fn invoice(
        &self,
        amount_msat: String,
        description: String,
        expiry_s: Option<u32>,
    ) -> RpcResult<InvoiceReport>;

    /// Begins to pay an invoice (BOLT 11) of this node's bitcoin network that names its amount. How it ends
    /// is told by `payment.look_up`. Forwarding may cost 10 sat unless `fee_max_msat` says otherwise. An
    /// invoice is paid at most once; one that failed may be tried again.
    #[method(name = "pay", param_kind = map)]
    async fn pay(&self, invoice: String, fee_max_msat: Option<String>) -> RpcResult<BegunReport>;

    /// How a Lightning payment is, by its hash: to this node or from it, by hand or for a trade.
    #[method(name = "look_up", param_kind = map)]
    async fn look_up(&self, payment_hash: String) -> RpcResult<LookedUpReport>;

    /// The invoices that were made by hand and those that were paid by hand since `from_interval`, the latest
    /// first, a page of them ([`super::past`]); only what was before `before_interval`, if given. Kept for
    /// `keep_days` of the config.
    #[method(name = "by_hand", param_kind = map)]
    async fn by_hand(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<ByHandReport>>;
}

/// The result of `payment.invoice`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceReport {
    /// The invoice, for whoever pays (BOLT 11).
    pub invoice: String,
    /// What the payment is known by.
    pub payment_hash: String,
    /// When it can no longer be paid.
    #[serde(with = "Quoted")]
    pub expires_at_unix_ms: u64,
}

/// The result of `payment.pay`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BegunReport {
    /// What the payment is known by.
    pub payment_hash: String,
}

/// How far a payment by hand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LookedUpState {
    /// Under way; to this node: not paid yet.
    Pending,
    /// It arrived.
    Paid,
    /// It did not arrive, and no longer can.
    Failed,
}

/// The result of `payment.look_up`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LookedUpReport {
    /// What the payment is known by.
    pub payment_hash: String,
    /// Whether this node is paid; otherwise it pays.
    pub is_received: bool,
    /// How much, without fees; null where it is not known yet.
    #[serde(with = "QuotedOption")]
    pub amount_msat: Option<u64>,
    /// What forwarding cost this node; null while it has not arrived.
    #[serde(with = "QuotedOption")]
    pub fee_msat: Option<u64>,
    /// How far it is.
    pub state: LookedUpState,
    /// The payer's receipt; null before it arrived, and where this node is paid.
    pub preimage: Option<String>,
}

/// A payment by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ByHandReport {
    /// The interval in which the invoice was made, or first begun to be paid.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// When.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
    /// Whether this node is to be paid; otherwise it pays.
    pub is_received: bool,
    /// How much the invoice asks for.
    #[serde(with = "Quoted")]
    pub amount_msat: u64,
    /// What forwarding cost this node; null while it has not arrived.
    #[serde(with = "QuotedOption")]
    pub fee_msat: Option<u64>,
    /// What the invoice says that it is for.
    pub description: String,
    /// When it can no longer be paid.
    #[serde(with = "Quoted")]
    pub expires_at_unix_ms: u64,
    /// What the payment is known by.
    pub payment_hash: String,
    /// How far it is; null where Lightning knows nothing of it, as in a wallet that was restored.
    pub state: Option<LookedUpState>,
    /// The payer's receipt; null before it arrived, and where this node is paid.
    pub preimage: Option<String>,
}

impl ByHandReport {
    fn new((interval, kept): (Interval, ByHandRecord), known: Option<KnownPayment>) -> Self {
        let known = known.map(LookedUpReport::from);
        Self {
            interval: interval.to_number(),
            at_unix_ms: kept.at.to_unix_ms(),
            is_received: kept.is_received,
            amount_msat: kept.amount.to_millisatoshi(),
            fee_msat: known.as_ref().and_then(|it| it.fee_msat),
            description: kept.description,
            expires_at_unix_ms: kept.expires_at.to_unix_ms(),
            payment_hash: kept.payment_hash.to_string(),
            state: known.as_ref().map(|it| it.state),
            preimage: known.and_then(|it| it.preimage),
        }
    }
}

impl From<KnownPayment> for LookedUpReport {
    fn from(known: KnownPayment) -> Self {
        let is_received = known.direction == Direction::Incoming;
        let (state, fee_msat, preimage) = match known.state {
            PaymentState::Pending => (LookedUpState::Pending, None, None),
            PaymentState::Failed => (LookedUpState::Failed, None, None),
            PaymentState::Done { preimage, fee } => {
                let receipt = preimage.filter(|_| !is_received).map(|it| it.to_string());
                (LookedUpState::Paid, Some(fee.to_millisatoshi()), receipt)
            }
        };
        Self {
            payment_hash: known.payment_hash.to_string(),
            is_received,
            amount_msat: known.amount.map(Msat::to_millisatoshi),
            fee_msat,
            state,
            preimage,
        }
    }
}

/// What an invoice is to say; [`Code::BadParameter`] names what it cannot.
fn terms(
    amount_msat: &str,
    description: String,
    expiry_s: Option<u32>,
) -> Result<InvoiceTerms, ErrorObjectOwned> {
    let amount = millisatoshi("amount_msat", amount_msat)?;
    if amount == Msat::ZERO {
        return Err(Code::BadParameter.because("`amount_msat` is to be more than \"0\""));
    }
    if description.len() > DESCRIPTION_BYTES_MAX {
        let problem = format!("`description` has at most {DESCRIPTION_BYTES_MAX} bytes");
        return Err(Code::BadParameter.because(problem));
    }
    let expiry_s = expiry_s.unwrap_or(EXPIRY_DEFAULT_S);
    if !(1..=EXPIRY_MAX_S).contains(&expiry_s) {
        let problem = format!("`expiry_s` is a number of seconds from 1 to {EXPIRY_MAX_S}");
        return Err(Code::BadParameter.because(problem));
    }
    Ok(InvoiceTerms { amount, description, expiry: Duration::from_secs(expiry_s.into()) })
}

fn millisatoshi(parameter: &str, text: &str) -> Result<Msat, ErrorObjectOwned> {
    let amount = text.parse().ok().and_then(|msat| Msat::from_millisatoshi(msat).ok());
    amount.ok_or_else(|| {
        let shape = "is a decimal number of millisatoshi in a string, such as \"25000\"";
        Code::BadParameter.because(format!("`{parameter}` {shape}, and no more than all bitcoin"))
    })
}

#[async_trait]
impl ByHandRpcServer for Answers {
    async fn invoice(
        &self,
        amount_msat: String,
        description: String,
        expiry_s: Option<u32>,
    ) -> RpcResult<InvoiceReport> {
        let terms = terms(&amount_msat, description, expiry_s)?;
        let (amount, description) = (terms.amount, plain(&terms.description));
        let made = self.lightning()?.invoice(terms).await.map_err(not_done)?;
        self.keep_by_hand(ByHandRecord {
            at: clock::now(),
            payment_hash: made.payment_hash,
            is_received: true,
            amount,
            description,
            expires_at: made.expires_at,
        })?;
        Ok(InvoiceReport {
            invoice: made.bolt11,
            payment_hash: made.payment_hash.to_string(),
            expires_at_unix_ms: made.expires_at.to_unix_ms(),
        })
    }

    async fn pay(&self, invoice: String, fee_max_msat: Option<String>) -> RpcResult<BegunReport> {
        let fee_max = fee_max_msat.map(|text| millisatoshi("fee_max_msat", &text)).transpose()?;
        let lightning = self.lightning()?;
        // Kept before it is begun: whoever asks may have gone away by the time that it is.
        let kept = self.keep_order(&invoice)?;
        let order = PaymentOrder { bolt11: invoice, fee_max: fee_max.unwrap_or(FEE_MAX_DEFAULT) };
        let begun = lightning.pay(order).await;
        if let (Some((interval, hash)), Err(why)) = (kept, &begun)
            && is_nothing(why)
        {
            self.archive.remove_by_hand(interval, &hash).map_err(unreadable)?;
        }
        Ok(BegunReport { payment_hash: begun.map_err(not_done)?.to_string() })
    }

    async fn look_up(&self, payment_hash: String) -> RpcResult<LookedUpReport> {
        let hash: PaymentHash = payment_hash
            .parse()
            .map_err(|_| Code::BadParameter.because("`payment_hash` has 64 hexadecimal digits"))?;
        let known = self.lightning()?.payment(hash).await.map_err(not_done)?;
        let unknown = || Code::NotFound.because("Lightning knows of no such payment on this node");
        Ok(known.ok_or_else(unknown)?.into())
    }

    async fn by_hand(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<ByHandReport>> {
        let (from, before) = span(&from_interval, before_interval.as_ref())?;
        let kept = self.archive.by_hand(from, before);
        let kept = page(kept.map(|it| it.map(|(interval, it)| (interval, (interval, it)))))?;
        let known = match &self.lightning {
            Some(lightning) => {
                let hashes = kept.iter().map(|(_, it)| it.payment_hash).collect();
                lightning.payments(hashes).await.map_err(not_done)?
            }
            None => Vec::new(),
        };
        let known = known.into_iter().chain(std::iter::repeat(None));
        Ok(kept
            .into_iter()
            .zip(known)
            .map(|(kept, known)| ByHandReport::new(kept, known))
            .collect())
    }
}

impl Answers {
    /// Keeps an invoice that is about to be paid, if it says how much; none where it was kept before.
    fn keep_order(
        &self,
        invoice: &str,
    ) -> Result<Option<(Interval, PaymentHash)>, ErrorObjectOwned> {
        let Some(read) = lightning::read_any(invoice) else { return Ok(None) };
        let Some(amount) = read.amount else { return Ok(None) };
        let interval = self.keep_by_hand(ByHandRecord {
            at: clock::now(),
            payment_hash: read.payment_hash,
            is_received: false,
            amount,
            description: plain(&read.description),
            expires_at: read.expires_at,
        })?;
        Ok(interval.map(|interval| (interval, read.payment_hash)))
    }

    /// Keeps a payment by hand under the interval that it is in; none where it was kept before.
    fn keep_by_hand(&self, record: ByHandRecord) -> Result<Option<Interval>, ErrorObjectOwned> {
        let interval = self.charter.interval.interval_at(record.at);
        let is_new = self.archive.put_by_hand(interval, &record).map_err(unreadable)?;
        Ok(is_new.then_some(interval))
    }
}

/// A description as it is kept and listed: whoever wrote it moves nobody's cursor.
fn plain(description: &str) -> String {
    let printable = |it: char| if it.is_control() { ' ' } else { it };
    description.chars().map(printable).take(DESCRIPTION_BYTES_MAX).collect()
}

/// Whether a payment that was refused so is nothing to be listed. One that found no route is: Lightning
/// has it as failed.
const fn is_nothing(why: &LightningError) -> bool {
    match why {
        LightningError::Busy
        | LightningError::PaidBefore
        | LightningError::NotEnoughMoney
        | LightningError::CoinsInUse
        | LightningError::Unreachable
        | LightningError::NoSuchChannel
        | LightningError::BadParameter(_) => true,
        LightningError::NoRoute
        | LightningError::Ended
        | LightningError::TimedOut
        | LightningError::Failed(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::lightning::Preimage;

    use super::*;

    #[test]
    fn a_receipt_is_shown_to_who_paid_and_not_where_the_node_was_paid() {
        let known = |direction| KnownPayment {
            payment_hash: PaymentHash::from_bytes([2; 32]),
            direction,
            amount: Msat::from_millisatoshi(25_000).ok(),
            state: PaymentState::Done {
                preimage: Some(Preimage::from_bytes([3; 32])),
                fee: Msat::from_satoshi_saturating(1),
            },
        };
        let paid = LookedUpReport::from(known(Direction::Outgoing));
        assert_eq!(paid.preimage, Some("03".repeat(32)));
        assert_eq!((paid.amount_msat, paid.fee_msat), (Some(25_000), Some(1_000)));
        let received = LookedUpReport::from(known(Direction::Incoming));
        assert_eq!((received.is_received, received.preimage), (true, None));
    }

    #[test]
    fn an_invoice_that_cannot_be_is_refused_with_what_would_be_right() {
        let said = |amount: &str, description: &str, expiry_s| {
            let terms = terms(amount, description.to_owned(), expiry_s);
            terms.map_err(|it| (it.code(), it.message().to_owned()))
        };
        let made = said("25000", "wood", None).unwrap();
        assert_eq!(made.expiry, Duration::from_secs(3_600));
        assert_eq!(
            said("1", &"x".repeat(639), Some(EXPIRY_MAX_S)).unwrap().expiry.as_secs(),
            2_592_000
        );
        let long = "x".repeat(640);
        for (amount, description, expiry_s, named) in [
            ("0", "", None, "more than"),
            ("-1", "", None, "millisatoshi"),
            ("2100000000000000001", "", None, "all bitcoin"),
            ("1", long.as_str(), None, "639 bytes"),
            ("1", "", Some(0), "from 1 to"),
            ("1", "", Some(EXPIRY_MAX_S + 1), "2592000"),
        ] {
            let (code, message) = said(amount, description, expiry_s).unwrap_err();
            assert_eq!(code, Code::BadParameter.number(), "{message}");
            assert!(message.contains(named), "{message}");
        }
    }
}
