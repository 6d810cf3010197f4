//! Which registers hold at an interval's edge.
//!
//! Meters refresh about once a second and nobody reads them exactly at the edge. So:
//!
//! * The first sample at or after the edge, if it came within a tolerance of a twentieth of the
//!   interval, is taken as it is: what is signed is what the meter showed. What flowed between edge
//!   and sample counts for the interval before; the next edge is read the same way, and as registers
//!   are cumulative, nothing is lost or counted twice.
//! * If the first sample came later, the registers are interpolated on a straight line between the
//!   samples on both sides of the edge, rounded down; the remainder is in the next interval.
//! * If either of those is more than an interval from the edge, there is no reading of that edge.
//!
//! Power, voltage and frequency belong to an instant and are those of the first sample.
//! Not for: deciding when to sample.

use boltgrid_protocol::units::{Energy, OutOfRange, Power, Timestamp, scale_floor};

use crate::sample::Sample;

/// The tolerance is the interval divided by this.
const TOLERANCE_DIVISOR: u64 = 20;

/// What holds at an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtEdge {
    /// The edge.
    pub at: Timestamp,
    /// All energy ever taken.
    pub import_register: Energy,
    /// All energy ever given.
    pub export_register: Energy,
    /// Power at the first sample, import positive.
    pub power: Power,
    /// What it would have been with nothing turned down, where the site can tell.
    pub potential: Option<Power>,
    /// Mean phase voltage, where the meter has it.
    pub voltage_mv: Option<u32>,
    /// Frequency in millihertz, where the meter has it.
    pub frequency_mhz: Option<u32>,
}

/// Why nothing is known about an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdgeRejected {
    /// No sample at or after it yet.
    #[error("no sample at or after the edge yet")]
    NotYet,
    /// The first sample came late and there is none before it to interpolate from.
    #[error("the first sample came {0} ms after the edge, and there is none before it")]
    NoneBefore(u64),
    /// The samples around it are too far away.
    #[error("the samples around the edge are {before_ms} ms before and {after_ms} ms after it")]
    OutOfReach {
        /// From the sample before.
        before_ms: u64,
        /// To the sample after.
        after_ms: u64,
    },
    /// The sample after shows less energy than the one before.
    #[error("a register went back between the samples around the edge")]
    Backwards,
}

/// What holds at `edge`, from the last sample before it and the first one at or after it.
///
/// # Errors
///
/// [`EdgeRejected`].
pub fn at_edge(
    edge: Timestamp,
    interval_ms: u64,
    before: Option<&Sample>,
    after: &Sample,
) -> Result<AtEdge, EdgeRejected> {
    if after.at < edge {
        return Err(EdgeRejected::NotYet);
    }
    let after_ms = after.at.ms_since(edge);
    let as_shown = AtEdge {
        at: edge,
        import_register: after.meter.import_register,
        export_register: after.meter.export_register,
        power: after.meter.power,
        potential: after.potential(),
        voltage_mv: after.meter.voltage_mv,
        frequency_mhz: after.meter.frequency_mhz,
    };
    if after_ms <= interval_ms / TOLERANCE_DIVISOR {
        return Ok(as_shown);
    }
    let before =
        before.filter(|before| before.at < edge).ok_or(EdgeRejected::NoneBefore(after_ms))?;
    let before_ms = edge.ms_since(before.at);
    if before_ms.max(after_ms) > interval_ms {
        return Err(EdgeRejected::OutOfReach { before_ms, after_ms });
    }
    let between = |from: Energy, to: Energy| {
        let grown = to.checked_sub(from).ok_or(EdgeRejected::Backwards)?.to_milliwatt_hours();
        let part = scale_floor(grown, before_ms, before_ms.saturating_add(after_ms))
            .map_err(|OutOfRange| EdgeRejected::OutOfReach { before_ms, after_ms })?;
        Ok(from.saturating_add(Energy::from_milliwatt_hours(part)))
    };
    let (first, second) = (&before.meter, &after.meter);
    Ok(AtEdge {
        import_register: between(first.import_register, second.import_register)?,
        export_register: between(first.export_register, second.export_register)?,
        ..as_shown
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::MeterSample;

    const INTERVAL_MS: u64 = 10_000;
    const EDGE_MS: u64 = 50_000;

    fn sample(at_ms: u64, import_mwh: u64) -> Sample {
        let meter = MeterSample {
            power: Power::from_milliwatts(i64::try_from(at_ms).unwrap()),
            import_register: Energy::from_milliwatt_hours(import_mwh),
            export_register: Energy::from_milliwatt_hours(7),
            voltage_mv: Some(230_000),
            frequency_mhz: Some(50_000),
        };
        Sample { at: Timestamp::from_unix_ms(at_ms), meter, pv: None, battery: None }
    }

    fn import(before: Option<(u64, u64)>, after: (u64, u64)) -> Result<u64, EdgeRejected> {
        let before = before.map(|(at_ms, mwh)| sample(at_ms, mwh));
        let edge = Timestamp::from_unix_ms(EDGE_MS);
        at_edge(edge, INTERVAL_MS, before.as_ref(), &sample(after.0, after.1))
            .map(|at| at.import_register.to_milliwatt_hours())
    }

    #[test]
    fn the_first_sample_within_tolerance_is_taken_as_it_is() {
        assert_eq!(import(Some((49_990, 100)), (EDGE_MS, 200)), Ok(200));
        assert_eq!(import(Some((49_990, 100)), (EDGE_MS + 500, 200)), Ok(200));
        assert_eq!(import(None, (EDGE_MS + 500, 200)), Ok(200));
    }

    #[test]
    fn a_late_sample_is_interpolated_with_the_one_before() {
        assert_eq!(import(Some((49_000, 100)), (51_000, 201)), Ok(150));
        assert_eq!(import(Some((49_000, 100)), (53_000, 500)), Ok(200));
    }

    #[test]
    fn instantaneous_values_are_those_of_the_first_sample() {
        let edge = Timestamp::from_unix_ms(EDGE_MS);
        let at = at_edge(edge, INTERVAL_MS, Some(&sample(49_000, 1)), &sample(52_000, 2)).unwrap();
        assert_eq!(at.at, edge);
        assert_eq!(at.power, Power::from_milliwatts(52_000));
        assert_eq!(at.potential, Some(Power::from_milliwatts(52_000)));
    }

    #[test]
    fn an_edge_without_samples_in_reach_has_no_reading() {
        assert_eq!(import(None, (49_999, 1)), Err(EdgeRejected::NotYet));
        assert_eq!(import(None, (50_501, 1)), Err(EdgeRejected::NoneBefore(501)));
        assert_eq!(import(Some((51_000, 1)), (52_000, 1)), Err(EdgeRejected::NoneBefore(2_000)));
        let out_of_reach = EdgeRejected::OutOfReach { before_ms: 10_001, after_ms: 900 };
        assert_eq!(import(Some((39_999, 1)), (50_900, 1)), Err(out_of_reach));
        assert_eq!(import(Some((49_000, 2)), (51_000, 1)), Err(EdgeRejected::Backwards));
    }

    proptest! {
        #[test]
        fn an_interpolated_register_lies_between_its_neighbours(
            before_ms in 1..=INTERVAL_MS,
            after_ms in 501..=INTERVAL_MS,
            first in any::<u64>(),
            grown in any::<u64>(),
        ) {
            let last = first.saturating_add(grown);
            let between = import(Some((EDGE_MS - before_ms, first)), (EDGE_MS + after_ms, last));
            prop_assert!((first..=last).contains(&between.unwrap()));
        }
    }
}
