//! The archive's part in the wallet's past: where the money was, and what became of channels.
//! Not for: payments for trades, which are kept by their interval ([`super::payments`]).

use boltgrid_protocol::codec;
use boltgrid_protocol::lightning::LightningId;
use boltgrid_protocol::units::{Interval, Msat, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Archive, ArchiveError, interval, key, value};

/// Where the node's money was when it was last looked at in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceRecord {
    /// When.
    pub at: Timestamp,
    /// In the on-chain wallet.
    pub onchain_sat: u64,
    /// Ours in open channels and in channels being closed.
    pub channels_sat: u64,
    /// On its way from closed channels into the on-chain wallet.
    pub closing_sat: u64,
    /// What could be sent through channels.
    pub sendable_msat: Msat,
    /// What could be received through channels.
    pub receivable_msat: Msat,
}

/// What can become of a channel.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ChannelChange {
    /// Its funding was sent out.
    Pending,
    /// It can be used, or used with other amounts after a splice.
    Ready,
    /// It is closed, or was never funded.
    Closed,
    /// A splice was sent out.
    SplicePending,
    /// A splice came to nothing.
    SpliceFailed,
}

/// Something that became of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// When the node heard of it.
    pub at: Timestamp,
    /// The channel's name on this node: 32 hexadecimal digits.
    pub channel: String,
    /// The other Lightning node, where it was named.
    pub counterparty: Option<LightningId>,
    /// What.
    pub change: ChannelChange,
    /// Why it was closed, for people.
    pub reason: Option<String>,
}

impl Archive {
    /// Keeps where the money is, in place of what was kept of the same interval.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_balance(
        &self,
        interval: Interval,
        balance: &BalanceRecord,
    ) -> Result<(), ArchiveError> {
        self.balances.insert(key(interval), codec::canonical(balance))?;
        Ok(())
    }

    /// Where the money was from `from` to before `before`, the latest interval first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn balances(
        &self,
        from: Interval,
        before: Interval,
    ) -> impl Iterator<Item = Result<(Interval, BalanceRecord), ArchiveError>> {
        self.balances.range(key(from)..key(before.max(from))).rev().map(|entry| {
            let (key, bytes) = entry?;
            Ok((interval("balances", &key)?, value("balances", &bytes)?))
        })
    }

    /// Keeps what became of a channel; the same of one interval once. It is not pruned: channels are
    /// opened and closed some times a year.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_channel(
        &self,
        interval: Interval,
        record: &ChannelRecord,
    ) -> Result<(), ArchiveError> {
        let change = codec::canonical(&record.change);
        let key = [&key(interval)[..], record.channel.as_bytes(), &change].concat();
        self.channel_log.insert(key, codec::canonical(record))?;
        Ok(())
    }

    /// What became of channels from `from` to before `before`, the latest interval first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn channel_log(
        &self,
        from: Interval,
        before: Interval,
    ) -> impl Iterator<Item = Result<(Interval, ChannelRecord), ArchiveError>> {
        self.channel_log.range(key(from)..key(before.max(from))).rev().map(|entry| {
            let (key, bytes) = entry?;
            Ok((interval("channel_log", &key)?, value("channel_log", &bytes)?))
        })
    }
}
