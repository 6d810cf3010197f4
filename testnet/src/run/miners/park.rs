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

use boltgrid::config::RawMining;
use boltgrid::dispatcher::MinerConfig;
use boltgrid_miners::break_even::Appetite;
use boltgrid_miners::hash::Hashprice;
use boltgrid_protocol::units::Price;

use crate::devices::SharedPlant;
use crate::devices::miners::{MinerDescription, MinerError, MinerFarm, MinerKind, MinerSpec};
use crate::plant::ROW_MS;

/// The sites with machines: one whose PV can be turned down, one whose PV cannot, one without any.
const SITES: [usize; 3] = [0, 3, 8];
/// Racks at each site: what one draws, and the price in sat/kWh at which its owner lets it run at the
/// first of the sites. The older the machines, the less power is worth to them. No more than these: an
/// order has eight steps, and bids that share one are at the lower price.
const RACKS: [(u32, i64); 4] = [(25_000, 95), (20_000, 65), (15_000, 35), (10_000, 10)];
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
    /// How often the site's meter is read.
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
            left_out: Vec::new(),
            farms: Vec::new(),
        };
        let clock: crate::devices::Clock = Arc::new(boltgrid::clock::now);
        for (place, site) in SITES.into_iter().enumerate().filter(|(_, site)| *site < nodes) {
            let mut kinds = vec![
                ("luxos".to_owned(), None, MinerKind::LuxOs),
                ("whatsminer".to_owned(), None, MinerKind::WhatsMiner),
            ];
            kinds.extend(RACKS.into_iter().map(|(rated_w, at_first_sat)| {
                let sat = worth_sat(at_first_sat, place);
                let below = Price::from_msat_per_kwh(sat.saturating_mul(1_000));
                (format!("rack-{}kw", rated_w / 1_000), Some(below), MinerKind::Rack { rated_w })
            }));
            if place + 1 == SITES.len() {
                kinds.push(("bitaxe".to_owned(), None, MinerKind::Bitaxe));
            }
            for (number, (name, below, kind)) in kinds.into_iter().enumerate() {
                let name = format!("{name}-{number}");
                match MinerFarm::start(plant, &clock, &[MinerSpec { site, kind }], true).await {
                    Ok(farm) => park.take((name, below), farm),
                    Err(MinerError::Bind { kind: MinerKind::Bitaxe, source })
                        if source.kind() == io::ErrorKind::PermissionDenied =>
                    {
                        park.left_out.push(format!("{name}: port 80 is for root only here"));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(park)
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
                sample_every_ms: SAMPLE_EVERY_MS,
            });
            let settings = stand.is.settings(&stand.name);
            let mut miner: MinerConfig = toml::from_str(&settings).expect("settings of a node");
            miner.stated.settle_s = Some(SETTLE_S);
            miner.stated.warm_up_s = Some(WARM_UP_S);
            let known = EFFICIENCIES.iter().find(|(kind, _)| *kind == stand.is.spec.kind);
            miner.owned.efficiency_mj_per_th = known.and_then(|(_, mj)| (*mj).try_into().ok());
            if let Some(price) = stand.below {
                miner.owned.appetite = Appetite::BelowMsatPerKwh(price);
            }
            site.miner.push(miner);
        }
        sites
    }

    /// What stands, in words.
    #[must_use]
    pub fn told(&self) -> String {
        let rated_mw: i64 = self.stands.iter().map(|it| it.is.rating.rated.to_milliwatts()).sum();
        let left_out: String = self.left_out.iter().map(|it| format!("; without {it}")).collect();
        let (count, kw) = (self.stands.len(), rated_mw / 1_000_000);
        format!(
            "{count} mining machines of {kw} kW together, which run for {} s at least and rest for \
             {} s{left_out}",
            self.on_ms / 1_000,
            self.off_ms / 1_000
        )
    }

    /// Stops listening, and returns when all connections are closed.
    pub async fn stop(self) {
        for farm in self.farms {
            farm.stop().await;
        }
    }
}

/// What power is worth to a rack at the `place`th of the sites, in sat/kWh.
fn worth_sat(at_first_sat: i64, place: usize) -> i64 {
    let less = i64::try_from(place).unwrap_or(0).saturating_mul(SAT_LESS_AT_NEXT_SITE);
    at_first_sat.saturating_sub(less)
}
