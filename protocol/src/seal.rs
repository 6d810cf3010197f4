//! A seal: what binds a meter to a reading before all members, and shows it to none (P40).
//!
//! A reading is easy to guess for whoever knows the one before, so what is hashed with it is a secret
//! that nobody but its author and those it is shown to ever learn. Not for: to whom it is shown.

use serde::{Deserialize, Serialize};

use crate::envelope::Verified;
use crate::id::{ParticipantId, SealHash, SealSecret};
use crate::message::{EntryRejected, Message};
use crate::reading::Reading;
use crate::signing::Keypair;

/// Most readings that are shown at once: those at both edges of an interval.
pub const SHOWN_AT_ONCE_MAX: usize = 2;

/// What is gossiped in place of a reading, of the same interval and author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The hash of the reading and a secret.
    pub hash: SealHash,
}

/// A reading as it is shown to another member: with the seal it was under, and the secret that proves
/// that it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The signed seal.
    pub seal: Vec<u8>,
    /// The signed reading.
    pub reading: Vec<u8>,
    /// What was hashed with it.
    pub secret: SealSecret,
}

impl Seal {
    /// The seal over a reading.
    #[must_use]
    pub fn over(reading: &Verified<Reading>, secret: &SealSecret) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 seal");
        hasher.update(secret.as_bytes());
        hasher.update(reading.hash().as_bytes());
        Self { hash: SealHash::from_bytes(hasher.finalize().into()) }
    }

    /// The secret of a reading's author, the same whenever it is asked for: a seal that is made again
    /// after a restart is the one that was made before, and nothing but the reading need be kept.
    #[must_use]
    pub fn secret(reading: &Verified<Reading>, key: &Keypair) -> SealSecret {
        let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 seal secret");
        hasher.update(key.to_seed().as_slice());
        hasher.update(reading.hash().as_bytes());
        SealSecret::from_bytes(hasher.finalize().into())
    }
}

/// A reading that its author showed, proven to be the one that it sealed.
#[derive(Clone, Debug)]
pub struct Opened {
    seal: Verified<Seal>,
    reading: Verified<Reading>,
}

/// Why what was shown proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShownRejected {
    /// The seal or the reading does not come in.
    #[error(transparent)]
    Entry(#[from] EntryRejected),
    /// Another message where seal or reading should be.
    #[error("not a seal and a reading")]
    WrongKind,
    /// Of somebody else than the one who shows it.
    #[error("the reading of another member")]
    NotItsAuthor,
    /// The seal is not over the reading.
    #[error("the seal is not over this reading")]
    NotSealed,
}

impl Opened {
    /// The seal.
    #[must_use]
    pub const fn seal(&self) -> &Verified<Seal> {
        &self.seal
    }

    /// The reading.
    #[must_use]
    pub const fn reading(&self) -> &Verified<Reading> {
        &self.reading
    }
}

impl Shown {
    /// A reading of one's own under its seal.
    #[must_use]
    pub fn new(seal: &Verified<Seal>, reading: &Verified<Reading>, secret: SealSecret) -> Self {
        Self { seal: seal.bytes().to_vec(), reading: reading.bytes().to_vec(), secret }
    }

    /// Opens what `by` shows; `admit` lets messages in, as of now or of the past.
    ///
    /// # Errors
    ///
    /// [`ShownRejected`].
    pub fn open(
        self,
        by: &ParticipantId,
        mut admit: impl FnMut(Vec<u8>) -> Result<Message, EntryRejected>,
    ) -> Result<Opened, ShownRejected> {
        let (Message::Seal(seal), Message::Reading(reading)) =
            (admit(self.seal)?, admit(self.reading)?)
        else {
            return Err(ShownRejected::WrongKind);
        };
        if seal.participant() != *by || reading.participant() != *by {
            return Err(ShownRejected::NotItsAuthor);
        }
        let is_over = seal.interval() == reading.interval()
            && *seal.body() == Seal::over(&reading, &self.secret);
        if is_over { Ok(Opened { seal, reading }) } else { Err(ShownRejected::NotSealed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Grid, INTERVAL, key, now, reading};

    #[test]
    fn a_seal_is_over_one_reading_under_one_secret_of_one_author() {
        let grid = Grid::sample();
        let first = reading(&grid.charter, INTERVAL);
        let other = Reading { sequence: first.sequence + 1, ..first };
        let [first, other] = [first, other].map(|it| grid.sign(2, &it));
        let (mine, theirs) = (key(1, 0), key(1, 1));
        let secret = Seal::secret(&first, &mine);
        assert_eq!(Seal::secret(&first, &mine), secret, "it can be made again");
        assert_ne!(Seal::secret(&other, &mine), secret);
        assert_ne!(Seal::secret(&first, &theirs), secret);
        let seal = Seal::over(&first, &secret);
        assert_ne!(Seal::over(&other, &secret), seal);
        assert_ne!(Seal::over(&first, &Seal::secret(&other, &mine)), seal);
    }

    #[test]
    fn neither_the_secret_nor_the_reading_stands_in_the_seal() {
        let grid = Grid::sample();
        let reading = grid.sign(2, &reading(&grid.charter, INTERVAL));
        let secret = Seal::secret(&reading, &key(1, 0));
        let sealed = grid.sign(2, &Seal::over(&reading, &secret));
        let holds = |part: &[u8]| sealed.bytes().windows(part.len()).any(|it| it == part);
        assert!(!holds(secret.as_bytes()) && !holds(reading.hash().as_bytes()));
        let register = reading.body().import_register_mwh.to_milliwatt_hours().to_be_bytes();
        assert!(!holds(&register));
    }

    #[test]
    fn what_is_shown_opens_only_with_its_own_seal_reading_secret_and_author() {
        let grid = Grid::sample();
        let first = reading(&grid.charter, INTERVAL);
        let other = Reading { sequence: first.sequence + 1, ..first };
        let [reading, other] = [first, other].map(|it| grid.sign(2, &it));
        let secret = Seal::secret(&reading, &key(1, 0));
        let seal = grid.sign(2, &Seal::over(&reading, &secret));
        let author = seal.participant();
        let mut gate = grid.gatekeeper();
        let mut open = |shown: Shown, by| {
            shown.open(&by, |bytes| gate.admit(bytes, now(&grid.charter))).map(drop)
        };
        let shown = Shown::new(&seal, &reading, secret);
        assert_eq!(open(shown.clone(), author), Ok(()));
        let another = Shown { reading: other.bytes().to_vec(), ..shown.clone() };
        assert_eq!(open(another, author), Err(ShownRejected::NotSealed));
        let guessed = Shown { secret: SealSecret::from_bytes([0; 32]), ..shown.clone() };
        assert_eq!(open(guessed, author), Err(ShownRejected::NotSealed));
        let stranger = grid.people[0].key.participant_id();
        assert_eq!(open(shown.clone(), stranger), Err(ShownRejected::NotItsAuthor));
        let swapped =
            Shown { seal: shown.reading.clone(), reading: shown.seal.clone(), ..shown.clone() };
        assert_eq!(open(swapped, author), Err(ShownRejected::WrongKind));
        let mut broken = shown;
        broken.seal[150] ^= 1;
        assert!(matches!(open(broken, author), Err(ShownRejected::Entry(_))));
    }

    #[test]
    fn a_secret_is_not_written_out_by_accident() {
        let secret = SealSecret::from_bytes([0xAB; 32]);
        assert!(!format!("{secret:?}").contains("abab"));
    }
}
