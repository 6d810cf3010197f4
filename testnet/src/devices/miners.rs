//! Mining machines of the plant that speak as real ones do: LuxOS, WhatsMiner v3 and Bitaxe; and racks
//! of older ones that can't be spoken to, behind a relay that can.
//!
//! Real machines have ports of their own, so each fake has an address of its own in 127.0.10.0/24;
//! a relay has any port of 127.0.0.1. Nothing of it is reached from elsewhere. What they say follows from the plant, and what they are
//! told moves it, unless they have a [`Fault`].
//! Not for: pools. They mine for nobody.

mod bitaxe;
mod fault;
mod luxos;
mod relay;
#[cfg(test)]
mod tests;
mod whatsminer;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};

use boltgrid_protocol::units::Power;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub use fault::Fault;
pub use luxos::Sessions;

use super::{Clock, SharedPlant};
use crate::plant::{Command, MachineCommand, MachineRating, MachineTruth};

/// The addresses of machines: 127.0.10.1 and so on.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 10, 1);
/// Those of Bitaxes, whose port is another, so that no address is two machines'.
const FIRST_BITAXE: Ipv4Addr = Ipv4Addr::new(127, 0, 10, 150);
/// How many addresses are tried: other testnets of this machine may have some.
const ADDRESSES_MAX: u8 = 100;
/// The port of most machines' API.
const API_PORT: u16 = 4028;
/// The port of the WhatsMiner's API v3.
const WHATSMINER_PORT: u16 = 4433;
/// The port of web pages, which only root may listen at.
const WEB_PORT: u16 = 80;
/// Any port that is free.
const ANY_PORT: u16 = 0;

/// What a machine speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinerKind {
    /// An Antminer S19k Pro with LuxOS.
    LuxOs,
    /// A WhatsMiner M60S with the API v3.
    WhatsMiner,
    /// A Bitaxe Supra. It needs port 80.
    Bitaxe,
    /// A rack of machines behind one Shelly relay, which knows on and off only.
    Rack {
        /// What it draws.
        rated_w: u32,
    },
}

/// A machine to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinerSpec {
    /// Behind which site's meter, by its number in the plant.
    pub site: usize,
    /// What it speaks.
    pub kind: MinerKind,
    /// Whether a Shelly relay stands before it that can cut it off.
    pub has_relay: bool,
}

/// A running machine.
#[derive(Clone, Debug)]
pub struct MinerDescription {
    /// What it is and where it stands.
    pub spec: MinerSpec,
    /// Its number at its site.
    pub machine: usize,
    /// Where it listens, at its first port.
    pub address: SocketAddr,
    /// Where its relay listens, if one stands before it.
    pub relay: Option<SocketAddr>,
    /// What stands on it.
    pub rating: MachineRating,
    fault: Arc<Mutex<Option<Fault>>>,
}

/// Why machines could not be started.
#[derive(Debug, thiserror::Error)]
pub enum MinerError {
    /// No address is free, or its ports are not for us.
    #[error(
        "cannot listen as a {kind:?} at any address of 127.0.10.0/24: {source}; on macOS add them \
         with `ifconfig lo0 alias`, and port 80 is for root only"
    )]
    Bind {
        /// What it was to be.
        kind: MinerKind,
        /// What the system said last.
        source: io::Error,
    },
    /// No port for a well's devices.
    #[error("cannot listen on a free port of 127.0.0.1 for the devices of a well: {0}")]
    Well(#[source] io::Error),
}

/// Running machines. Dropping it stops them at once.
#[derive(Debug)]
pub struct MinerFarm {
    machines: Vec<MinerDescription>,
    stop: CancellationToken,
    listeners: JoinSet<()>,
}

/// One machine as its listeners see it. Cheap to clone.
#[derive(Clone)]
struct Rig {
    plant: SharedPlant,
    clock: Clock,
    site: usize,
    machine: usize,
    address: Ipv4Addr,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl MinerKind {
    /// What stands on a machine of this kind. Real ones take minutes; `hasty` ones take seconds, for
    /// testnets whose intervals do too.
    #[must_use]
    pub fn rating(self, hasty: bool) -> MachineRating {
        let watts = |watts: i64| Power::from_milliwatts(watts * 1_000);
        let seconds = |real: u64, hasty_s: u64| 1_000 * if hasty { hasty_s } else { real };
        match self {
            Self::LuxOs => MachineRating {
                rated: watts(2_794),
                idle: watts(18),
                hash_rate_gh_per_s: 121_800,
                ramp_ms: seconds(30, 1),
                warm_up_ms: seconds(90, 2),
                boot_ms: seconds(60, 5),
                restarts: false,
            },
            Self::WhatsMiner => MachineRating {
                rated: watts(3_400),
                idle: watts(25),
                hash_rate_gh_per_s: 184_000,
                ramp_ms: seconds(40, 1),
                warm_up_ms: seconds(120, 2),
                boot_ms: seconds(90, 5),
                restarts: true,
            },
            Self::Bitaxe => MachineRating {
                rated: watts(15),
                idle: watts(3),
                hash_rate_gh_per_s: 650,
                ramp_ms: seconds(3, 1),
                warm_up_ms: seconds(10, 1),
                boot_ms: seconds(15, 2),
                restarts: false,
            },
            Self::Rack { rated_w } => MachineRating {
                rated: watts(rated_w.into()),
                idle: Power::ZERO,
                // That of machines some years old, at 30 J/TH.
                hash_rate_gh_per_s: u64::from(rated_w) * 1_000 / 30,
                ramp_ms: seconds(30, 1),
                warm_up_ms: seconds(90, 1),
                boot_ms: seconds(60, 1),
                restarts: false,
            },
        }
    }

    const fn ports(self) -> &'static [u16] {
        match self {
            Self::LuxOs => &[API_PORT],
            Self::WhatsMiner => &[API_PORT, WHATSMINER_PORT],
            Self::Bitaxe => &[WEB_PORT],
            Self::Rack { .. } => &[ANY_PORT],
        }
    }
}

impl MinerDescription {
    /// Gives it a fault, or takes it away.
    pub fn set_fault(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// The node's settings for it, in TOML, as an entry of `[[miner]]` with the name `name`.
    #[must_use]
    pub fn settings(&self, name: &str) -> String {
        let rated_w = self.rating.rated.to_milliwatts() / 1_000;
        let driver = match self.spec.kind {
            MinerKind::LuxOs | MinerKind::WhatsMiner | MinerKind::Bitaxe => {
                format!("driver = \"asic\"\naddress = \"{}\"", self.address.ip())
            }
            MinerKind::Rack { .. } => {
                let address = self.address;
                format!("driver = \"relay-http\"\naddress = \"{address}\"\nplug = \"shelly\"")
            }
        };
        let relay = self.relay.map_or_else(String::new, |relay| {
            format!(
                "relay = {{ driver = \"relay-http\", address = \"{relay}\", plug = \"shelly\" }}\n"
            )
        });
        format!("name = \"{name}\"\n{driver}\nrated_w = {rated_w}\n{relay}")
    }
}

impl MinerFarm {
    /// Puts machines behind their sites' meters and lets them speak.
    ///
    /// # Errors
    ///
    /// [`MinerError`].
    ///
    /// # Panics
    ///
    /// If there is no such site, or something has panicked while it held the plant.
    pub async fn start(
        plant: &SharedPlant,
        clock: &Clock,
        specs: &[MinerSpec],
        hasty: bool,
    ) -> Result<Self, MinerError> {
        let (stop, mut listeners) = (CancellationToken::new(), JoinSet::new());
        let mut machines = Vec::new();
        for spec in specs {
            let (address, bound) = bind(spec.kind).await?;
            let rating = spec.kind.rating(hasty);
            let machine = {
                let mut plant = plant.lock().expect("a panic in the plant ends the testnet");
                match spec.kind {
                    MinerKind::Rack { .. } => plant.install_behind_relay(spec.site, rating),
                    MinerKind::LuxOs | MinerKind::WhatsMiner | MinerKind::Bitaxe => {
                        plant.install(spec.site, rating)
                    }
                }
            };
            let fault = Arc::new(Mutex::new(None));
            let rig = Rig {
                plant: Arc::clone(plant),
                clock: Arc::clone(clock),
                site: spec.site,
                machine,
                address: *address.ip(),
                fault: Arc::clone(&fault),
            };
            let sessions = Sessions::default();
            for (listener, port) in bound {
                let (rig, stop) = (rig.clone(), stop.clone());
                match (spec.kind, port) {
                    (MinerKind::LuxOs, _) => {
                        let sessions = sessions.clone();
                        let answer = move |rig: &Rig, asked: &serde_json::Value| {
                            luxos::answer(rig, &sessions, asked)
                        };
                        listeners.spawn(wire::serve(listener, rig, stop, wire::Form::Json, answer));
                    }
                    (MinerKind::WhatsMiner, WHATSMINER_PORT) => {
                        let form = wire::Form::Framed;
                        listeners.spawn(wire::serve(listener, rig, stop, form, whatsminer::answer));
                    }
                    (MinerKind::WhatsMiner, _) => {
                        let form = wire::Form::Json;
                        listeners.spawn(wire::serve(listener, rig, stop, form, whatsminer::old));
                    }
                    (MinerKind::Bitaxe, _) => {
                        listeners.spawn(bitaxe::serve(listener, rig, stop));
                    }
                    (MinerKind::Rack { .. }, _) => {
                        listeners.spawn(relay::serve(listener, rig, stop));
                    }
                }
            }
            let relay = if spec.has_relay {
                let (address, bound) = bind(MinerKind::Rack { rated_w: 0 }).await?;
                for (listener, _) in bound {
                    // What is wrong with the machine is not wrong with its relay.
                    let rig = Rig { fault: Arc::default(), ..rig.clone() };
                    listeners.spawn(relay::serve(listener, rig, stop.clone()));
                }
                Some(SocketAddr::V4(address))
            } else {
                None
            };
            let address = SocketAddr::V4(address);
            machines.push(MinerDescription { spec: *spec, machine, address, relay, rating, fault });
        }
        Ok(Self { machines, stop, listeners })
    }

    /// The machines in the order of their specs.
    #[must_use]
    pub fn machines(&self) -> &[MinerDescription] {
        &self.machines
    }

    /// Stops listening, closes every connection and returns when all are closed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.listeners.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a machine's listener failed");
            }
        }
    }
}

/// All ports of a machine at the first address that has them, and that address with the first of them.
async fn bind(kind: MinerKind) -> Result<(SocketAddrV4, Vec<(TcpListener, u16)>), MinerError> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for number in 0..ADDRESSES_MAX {
        let first = match kind {
            MinerKind::LuxOs | MinerKind::WhatsMiner => FIRST,
            MinerKind::Bitaxe => FIRST_BITAXE,
            MinerKind::Rack { .. } => Ipv4Addr::LOCALHOST,
        };
        let [a, b, c, d] = first.octets();
        let address = Ipv4Addr::new(a, b, c, d.saturating_add(number));
        match bind_all(address, kind.ports()).await {
            Ok(bound) => {
                let port = bound.first().map_or(0, |(_, port)| *port);
                return Ok((SocketAddrV4::new(address, port), bound));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(source) => return Err(MinerError::Bind { kind, source }),
        }
    }
    Err(MinerError::Bind { kind, source: last })
}

async fn bind_all(address: Ipv4Addr, ports: &[u16]) -> io::Result<Vec<(TcpListener, u16)>> {
    let mut bound = Vec::new();
    for port in ports {
        let listener = TcpListener::bind((address, *port)).await?;
        let port = listener.local_addr()?.port();
        bound.push((listener, port));
    }
    Ok(bound)
}

impl Rig {
    /// The machine as it is now.
    fn truth(&self) -> MachineTruth {
        let mut plant = self.plant.lock().expect("a panic in the plant ends the testnet");
        plant.step_to((self.clock)());
        plant.machine_truth(self.site, self.machine)
    }

    /// Tells the machine something, unless its fault is in the way; says whether it says yes to it.
    fn tell(&self, command: MachineCommand) -> bool {
        let command = match self.fault() {
            Some(Fault::Refuses | Fault::Unreachable) => return false,
            Some(Fault::NoEffect) => return true,
            Some(Fault::Reboots) => MachineCommand::Reboot,
            None
            | Some(
                Fault::Silent
                | Fault::HalfAnswer
                | Fault::Garbage
                | Fault::DeniesWhatItDoes
                | Fault::Overheats,
            ) => command,
        };
        let mut plant = self.plant.lock().expect("a panic in the plant ends the testnet");
        let told =
            plant.command((self.clock)(), self.site, Command::Machine(self.machine, command));
        if let Err(rejected) = &told {
            warn!(%rejected, "a machine is not in the plant");
        }
        told.is_ok() && self.fault() != Some(Fault::DeniesWhatItDoes)
    }

    fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present in seconds of the Unix epoch.
    fn seconds(&self) -> u64 {
        (self.clock)().to_unix_ms() / 1_000
    }
}
