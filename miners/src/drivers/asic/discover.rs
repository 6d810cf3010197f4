//! Looks for machines at the addresses that an owner names, and nowhere else.
//!
//! Not for: telling a machine anything. Nothing is sent but the questions of the library's finder.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::guard::guard;
use super::way::Known;
use super::{AsicConfig, OBSERVE_MAX, OPEN_MAX, Sight, factory, see};
use crate::drivers::{DeviceError, Stated};
use crate::machine::{Abilities, Observation};
use boltgrid_protocol::units::Timestamp;

/// How long a port may take to answer at all.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// A machine that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub address: IpAddr,
    /// Make, model and firmware.
    pub about: String,
    /// What it can be told; `None` where its owner must say more first.
    pub abilities: Option<Abilities>,
    /// What it shows, at the time that was handed over.
    pub shows: Option<Observation>,
}

impl Found {
    /// How it is written into the configuration.
    #[must_use]
    pub fn config(&self) -> AsicConfig {
        AsicConfig { address: self.address.to_string(), credentials_file: None }
    }
}

/// What machine is at an address, asked at `now`; `None` where there is none that is known.
///
/// # Errors
///
/// [`DeviceError`]: the library failed, or took too long.
pub async fn discover(address: IpAddr, now: Timestamp) -> Result<Option<Found>, DeviceError> {
    let device: Arc<str> = address.to_string().into();
    let factory = factory(None).with_connectivity_timeout(CONNECT_MAX).with_concurrent_limit(1);
    let most = OPEN_MAX.saturating_add(CONNECT_MAX.saturating_mul(4));
    let found = guard(&device, "finding out what it is", most, factory.scan_miner(address)).await?;
    // What cannot be taken for a machine is none.
    let Some(miner) = found.ok().flatten() else { return Ok(None) };
    let info = miner.get_device_info();
    let known = guard(&device, "asking what it can do", OPEN_MAX, Known::ask(&*miner)).await?;
    let shows = guard(&device, "asking", OBSERVE_MAX, see(&*miner, &device)).await?;
    Ok(Some(Found {
        address,
        about: format!("{} {} ({})", info.make, info.model, info.firmware),
        abilities: known.abilities(Stated::default(), &device).ok().map(|(_, it)| it),
        shows: shows.ok().map(|Sight { power, hash_rate }| Observation {
            at: now,
            power,
            power_is_metered: false,
            hash_rate,
            temperature_m_celsius: None,
        }),
    }))
}
