//! Machines with an interface of their own, through the library asic-rs.
//!
//! What the library says of a machine is taken with care: that it is mining is its default and no
//! news, that a command was taken may be a guess, and a machine that answers nothing looks like one
//! that shows nothing. See `guard` for what bounds it.
//! A WhatsMiner that refuses to be told is opened to be told by the library with its maker's password;
//! the owner allows that by naming the machine here.
//! Not for: pools, passwords and firmware of a machine. They are never touched.

mod discover;
mod guard;
mod luxos;
mod way;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use asic_rs::MinerFactory;
use asic_rs::core::data::collector::DataField;
use asic_rs::core::data::hashrate::HashRateUnit;
use asic_rs::core::traits::miner::{Miner, MinerAuth};
use boltgrid_protocol::units::{Power, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::net::lookup_host;
use tokio::time::Instant;

pub use discover::{Found, discover};

use super::credentials::Credentials;
use super::number::milli;
use super::{Acknowledged, DeviceError, Stated};
use crate::hash::HashRate;
use crate::machine::{Abilities, Observation, SetPoint};
use guard::{accepted, guard};
use way::{Known, Way};

/// How long finding out what a machine is may take.
const OPEN_MAX: Duration = Duration::from_secs(15);
/// How long asking a machine may take.
const OBSERVE_MAX: Duration = Duration::from_secs(8);
/// How long telling a machine may take: some restart their hashing before they answer.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// A machine's temperatures take many questions, so they are asked for only this often.
const WARMTH_EVERY: Duration = Duration::from_secs(30);
/// The most that one machine draws, in W: containers are machines too.
const POWER_MAX_W: u32 = 100_000;
/// The fastest machine, in TH/s.
const HASH_RATE_MAX_TH: u32 = 1_000_000;
/// The hottest part that is believed, in degrees Celsius.
const WARMTH_MAX: u32 = 200;

/// Where a machine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsicConfig {
    /// Its IP address or name. Ports are those of its firmware.
    pub address: String,
    /// A file with `user:password` in its first line; without, the firmware's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}

/// A machine that answered.
#[derive(Debug)]
pub struct AsicMachine {
    device: Arc<str>,
    miner: Box<dyn Miner>,
    about: String,
    way: Way,
    abilities: Abilities,
    /// Whether it hashes or is about to, as it was told or seen last.
    awake: Option<bool>,
    /// The power that it was told last.
    limit: Option<Power>,
    /// How warm it was, and when that was asked.
    warmth: Option<(Instant, Option<i32>)>,
    /// Whether its own care for its temperature is switched off by us and yet to be switched on.
    owes_thermal_care: bool,
}

impl AsicMachine {
    /// Finds out what is at the address, and what it can do.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn open(
        config: &AsicConfig,
        stated: Stated,
        name: &str,
    ) -> Result<Self, DeviceError> {
        let device: Arc<str> = name.into();
        let address = resolve(&device, &config.address).await?;
        let file = config.credentials_file.as_deref();
        let credentials = file.map(|path| Credentials::read(&device, path)).transpose()?;
        let factory = factory(credentials.as_ref());
        let doing = "finding out what it is";
        let found = guard(&device, doing, OPEN_MAX, factory.get_miner(address)).await?;
        let not_found = || DeviceError::NotFound {
            device: Arc::clone(&device),
            address: config.address.clone(),
        };
        let miner = found.map_err(|_| not_found())?.ok_or_else(not_found)?;
        let known = guard(&device, "asking what it can do", OPEN_MAX, Known::ask(&*miner)).await?;
        let (way, abilities) = known.abilities(stated, &device)?;
        let info = miner.get_device_info();
        Ok(Self {
            about: format!("{} {} ({})", info.make, info.model, info.firmware),
            device,
            miner,
            way,
            abilities,
            awake: None,
            limit: None,
            warmth: None,
            owes_thermal_care: false,
        })
    }

    /// Make, model and firmware.
    #[must_use]
    pub fn about(&self) -> String {
        self.about.clone()
    }

    /// What it can be told.
    #[must_use]
    pub const fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// What it shows, asked for at `now`.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn observe(&mut self, now: Timestamp) -> Result<Observation, DeviceError> {
        if self.owes_thermal_care {
            self.give_back_thermal_care().await?;
        }
        let device = Arc::clone(&self.device);
        let Sight { power, hash_rate } =
            guard(&device, "asking", OBSERVE_MAX, see(&*self.miner, &device)).await??;
        let temperature_m_celsius = self.temperature().await?;
        // What draws next to nothing and hashes nothing sleeps, whoever sent it to sleep.
        let hashes = hash_rate.is_some_and(|rate| rate > HashRate::ZERO);
        let rests = power.is_none_or(|power| power <= self.resting());
        if hashes || hash_rate.is_some() && rests {
            self.awake = Some(hashes);
        }
        Ok(Observation {
            at: now,
            power,
            power_is_metered: false,
            hash_rate,
            temperature_m_celsius,
        })
    }

    /// Half way between what it draws asleep and the least it draws awake.
    fn resting(&self) -> Power {
        let (idle, least) = (self.abilities.idle, self.abilities.least());
        Power::from_milliwatts(idle.to_milliwatts().midpoint(least.to_milliwatts()))
    }

    async fn temperature(&mut self) -> Result<Option<i32>, DeviceError> {
        if let Some((asked, warmth)) = self.warmth
            && asked.elapsed() < WARMTH_EVERY
        {
            return Ok(warmth);
        }
        let asking = hottest(&*self.miner);
        let warmth = guard(&self.device, "asking how warm it is", OBSERVE_MAX, asking).await?;
        self.warmth = Some((Instant::now(), warmth));
        Ok(warmth)
    }

    /// Tells it.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn command(&mut self, set_point: SetPoint) -> Result<Acknowledged, DeviceError> {
        if self.owes_thermal_care {
            self.give_back_thermal_care().await?;
        }
        match set_point {
            SetPoint::Off => self.sleep().await?,
            SetPoint::Run { power_mw } => self.run(power_mw).await?,
        }
        Ok(Acknowledged)
    }

    async fn sleep(&mut self) -> Result<(), DeviceError> {
        self.able(set_point_text(SetPoint::Off))?;
        // Until it answers, either may be so.
        self.awake = None;
        let answer = guard(&self.device, "sleep", COMMAND_MAX, self.miner.pause(None)).await?;
        accepted(&self.device, "sleep", answer)?;
        self.awake = Some(false);
        Ok(())
    }

    async fn run(&mut self, power: Power) -> Result<(), DeviceError> {
        self.able(set_point_text(SetPoint::Run { power_mw: power }))?;
        let was_awake = self.awake == Some(true);
        let limited = self.set_power(power).await;
        if was_awake {
            return limited;
        }
        self.awake = None;
        let answer = guard(&self.device, "wake up", COMMAND_MAX, self.miner.resume(None)).await?;
        accepted(&self.device, "wake up", answer)?;
        self.awake = Some(true);
        match limited {
            // Some take a power only while they run.
            Err(DeviceError::Refused { .. }) => self.set_power(power).await,
            Ok(()) | Err(_) => limited,
        }
    }

    fn able(&self, what: String) -> Result<(), DeviceError> {
        if matches!(self.way, Way::Nothing) {
            return Err(DeviceError::Unable { device: Arc::clone(&self.device), what });
        }
        Ok(())
    }

    async fn set_power(&mut self, power: Power) -> Result<(), DeviceError> {
        if self.limit == Some(power) {
            return Ok(());
        }
        self.limit = None;
        match &self.way {
            Way::Nothing | Way::Switch => {}
            Way::Limit => {
                let doing = "a new power";
                let limit = self.miner.set_power_limit(way::to_library(power));
                let answer = guard(&self.device, doing, COMMAND_MAX, limit).await?;
                accepted(&self.device, doing, answer)?;
            }
            Way::Profiles(profiles) => {
                let Some(profile) = profiles.iter().rev().find(|it| it.power <= power).cloned()
                else {
                    let what = format!("draw {power}");
                    return Err(DeviceError::Unable { device: Arc::clone(&self.device), what });
                };
                self.set_profile(&profile.name).await?;
            }
        }
        self.limit = Some(power);
        Ok(())
    }
}

fn set_point_text(set_point: SetPoint) -> String {
    set_point.to_string()
}

/// What a machine shows at once.
struct Sight {
    power: Option<Power>,
    hash_rate: Option<HashRate>,
}

async fn see(miner: &dyn Miner, device: &Arc<str>) -> Result<Sight, DeviceError> {
    let fields = [DataField::Wattage, DataField::Hashrate];
    let data = miner.get_collector().collect(&fields).await;
    if data.is_empty() {
        let source = io::Error::new(io::ErrorKind::NotConnected, "it does not answer");
        return Err(DeviceError::Io { device: Arc::clone(device), doing: "asking", source });
    }
    let garbled = |what| DeviceError::Garbled { device: Arc::clone(device), what };
    let power = miner.parse_wattage(&data).map(|power| {
        let watts = power.as_watts();
        let mw = milli(watts, POWER_MAX_W).map(Power::from_milliwatts);
        mw.ok_or_else(|| garbled(format!("it says that it draws {watts} W")))
    });
    let hash_rate = miner.parse_hashrate(&data).map(|rate| {
        let th = rate.as_unit(HashRateUnit::TeraHash).value;
        let gh = milli(th, HASH_RATE_MAX_TH).and_then(|gh| u64::try_from(gh).ok());
        let gh = gh.map(HashRate::from_gigahashes);
        gh.ok_or_else(|| garbled(format!("it says that it hashes {th} TH/s")))
    });
    Ok(Sight { power: power.transpose()?, hash_rate: hash_rate.transpose()? })
}

/// How warm the warmest part is that it tells of, in thousandths of a degree Celsius.
async fn hottest(miner: &dyn Miner) -> Option<i32> {
    let data = miner.get_collector().collect(&[DataField::Hashboards]).await;
    let boards = miner.parse_hashboards(&data);
    let parts = boards.iter().flat_map(|board| {
        let chips = board.chips.iter().filter_map(|chip| chip.temperature);
        let board =
            [board.board_temperature, board.inlet_chip_temperature, board.outlet_chip_temperature];
        board.into_iter().flatten().chain(chips)
    });
    let celsius = parts.filter_map(|part| milli(part.as_celsius(), WARMTH_MAX));
    celsius.max().and_then(|warmth| i32::try_from(warmth).ok())
}

/// The address that a name stands for.
async fn resolve(device: &Arc<str>, address: &str) -> Result<IpAddr, DeviceError> {
    if let Ok(address) = address.parse() {
        return Ok(address);
    }
    let failed = |source| DeviceError::Io {
        device: Arc::clone(device),
        doing: "looking up its address",
        source,
    };
    let looking = guard(device, "looking up its address", OPEN_MAX, lookup_host((address, 0)));
    let mut found = looking.await?.map_err(failed)?;
    found.next().map(|it| it.ip()).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

/// The library's finder, which uses the credentials whatever firmware it finds.
fn factory(credentials: Option<&Credentials>) -> MinerFactory {
    let factory = MinerFactory::new()
        .with_identification_timeout(OPEN_MAX)
        .with_connectivity_retries(0)
        .with_nofile_adjustment(false);
    let Some(Credentials { user, password }) = credentials else { return factory };
    asic_rs::factory::default_firmware_registry().into_iter().fold(factory, |factory, firmware| {
        let auth = MinerAuth::new(user.clone(), password.as_str());
        factory.with_firmware_discovery_auth(&*firmware, auth)
    })
}
