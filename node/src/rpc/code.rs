//! The codes by which a program tells why a call was refused. A code, once given, keeps its meaning;
//! the message beside it is for people and may change.
//!
//! The library that carries calls has codes of its own, for what it refuses before a method is asked. Those that
//! callers meet stand here too, by the library's numbers; this node's own stay clear of all that it has.
//! Not for: codes that JSON-RPC itself defines, but for invalid parameters.

use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error as carrier;

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
    /// The WebSocket has as many subscriptions as it may.
    TooManySubscriptions,
    /// The request has more bytes than it may.
    RequestTooLong,
    /// The answer would have more bytes than it may.
    AnswerTooLong,
    /// The batch has more calls than it may.
    BatchTooLong,
    /// The answers of a batch would have more bytes than they may.
    BatchAnswerTooLong,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 14] = [
        Self::BadParameter,
        Self::Archive,
        Self::NotAllowed,
        Self::TooOften,
        Self::NotFound,
        Self::NotDone,
        Self::Busy,
        Self::NoLightning,
        Self::TooSlow,
        Self::TooManySubscriptions,
        Self::RequestTooLong,
        Self::AnswerTooLong,
        Self::BatchTooLong,
        Self::BatchAnswerTooLong,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::BadParameter => -32602,
            Self::NotAllowed => -32003,
            Self::TooOften => -32004,
            Self::Archive => -32021,
            Self::NotFound => -32025,
            Self::NotDone => -32026,
            Self::Busy => -32027,
            Self::NoLightning => -32028,
            Self::TooSlow => -32029,
            Self::TooManySubscriptions => carrier::TOO_MANY_SUBSCRIPTIONS_CODE,
            Self::RequestTooLong => carrier::OVERSIZED_REQUEST_CODE,
            Self::AnswerTooLong => carrier::OVERSIZED_RESPONSE_CODE,
            Self::BatchTooLong => carrier::TOO_BIG_BATCH_REQUEST_CODE,
            Self::BatchAnswerTooLong => carrier::TOO_BIG_BATCH_RESPONSE_CODE,
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
            Self::TooManySubscriptions => {
                "the WebSocket has as many subscriptions as it may; end one, or open another"
            }
            Self::RequestTooLong => "the request has more bytes than it may",
            Self::AnswerTooLong => "the answer has more bytes than it may; ask for less at once",
            Self::BatchTooLong => "the batch has more calls than it may",
            Self::BatchAnswerTooLong => "the answers of the batch have more bytes than they may",
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

    /// Whatever the library ever refuses by, used here or not.
    const CARRIER: [i32; 9] = [
        carrier::CALL_EXECUTION_FAILED_CODE,
        carrier::UNKNOWN_ERROR_CODE,
        carrier::BATCHES_NOT_SUPPORTED_CODE,
        carrier::TOO_MANY_SUBSCRIPTIONS_CODE,
        carrier::OVERSIZED_REQUEST_CODE,
        carrier::OVERSIZED_RESPONSE_CODE,
        carrier::SERVER_IS_BUSY_CODE,
        carrier::TOO_BIG_BATCH_REQUEST_CODE,
        carrier::TOO_BIG_BATCH_RESPONSE_CODE,
    ];

    #[test]
    fn a_code_of_the_library_means_what_the_library_means_by_it_and_nothing_of_ours() {
        for code in Code::ALL {
            let is_librarys = match code {
                Code::TooManySubscriptions
                | Code::RequestTooLong
                | Code::AnswerTooLong
                | Code::BatchTooLong
                | Code::BatchAnswerTooLong => true,
                Code::BadParameter
                | Code::Archive
                | Code::NotAllowed
                | Code::TooOften
                | Code::NotFound
                | Code::NotDone
                | Code::Busy
                | Code::NoLightning
                | Code::TooSlow => false,
            };
            assert_eq!(CARRIER.contains(&code.number()), is_librarys, "{code:?}");
        }
    }

    /// What `docs/rpc.md` says of codes, as (number, meaning).
    fn documented() -> Vec<(i32, String)> {
        let page = include_str!("../../../docs/rpc.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| -32"));
        let cells = rows.filter_map(|row| row.strip_suffix(" |")?.split_once(" | "));
        cells.map(|(end, said)| (format!("-32{end}").parse().unwrap(), said.to_owned())).collect()
    }

    #[test]
    fn the_page_about_json_rpc_says_of_each_code_what_it_means() {
        let documented = documented();
        for code in Code::ALL {
            let said = documented.iter().find(|(number, _)| *number == code.number());
            assert!(said.is_some_and(|it| it.1.starts_with(code.meaning())), "{code:?}: {said:?}");
        }
        // And that of JSON-RPC itself for a method that there is not.
        assert_eq!(documented.len(), Code::ALL.len() + 1, "{documented:?}");
    }
}
