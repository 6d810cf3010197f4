//! What the owner wants at once: an emergency, a machine's power for a while, how warm a place is.

use boltgrid_miners::machine::{Control, SetPoint};

use super::super::desk::{FOR_MS_MAX, Refused, Wish};
use super::super::member::Member;
use super::Dispatcher;
use crate::clock;

impl Dispatcher {
    /// Does it, or says why not.
    pub(super) fn wish(&mut self, wish: Wish) -> Result<(), Refused> {
        let now = clock::now();
        match wish {
            Wish::Emergency { for_ms } if for_ms > FOR_MS_MAX => Err(Refused::Time),
            Wish::Emergency { for_ms } => {
                self.emergency_until = (for_ms > 0).then(|| now.plus_ms(for_ms));
                Ok(())
            }
            Wish::Warm { place, seen } => {
                let found = self.places.iter_mut().find(|it| it.name() == place);
                let Some(found) = found else { return Err(Refused::NoPlace(place)) };
                if found.hear(now, seen) { Ok(()) } else { Err(Refused::Temperature) }
            }
            Wish::Owner { machine, set_point, for_ms } => {
                let member = self.members.iter_mut().find(|it| it.miner.owned.name == machine);
                let Some(member) = member else { return Err(Refused::Unknown(machine)) };
                let Some(set_point) = set_point else {
                    member.owner = None;
                    return Ok(());
                };
                if !(1..=FOR_MS_MAX).contains(&for_ms) {
                    return Err(Refused::Time);
                }
                let set_point = able(member, set_point)
                    .map_err(|problem| Refused::Unable { machine, problem })?;
                member.owner = Some((set_point, now.plus_ms(for_ms)));
                Ok(())
            }
        }
    }
}

/// The set point that a machine can take which is nearest below what its owner wants.
fn able(member: &Member, wanted: SetPoint) -> Result<SetPoint, String> {
    let Some(known) = &member.known else { return Err("it is not found yet".to_owned()) };
    let abilities = &known.abilities;
    if abilities.control == Control::Nothing {
        return Err("it can only be looked at".to_owned());
    }
    let SetPoint::Run { power_mw } = wanted else { return Ok(SetPoint::Off) };
    match abilities.within(power_mw) {
        Some(set_point @ SetPoint::Run { .. }) => Ok(set_point),
        Some(SetPoint::Off) | None => {
            Err(format!("it draws at least {} while it runs", abilities.least()))
        }
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::units::Power;

    use super::super::super::tests::members::{known, member, relied_on};
    use super::*;

    #[test]
    fn an_owner_wants_what_a_machine_can() {
        let two_kw = SetPoint::Run { power_mw: Power::from_milliwatts(2_000_000) };
        let more = SetPoint::Run { power_mw: Power::from_milliwatts(2_500_000) };
        let less = SetPoint::Run { power_mw: Power::from_milliwatts(1_999_999) };
        let found = relied_on(member(100));
        assert_eq!(able(&found, more), Ok(two_kw));
        assert_eq!(able(&found, SetPoint::Off), Ok(SetPoint::Off));
        assert!(able(&found, less).unwrap_err().contains("at least"));
        assert!(able(&member(100), two_kw).unwrap_err().contains("not found"));
        let mut looked_at = member(100);
        let mut only = known();
        only.abilities.control = Control::Nothing;
        looked_at.know(Default::default(), Some(only));
        for wanted in [two_kw, SetPoint::Off] {
            assert!(able(&looked_at, wanted).unwrap_err().contains("looked at"));
        }
    }
}
