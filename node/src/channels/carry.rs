//! Carrying a plan out: each step is asked of Lightning once; what fails is planned again next time.

use boltgrid_market::channels::{Action, Plan, Step};
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::units::Msat;
use tracing::{info, warn};

use crate::lightning::{ChannelId, ChannelTerms, LightningError, LightningHandle};
use crate::network::LightningContacts;

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// The peer record that named it has expired since.
    #[error("the partner's Lightning node is not known any more")]
    Unknown,
    /// The partner's Lightning node only calls others.
    #[error(
        "the partner's Lightning node says nowhere where it listens; it has to open the channel"
    )]
    NoAddress,
    /// Lightning did not do it.
    #[error(transparent)]
    Lightning(#[from] LightningError),
}

/// Carries out all steps of a plan, one after the other, and says in the log what became of each.
pub(super) async fn carry_out(
    plan: &Plan,
    lightning: &LightningHandle,
    (roster, contacts): (&Roster, &LightningContacts),
) {
    for step in &plan.steps {
        match take(step, lightning, (roster, contacts)).await {
            Ok(()) => info!(action = ?step.action, reason = %step.reason, "channel policy"),
            Err(error) => warn!(
                action = ?step.action, reason = %step.reason, %error,
                "channel policy: not done, and planned again later"
            ),
        }
    }
}

async fn take(
    step: &Step,
    lightning: &LightningHandle,
    (roster, contacts): (&Roster, &LightningContacts),
) -> Result<(), StepError> {
    let id = |channel: boltgrid_market::channels::ChannelId| ChannelId::from_number(channel.0);
    match step.action {
        Action::Open { partner, capacity } => {
            let participant = roster.participant(partner).ok_or(StepError::Unknown)?;
            let contact = contacts.get(&participant).ok_or(StepError::Unknown)?;
            let terms = ChannelTerms {
                counterparty: contact.node,
                address: contact.addresses.first().ok_or(StepError::NoAddress)?.clone(),
                size_sat: whole_sat(capacity),
                // What is pushed is a gift without a receipt.
                push: Msat::ZERO,
            };
            lightning.open_channel(terms).await?;
        }
        Action::SpliceIn { channel, amount, .. } => {
            lightning.splice_in(id(channel), whole_sat(amount)).await?;
        }
        Action::CloseTogether { channel } => lightning.close_channel(id(channel)).await?,
        Action::CloseAlone { channel } => lightning.force_close_channel(id(channel)).await?,
    }
    Ok(())
}

/// Whole satoshis, rounded down.
const fn whole_sat(amount: Msat) -> u64 {
    amount.to_millisatoshi() / 1_000
}
