//! Who may set the node up: the one browser whose user showed what the terminal says, once.
//!
//! Not for: signing in to a node that runs ([`crate::dashboard::session`]).

use std::sync::{Mutex, PoisonError};

use crate::access::secret::{Hash, Secret};

/// What opens the set-up, and what it opened it for.
#[derive(Debug)]
pub(super) struct Door(Mutex<Keys>);

#[derive(Debug)]
struct Keys {
    /// Of the token; none once it was shown.
    token: Option<Hash>,
    /// Of the cookie of the browser that showed it.
    session: Option<Hash>,
}

impl Door {
    /// A door that `token` opens once.
    pub(super) fn new(token: &Secret) -> Self {
        Self(Mutex::new(Keys { token: Some(token.hash()), session: None }))
    }

    /// Opens it for whoever shows the token, and says by which cookie it is known from now on.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random bytes.
    pub(super) fn open(&self, shown: &Secret) -> Result<Option<Secret>, getrandom::Error> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = shown.hash();
        if keys.token.is_none_or(|token| !token.is(&shown)) {
            return Ok(None);
        }
        let session = Secret::random()?;
        *keys = Keys { token: None, session: Some(session.hash()) };
        Ok(Some(session))
    }

    /// Whether this cookie is that of the browser it was opened for.
    pub(super) fn knows(&self, session: &Secret) -> bool {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = session.hash();
        keys.session.is_some_and(|it| it.is(&shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_it_once_and_for_one_browser_only() {
        let (token, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        let door = Door::new(&token);
        assert!(door.open(&other).unwrap().is_none());
        assert!(!door.knows(&token) && !door.knows(&other));
        let session = door.open(&token).unwrap().unwrap();
        assert!(door.knows(&session) && !door.knows(&token));
        assert!(door.open(&token).unwrap().is_none(), "once");
        assert!(door.knows(&session));
    }
}
