//! One key, two names: a participant is a libp2p peer, and the peer id of an ed25519 key holds it.
//! Not for: who is a member; that is the roster's word.

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::signing::Keypair;
use libp2p::PeerId;
use libp2p::identity::{self, PublicKey, ed25519};
use libp2p::multihash::Multihash;

/// The multihash code of a digest that is the key itself.
const IDENTITY_CODE: u64 = 0;

/// The libp2p identity of a participant's key.
///
/// # Panics
///
/// Never: every 32 bytes are an ed25519 seed.
#[must_use]
pub fn identity_of(key: &Keypair) -> identity::Keypair {
    let mut seed = key.to_seed();
    let secret = ed25519::SecretKey::try_from_bytes(seed.as_mut_slice())
        .expect("every 32 bytes are an ed25519 seed");
    ed25519::Keypair::from(secret).into()
}

/// The peer id of a participant, or `None` if it is no ed25519 key.
#[must_use]
pub fn peer_of(participant: &ParticipantId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(participant.as_bytes()).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The participant behind a peer id, or `None` if the peer's key is of another kind.
#[must_use]
pub fn participant_of(peer: &PeerId) -> Option<ParticipantId> {
    let hash: &Multihash<64> = peer.as_ref();
    if hash.code() != IDENTITY_CODE {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).ok()?;
    Some(ParticipantId::from_bytes(key.try_into_ed25519().ok()?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_participant_and_its_peer_id_name_each_other() {
        let key = Keypair::from_seed(&[7; 32]);
        let peer = identity_of(&key).public().to_peer_id();
        assert_eq!(participant_of(&peer), Some(key.participant_id()));
        assert_eq!(peer_of(&key.participant_id()), Some(peer));
    }

    #[test]
    fn a_peer_id_without_an_ed25519_key_is_nobody() {
        let hash = Multihash::wrap(0x12, &[7; 32]).unwrap();
        assert_eq!(participant_of(&PeerId::from_multihash(hash).unwrap()), None);
        let not_a_key = Multihash::wrap(IDENTITY_CODE, &[7; 32]).unwrap();
        assert_eq!(participant_of(&PeerId::from_multihash(not_a_key).unwrap()), None);
    }
}
