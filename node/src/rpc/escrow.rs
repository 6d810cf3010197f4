//! JSON-RPC of escrow: `escrow.list`, and what signs or moves money: `escrow.propose`, `escrow.accept`, `escrow.decline` and `escrow.release`.
//!
//! Not for: what an escrow is, or what follows from a wish; see [`boltgrid_market::escrow`].

use boltgrid_market::escrow::{End, Role, Stage, View};
use boltgrid_protocol::escrow::{Condition, Releases};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::{Energy, Interval, Msat};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answers;
use super::code::Code;
use crate::escrow::{EscrowNotDone, Proposal};
use crate::status::Quoted;
use crate::status::shapes::{ReleasesShape, SideShape};

/// Milliseconds of a minute.
const MINUTE_MS: u64 = 60_000;

/// What escrows there are.
#[rpc(server, client, namespace = "escrow", namespace_separator = ".")]
pub trait EscrowListRpc {
    /// All escrows of this node, as payer, payee or arbiter: those that wait for its owner, those that
    /// are under way, and the latest that are over.
    #[method(name = "list")]
    async fn escrows(&self) -> RpcResult<Vec<EscrowReport>>;
}

/// What an owner does about escrows.
#[rpc(server, client, namespace = "escrow", namespace_separator = ".")]
pub trait EscrowRpc {
    /// Signs terms as the payer and begins to ask arbiter and payee. Once both have signed, the amount
    /// is locked.
    #[method(name = "propose", param_kind = map)]
    async fn propose(&self, escrow: ProposeTerms) -> RpcResult<ProposedReport>;

    /// Takes part in an escrow that waits for this node's owner, as its arbiter or payee.
    #[method(name = "accept", param_kind = map)]
    async fn accept(&self, escrow: String) -> RpcResult<()>;

    /// Takes no part in it.
    #[method(name = "decline", param_kind = map)]
    async fn decline(&self, escrow: String) -> RpcResult<()>;

    /// As the payer, gives the amount to the payee now, whatever the readings say.
    #[method(name = "release", param_kind = map)]
    async fn release(&self, escrow: String) -> RpcResult<()>;
}

/// What is proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposeTerms {
    /// The member that may get the amount: a channel partner.
    pub payee: String,
    /// The member that rules.
    pub arbiter: String,
    /// How much.
    #[serde(with = "Quoted")]
    pub amount_sat: u64,
    /// Which outcome gives it to the payee: `delivered` (a contract: the payee delivers) or `missed`
    /// (a bond: this node delivers).
    #[schemars(with = "ReleasesShape")]
    pub releases: Releases,
    /// Whether energy is given (`sell`) or taken (`buy`).
    #[schemars(with = "SideShape")]
    pub side: Side,
    /// How much energy at least.
    #[serde(with = "Quoted")]
    pub energy_mwh: u64,
    /// From the start of this interval.
    #[serde(with = "Quoted")]
    pub first_interval: u64,
    /// To the start of this one.
    #[serde(with = "Quoted")]
    pub until_interval: u64,
    /// For how many blocks it can be held; as many as are needed and half a day's more where null.
    pub hold_blocks: Option<u32>,
    /// For how many minutes the others may sign.
    pub stands_minutes: u32,
}

/// The result of `escrow.propose`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProposedReport {
    /// The escrow's name.
    pub escrow: String,
}

/// What a node is in an escrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EscrowRole {
    /// It locks the amount.
    Payer,
    /// It may get it.
    Payee,
    /// It rules.
    Arbiter,
}

/// How far an escrow is, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EscrowStage {
    /// The owner of this node is to accept or decline.
    Asked,
    /// The arbiter's or the payee's word is awaited.
    Proposed,
    /// This node has signed.
    Signed,
    /// As the payer: the amount is on its way, or locked.
    Paying,
    /// As the payee: the amount is locked.
    Locked,
    /// It goes to the payee.
    Releasing,
    /// It goes back to the payer.
    GivingBack,
    /// The payee has it.
    Released,
    /// The payer has it back.
    GivenBack,
    /// Nothing was locked: the time for it was over.
    Lapsed,
    /// Nothing was locked: somebody did not take part.
    Refused,
}

/// One escrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EscrowReport {
    /// Its name.
    pub escrow: String,
    /// What this node is in it.
    pub role: EscrowRole,
    /// How far it is.
    pub stage: EscrowStage,
    /// Why somebody did not take part; null where nobody refused.
    pub why: Option<String>,
    /// Who locks the amount.
    pub payer: String,
    /// Who may get it.
    pub payee: String,
    /// Who rules.
    pub arbiter: String,
    /// How much.
    #[serde(with = "Quoted")]
    pub amount_msat: u64,
    /// What the payment is known by.
    pub payment_hash: String,
    /// Whose meter decides.
    pub subject: String,
    /// Which outcome gives the amount to the payee.
    #[schemars(with = "ReleasesShape")]
    pub releases: Releases,
    /// Whether energy is given or taken.
    #[schemars(with = "SideShape")]
    pub side: Side,
    /// How much at least.
    #[serde(with = "Quoted")]
    pub energy_mwh: u64,
    /// From the start of this interval.
    #[serde(with = "Quoted")]
    pub first_interval: u64,
    /// To the start of this one.
    #[serde(with = "Quoted")]
    pub until_interval: u64,
    /// For how many blocks it can be held.
    pub hold_blocks: u32,
    /// Until when the others may sign.
    #[serde(with = "Quoted")]
    pub expires_at_unix_ms: u64,
    /// At the payee, the height of the chain at which the amount goes back by itself.
    pub claim_before_height: Option<u32>,
}

impl From<View> for EscrowReport {
    fn from(view: View) -> Self {
        let View { escrow, payer, terms, role, stage, claim_before_height } = view;
        let (stage, why) = match stage {
            Stage::Asked => (EscrowStage::Asked, None),
            Stage::Proposed => (EscrowStage::Proposed, None),
            Stage::Signed => (EscrowStage::Signed, None),
            Stage::Paying => (EscrowStage::Paying, None),
            Stage::Locked => (EscrowStage::Locked, None),
            Stage::Releasing => (EscrowStage::Releasing, None),
            Stage::GivingBack => (EscrowStage::GivingBack, None),
            Stage::Over(End::Released) => (EscrowStage::Released, None),
            Stage::Over(End::GivenBack) => (EscrowStage::GivenBack, None),
            Stage::Over(End::Lapsed) => (EscrowStage::Lapsed, None),
            Stage::Over(End::Refused(why)) => (EscrowStage::Refused, Some(why.to_string())),
        };
        let condition = terms.condition;
        Self {
            escrow: escrow.to_string(),
            role: match role {
                Role::Payer => EscrowRole::Payer,
                Role::Payee => EscrowRole::Payee,
                Role::Arbiter => EscrowRole::Arbiter,
            },
            stage,
            why,
            payer: payer.to_string(),
            payee: terms.payee.to_string(),
            arbiter: terms.arbiter.to_string(),
            amount_msat: terms.amount_msat.to_millisatoshi(),
            payment_hash: terms.payment_hash.to_string(),
            subject: condition.subject.to_string(),
            releases: condition.releases,
            side: condition.side,
            energy_mwh: condition.energy_mwh.to_milliwatt_hours(),
            first_interval: condition.first.to_number(),
            until_interval: condition.until.to_number(),
            hold_blocks: terms.hold_blocks,
            expires_at_unix_ms: terms.expires_at.to_unix_ms(),
            claim_before_height,
        }
    }
}

fn bad(message: &str) -> ErrorObjectOwned {
    Code::BadParameter.because(message)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is mapped from")]
fn not_done(why: EscrowNotDone) -> ErrorObjectOwned {
    Code::NotDone.because(why.to_string())
}

fn member(text: &str) -> Result<ParticipantId, ErrorObjectOwned> {
    text.parse().map_err(|_| bad("a member is named by its participant id, 64 hexadecimal digits"))
}

fn named(text: &str) -> Result<MessageHash, ErrorObjectOwned> {
    text.parse().map_err(|_| {
        bad("an escrow is named by 64 hexadecimal digits, as `boltgrid escrow list` shows them")
    })
}

impl Answers {
    fn proposal(&self, terms: &ProposeTerms) -> Result<Proposal, ErrorObjectOwned> {
        let (payee, arbiter) = (member(&terms.payee)?, member(&terms.arbiter)?);
        let amount = terms.amount_sat.checked_mul(1_000);
        let amount = amount.and_then(|msat| Msat::from_millisatoshi(msat).ok());
        let amount = amount.ok_or_else(|| bad("more satoshi than there are"))?;
        let subject = match terms.releases {
            Releases::Delivered => payee,
            Releases::Missed => self.participant,
        };
        Ok(Proposal {
            payee,
            arbiter,
            condition: Condition {
                subject,
                side: terms.side,
                energy_mwh: Energy::from_milliwatt_hours(terms.energy_mwh),
                first: Interval::from_number(terms.first_interval),
                until: Interval::from_number(terms.until_interval),
                releases: terms.releases,
            },
            amount,
            hold_blocks: terms.hold_blocks,
            stands_ms: u64::from(terms.stands_minutes).saturating_mul(MINUTE_MS),
        })
    }
}

#[async_trait]
impl EscrowListRpcServer for Answers {
    async fn escrows(&self) -> RpcResult<Vec<EscrowReport>> {
        let escrows = self.escrow.list().await.map_err(not_done)?;
        Ok(escrows.into_iter().map(EscrowReport::from).collect())
    }
}

#[async_trait]
impl EscrowRpcServer for Answers {
    async fn propose(&self, escrow: ProposeTerms) -> RpcResult<ProposedReport> {
        let proposal = self.proposal(&escrow)?;
        let escrow = self.escrow.propose(proposal).await.map_err(not_done)?;
        Ok(ProposedReport { escrow: escrow.to_string() })
    }

    async fn accept(&self, escrow: String) -> RpcResult<()> {
        self.escrow.decide(named(&escrow)?, true).await.map_err(not_done)
    }

    async fn decline(&self, escrow: String) -> RpcResult<()> {
        self.escrow.decide(named(&escrow)?, false).await.map_err(not_done)
    }

    async fn release(&self, escrow: String) -> RpcResult<()> {
        self.escrow.release(named(&escrow)?).await.map_err(not_done)
    }
}
