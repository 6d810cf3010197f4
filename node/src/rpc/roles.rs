//! Which method is for whom: the one table of all methods and the least role that each needs.
//! Not for: what a method does.

use crate::access::Role;

/// Every method by name with the least role that may call it. A node compares it with what it serves
/// when it starts, and no caller reaches a method that is not here.
pub(super) const METHODS: [(&str, Role); 80] = [
    ("alert.list", Role::Read),
    ("alert.subscribe_alerts", Role::Read),
    ("alert.test", Role::Admin),
    ("alert.unsubscribe_alerts", Role::Read),
    ("channel.close", Role::Admin),
    ("channel.force_close", Role::Admin),
    ("channel.history", Role::Read),
    ("channel.list", Role::Read),
    ("channel.open", Role::Admin),
    ("channel.plan", Role::Read),
    ("channel.splice_in", Role::Admin),
    ("channel.splice_out", Role::Admin),
    ("dispatch.history", Role::Read),
    ("dispatch.list", Role::Read),
    ("dispatch.override", Role::Admin),
    ("dispatch.shed", Role::Admin),
    ("dispatch.subscribe_decisions", Role::Read),
    ("dispatch.unsubscribe_decisions", Role::Read),
    ("dispatch.warm", Role::Admin),
    ("dispute.list", Role::Read),
    ("escrow.accept", Role::Admin),
    ("escrow.decline", Role::Admin),
    ("escrow.list", Role::Read),
    ("escrow.propose", Role::Admin),
    ("escrow.release", Role::Admin),
    ("forward.list", Role::Read),
    ("gas.account", Role::Read),
    ("grid.charter", Role::Read),
    ("grid.members", Role::Read),
    ("grid.topology", Role::Read),
    ("market.book", Role::Read),
    ("market.instruct", Role::Trade),
    ("market.instructions", Role::Read),
    ("market.interval", Role::Read),
    ("market.orders", Role::Read),
    ("market.place_order", Role::Trade),
    ("market.prices", Role::Read),
    ("market.subscribe_prices", Role::Read),
    ("market.subscribe_trades", Role::Read),
    ("market.trades", Role::Read),
    ("market.unsubscribe_prices", Role::Read),
    ("market.unsubscribe_trades", Role::Read),
    ("market.withdraw_order", Role::Trade),
    ("meter.anomalies", Role::Read),
    ("meter.balance", Role::Read),
    ("meter.corrections", Role::Read),
    ("meter.flows", Role::Read),
    ("meter.history", Role::Read),
    ("meter.list", Role::Read),
    ("meter.open", Role::Admin),
    ("meter.openings", Role::Admin),
    ("meter.quality", Role::Read),
    ("meter.subscribe_readings", Role::Read),
    ("meter.unsubscribe_readings", Role::Read),
    ("node.log", Role::Read),
    ("node.set_log", Role::Admin),
    ("node.status", Role::Read),
    ("offer.accept", Role::Trade),
    ("offer.list", Role::Read),
    ("offer.publish", Role::Trade),
    ("offer.withdraw", Role::Trade),
    ("payment.accounts", Role::Read),
    ("payment.by_hand", Role::Read),
    ("payment.forgive", Role::Admin),
    ("payment.invoice", Role::Admin),
    ("payment.list", Role::Read),
    ("payment.look_up", Role::Read),
    ("payment.pay", Role::Admin),
    ("payment.subscribe_payments", Role::Read),
    ("payment.unsubscribe_payments", Role::Read),
    ("peer.list", Role::Read),
    ("rpc.discover", Role::Read),
    ("settlement.due", Role::Read),
    ("settlement.list", Role::Read),
    ("settlement.summary", Role::Read),
    ("wallet.address", Role::Admin),
    ("wallet.balances", Role::Read),
    ("wallet.history", Role::Read),
    ("wallet.send", Role::Admin),
    ("wallet.transactions", Role::Read),
];

/// The least role that may call a method; none for a method that there is not.
pub(super) fn needed(method: &str) -> Option<Role> {
    let at = METHODS.binary_search_by(|(name, _)| name.cmp(&method)).ok()?;
    METHODS.get(at).map(|(_, role)| *role)
}

/// Whether these are the methods of the table, each once.
pub(super) fn are_all<'a>(served: impl Iterator<Item = &'a str>) -> bool {
    let mut served: Vec<&str> = served.collect();
    served.sort_unstable();
    served.iter().copied().eq(METHODS.iter().map(|(name, _)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_so_that_every_method_is_found() {
        assert!(METHODS.is_sorted_by(|a, b| a.0 < b.0));
        for (name, role) in METHODS {
            assert_eq!(needed(name), Some(role), "{name}");
        }
        assert_eq!(needed("wallet.steal"), None);
    }

    #[test]
    fn what_a_trader_may_beyond_a_reader_is_what_the_page_says_and_no_more() {
        let page = include_str!("../../../docs/rpc.md");
        let row = page.lines().find(|it| it.starts_with("| `trade` |")).expect("it is there");
        // After the role's own name, every other part stands between backticks.
        let mut told: Vec<&str> = row.split('`').skip(3).step_by(2).collect();
        told.sort_unstable();
        let traders = METHODS.iter().filter(|it| it.1 == Role::Trade).map(|it| it.0);
        assert_eq!(told, traders.collect::<Vec<_>>());
        for name in [
            "wallet.send",
            "payment.pay",
            "channel.open",
            "payment.forgive",
            "node.set_log",
            "meter.open",
        ] {
            assert_eq!(needed(name), Some(Role::Admin), "{name}");
        }
    }
}
