//! `[channels]`: what the owner lets the channel policy do. Not for: manual orders, which may do more.

use std::time::Duration;

use boltgrid_market::channels::Limits;
use boltgrid_protocol::units::Msat;
use serde::{Deserialize, Serialize};

use super::{BadValue, given, require};

/// Longest time between two plans: a week.
const EVERY_MINUTES_MAX: u32 = 10_080;
/// Most channels that the policy may be allowed: as many partners as an order may name.
const CHANNELS_MAX: u32 = 8;
/// The largest channel: Lightning's own bound without large channels, 2²⁴ − 1 sat.
const CAPACITY_MAX_SAT: u64 = 16_777_215;
/// The smallest one that is of use.
const CAPACITY_MIN_SAT: u64 = 20_000;
/// Longest time to look ahead: ten years.
const DAYS_MAX: u64 = 3_650;

/// What the policy may do, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelsConfig {
    /// Whether plans are carried out.
    pub automatic: bool,
    /// How often.
    pub every: Duration,
    /// What plans may do.
    pub limits: Limits,
}

/// `[channels]` as it is written down.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawChannels {
    /// Whether plans are carried out.
    pub automatic: Option<bool>,
    /// How often.
    pub every_minutes: Option<u32>,
    /// Most channels at a time.
    pub channels_max: Option<u32>,
    /// What stays on the chain for each.
    pub anchor_reserve_sat: Option<u64>,
    /// The smallest channel.
    pub capacity_min_sat: Option<u64>,
    /// The largest channel.
    pub capacity_max_sat: Option<u64>,
    /// How many days of payments a channel is filled with.
    pub fill_days: Option<u64>,
    /// When it is refilled.
    pub refill_days: Option<u64>,
    /// Within how many days a channel must pay for itself.
    pub horizon_days: Option<u64>,
    /// After how many days without a payment a channel is closed.
    pub idle_days: Option<u64>,
    /// Most of the traded value that may go into fees.
    pub fee_share_max_percent: Option<u32>,
    /// Whether channels are spliced.
    pub splices: Option<bool>,
}

impl RawChannels {
    /// The defaults, those of [`Limits`].
    pub(super) fn defaults() -> Self {
        let limits = Limits::default();
        let sat = |amount: Msat| Some(amount.to_millisatoshi().div_euclid(1_000));
        Self {
            automatic: Some(true),
            every_minutes: Some(1_440),
            channels_max: u32::try_from(limits.channels_max).ok(),
            anchor_reserve_sat: sat(limits.anchor_reserve),
            capacity_min_sat: sat(limits.capacity_min),
            capacity_max_sat: sat(limits.capacity_max),
            fill_days: Some(limits.fill_days),
            refill_days: Some(limits.refill_days),
            horizon_days: Some(limits.horizon_days),
            idle_days: Some(limits.idle_days),
            fee_share_max_percent: Some(limits.fee_share_max_ppm.div_euclid(10_000)),
            splices: Some(limits.splices),
        }
    }

    pub(super) fn over(self, below: Self) -> Self {
        Self {
            automatic: self.automatic.or(below.automatic),
            every_minutes: self.every_minutes.or(below.every_minutes),
            channels_max: self.channels_max.or(below.channels_max),
            anchor_reserve_sat: self.anchor_reserve_sat.or(below.anchor_reserve_sat),
            capacity_min_sat: self.capacity_min_sat.or(below.capacity_min_sat),
            capacity_max_sat: self.capacity_max_sat.or(below.capacity_max_sat),
            fill_days: self.fill_days.or(below.fill_days),
            refill_days: self.refill_days.or(below.refill_days),
            horizon_days: self.horizon_days.or(below.horizon_days),
            idle_days: self.idle_days.or(below.idle_days),
            fee_share_max_percent: self.fee_share_max_percent.or(below.fee_share_max_percent),
            splices: self.splices.or(below.splices),
        }
    }

    pub(super) fn check(self) -> Result<ChannelsConfig, BadValue> {
        let every = given(self.every_minutes, "channels.every_minutes")?;
        within(every.into(), (1, EVERY_MINUTES_MAX.into()), "channels.every_minutes")?;
        let most = given(self.channels_max, "channels.channels_max")?;
        within(most.into(), (0, CHANNELS_MAX.into()), "channels.channels_max")?;
        let least = given(self.capacity_min_sat, "channels.capacity_min_sat")?;
        within(least, (CAPACITY_MIN_SAT, CAPACITY_MAX_SAT), "channels.capacity_min_sat")?;
        let largest = given(self.capacity_max_sat, "channels.capacity_max_sat")?;
        within(largest, (least, CAPACITY_MAX_SAT), "channels.capacity_max_sat")?;
        let days = |value: Option<u64>, key| {
            let days = given(value, key)?;
            within(days, (1, DAYS_MAX), key).map(|()| days)
        };
        let percent = given(self.fee_share_max_percent, "channels.fee_share_max_percent")?;
        within(percent.into(), (0, 100), "channels.fee_share_max_percent")?;
        let reserve = given(self.anchor_reserve_sat, "channels.anchor_reserve_sat")?;
        let limits = Limits {
            channels_max: usize::try_from(most).unwrap_or(0),
            anchor_reserve: Msat::from_satoshi_saturating(reserve),
            capacity_min: Msat::from_satoshi_saturating(least),
            capacity_max: Msat::from_satoshi_saturating(largest),
            fill_days: days(self.fill_days, "channels.fill_days")?,
            refill_days: days(self.refill_days, "channels.refill_days")?,
            horizon_days: days(self.horizon_days, "channels.horizon_days")?,
            idle_days: days(self.idle_days, "channels.idle_days")?,
            fee_share_max_ppm: percent.saturating_mul(10_000),
            channel_share_max_ppm: Limits::default().channel_share_max_ppm,
            splices: given(self.splices, "channels.splices")?,
        };
        require(limits.refill_days < limits.fill_days, "channels.refill_days", || {
            format!("must be less than channels.fill_days, is {}", limits.refill_days)
        })?;
        Ok(ChannelsConfig {
            automatic: given(self.automatic, "channels.automatic")?,
            every: Duration::from_secs(u64::from(every).saturating_mul(60)),
            limits,
        })
    }
}

fn within(value: u64, (least, most): (u64, u64), key: &'static str) -> Result<(), BadValue> {
    require((least..=most).contains(&value), key, || {
        format!("must be {least} to {most}, is {value}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(raw: RawChannels) -> &'static str {
        raw.over(RawChannels::defaults()).check().unwrap_err().key
    }

    #[test]
    fn the_defaults_are_those_of_the_policy() {
        let config = RawChannels::defaults().check().unwrap();
        assert_eq!(config.limits, Limits::default());
        assert!(config.automatic);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_key() {
        let none = RawChannels::default();
        let key = refused(RawChannels { capacity_max_sat: Some(40_000), ..none });
        assert_eq!(key, "channels.capacity_max_sat", "smaller than the smallest");
        let key = refused(RawChannels { refill_days: Some(60), ..none });
        assert_eq!(key, "channels.refill_days", "it would be refilled again at once");
        assert_eq!(refused(RawChannels { channels_max: Some(9), ..none }), "channels.channels_max");
        assert_eq!(
            refused(RawChannels { every_minutes: Some(0), ..none }),
            "channels.every_minutes"
        );
    }
}
