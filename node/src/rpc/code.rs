//! The codes by which a program tells why a call was refused. A code, once given, keeps its meaning;
//! the message beside it is for people and may change.
//! Not for: codes that JSON-RPC itself defines, but for invalid parameters.

use jsonrpsee::types::ErrorObjectOwned;

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A parameter is missing, is not of its kind, or is out of range.
    BadParameter,
    /// The archive cannot be read; the cause is in the node's log.
    Archive,
    /// The caller's role does not allow it.
    NotAllowed,
    /// The caller asks more often than it may.
    TooOften,
    /// There is no such thing.
    NotFound,
    /// The node, or somebody else, refused to do it; nothing has changed.
    NotDone,
    /// The node is busy or about to stop; the same call may work later.
    Busy,
    /// This node runs without Lightning.
    NoLightning,
    /// The subscriber takes news more slowly than they come; the subscription is over.
    TooSlow,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 9] = [
        Self::BadParameter,
        Self::Archive,
        Self::NotAllowed,
        Self::TooOften,
        Self::NotFound,
        Self::NotDone,
        Self::Busy,
        Self::NoLightning,
        Self::TooSlow,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::BadParameter => -32602,
            Self::Archive => -32001,
            Self::NotAllowed => -32003,
            Self::TooOften => -32004,
            Self::NotFound => -32005,
            Self::NotDone => -32006,
            Self::Busy => -32007,
            Self::NoLightning => -32008,
            Self::TooSlow => -32009,
        }
    }

    /// What it means, whatever the method.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::BadParameter => "a parameter is missing, not of its kind, or out of range",
            Self::Archive => "the archive cannot be read; the cause is in the node's log",
            Self::NotAllowed => "the caller's role does not allow this",
            Self::TooOften => "the caller asks more often than it may; the same call works later",
            Self::NotFound => "there is no such thing",
            Self::NotDone => "it was refused, and nothing has changed; the message says why",
            Self::Busy => "the node is busy or about to stop; the same call may work later",
            Self::NoLightning => "this node runs without Lightning",
            Self::TooSlow => {
                "the subscriber takes news more slowly than they come; the subscription is over"
            }
        }
    }

    /// A refusal in words.
    pub(crate) fn because(self, message: impl Into<String>) -> ErrorObjectOwned {
        ErrorObjectOwned::owned(self.number(), message, None::<()>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_reasons_have_the_same_code() {
        for (place, code) in Code::ALL.into_iter().enumerate() {
            let others = Code::ALL.into_iter().skip(place + 1);
            assert!(others.into_iter().all(|it| it.number() != code.number()), "{code:?}");
        }
    }
}
