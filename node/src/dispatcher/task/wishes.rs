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
