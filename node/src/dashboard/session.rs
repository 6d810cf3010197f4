//! Who is signed in at the dashboard: a cookie that only this node understands stands for the token
//! that was shown once.
//!
//! A session is worth what its token is at each request, so a token that is revoked or expires ends its
//! sessions at once. Sessions are in memory only: whoever was signed in shows the token again after the
//! node was started anew.

use std::sync::{Arc, Mutex, PoisonError};

use boltgrid_protocol::units::Timestamp;

use crate::access::secret::{Hash, Secret};

/// Sessions at once; the one that was idle longest makes room.
const SESSIONS_MAX: usize = 256;
/// A session that is idle for so long has ended: 90 days, for the tablet on the wall.
pub(super) const IDLE_MS: u64 = 90 * 86_400_000;

/// All sessions, at most [`SESSIONS_MAX`].
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions(Arc<Mutex<Vec<Session>>>);

#[derive(Clone, Copy, Debug)]
struct Session {
    /// Of the cookie's value.
    id: Hash,
    /// Of the token that was shown.
    shown: Hash,
    used_at: Timestamp,
}

impl Sessions {
    /// Begins a session for whoever showed what hashes to this; returns the cookie's value.
    pub(super) fn begin(&self, now: Timestamp, shown: Hash) -> Result<Secret, getrandom::Error> {
        let secret = Secret::random()?;
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().enumerate().min_by_key(|(_, it)| it.used_at);
            if let Some((place, _)) = oldest {
                sessions.swap_remove(place);
            }
        }
        sessions.push(Session { id: secret.hash(), shown, used_at: now });
        Ok(secret)
    }

    /// The hash of the token that a session stands for.
    pub(super) fn shown(&self, now: Timestamp, id: &Hash) -> Option<Hash> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|it| now.ms_since(it.used_at) < IDLE_MS);
        let session = sessions.iter_mut().find(|it| it.id.is(id))?;
        session.used_at = session.used_at.max(now);
        Some(session.shown)
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &Hash) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|it| !it.id.is(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_ms(1_000_000);

    #[test]
    fn a_session_stands_for_its_token_until_it_ends_or_is_idle_too_long() {
        let (sessions, token) = (Sessions::default(), Secret::random().unwrap().hash());
        let id = sessions.begin(NOON, token).unwrap().hash();
        let day_later = NOON.plus_ms(86_400_000);
        assert_eq!(sessions.shown(day_later, &id), Some(token));
        assert_eq!(sessions.shown(NOON, &token), None, "the token is no session");
        let other = sessions.begin(NOON, token).unwrap().hash();
        sessions.end(&other);
        assert_eq!(sessions.shown(NOON, &other), None);
        assert_eq!(sessions.shown(day_later.plus_ms(IDLE_MS), &id), None);
    }

    #[test]
    fn one_session_more_than_there_may_be_ends_the_one_that_was_idle_longest() {
        let (sessions, token) = (Sessions::default(), Secret::random().unwrap().hash());
        let ids: Vec<Hash> = (0..=SESSIONS_MAX)
            .map(|place| {
                let at = NOON.plus_ms(u64::try_from(place).unwrap());
                sessions.begin(at, token).unwrap().hash()
            })
            .collect();
        let later = NOON.plus_ms(1_000);
        assert_eq!(sessions.shown(later, &ids[0]), None);
        assert!(ids[1..].iter().all(|id| sessions.shown(later, id).is_some()));
    }
}
