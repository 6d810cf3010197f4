//! Which mining machines stand where, and how their nodes are to treat them.
//!
//! Time is compressed, so what bounds how often machines are switched is as well: ten minutes of a
//! quarter of an hour are as much of the interval that stands for it. The machines themselves are not
//! as hasty: they take seconds where real ones take a minute or two, which are more of a short interval
//! than they would be of a long one. So nothing of what is shown is easier here than it is outside.
//! Not for: what they do; that is the plant's.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use boltgrid::config::{RawGas, RawMining};
use boltgrid::dispatcher::MinerConfig;
use boltgrid::site::DeviceConfig;
use boltgrid_miners::break_even::Appetite;
use boltgrid_miners::effect::OnContactLost;
use boltgrid_miners::hash::Hashprice;
use boltgrid_protocol::units::{Price, Timestamp};

use super::well::{self, WellStand};
use crate::devices::miners::{
    Fault, MinerDescription, MinerError, MinerFarm, MinerKind, MinerSpec,
};
use crate::devices::{Clock, SharedPlant};
use crate::plant::{Command, MachineCommand, ROW_MS};

/// The sites with machines: one whose PV can be turned down, one whose PV cannot, one without any. The
/// fourth has a well ([`well`]).
const SITES: [usize; 3] = [0, 3, 8];
/// Rows of racks at each site: how many racks, and the price in sat/kWh at which their owner lets them
/// run at the first of the sites. The older the machines, the less power is worth to them. No more rows
/// than these: an order has eight steps, and bids that share one are at the lower price.
const ROWS: [(usize, i64); 4] = [(5, 95), (4, 65), (3, 35), (2, 10)];
/// What a rack draws: two machines behind a relay of their own.
const RACK_W: u32 = 5_000;
/// At each further site racks are worth so much less, so that no two are worth the same.
const SAT_LESS_AT_NEXT_SITE: i64 = 8;
/// What a terahash a second earns in a day.
const HASHPRICE: Hashprice = Hashprice::from_msat_per_th_day(60_000);
/// What the hashes of a LuxOS, a WhatsMiner and a Bitaxe take, in mJ/TH, as their makers say.
const EFFICIENCIES: [(MinerKind, u32); 3] =
    [(MinerKind::LuxOs, 22_940), (MinerKind::WhatsMiner, 18_479), (MinerKind::Bitaxe, 23_077)];
/// How long machines of real sites run at least, and rest.
const ON_MS: u64 = 600_000;
const OFF_MS: u64 = 300_000;
/// How often they are started in a day.
const STARTS_PER_DAY_MAX: u32 = 12;
/// How long a hasty machine's watts may take to follow, and how long it warms up, in s.
const SETTLE_S: u32 = 4;
const WARM_UP_S: u32 = 3;
/// A machine of which nothing is heard for so long is lost, in s.
const CONTACT_LOST_S: u32 = 15;
/// How often meters of sites with machines are read: what they show is acted on at once.
const SAMPLE_EVERY_MS: u64 = 250;

/// A machine that stands.
#[derive(Clone, Debug)]
pub struct Stand {
    /// What its node calls it.
    pub name: String,
    /// At which price its owner lets it run, where that does not follow from its hashes.
    pub below: Option<Price>,
    /// What it is, and where it stands.
    pub is: MinerDescription,
}

/// All machines of a run. Dropping it stops them at once.
#[derive(Debug)]
pub struct Park {
    /// Site by site.
    pub stands: Vec<Stand>,
    /// How long they run at least, and rest, in this run's time.
    pub on_ms: u64,
    /// See [`Self::on_ms`].
    pub off_ms: u64,
    /// How often each may be started.
    pub starts_max: u32,
    /// The wells.
    pub wells: Vec<WellStand>,
    /// What could not be put up, and why.
    pub left_out: Vec<String>,
    farms: Vec<MinerFarm>,
}

/// What the config of a site's node says of its machines.
#[derive(Clone, Debug, Default)]
pub struct SiteMining {
    /// The machines.
    pub miner: Vec<MinerConfig>,
    /// How they are treated.
    pub mining: RawMining,
    /// The well beside them.
    pub gas: RawGas,
    /// Meters of other things than the whole site.
    pub meters: Vec<DeviceConfig>,
    /// How often the site's meters are read.
    pub sample_every_ms: u64,
}

impl Park {
    /// Puts up all machines of a run of `nodes` nodes.
    ///
    /// # Errors
    ///
    /// [`MinerError`]. A Bitaxe that may not have its port is left out.
    ///
    /// # Panics
    ///
    /// If something has panicked while it held the plant.
    pub async fn open(
        plant: &SharedPlant,
        nodes: usize,
        interval_ms: u64,
    ) -> Result<Self, MinerError> {
        let seconds_of = |real_ms: u64| {
            let ms = real_ms.saturating_mul(interval_ms).div_ceil(ROW_MS);
            ms.div_ceil(1_000).saturating_mul(1_000)
        };
        let mut park = Self {
            stands: Vec::new(),
            on_ms: seconds_of(ON_MS),
            off_ms: seconds_of(OFF_MS),
            starts_max: STARTS_PER_DAY_MAX,
            wells: Vec::new(),
            left_out: Vec::new(),
            farms: Vec::new(),
        };
        let clock: Clock = Arc::new(boltgrid::clock::now);
        for (place, site) in SITES.into_iter().enumerate().filter(|(_, site)| *site < nodes) {
            let mut kinds = vec![
                ("luxos".to_owned(), None, MinerKind::LuxOs),
                ("whatsminer".to_owned(), None, MinerKind::WhatsMiner),
            ];
            kinds.extend(racks(&ROWS, |at_first_sat| worth_sat(at_first_sat, place)));
            if place + 1 == SITES.len() {
                kinds.push(("bitaxe".to_owned(), None, MinerKind::Bitaxe));
            }
            park.put_up((plant, &clock), site, kinds).await?;
        }
        if well::SITE < nodes {
            let stand = WellStand::open((plant, &clock), well::SITE, seconds_of).await;
            park.wells.push(stand.map_err(MinerError::Well)?);
            let kinds = racks(&well::ROWS, |sat| sat).collect();
            park.put_up((plant, &clock), well::SITE, kinds).await?;
        }
        Ok(park)
    }

    /// Puts up the machines of one site.
    async fn put_up(
        &mut self,
        (plant, clock): (&SharedPlant, &Clock),
        site: usize,
        kinds: Vec<Wanted>,
    ) -> Result<(), MinerError> {
        for (name, below, kind) in kinds {
            let spec = MinerSpec { site, kind, has_relay: kind == MinerKind::LuxOs };
            match MinerFarm::start(plant, clock, &[spec], true).await {
                Ok(farm) => self.take((name, below), farm),
                Err(MinerError::Bind { kind: MinerKind::Bitaxe, source })
                    if source.kind() == io::ErrorKind::PermissionDenied =>
                {
                    self.left_out.push(format!("{name}: port 80 is for root only here"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, (name, below): (String, Option<Price>), farm: MinerFarm) {
        let stand = |is: &MinerDescription| Stand { name: name.clone(), below, is: is.clone() };
        self.stands.extend(farm.machines().iter().map(stand));
        self.farms.push(farm);
    }

    /// What the configs of the sites' nodes say, by their numbers.
    ///
    /// # Panics
    ///
    /// Never: settings of machines are settings of a node.
    #[must_use]
    pub fn of_sites(&self) -> BTreeMap<usize, SiteMining> {
        let seconds = |ms: u64| u32::try_from(ms / 1_000).ok();
        let mut sites: BTreeMap<usize, SiteMining> = BTreeMap::new();
        for stand in &self.stands {
            let site = sites.entry(stand.is.spec.site).or_insert_with(|| SiteMining {
                miner: Vec::new(),
                mining: RawMining {
                    hashprice_msat_per_th_day: Some(HASHPRICE),
                    on_s_min: seconds(self.on_ms),
                    off_s_min: seconds(self.off_ms),
                    starts_per_day_max: Some(self.starts_max),
                    ..RawMining::default()
                },
                gas: RawGas::default(),
                meters: Vec::new(),
                sample_every_ms: SAMPLE_EVERY_MS,
            });
            let settings = stand.is.settings(&stand.name);
            let mut miner: MinerConfig = toml::from_str(&settings).expect("settings of a node");
            miner.stated.settle_s = Some(SETTLE_S);
            miner.stated.warm_up_s = Some(WARM_UP_S);
            miner.owned.contact_lost_s = CONTACT_LOST_S;
            if stand.is.relay.is_some() {
                miner.owned.on_contact_lost = OnContactLost::OffByRelay;
            }
            let known = EFFICIENCIES.iter().find(|(kind, _)| *kind == stand.is.spec.kind);
            miner.owned.efficiency_mj_per_th = known.and_then(|(_, mj)| (*mj).try_into().ok());
            if let Some(price) = stand.below {
                miner.owned.appetite = Appetite::BelowMsatPerKwh(price);
            }
            site.miner.push(miner);
        }
        for stand in &self.wells {
            if let Some(site) = sites.get_mut(&stand.site) {
                (site.gas, site.meters) = stand.settings();
            }
        }
        sites
    }

    /// The number of the machine that a site's node calls by this name.
    #[must_use]
    pub fn number_of(&self, site: usize, name: &str) -> Option<usize> {
        self.stands.iter().position(|stand| stand.is.spec.site == site && stand.name == name)
    }

    /// Gives a machine a fault, or takes it away.
    ///
    /// # Panics
    ///
    /// If there is no such machine, or something has panicked while it held the plant.
    pub fn set_fault(
        &self,
        (plant, now): (&SharedPlant, Timestamp),
        number: usize,
        fault: Option<Fault>,
    ) {
        let is = &self.stands[number].is;
        is.set_fault(fault);
        let turn = fault != Some(Fault::Overheats);
        let mut plant = plant.lock().expect("a panic in the plant ends the testnet");
        plant
            .command(now, is.spec.site, Command::Machine(is.machine, MachineCommand::Fans { turn }))
            .expect("what stands was installed");
    }

    /// What stands, in words.
    #[must_use]
    pub fn told(&self) -> String {
        let rated_mw: i64 = self.stands.iter().map(|it| it.is.rating.rated.to_milliwatts()).sum();
        let left_out: String = self.left_out.iter().map(|it| format!("; without {it}")).collect();
        let wells = if self.wells.is_empty() { "" } else { "; a well with a generator" };
        let (count, kw) = (self.stands.len(), rated_mw / 1_000_000);
        format!(
            "{count} mining machines of {kw} kW together, which run for {} s at least and rest for \
             {} s{left_out}{wells}",
            self.on_ms / 1_000,
            self.off_ms / 1_000
        )
    }

    /// Stops listening, and returns when all connections are closed.
    pub async fn stop(self) {
        for farm in self.farms {
            farm.stop().await;
        }
        for well in self.wells {
            well.stop().await;
        }
    }
}

/// A machine to be put up: its name, the price at which its owner lets it run, and what it is.
type Wanted = (String, Option<Price>, MinerKind);

/// Rows of racks, each with what power is worth to it.
fn racks(rows: &[(usize, i64)], worth_sat: impl Fn(i64) -> i64) -> impl Iterator<Item = Wanted> {
    ('a'..).zip(rows).flat_map(move |(row, (racks, sat))| {
        let below = Some(Price::from_msat_per_kwh(worth_sat(*sat).saturating_mul(1_000)));
        let rack = MinerKind::Rack { rated_w: RACK_W };
        (1..=*racks).map(move |number| (format!("rack-{row}{number}"), below, rack))
    })
}

/// What power is worth to a rack at the `place`th of the sites, in sat/kWh.
fn worth_sat(at_first_sat: i64, place: usize) -> i64 {
    let less = i64::try_from(place).unwrap_or(0).saturating_mul(SAT_LESS_AT_NEXT_SITE);
    at_first_sat.saturating_sub(less)
}
