//! Why the node does what it does, in the language of whoever looks.
//!
//! What a device, an operating system or a rule's author says stays as it was said.
//! Not for: deciding anything; the reasons are those of the parts that decided.

use boltgrid_market::payments::Why;
use boltgrid_miners::flare::Because;
use boltgrid_miners::plan::Reason;

use super::words::{Words, fill};
use crate::site::{Failure, Stale};

/// Every reason of a machine's set point; times and numbers in them are not told.
const MACHINE_REASONS: [Reason; 16] = [
    Reason::Pays,
    Reason::Heats,
    Reason::TooDear,
    Reason::NothingLeft,
    Reason::RunsOn { until_unix_ms: 0 },
    Reason::Rests { until_unix_ms: 0 },
    Reason::StartsUsedUp,
    Reason::Waits,
    Reason::Limit,
    Reason::Emergency,
    Reason::GridSupport,
    Reason::TooHot,
    Reason::Rule { number: 0 },
    Reason::Owner { until_unix_ms: 0 },
    Reason::Unresponsive,
    Reason::OnlyLookedAt,
];

/// The reason of a machine's set point, from the words of the dispatcher, which keeps no more; what a
/// rule says stays.
pub(super) fn of_machine(said: &str, w: &'static Words) -> String {
    let known = MACHINE_REASONS.iter().find(|reason| reason.to_string() == said);
    known.map_or_else(|| said.to_owned(), |reason| machine(reason, w).to_owned())
}

const fn machine(reason: &Reason, w: &'static Words) -> &'static str {
    match reason {
        Reason::Pays => w.r_pays,
        Reason::Heats => w.r_heats,
        Reason::TooDear => w.r_too_dear,
        Reason::NothingLeft => w.r_nothing_left,
        Reason::RunsOn { .. } => w.r_runs_on,
        Reason::Rests { .. } => w.r_rests,
        Reason::StartsUsedUp => w.r_starts_used_up,
        Reason::Waits => w.r_waits,
        Reason::Limit => w.r_limit,
        Reason::Emergency => w.r_emergency,
        Reason::GridSupport => w.r_grid_support,
        Reason::TooHot => w.r_too_hot,
        Reason::Rule { .. } => w.r_rule,
        Reason::Owner { .. } => w.r_owner,
        Reason::Unresponsive => w.r_unresponsive,
        Reason::OnlyLookedAt => w.r_only_looked_at,
    }
}

/// Every reason why a generator gives no more.
const GENERATOR_REASONS: [Because; 9] = [
    Because::AllGas,
    Because::Rated,
    Because::NoDemand,
    Because::BelowLeast,
    Because::WarmsUp,
    Because::Rests,
    Because::GasUnknown,
    Because::Silent,
    Because::RunsOn,
];

/// Why a generator gives no more, from the words of the dispatcher.
pub(super) fn of_generator(said: &str, w: &'static Words) -> String {
    let known = GENERATOR_REASONS.iter().find(|because| because.to_string() == said);
    known.map_or_else(|| said.to_owned(), |because| generator(*because, w).to_owned())
}

const fn generator(because: Because, w: &'static Words) -> &'static str {
    match because {
        Because::AllGas => w.r_all_gas,
        Because::Rated => w.r_rated,
        Because::NoDemand => w.r_no_demand,
        Because::BelowLeast => w.r_below_least,
        Because::WarmsUp => w.r_warms_up,
        Because::Rests => w.r_generator_rests,
        Because::GasUnknown => w.r_gas_unknown,
        Because::Silent => w.r_silent,
        Because::RunsOn => w.r_generator_runs_on,
    }
}

/// Why a meter shows nothing that can be relied on.
pub(super) fn of_stale(stale: &Stale, w: &'static Words) -> String {
    let device = ("device", &*stale.device);
    match &stale.failure {
        Failure::NoPower => fill(w.r_no_power, &[device]),
        Failure::Part(part) => fill(w.r_part, &[device, ("part", part)]),
        Failure::Late => fill(w.r_late, &[device]),
        Failure::Panicked => fill(w.r_panicked, &[device]),
        Failure::Implausible(finding) => {
            fill(w.r_implausible, &[device, ("finding", &finding.to_string())])
        }
        Failure::Device(_) | Failure::Registers(_) => stale.to_string(),
    }
}

/// What a dispute is about.
pub(super) fn of_dispute(why: Why, w: &'static Words) -> String {
    match why {
        Why::NotPaid => w.r_not_paid.to_owned(),
        Why::CouldNotPay => w.r_could_not_pay.to_owned(),
        Why::NotInvoiced => w.r_not_invoiced.to_owned(),
        Why::Refused(refusal) => fill(w.r_refused, &[("why", &refusal.to_string())]),
        Why::WrongInvoice(refusal) => fill(w.r_wrong_invoice, &[("why", &refusal.to_string())]),
        Why::WrongPayment { received_msat } => {
            fill(w.r_wrong_payment, &[("msat", &received_msat.to_string())])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::words::Language;

    #[test]
    fn every_reason_of_a_machine_has_words_of_its_own_in_both_languages() {
        let (english, german) = (Language::English.words(), Language::German.words());
        let mut seen = Vec::new();
        for reason in MACHINE_REASONS {
            let said = reason.to_string();
            assert_eq!(of_machine(&said, english), said, "the page says what the node says");
            let translated = of_machine(&said, german);
            assert!(translated != said && !seen.contains(&translated), "{said}");
            seen.push(translated);
        }
        assert_eq!(of_machine("cold in the cellar", german), "cold in the cellar");
    }

    #[test]
    fn every_reason_of_a_generator_has_words_of_its_own_in_both_languages() {
        let (english, german) = (Language::English.words(), Language::German.words());
        let mut seen = Vec::new();
        for because in GENERATOR_REASONS {
            let said = because.to_string();
            assert_eq!(of_generator(&said, english), said, "the page says what the node says");
            let translated = of_generator(&said, german);
            assert!(translated != said && !seen.contains(&translated), "{said}");
            seen.push(translated);
        }
    }

    #[test]
    fn what_a_dispute_is_about_is_said_in_both_languages() {
        for why in [Why::NotPaid, Why::CouldNotPay, Why::NotInvoiced] {
            assert_eq!(of_dispute(why, Language::English.words()), why.to_string());
            assert_ne!(of_dispute(why, Language::German.words()), why.to_string());
        }
        let odd = of_dispute(Why::WrongPayment { received_msat: 7 }, Language::German.words());
        assert!(odd.contains("7 msat"), "{odd}");
    }
}
