//! The two registers of a meter, however it comes by them: counted by the device, or integrated from
//! its power where the device counts nothing.
//!
//! Which of the two is decided by the first sample, for each direction by itself, and holds for as long
//! as the node runs. An integrated register lacks what flowed while nobody looked. So its first value,
//! and the first after a gap, [`Counts::begins`]: the interval in which it lies cannot be proved, and
//! whoever signs readings leaves out the next edge.
//! Not for: one device's counter (see [`crate::register`]).

use boltgrid_protocol::units::{Energy, Power, Timestamp};

use crate::integrate::{IntegrateRejected, Integrator};
use crate::register::{CumulativeRegister, RawRegister, RegisterRejected};

/// A device that sends by itself says how old its word is; the moment that follows from it may step
/// back by this much.
const JITTER_MS: u64 = 1_000;

/// Why a meter's registers are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistersRejected {
    /// The device's register shows what cannot follow.
    #[error(transparent)]
    Register(#[from] RegisterRejected),
    /// The power cannot be integrated.
    #[error("its energy is made from its power, and {0}")]
    Integrate(#[from] IntegrateRejected),
    /// A register that it had before is missing.
    #[error("its {0} register, which it had before, is missing")]
    Missing(&'static str),
    /// It has neither register nor power.
    #[error("it shows neither power nor registers")]
    Nothing,
}

/// What both registers come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// All energy ever taken.
    pub import: Energy,
    /// All energy ever given.
    pub export: Energy,
    /// Whether an integrated register begins here: what flowed just before is in neither.
    pub begins: bool,
}

/// What a device shows of its energy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    /// Power, positive where taken.
    pub power: Option<Power>,
    /// The device's register of energy taken.
    pub import: Option<RawRegister>,
    /// The device's register of energy given.
    pub export: Option<RawRegister>,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Undecided(CumulativeRegister),
    Counted(CumulativeRegister),
    Integrated,
}

/// Both registers of one meter.
///
/// Invariant: neither energy ever falls.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    import: Source,
    export: Source,
    integrator: Integrator,
    last: Option<Timestamp>,
    begins: bool,
}

impl Registers {
    /// Registers of a meter through which at most `rated` flows, of which nothing is known. A power is
    /// held for at most `hold_max_ms`.
    #[must_use]
    pub const fn new(rated: Power, hold_max_ms: u64) -> Self {
        let fresh = Source::Undecided(CumulativeRegister::new(rated));
        let integrator = Integrator::starting_at(Energy::ZERO, Energy::ZERO, hold_max_ms);
        Self { import: fresh, export: fresh, integrator, last: None, begins: true }
    }

    /// Registers that showed `(import, export)` at `at`.
    #[must_use]
    pub fn resume(
        rated: Power,
        hold_max_ms: u64,
        at: Timestamp,
        (import, export): (Energy, Energy),
    ) -> Self {
        let undecided = |energy| Source::Undecided(CumulativeRegister::resume(rated, at, energy));
        Self {
            import: undecided(import),
            export: undecided(export),
            integrator: Integrator::starting_at(import, export, hold_max_ms),
            last: None,
            begins: true,
        }
    }

    /// Takes what the device showed at `at`.
    ///
    /// # Errors
    ///
    /// [`RegistersRejected`]. After a gap the integration goes on from this sample all the same.
    pub fn observe(&mut self, at: Timestamp, flow: &Flow) -> Result<Counts, RegistersRejected> {
        let at = match self.last {
            Some(last) if last.ms_since(at) <= JITTER_MS => at.max(last),
            Some(_) | None => at,
        };
        let (mut import, mut export) = (self.import, self.export);
        let taken = import.observe("import", flow.import, at)?;
        let given = export.observe("export", flow.export, at)?;
        if taken.is_none() || given.is_none() {
            let power = flow.power.ok_or(RegistersRejected::Nothing)?;
            if let Err(error) = self.integrator.sample(at, power) {
                if matches!(error, IntegrateRejected::Gap(_)) {
                    self.begins = true;
                    self.integrator.restart();
                    self.integrator.sample(at, power)?;
                }
                return Err(error.into());
            }
        }
        (self.import, self.export, self.last) = (import, export, Some(at));
        let is_integrated = taken.is_none() || given.is_none();
        Ok(Counts {
            import: taken.unwrap_or_else(|| self.integrator.import_register()),
            export: given.unwrap_or_else(|| self.integrator.export_register()),
            begins: std::mem::take(&mut self.begins) && is_integrated,
        })
    }
}

impl Source {
    /// What the register comes to; `None` where it is integrated.
    fn observe(
        &mut self,
        name: &'static str,
        raw: Option<RawRegister>,
        at: Timestamp,
    ) -> Result<Option<Energy>, RegistersRejected> {
        match (&mut *self, raw) {
            (Self::Undecided(register) | Self::Counted(register), Some(raw)) => {
                let mut register = *register;
                let energy = register.observe(raw, at)?;
                *self = Self::Counted(register);
                Ok(Some(energy))
            }
            (Self::Counted(_), None) => Err(RegistersRejected::Missing(name)),
            (Self::Undecided(_), None) => {
                *self = Self::Integrated;
                Ok(None)
            }
            (Self::Integrated, _) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::register::Width;
    use crate::scale::ScaleFactor;

    const RATED: Power = Power::from_milliwatts(30_000_000);
    const HOLD_MS: u64 = 10_000;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn mwh(mwh: u64) -> Energy {
        Energy::from_milliwatt_hours(mwh)
    }

    fn power(mw: i64) -> Flow {
        Flow { power: Some(Power::from_milliwatts(mw)), ..Flow::default() }
    }

    fn raw(count: u64) -> Option<RawRegister> {
        Some(RawRegister { count, width: Width::Float, scale: ScaleFactor::THOUSANDTHS })
    }

    #[test]
    fn what_the_device_counts_is_taken_and_the_rest_is_integrated() {
        let mut registers = Registers::new(RATED, HOLD_MS);
        let flow = Flow { import: raw(5_000), ..power(-3_600_000) };
        let first = registers.observe(at(0), &flow).unwrap();
        assert_eq!(first, Counts { import: mwh(5_000), export: mwh(0), begins: true });
        let next = registers.observe(at(1_000), &flow).unwrap();
        assert_eq!(next, Counts { import: mwh(5_000), export: mwh(1_000), begins: false });
        let missing = registers.observe(at(2_000), &power(0));
        assert_eq!(missing, Err(RegistersRejected::Missing("import")));
    }

    #[test]
    fn a_device_that_counts_both_ways_never_begins() {
        let mut registers = Registers::new(RATED, HOLD_MS);
        let flow = Flow { power: None, import: raw(1), export: raw(2) };
        assert!(!registers.observe(at(0), &flow).unwrap().begins);
        assert!(!registers.observe(at(3_600_000), &flow).unwrap().begins);
    }

    #[test]
    fn integration_goes_on_from_the_last_reading_and_begins_anew_after_a_gap() {
        let mut registers = Registers::resume(RATED, HOLD_MS, at(0), (mwh(700), mwh(30)));
        let first = registers.observe(at(60_000), &power(3_600_000)).unwrap();
        assert_eq!(first, Counts { import: mwh(700), export: mwh(30), begins: true });
        assert_eq!(registers.observe(at(61_000), &power(3_600_000)).unwrap().import, mwh(1_700));
        let gap = registers.observe(at(71_001), &power(3_600_000));
        assert_eq!(gap, Err(IntegrateRejected::Gap(10_001).into()));
        let after = registers.observe(at(72_001), &power(0)).unwrap();
        assert_eq!(after, Counts { import: mwh(2_700), export: mwh(30), begins: true });
        assert!(!registers.observe(at(73_001), &power(0)).unwrap().begins);
    }

    #[test]
    fn a_word_that_seems_a_little_older_than_the_last_is_no_clock_that_went_back() {
        let mut registers = Registers::new(RATED, HOLD_MS);
        registers.observe(at(50_000), &power(0)).unwrap();
        assert!(registers.observe(at(49_500), &power(0)).is_ok());
        let back = registers.observe(at(40_000), &power(0));
        assert_eq!(back, Err(IntegrateRejected::TimeBack(10_000).into()));
    }

    proptest! {
        #[test]
        fn integrated_registers_never_fall(
            steps in prop::collection::vec((0_u64..15_000, -20_000_000_i64..20_000_000), 1..60),
        ) {
            let mut registers = Registers::resume(RATED, HOLD_MS, at(0), (mwh(5), mwh(5)));
            let (mut now, mut import, mut export) = (0, mwh(5), mwh(5));
            for (after_ms, mw) in steps {
                now += after_ms;
                let Ok(counts) = registers.observe(at(now), &power(mw)) else { continue };
                prop_assert!(counts.import >= import && counts.export >= export);
                (import, export) = (counts.import, counts.export);
            }
        }
    }
}
