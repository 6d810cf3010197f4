//! Enrolment: the registrars' certificate that makes a key a member of the grid.
//!
//! It binds participant, meter, connection point, ratings and the right to vote, and it is what stops
//! Sybils; nothing else does. Not for: the list of members at one time, which is [`crate::roster`].

use serde::{Deserialize, Serialize};

use crate::charter::{Charter, NAME_MAX, is_name};
use crate::codec::{self, CodecRejected};
use crate::id::{GridId, MeterKey, ParticipantId};
use crate::signing::{Keypair, PublicKey, Signature};
use crate::units::{Interval, Power};

/// Most bytes of one certified enrolment.
pub const CERTIFIED_ENROLMENT_MAX: usize = 8 * 1024;
/// Longest name of a connection point, in bytes.
pub const CONNECTION_POINT_MAX: usize = NAME_MAX;
/// Most power a connection point may be rated for: a gigawatt.
const RATED_MAX: Power = Power::from_milliwatts(1_000_000_000_000);

/// What registrars certify about one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The grid.
    pub grid: GridId,
    /// The member.
    pub participant: ParticipantId,
    /// The key that signs the member's readings.
    pub meter: MeterKey,
    /// Where the member is connected; 1 to [`CONNECTION_POINT_MAX`] bytes.
    pub connection_point: String,
    /// Beyond the grid connection: trades with the others cross it and are capped by it.
    pub outside: bool,
    /// Most power the connection point may take, positive.
    pub rated_import_mw: Power,
    /// Most power the connection point may give, as a positive amount.
    pub rated_export_mw: Power,
    /// Whether the member acks, proposes and votes.
    pub votes: bool,
    /// First interval of membership.
    pub valid_from: Interval,
    /// First interval after membership.
    pub valid_until: Interval,
}

/// One registrar's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrarSignature {
    /// Who signed.
    pub registrar: ParticipantId,
    signature: Signature,
}

/// An enrolment with signatures that are yet to be checked against a charter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertifiedEnrolment {
    /// What is certified.
    pub enrolment: Enrolment,
    /// By whom, in the order of signing.
    pub signatures: Vec<RegistrarSignature>,
}

/// Why an enrolment makes nobody a member (P7).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentRejected {
    /// Not an encoded enrolment.
    #[error("not an encoded enrolment: {0}")]
    Codec(#[from] CodecRejected),
    /// For another grid.
    #[error("the enrolment is for grid {0}, not for this one")]
    WrongGrid(GridId),
    /// A field is out of its range.
    #[error("the enrolment's {0}")]
    Field(&'static str),
    /// A key that cannot verify anything.
    #[error("the participant's or meter's key is not usable")]
    BadKey,
    /// Signed by somebody who is not a registrar, or twice by one.
    #[error("{0} is not a registrar of this grid, or signed twice")]
    NotARegistrar(ParticipantId),
    /// A signature that does not verify.
    #[error("the signature of registrar {0} does not verify")]
    BadSignature(ParticipantId),
    /// Too few signatures.
    #[error("{have} registrars signed, the charter asks for {need}")]
    TooFewSignatures {
        /// Valid signatures.
        have: usize,
        /// The charter's threshold.
        need: u32,
    },
}

impl Enrolment {
    /// The hash that registrars sign, and that stands for the member in the roster's hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        blake3::derive_key("boltgrid 1 enrolment", &codec::canonical(self))
    }

    /// Whether it is valid in `interval`.
    #[must_use]
    pub fn holds_in(&self, interval: Interval) -> bool {
        (self.valid_from..self.valid_until).contains(&interval)
    }

    fn check(&self, charter: &Charter) -> Result<(), EnrolmentRejected> {
        let field = |holds, problem| {
            if holds { Ok(()) } else { Err(EnrolmentRejected::Field(problem)) }
        };
        if self.grid != charter.grid_id() {
            return Err(EnrolmentRejected::WrongGrid(self.grid));
        }
        field(
            is_name(&self.connection_point),
            "connection_point must have 1 to 64 bytes and no control characters",
        )?;
        let rated = |power: Power| (Power::ZERO..=RATED_MAX).contains(&power);
        field(rated(self.rated_import_mw), "rated_import_mw must be 0 to 1 GW")?;
        field(rated(self.rated_export_mw), "rated_export_mw must be 0 to 1 GW")?;
        field(self.valid_from < self.valid_until, "valid_until must be after valid_from")?;
        let is_idle = !self.votes && self.rated_import_mw.max(self.rated_export_mw) == Power::ZERO;
        field(
            is_idle || charter.feeder_metered_at(&self.connection_point).is_none(),
            "connection_point is a feeder, whose meter has no vote and trades nothing: votes must be \
             false, rated_import_mw and rated_export_mw zero",
        )?;
        PublicKey::of_participant(&self.participant).map_err(|_| EnrolmentRejected::BadKey)?;
        PublicKey::of_meter(&self.meter).map_err(|_| EnrolmentRejected::BadKey)?;
        Ok(())
    }
}

impl CertifiedEnrolment {
    /// An enrolment that nobody has signed yet.
    #[must_use]
    pub const fn request(enrolment: Enrolment) -> Self {
        Self { enrolment, signatures: Vec::new() }
    }

    /// Adds a registrar's signature, in place of an earlier one of the same registrar.
    pub fn sign(&mut self, registrar: &Keypair) {
        let id = registrar.participant_id();
        self.signatures.retain(|earlier| earlier.registrar != id);
        let signature = registrar.sign(&self.enrolment.hash());
        self.signatures.push(RegistrarSignature { registrar: id, signature });
    }

    /// The bytes of the file that a registrar hands out.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::canonical(self)
    }

    /// Reads a certified enrolment; its signatures are checked by [`Self::verify`].
    ///
    /// # Errors
    ///
    /// [`CodecRejected`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecRejected> {
        codec::decode(bytes, CERTIFIED_ENROLMENT_MAX)
    }

    /// Checks fields and signatures against the charter.
    ///
    /// # Errors
    ///
    /// [`EnrolmentRejected`], saying which rule it breaks.
    pub fn verify(&self, charter: &Charter) -> Result<&Enrolment, EnrolmentRejected> {
        self.enrolment.check(charter)?;
        let hash = self.enrolment.hash();
        let mut signed = Vec::with_capacity(self.signatures.len());
        for RegistrarSignature { registrar, signature } in &self.signatures {
            let known = charter.membership.registrars.binary_search(registrar).is_ok();
            if !known || signed.contains(registrar) {
                return Err(EnrolmentRejected::NotARegistrar(*registrar));
            }
            PublicKey::of_participant(registrar)
                .and_then(|key| key.verify(&hash, signature))
                .map_err(|_| EnrolmentRejected::BadSignature(*registrar))?;
            signed.push(*registrar);
        }
        let (have, need) = (signed.len(), charter.membership.registrar_threshold);
        if usize::try_from(need).is_ok_and(|need| have >= need) {
            Ok(&self.enrolment)
        } else {
            Err(EnrolmentRejected::TooFewSignatures { have, need })
        }
    }
}

#[cfg(test)]
mod tests;
