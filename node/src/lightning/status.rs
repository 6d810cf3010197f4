//! How Lightning is: balances, channels and the chain, as last seen.

use boltgrid_protocol::lightning::LightningId;
use boltgrid_protocol::units::Msat;

use super::channel::{Channel, ChannelState};

/// Where the node's money is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// In the on-chain wallet, all of it.
    pub onchain_sat: u64,
    /// In the on-chain wallet and free to be spent.
    pub spendable_sat: u64,
    /// In the on-chain wallet, kept so that channels can be closed by force at any fee.
    pub reserve_sat: u64,
    /// Ours in open channels and in channels being closed.
    pub channels_sat: u64,
    /// On its way from closed channels into the on-chain wallet.
    pub closing_sat: u64,
}

/// How Lightning is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LightningStatus {
    /// Whether the wallet has caught up with the chain since the start, and when it last did.
    pub synced_at_unix_s: Option<u64>,
    /// The latest block that is known.
    pub height: u32,
    /// Where the money is.
    pub balances: Balances,
    /// All channels that are open or being opened.
    pub channels: Vec<Channel>,
    /// Nodes connected.
    pub peers: usize,
}

impl LightningStatus {
    /// All that is the node's: in the wallet, in channels, and on its way from one to the other. None
    /// before the wallet has seen the chain, which knows nothing then.
    #[must_use]
    pub fn held_sat(&self) -> Option<u64> {
        self.synced_at_unix_s?;
        let Balances { onchain_sat, channels_sat, closing_sat, .. } = self.balances;
        Some(onchain_sat.saturating_add(channels_sat).saturating_add(closing_sat))
    }

    /// What can be sent and what can be received through usable channels now, in sum.
    #[must_use]
    pub fn room(&self) -> (Msat, Msat) {
        let usable = self.channels.iter().filter(|it| it.state == ChannelState::Usable);
        let add = |sum: Msat, more: Msat| sum.checked_add(more).unwrap_or(Msat::MAX);
        usable.fold((Msat::ZERO, Msat::ZERO), |(send, receive), it| {
            (add(send, it.sendable), add(receive, it.receivable))
        })
    }

    /// With whom a channel can be used now, each once.
    #[must_use]
    pub fn partners(&self) -> Vec<LightningId> {
        let usable = self.channels.iter().filter(|it| it.state == ChannelState::Usable);
        let mut partners: Vec<_> = usable.map(|it| it.counterparty).collect();
        partners.sort_unstable();
        partners.dedup();
        partners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wallet_holds_is_known_only_once_it_has_seen_the_chain() {
        let balances =
            Balances { onchain_sat: 5, channels_sat: 70, closing_sat: 900, ..Balances::default() };
        let unseen = LightningStatus { balances, ..LightningStatus::default() };
        assert_eq!(unseen.held_sat(), None);
        let seen = LightningStatus { synced_at_unix_s: Some(1), ..unseen };
        assert_eq!(seen.held_sat(), Some(975));
    }
}
