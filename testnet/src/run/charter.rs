//! The charter of a testnet: prices of the issue it was founded on, and phases that fit an interval.
//!
//! Every phase is a share of the interval, so a grid of one second and one of a quarter of an hour
//! have the same shape. Not for: who its members are; that is [`super::founding`].

use std::num::NonZeroU64;

use boltgrid_protocol::charter::{
    Charter, CharterRejected, Connection, Disclosure, Feeder, Membership, PaymentTerms, PriceBand,
    TRANCHE_MAX_MWH, Tariff, TariffClock, TariffPeriod, TariffPrices, Timing,
};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Energy, Power, Price};

use crate::plant::ROW_MS;

/// What the supplier takes for a kWh: 300 sat.
const RETAIL: Price = Price::from_msat_per_kwh(300_000);
/// What the supplier gives for a kWh: 80 sat …
const FEED_IN: Price = Price::from_msat_per_kwh(80_000);
/// … and at noon in summer, when everyone has too much: it takes 30 sat.
const FEED_IN_AT_NOON: Price = Price::from_msat_per_kwh(-30_000);
/// When that is: from 11:00 …
const NOON_FROM_MINUTE: u32 = 11 * 60;
/// … to 15:00 …
const NOON_UNTIL_MINUTE: u32 = 15 * 60;
/// … from April to September.
const SUMMER: [u8; 6] = [4, 5, 6, 7, 8, 9];
/// The lowest price: 200 sat for taking a kWh off somebody's hands.
const FLOOR: Price = Price::from_msat_per_kwh(-200_000);
/// The highest price.
const CEILING: Price = Price::from_msat_per_kwh(400_000);
/// Line losses between neighbours on one low-voltage grid.
const LOSS_PPM: u32 = 20_000;

/// Fewest views, however few members there are.
const VIEWS_MIN: u32 = 6;
/// Most views that a charter may have.
const VIEWS_MAX: u32 = 32;
/// Shortest view that a charter may have.
const VIEW_MS_MIN: u64 = 100;

/// How many intervals everyone has to pay for one, unless a run says otherwise.
pub const PAY_WITHIN_INTERVALS: NonZeroU64 = NonZeroU64::new(30).expect("it is not zero");

/// A day of quarters of an hour.
const DAY_INTERVALS: u64 = 96;

/// What the charter depends on.
#[derive(Clone, Debug)]
pub struct Terms<'a> {
    /// The grid's name.
    pub name: &'a str,
    /// How long an interval is.
    pub interval_ms: u64,
    /// How many members vote.
    pub voters: usize,
    /// What the connection may carry either way, a magnitude.
    pub connection: Power,
    /// Who signs the enrolments.
    pub registrar: ParticipantId,
    /// What the tariff's clock shows.
    pub clock: TariffClock,
    /// Who sees the members' readings.
    pub readings: Disclosure,
    /// How many intervals everyone has to pay for one.
    pub pay_within_intervals: NonZeroU64,
    /// The lines that have meters of their own.
    pub feeders: Vec<Feeder>,
}

/// The charter of a testnet.
///
/// # Errors
///
/// [`CharterRejected`] where no phases fit: an interval too short for so many voters.
pub fn charter(terms: &Terms<'_>) -> Result<Charter, CharterRejected> {
    let capacity_w = terms.connection.to_milliwatts().unsigned_abs() / 1000;
    let prices =
        |feed_in| TariffPrices { retail_msat_per_kwh: RETAIL, feed_in_msat_per_kwh: feed_in };
    let charter = Charter {
        name: terms.name.to_owned(),
        interval: timing(terms.interval_ms, terms.voters),
        price: PriceBand { floor_msat_per_kwh: FLOOR, ceiling_msat_per_kwh: CEILING },
        connection: Connection {
            import_capacity_w: capacity_w,
            export_capacity_w: capacity_w,
            loss_ppm: LOSS_PPM,
        },
        membership: Membership {
            registrars: vec![terms.registrar],
            registrar_threshold: 1,
            roster_epoch_intervals: DAY_INTERVALS,
            bar_intervals: DAY_INTERVALS,
        },
        tariff: Tariff {
            clock: terms.clock,
            base: prices(FEED_IN),
            periods: vec![TariffPeriod {
                months: SUMMER.to_vec(),
                from_minute_of_day: NOON_FROM_MINUTE,
                until_minute_of_day: NOON_UNTIL_MINUTE,
                prices: prices(FEED_IN_AT_NOON),
            }],
        },
        settlement: PaymentTerms {
            tranche_mwh: Energy::from_milliwatt_hours(TRANCHE_MAX_MWH),
            pay_within_ms: terms.interval_ms.saturating_mul(terms.pay_within_intervals.get()),
            forwarding: true,
        },
        feeders: terms.feeders.clone(),
        readings: terms.readings,
    };
    charter.check()?;
    Ok(charter)
}

/// The tariff's clock when one interval stands for one row: it shows `local_ms` at `unix_ms`.
///
/// `None` if a row is not a whole number of times as long as the interval.
#[must_use]
pub fn tariff_clock(interval_ms: u64, unix_ms: u64, local_ms: u64) -> Option<TariffClock> {
    let speed = ROW_MS.checked_div(interval_ms).filter(|speed| speed * interval_ms == ROW_MS)?;
    let speed = u32::try_from(speed).ok()?;
    Some(TariffClock { anchor_unix_ms: unix_ms, anchor_local_ms: local_ms, speed })
}

/// Phases as shares of the interval.
///
/// There are as many views as it takes to meet an honest leader, and more members make for an
/// earlier gate rather than for hasty views, as long as order window and gate fit two intervals.
fn timing(interval_ms: u64, voters: usize) -> Timing {
    let percent = |share: u64| interval_ms * share / 100;
    let faulty_max = voters.saturating_sub(1) / 3;
    let views = u32::try_from(faulty_max + 1).unwrap_or(u32::MAX).clamp(VIEWS_MIN, VIEWS_MAX);
    let view_ms = percent(8).min(percent(150) / u64::from(views)).max(VIEW_MS_MIN);
    let proposal_after_gate_ms = percent(3);
    let confirm_by_after_gate_ms = proposal_after_gate_ms + view_ms * u64::from(views) + percent(9);
    Timing {
        interval_ms,
        gate_before_delivery_ms: confirm_by_after_gate_ms + percent(5),
        orders_open_before_gate_ms: percent(25),
        orders_close_before_gate_ms: percent(5),
        proposal_after_gate_ms,
        view_ms,
        views,
        confirm_by_after_gate_ms,
        readings_by_after_delivery_ms: percent(30),
        clock_skew_max_ms: percent(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltgrid_protocol::signing::Keypair;
    use boltgrid_protocol::units::Timestamp;

    /// 2016-05-25T09:00 on the tariff's clock at this moment.
    const AT: u64 = 1_800_000_000_000;
    const NINE_OCLOCK: u64 = 1_464_166_800_000;

    fn made(interval_ms: u64, voters: usize) -> Result<Charter, CharterRejected> {
        charter(&Terms {
            name: "rural1",
            interval_ms,
            voters,
            connection: Power::from_watts(160_000).unwrap(),
            registrar: Keypair::from_seed(&[1; 32]).participant_id(),
            clock: tariff_clock(interval_ms, AT, NINE_OCLOCK).unwrap(),
            readings: Disclosure::Open,
            pay_within_intervals: PAY_WITHIN_INTERVALS,
            feeders: Vec::new(),
        })
    }

    #[test]
    fn every_usual_length_and_size_gives_a_charter_that_survives_its_file() {
        for interval_ms in [1_000, 2_000, 4_000, 5_000, 6_000, 10_000, 30_000, 60_000, 900_000] {
            for voters in [1, 2, 3, 4, 13, 26, 50].into_iter().filter(|voters| {
                // A second is too short for so many.
                interval_ms > 1_000 || *voters < 50
            }) {
                let charter = made(interval_ms, voters)
                    .unwrap_or_else(|error| panic!("{interval_ms} ms, {voters} voters: {error}"));
                let file = toml::to_string(&charter).unwrap();
                let read = Charter::from_toml(&file).unwrap();
                assert_eq!(read.grid_id(), charter.grid_id(), "{interval_ms} ms, {voters} voters");
            }
        }
    }

    #[test]
    fn a_quorum_of_honest_voters_meets_an_honest_leader() {
        for voters in 1..=94 {
            let views = made(30_000, voters).unwrap().interval.views;
            assert!(views as usize > (voters - 1) / 3, "{voters} voters, {views} views");
        }
    }

    #[test]
    fn too_many_voters_for_a_short_interval_are_refused() {
        let refused = made(1_000, 94).unwrap_err().to_string();
        assert!(refused.contains("must fit two intervals"), "{refused}");
    }

    #[test]
    fn thirteen_nodes_and_ten_seconds_leave_the_phases_of_the_design() {
        let timing = made(10_000, 13).unwrap().interval;
        assert_eq!(timing.gate_before_delivery_ms, 6_500);
        assert_eq!(timing.orders_open_before_gate_ms, 2_500);
        assert_eq!((timing.views, timing.view_ms), (6, 800));
        assert_eq!(timing.confirm_by_after_gate_ms, 6_000);
    }

    #[test]
    fn the_feed_in_price_is_negative_at_noon_in_summer_and_positive_else() {
        let tariff = made(10_000, 13).unwrap().tariff;
        // One interval of ten seconds is a quarter of an hour.
        let feed_in = |quarters: u64| {
            let at = Timestamp::from_unix_ms(AT + quarters * 10_000);
            tariff.at(at).feed_in_msat_per_kwh
        };
        assert_eq!(feed_in(0), FEED_IN);
        assert_eq!(feed_in(7), FEED_IN);
        assert_eq!(feed_in(8), FEED_IN_AT_NOON);
        assert_eq!(feed_in(23), FEED_IN_AT_NOON);
        assert_eq!(feed_in(24), FEED_IN);
        assert_eq!(feed_in(365 * 48 + 8), FEED_IN, "half a year later");
    }

    #[test]
    fn a_clock_that_would_run_at_a_broken_speed_is_none() {
        assert_eq!(tariff_clock(7_000, AT, NINE_OCLOCK), None);
        assert_eq!(tariff_clock(0, AT, NINE_OCLOCK), None);
        assert_eq!(tariff_clock(10_000, AT, NINE_OCLOCK).unwrap().speed, 90);
    }
}
