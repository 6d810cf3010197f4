//! Acks that say what suits a rogue, in place of what it holds.

use boltgrid_protocol::agreement::Ack;
use boltgrid_protocol::bitmap::Bitmap;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{MessageHash, RosterIndex};
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::topic::Topic;

use super::{Deed, Rogue, Role, gossip, whisper};

/// An honest member is left out where this many sides of a die show the first.
const VICTIM_SIDES: u64 = 3;
const DICE_STYLE: u64 = 10;
const DICE_REACH: u64 = 11;
const DICE_VICTIM: u64 = 12;

impl Rogue {
    /// What becomes of our own ack.
    pub(super) fn bend_ack(&mut self, ack: &Verified<Ack>) -> Vec<Deed> {
        let interval = ack.interval();
        self.memory.at(interval).acks.insert(ack.author(), ack.clone());
        let roster = self.hand.roster(interval);
        match self.role {
            Role::Equivocator => {
                let nothing = Bitmap::empty(roster.members().len());
                let denial = Ack { held: nothing, root: MessageHash::default() };
                let denial = self.hand.sign(&denial, interval);
                self.split(Topic::Acks, ack, denial.as_ref())
            }
            Role::SelectiveAcker => {
                let held = match self.hand.dice(interval, DICE_STYLE, 4) {
                    0 => Bitmap::empty(roster.members().len()),
                    1 => chosen(&roster, |_| true),
                    _ => self.without_victims(ack, &roster),
                };
                let chosen = Ack { held, root: ack.body().root };
                let Some(chosen) = self.hand.sign(&chosen, interval) else { return Vec::new() };
                self.memory.at(interval).acks.insert(chosen.author(), chosen.clone());
                match self.hand.dice(interval, DICE_REACH, 3) {
                    0 => vec![gossip(Topic::Acks, chosen.bytes().clone())],
                    _ => {
                        let to = self.hand.halves(interval).left;
                        vec![whisper(Topic::Acks, chosen.bytes(), to)]
                    }
                }
            }
            Role::LatePartial
            | Role::DoubleVoter
            | Role::EquivocatingLeader
            | Role::WithholdingLeader
            | Role::Replayer
            | Role::Spammer
            | Role::LyingMeter
            | Role::NeverConfirms
            | Role::NeverDelivers
            | Role::FalsePayee
            | Role::FalsePayer
            | Role::Eavesdropper => vec![gossip(Topic::Acks, ack.bytes().clone())],
        }
    }

    /// What we hold without some honest members, and with all of us, held or not.
    fn without_victims(&self, ack: &Verified<Ack>, roster: &Roster) -> Bitmap {
        chosen(roster, |index| {
            let ours = roster.participant(index).is_some_and(|member| self.hand.is_ours(&member));
            let salt = DICE_VICTIM.wrapping_add(u64::from(index.get()) << 8);
            let victim = self.hand.dice(ack.interval(), salt, VICTIM_SIDES) == 0;
            ours || (ack.body().held.contains(index) && !victim)
        })
    }
}

fn chosen(roster: &Roster, is_chosen: impl Fn(RosterIndex) -> bool) -> Bitmap {
    let mut held = Bitmap::empty(roster.members().len());
    let places = (0_u32..).zip(roster.members()).map(|(place, _)| RosterIndex::new(place));
    places.filter(|index| is_chosen(*index)).for_each(|index| held.insert(index));
    held
}
