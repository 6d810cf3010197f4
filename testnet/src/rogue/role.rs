//! The parts that a rogue can play, and their names in files and reports.

use std::fmt;
use std::str::FromStr;

/// What a rogue does with the key it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Says one thing to one half and another to the other: orders, acks and readings.
    Equivocator,
    /// Hands its order to one half only, around the gate, and to nobody who asks.
    LatePartial,
    /// Acks what suits it instead of what it holds, and hands its ack to one half only.
    SelectiveAcker,
    /// Votes for every book and for none in every view and stage, each half hearing something else.
    DoubleVoter,
    /// Proposes different books to both halves, and proposes again what nobody prevoted.
    EquivocatingLeader,
    /// Proposes nothing, to a few only, or a book that nobody can complete.
    WithholdingLeader,
    /// Says again what it heard, later and under other intervals, grids, rosters and authors.
    Replayer,
    /// Says as much as its key allows, and nonsense beside it.
    Spammer,
    /// Its registers run backwards, jump, or show export that never was.
    LyingMeter,
    /// Orders and trades, and signs no trade.
    NeverConfirms,
    /// Orders and confirms, and its meter shows that nothing flows.
    NeverDelivers,
    /// Trades and delivers, and asks to be paid what it is not owed.
    FalsePayee,
    /// Trades and takes, and pays nothing whatever it says.
    FalsePayer,
    /// Trades nothing, listens to everything, and asks everybody for their readings.
    Eavesdropper,
}

/// A word that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no rogue `{word}`: take one of {}", Role::ALL.map(Role::word).join(", "))]
pub struct NotARole {
    word: String,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 14] = [
        Self::Equivocator,
        Self::LatePartial,
        Self::SelectiveAcker,
        Self::DoubleVoter,
        Self::EquivocatingLeader,
        Self::WithholdingLeader,
        Self::Replayer,
        Self::Spammer,
        Self::LyingMeter,
        Self::NeverConfirms,
        Self::NeverDelivers,
        Self::FalsePayee,
        Self::FalsePayer,
        Self::Eavesdropper,
    ];

    /// The roles that can be told from a member's where nobody pays, and by what they say.
    #[must_use]
    pub fn without_money() -> Vec<Self> {
        let roles = Self::ALL.into_iter();
        let silent =
            |role: &Self| matches!(role, Self::FalsePayee | Self::FalsePayer | Self::Eavesdropper);
        roles.filter(|role| !silent(role)).collect()
    }

    /// Its word in faults files and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Equivocator => "equivocator",
            Self::LatePartial => "late_partial",
            Self::SelectiveAcker => "selective_acker",
            Self::DoubleVoter => "double_voter",
            Self::EquivocatingLeader => "equivocating_leader",
            Self::WithholdingLeader => "withholding_leader",
            Self::Replayer => "replayer",
            Self::Spammer => "spammer",
            Self::LyingMeter => "lying_meter",
            Self::NeverConfirms => "never_confirms",
            Self::NeverDelivers => "never_delivers",
            Self::FalsePayee => "false_payee",
            Self::FalsePayer => "false_payer",
            Self::Eavesdropper => "eavesdropper",
        }
    }

    /// Whether its signed readings, and what follows from them, are other than its meter shows.
    #[must_use]
    pub const fn misreports_its_meter(self) -> bool {
        match self {
            Self::LyingMeter | Self::NeverDelivers => true,
            Self::Equivocator
            | Self::LatePartial
            | Self::SelectiveAcker
            | Self::DoubleVoter
            | Self::EquivocatingLeader
            | Self::WithholdingLeader
            | Self::Replayer
            | Self::Spammer
            | Self::NeverConfirms
            | Self::FalsePayee
            | Self::FalsePayer
            | Self::Eavesdropper => false,
        }
    }

    /// Whether it signs what convicts it (P20), so that honest members are expected to bar it.
    #[must_use]
    pub const fn convicts_itself(self) -> bool {
        match self {
            Self::Equivocator | Self::DoubleVoter | Self::EquivocatingLeader | Self::Spammer => {
                true
            }
            Self::LatePartial
            | Self::SelectiveAcker
            | Self::WithholdingLeader
            | Self::Replayer
            | Self::LyingMeter
            | Self::NeverConfirms
            | Self::NeverDelivers
            | Self::FalsePayee
            | Self::FalsePayer
            | Self::Eavesdropper => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(word: &str) -> Result<Self, NotARole> {
        let role = Self::ALL.into_iter().find(|role| role.word() == word);
        role.ok_or_else(|| NotARole { word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_survive_their_words() {
        for role in Role::ALL {
            assert_eq!(role.word().parse(), Ok(role));
        }
    }

    #[test]
    fn a_word_that_is_no_role_is_answered_with_those_that_are() {
        let error = "saint".parse::<Role>().unwrap_err().to_string();
        assert!(error.contains("saint") && error.contains("double_voter"), "{error}");
    }
}
