//! The wallet's past, kept as it happens: where the money was at the end of each interval, and what
//! became of channels.
//!
//! Not for: payments for trades, which the market tells of.

use boltgrid_protocol::charter::Timing;
use boltgrid_protocol::units::Timestamp;
use tracing::error;

use crate::lightning::{ChannelId, LightningEvent, LightningStatus};
use crate::store::{Archive, ArchiveError, BalanceRecord, ChannelChange, ChannelRecord};

/// Most characters of a reason that are kept: the other side may have had a say in it.
const REASON_MAX: usize = 512;

/// Writes down what passes.
#[derive(Debug)]
pub(crate) struct Books {
    archive: Archive,
    timing: Timing,
}

impl Books {
    pub(crate) const fn new(archive: Archive, timing: Timing) -> Self {
        Self { archive, timing }
    }

    /// Keeps where the money is.
    pub(super) fn note_status(&self, status: &LightningStatus, now: Timestamp) {
        // Before the wallet has seen the chain it knows nothing.
        if status.synced_at_unix_s.is_none() {
            return;
        }
        let (sendable_msat, receivable_msat) = status.room();
        let balance = BalanceRecord {
            at: now,
            onchain_sat: status.balances.onchain_sat,
            channels_sat: status.balances.channels_sat,
            closing_sat: status.balances.closing_sat,
            sendable_msat,
            receivable_msat,
        };
        complain(self.archive.put_balance(self.timing.interval_at(now), &balance));
    }

    /// Keeps what became of a channel.
    pub(super) fn note_event(&self, event: &LightningEvent, now: Timestamp) {
        let Some(record) = record(event, now) else { return };
        complain(self.archive.put_channel(self.timing.interval_at(now), &record));
    }
}

/// Nothing rests on the past, and payments do not wait for it.
fn complain(kept: Result<(), ArchiveError>) {
    if let Err(error) = kept {
        error!(%error, "the wallet's history has a gap");
    }
}

fn record(event: &LightningEvent, at: Timestamp) -> Option<ChannelRecord> {
    let of = |channel: &ChannelId, counterparty, change| ChannelRecord {
        at,
        channel: channel.to_string(),
        counterparty,
        change,
        reason: None,
    };
    match event {
        LightningEvent::ChannelPending { channel, counterparty } => {
            Some(of(channel, Some(*counterparty), ChannelChange::Pending))
        }
        LightningEvent::ChannelReady { channel, counterparty } => {
            Some(of(channel, *counterparty, ChannelChange::Ready))
        }
        LightningEvent::ChannelClosed { channel, counterparty, reason } => {
            let reason = Some(reason.chars().take(REASON_MAX).collect());
            Some(ChannelRecord { reason, ..of(channel, *counterparty, ChannelChange::Closed) })
        }
        LightningEvent::SplicePending { channel } => {
            Some(of(channel, None, ChannelChange::SplicePending))
        }
        LightningEvent::SpliceFailed { channel } => {
            Some(of(channel, None, ChannelChange::SpliceFailed))
        }
        LightningEvent::PaymentReceived { .. }
        | LightningEvent::PaymentSent { .. }
        | LightningEvent::PaymentFailed { .. }
        | LightningEvent::PaymentHeld { .. }
        | LightningEvent::PaymentForwarded { .. } => None,
    }
}
