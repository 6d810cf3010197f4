//! Founds a grid in a folder: the charter, everybody's keys and enrolments, and one config per node.
//!
//! All keys follow from the seed, so that a run can be repeated, but those of the wallets. They guard
//! nothing.
//! Not for: running anything.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use boltgrid::access;
use boltgrid::access::secret::Secret;
use boltgrid::access::tokens::{TokenFile, TokenFileError, Wish};
use boltgrid::clock;
use boltgrid::config::{
    CONFIG_FILE, RawConfig, RawHomeAssistant, RawLightning, RawLog, RawNetwork, RawRpc,
};
use boltgrid::grid::ENROLMENT_EXTENSION;
use boltgrid::keys::{self, KeyError};
use boltgrid::lightning::seed::{Seed, SeedError};
use boltgrid::site::{DeviceConfig, SiteConfig};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Interval, Power};
use libp2p::Multiaddr;

use super::miners::SiteMining;
use super::money::Opened;
use crate::chain::Access;
use crate::devices::{BATTERY_UNIT, INVERTER_UNIT, SiteDescription};
use crate::plant::Nameplate;
use crate::scenario::splitmix64;

/// The charter's file name.
const CHARTER_FILE: &str = "charter.toml";
/// The name of the token by which the testnet asks a node.
const TOKEN_NAME: &str = "testnet";
/// The folder of a node's data, inside its own.
const DATA_DIR: &str = "data";
/// The file that says how wrong a node's clock is, inside its folder.
const OFFSET_FILE: &str = "clock-offset-ms";
/// The folder of enrolments.
const ENROLMENTS_DIR: &str = "enrolments";
/// The file with the password of the chain's bitcoind.
const PASSWORD_FILE: &str = "bitcoind-password";
/// The file with a node's wallet, inside its folder.
const SEED_FILE: &str = "wallet.seed";
/// How often a meter is read at most and at least.
const SAMPLE_MS: std::ops::RangeInclusive<u64> = 100..=1_000;
/// How long somebody is a member: longer than any run.
const MEMBERSHIP_INTERVALS: u64 = 10_000_000;

/// Whose key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The registrar's.
    Registrar,
    /// A participant's.
    Participant,
    /// A meter's.
    Meter,
    /// That of somebody who has no place on the grid.
    Stranger,
}

/// The key of the `number`th holder of a role, as it follows from the seed.
#[must_use]
pub fn key(seed: u64, role: Role, number: usize) -> Keypair {
    let role = match role {
        Role::Registrar => 1,
        Role::Participant => 2,
        Role::Meter => 3,
        Role::Stranger => 4,
    };
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    let mut state = splitmix64(splitmix64(seed ^ (role << 56)) ^ number);
    let mut bytes = [0; 32];
    for word in bytes.chunks_exact_mut(8) {
        state = splitmix64(state);
        word.copy_from_slice(&state.to_le_bytes());
    }
    Keypair::from_seed(&bytes)
}

/// One node's place: its name, its files and its addresses.
#[derive(Clone, Debug)]
pub struct Place {
    /// The site's name.
    pub name: String,
    /// The participant.
    pub participant: ParticipantId,
    /// The node's config file.
    pub config: PathBuf,
    /// Where what it writes goes.
    pub log: PathBuf,
    /// Where it listens.
    pub listen: Multiaddr,
    /// Where other nodes reach it.
    pub address: Multiaddr,
    /// Where its data goes.
    pub data: PathBuf,
    /// The file that says how wrong its clock is, where any clock of the run will be.
    pub clock_offset: Option<PathBuf>,
    /// Where its JSON-RPC is.
    pub rpc: SocketAddr,
    /// What opens all of it.
    pub token: Secret,
}

/// Ports of one node.
#[derive(Clone, Copy, Debug)]
pub struct NodePorts {
    /// For other nodes.
    pub peers: u16,
    /// For JSON-RPC.
    pub rpc: u16,
    /// For other Lightning nodes.
    pub lightning: u16,
    /// Its proxy's for other nodes, where there is one.
    pub proxy: Option<u16>,
}

/// Why the grid's folder cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// A file or folder cannot be made.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A key file cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A wallet's seed cannot be made.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// A token cannot be made.
    #[error(transparent)]
    Token(#[from] TokenFileError),
}

/// What all places of one grid share.
#[derive(Clone, Copy, Debug)]
pub struct Founding<'a> {
    /// The folder, which exists and is empty.
    pub dir: &'a Path,
    /// The charter.
    pub charter: &'a Charter,
    /// What all keys follow from.
    pub seed: u64,
    /// Whether clocks will be wrong.
    pub clocks_skewed: bool,
    /// The bitcoind of the chain that is paid on.
    pub chain: Option<&'a Access>,
    /// Who opens the first channels.
    pub channels: Opened,
    /// The mining machines of sites, by the sites' numbers.
    pub mining: &'a BTreeMap<usize, SiteMining>,
}

impl Founding<'_> {
    /// Writes everything that the nodes of these sites need to start, the first as the one that the
    /// others call first.
    ///
    /// # Errors
    ///
    /// [`FoundingError`], naming the file.
    ///
    /// # Panics
    ///
    /// Never: charter and config are plain data.
    pub fn write(
        &self,
        sites: &[SiteDescription],
        ports: &[NodePorts],
    ) -> Result<Vec<Place>, FoundingError> {
        let charter = toml::to_string(self.charter).expect("a charter is plain data");
        write(&self.dir.join(CHARTER_FILE), charter.as_bytes())?;
        make_dir(&self.dir.join(ENROLMENTS_DIR))?;
        if let Some(chain) = self.chain {
            write(&self.dir.join(PASSWORD_FILE), chain.password.as_bytes())?;
        }
        let mut places: Vec<Place> = Vec::new();
        for (number, (site, ports)) in sites.iter().zip(ports).enumerate() {
            let place = self.place((number, site), *ports, places.first(), self.chain)?;
            places.push(place);
        }
        Ok(places)
    }

    /// Writes what the meters of cables need to start, which have no vote and nothing to pay: as many
    /// as there are ports for.
    ///
    /// # Errors
    ///
    /// [`FoundingError`], naming the file.
    pub fn write_feeders(
        &self,
        cables: &[SiteDescription],
        ports: &[NodePorts],
        places: &[Place],
    ) -> Result<Vec<Place>, FoundingError> {
        let numbered = (places.len()..).zip(cables).zip(ports);
        numbered.map(|(cable, ports)| self.place(cable, *ports, places.first(), None)).collect()
    }

    fn place(
        &self,
        (number, site): (usize, &SiteDescription),
        ports: NodePorts,
        first: Option<&Place>,
        chain: Option<&Access>,
    ) -> Result<Place, FoundingError> {
        let name = &site.nameplate.name;
        let (listen, address) = addresses(number, ports);
        make_dir(&self.dir.join(name))?;
        let data = self.dir.join(name).join(DATA_DIR);
        make_dir(&data)?;
        let place = Place {
            name: name.clone(),
            participant: key(self.seed, Role::Participant, number).participant_id(),
            config: self.dir.join(name).join(CONFIG_FILE),
            log: self.dir.join(format!("node-{name}.log")),
            listen,
            address,
            token: TokenFile::in_folder(&data).create(Wish {
                name: TOKEN_NAME.to_owned(),
                role: access::Role::Admin,
                created_at: clock::now(),
                expires_at: None,
            })?,
            data,
            clock_offset: self.clocks_skewed.then(|| self.dir.join(name).join(OFFSET_FILE)),
            rpc: SocketAddr::from((Ipv4Addr::LOCALHOST, ports.rpc)),
        };
        self.enrol(number, &site.nameplate)?;
        let bootstrap = first.map(|first| first.address.to_string());
        let config = self.config(&place, site, bootstrap);
        let lightning = chain.map(|chain| lightning(chain, ports)).unwrap_or_default();
        let channels = self.channels.kept();
        let config = self.with_machines(number, RawConfig { lightning, channels, ..config });
        let config = toml::to_string(&config).expect("a config is plain data");
        write(&place.config, config.as_bytes())?;
        for (role, file) in [(Role::Participant, "participant.key"), (Role::Meter, "meter.key")] {
            let path = self.dir.join(name).join(file);
            keys::write(&path, &key(self.seed, role, number))?;
        }
        if chain.is_some() {
            Seed::new()?.write(&self.dir.join(name).join(SEED_FILE))?;
        }
        Ok(place)
    }

    fn with_machines(&self, number: usize, config: RawConfig) -> RawConfig {
        let Some(machines) = self.mining.get(&number) else { return config };
        let SiteMining { miner, mining, gas, meters, sample_every_ms } = machines.clone();
        let site = config.site.map(|site| SiteConfig {
            sample_every_ms: Some(sample_every_ms),
            meters,
            ..site
        });
        RawConfig { miner, mining, gas, site, ..config }
    }

    fn enrol(&self, number: usize, nameplate: &Nameplate) -> Result<(), FoundingError> {
        let is_feeder = self.charter.feeder_metered_at(&nameplate.name).is_some();
        let rated = |rated| if is_feeder { Power::ZERO } else { rated };
        let mut certified = CertifiedEnrolment::request(Enrolment {
            grid: self.charter.grid_id(),
            participant: key(self.seed, Role::Participant, number).participant_id(),
            meter: key(self.seed, Role::Meter, number).meter_key(),
            connection_point: nameplate.name.clone(),
            outside: false,
            rated_import_mw: rated(nameplate.rated_import),
            rated_export_mw: rated(nameplate.rated_export),
            votes: !is_feeder,
            valid_from: Interval::from_number(0),
            valid_until: self.valid_until(),
        });
        certified.sign(&key(self.seed, Role::Registrar, 0));
        let file = format!("{}.{ENROLMENT_EXTENSION}", nameplate.name);
        write(&self.dir.join(ENROLMENTS_DIR).join(file), &certified.to_bytes())
    }

    /// Long after the tariff's clock was set, which is when the run begins.
    fn valid_until(&self) -> Interval {
        let Charter { interval, tariff, .. } = self.charter;
        let begins = tariff.clock.anchor_unix_ms / interval.interval_ms;
        Interval::from_number(begins.saturating_add(MEMBERSHIP_INTERVALS))
    }

    fn config(
        &self,
        place: &Place,
        site: &SiteDescription,
        bootstrap: Option<String>,
    ) -> RawConfig {
        let unit = |unit| {
            let address = site.address.to_string();
            DeviceConfig::at(address.parse().expect("host and port"), unit)
        };
        let (kind, address) = site.meter;
        let meter = toml::from_str(&kind.settings(address)).expect("settings of a node");
        let Nameplate { pv, battery, .. } = &site.nameplate;
        let tick_ms = self.charter.interval.interval_ms / crate::plant::TICKS_PER_INTERVAL;
        let behind_proxy = place.listen != place.address;
        RawConfig {
            data_dir: Some(PathBuf::from(DATA_DIR)),
            charter_file: Some(Path::new("..").join(CHARTER_FILE)),
            enrolments_dir: Some(Path::new("..").join(ENROLMENTS_DIR)),
            network: RawNetwork {
                listen: Some(vec![place.listen.to_string()]),
                external: behind_proxy.then(|| vec![place.address.to_string()]),
                bootstrap: Some(bootstrap.into_iter().collect()),
                mdns: Some(false),
            },
            rpc: RawRpc { listen: Some(place.rpc.to_string()), ..RawRpc::default() },
            log: RawLog::default(),
            home_assistant: RawHomeAssistant {
                broker: kind.broker(address).map(|broker| broker.to_string()),
                ..RawHomeAssistant::default()
            },
            site: Some(SiteConfig {
                sample_every_ms: Some(tick_ms.clamp(*SAMPLE_MS.start(), *SAMPLE_MS.end())),
                meter: Some(meter),
                pv: pv.iter().map(|_| unit(INVERTER_UNIT)).collect(),
                battery: battery.iter().map(|_| unit(BATTERY_UNIT)).collect(),
                ..SiteConfig::default()
            }),
            ..RawConfig::default()
        }
    }
}

/// How a node pays: it passes on what others pay, so that few channels reach everybody.
fn lightning(chain: &Access, ports: NodePorts) -> RawLightning {
    RawLightning {
        network: Some("regtest".to_owned()),
        seed_file: Some(PathBuf::from(SEED_FILE)),
        bitcoind_url: Some(format!("http://{}:{}", chain.host, chain.port)),
        bitcoind_user: Some(chain.user.clone()),
        bitcoind_password_file: Some(Path::new("..").join(PASSWORD_FILE)),
        listen: Some(vec![format!("127.0.0.1:{}", ports.lightning)]),
        forward: Some(true),
        ..RawLightning::default()
    }
}

/// Where a node listens and where others reach it. Every other node is reached over QUIC, so that a
/// run sees both transports; through proxies all are.
fn addresses(number: usize, ports: NodePorts) -> (Multiaddr, Multiaddr) {
    let address = |text: String| -> Multiaddr { text.parse().expect("a constant with a port") };
    let quic = |port| address(format!("/ip4/127.0.0.1/udp/{port}/quic-v1"));
    let listen = match ports.proxy {
        None if number.is_multiple_of(2) => address(format!("/ip4/127.0.0.1/tcp/{}", ports.peers)),
        _ => quic(ports.peers),
    };
    let reached = ports.proxy.map_or_else(|| listen.clone(), quic);
    (listen, reached)
}

fn make_dir(path: &Path) -> Result<(), FoundingError> {
    fs::create_dir(path).map_err(|source| FoundingError::Write { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), FoundingError> {
    fs::write(path, bytes).map_err(|source| FoundingError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::charter::Disclosure;

    use super::*;
    use crate::devices::{METER_UNIT, MeterKind};
    use crate::plant::{BatteryNameplate, PvNameplate};
    use crate::run::charter::{self, Terms};
    use boltgrid::config::Config;
    use boltgrid::grid::Grid;
    use boltgrid_protocol::units::{Energy, Power};

    const SEED: u64 = 7;

    fn site(name: &str, port: u16) -> SiteDescription {
        let rated = Power::from_milliwatts(5_000_000);
        SiteDescription {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            meter: (MeterKind::SunSpec, SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            nameplate: Nameplate {
                name: name.to_owned(),
                rated_import: Power::from_milliwatts(20_000_000),
                rated_export: Power::from_milliwatts(30_000_000),
                pv: Some(PvNameplate { rated, curtailable: false }),
                battery: port.is_multiple_of(2).then_some(BatteryNameplate {
                    rated,
                    capacity: Energy::from_milliwatt_hours(1_000_000),
                    efficiency_ppm: 950_000,
                }),
            },
        }
    }

    fn found(dir: &Path) -> (Charter, Vec<Place>) {
        let charter = charter::charter(&Terms {
            name: "rural1",
            interval_ms: 10_000,
            voters: 2,
            connection: Power::from_milliwatts(160_000_000),
            registrar: key(SEED, Role::Registrar, 0).participant_id(),
            clock: charter::tariff_clock(10_000, 1_800_000_000_000, 0).unwrap(),
            readings: Disclosure::Open,
            pay_within_intervals: charter::PAY_WITHIN_INTERVALS,
            feeders: Vec::new(),
        });
        let charter = charter.unwrap();
        let access = Access::of_url("http://user:secret@127.0.0.1:18443").unwrap();
        let chain = Some(&access);
        let mining = BTreeMap::new();
        let founding = Founding {
            dir,
            charter: &charter,
            seed: SEED,
            clocks_skewed: false,
            chain,
            channels: Opened::default(),
            mining: &mining,
        };
        let ports = [(1, 2, 5), (3, 4, 6)];
        let ports =
            ports.map(|(peers, rpc, lightning)| NodePorts { peers, rpc, lightning, proxy: None });
        let places = founding.write(&[site("bus1", 11), site("bus2", 12)], &ports).unwrap();
        (charter, places)
    }

    #[test]
    fn the_nodes_can_read_all_that_is_written_and_find_themselves_in_the_roster() {
        let dir = tempfile::tempdir().unwrap();
        let (charter, places) = found(dir.path());
        for place in &places {
            let config = Config::load(&place.config, RawConfig::default()).unwrap();
            let mut grid = Grid::load(&config.grid).unwrap();
            assert_eq!(grid.charter.grid_id(), charter.grid_id());
            let begins = charter.tariff.clock.anchor_unix_ms / charter.interval.interval_ms;
            for later in [0, 100_000] {
                let roster = grid.rosters.at(Interval::from_number(begins + later));
                assert_eq!(roster.voters().len(), 2);
                assert!(roster.index_of(&place.participant).is_some());
            }
            let key = keys::read(&config.keys.participant_key_file).unwrap();
            assert_eq!(key.participant_id(), place.participant);
            assert_eq!(config.rpc.listen, place.rpc);
            assert!(!config.network.mdns);
        }
    }

    #[test]
    fn all_nodes_but_the_first_call_the_first_one() {
        let dir = tempfile::tempdir().unwrap();
        let (_, places) = found(dir.path());
        let bootstrap = |place: &Place| {
            Config::load(&place.config, RawConfig::default()).unwrap().network.bootstrap
        };
        assert!(bootstrap(&places[0]).is_empty());
        assert_eq!(bootstrap(&places[1]), [places[0].address.clone()]);
    }

    #[test]
    fn every_site_has_the_devices_of_its_nameplate() {
        let dir = tempfile::tempdir().unwrap();
        let (_, places) = found(dir.path());
        let batteries = |place: &Place| {
            let site = Config::load(&place.config, RawConfig::default()).unwrap().site;
            let unit = |device: &DeviceConfig| {
                toml::Table::from(device.clone())["unit"].as_integer().unwrap()
            };
            let units = (unit(&site.meter.unwrap()), unit(&site.pv[0]));
            assert_eq!(units, (METER_UNIT.into(), INVERTER_UNIT.into()));
            site.battery.len()
        };
        assert_eq!((batteries(&places[0]), batteries(&places[1])), (0, 1));
    }

    #[test]
    fn keys_follow_from_seed_role_and_number() {
        let id = |seed, role, number| key(seed, role, number).participant_id();
        let one = id(1, Role::Participant, 0);
        assert_eq!(one, id(1, Role::Participant, 0));
        for other in [
            id(2, Role::Participant, 0),
            id(1, Role::Participant, 1),
            id(1, Role::Meter, 0),
            id(1, Role::Registrar, 0),
            id(1, Role::Stranger, 0),
        ] {
            assert_ne!(one, other);
        }
    }
}
