//! A reading: what one meter's registers showed at one instant, chained to the reading before.
//! Not for: how registers are read from a device (`metering`), or what follows from them (`market`).

use serde::{Deserialize, Serialize};

use crate::id::MessageHash;
use crate::units::{Energy, Power, Timestamp};

/// What one meter showed at one instant. Signed with the meter's key (P18).
///
/// Registers are cumulative, so a lost or repeated reading changes no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The instant the registers belong to: an interval's edge.
    pub at: Timestamp,
    /// Counts this meter's readings, from zero.
    pub sequence: u64,
    /// The hash of the reading before; zero for the first.
    pub previous: MessageHash,
    /// All energy ever taken.
    pub import_register_mwh: Energy,
    /// All energy ever given.
    pub export_register_mwh: Energy,
    /// Power now, import positive.
    pub power_mw: Power,
    /// What the power would be if nothing were turned down; below [`Self::power_mw`] when an
    /// inverter is curtailed. `None` where the site cannot tell.
    pub potential_mw: Option<Power>,
    /// Mean phase voltage, where the meter has it.
    pub voltage_mv: Option<u32>,
    /// Grid frequency in millihertz, where the meter has it.
    pub frequency_mhz: Option<u32>,
}
