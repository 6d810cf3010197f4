//! Channels as the rest of the node sees them. All are private: none is ever announced.

use std::fmt;
use std::str::FromStr;

use boltgrid_protocol::lightning::LightningId;
use boltgrid_protocol::units::Msat;

/// A channel's name on this node, chosen by chance when it is opened or accepted; the other side
/// knows it by another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId {
    number: u128,
}

/// Text that is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a channel is 32 hexadecimal digits, as `boltgrid channel list` shows it")]
pub struct NotAChannelId;

impl ChannelId {
    /// The channel with this number.
    #[must_use]
    pub const fn from_number(number: u128) -> Self {
        Self { number }
    }

    /// Its number.
    #[must_use]
    pub const fn to_number(self) -> u128 {
        self.number
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.number)
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({self})")
    }
}

impl FromStr for ChannelId {
    type Err = NotAChannelId;

    fn from_str(text: &str) -> Result<Self, NotAChannelId> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Self::from_number).ok_or(NotAChannelId)
    }
}

/// A channel to be opened by us, paid for by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTerms {
    /// With whom.
    pub counterparty: LightningId,
    /// Where it listens, as host:port.
    pub address: String,
    /// What goes into it.
    pub size_sat: u64,
    /// How much of it is given to the other side at once, so that it can pay us.
    pub push: Msat,
}

/// How far a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelState {
    /// Its funding is not confirmed deeply enough yet.
    Pending,
    /// It could be used, but the other side is not connected.
    Offline,
    /// It can be used.
    Usable,
}

/// One open channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name on this node.
    pub id: ChannelId,
    /// With whom.
    pub counterparty: LightningId,
    /// The funding transaction's output, as txid:number, once there is one.
    pub funding: Option<String>,
    /// How far it is.
    pub state: ChannelState,
    /// Whether we opened it.
    pub is_outbound: bool,
    /// What is in it.
    pub size_sat: u64,
    /// What we can send through it now.
    pub sendable: Msat,
    /// What we can receive through it now.
    pub receivable: Msat,
    /// The largest single payment that we can send through it now.
    pub sendable_at_once: Msat,
    /// What of ours must stay in it.
    pub reserve_sat: u64,
    /// Confirmations of its funding.
    pub confirmations: u32,
    /// Blocks that we wait for our money after closing it without the other side; none until it has
    /// said so.
    pub close_delay_blocks: Option<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channels_name_survives_its_text_form() {
        for number in [0, 7, u128::MAX] {
            let id = ChannelId::from_number(number);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "7", "+0000000000000000000000000000007", &"0".repeat(33)] {
            assert_eq!(text.parse::<ChannelId>(), Err(NotAChannelId), "{text}");
        }
    }
}
