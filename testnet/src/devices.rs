//! The equipment of every site as real `SunSpec` devices over Modbus TCP on the loopback interface, and
//! grid meters that speak other languages besides.
//!
//! One listener a site; its units are [`METER_UNIT`], and [`INVERTER_UNIT`] and [`BATTERY_UNIT`]
//! where the site has them. They answer function codes 3, 4, 6 and 16 out of the shared plant,
//! which each request moves on to the present. Not for physics: that is [`crate::plant`].

mod battery;
mod controls;
pub mod gas;
mod image;
mod inverter;
mod kind;
mod meter;
pub mod miners;
mod mqtt;
mod scale;
mod sdm630;
mod server;
#[cfg(test)]
mod tests;
mod text;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use boltgrid_protocol::units::Timestamp;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::sleep,
};
use tokio_modbus::server::tcp::Server;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::plant::{Nameplate, Plant};
pub use kind::{MeterKind, Meters};
use server::{Connection, Measured, SiteControls, SiteServer};

/// The unit id of the grid meter.
pub const METER_UNIT: u8 = 1;
/// The unit id of the PV inverter.
pub const INVERTER_UNIT: u8 = 2;
/// The unit id of the battery inverter.
pub const BATTERY_UNIT: u8 = 3;
/// The unit id of the grid meter as one that needs a map of its registers.
pub const MAPPED_UNIT: u8 = 4;

/// Most connections to one site: a node's driver for each unit, one being rebuilt, and an onlooker.
const CONNECTIONS_MAX: u32 = 8;
/// How long a listener rests after the system refused it a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The plant, shared by all devices and the observer. Never locked across an await.
pub type SharedPlant = Arc<Mutex<Plant>>;
/// Where the devices take the time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the configuration of a site's node is written from.
///
/// Unit [`METER_UNIT`] always exists, [`INVERTER_UNIT`] and [`BATTERY_UNIT`] where the nameplate
/// has PV and a battery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteDescription {
    /// Where the equipment listens.
    pub address: SocketAddr,
    /// What the grid meter speaks that the node is to read, and where.
    pub meter: (MeterKind, SocketAddr),
    /// What the equipment is.
    pub nameplate: Nameplate,
}

/// Why the devices could not be started.
#[derive(Debug, thiserror::Error)]
pub enum FarmError {
    /// No port on the loopback interface.
    #[error("cannot listen on a free port of 127.0.0.1 for the equipment of site `{site}`")]
    Bind {
        /// The site.
        site: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The running devices of all sites. Dropping it stops them at once.
#[derive(Debug)]
pub struct DeviceFarm {
    sites: Vec<SiteDescription>,
    cables: Vec<SiteDescription>,
    stop: CancellationToken,
    listeners: JoinSet<()>,
}

impl DeviceFarm {
    /// Binds ports for every site of the plant, then starts to serve them all.
    ///
    /// # Errors
    ///
    /// [`FarmError`] if a port cannot be bound.
    ///
    /// # Panics
    ///
    /// If something has panicked while it held the plant.
    pub async fn start(
        plant: SharedPlant,
        clock: Clock,
        meters: Meters,
    ) -> Result<Self, FarmError> {
        let nameplates: Vec<(Measured, Nameplate)> = {
            let plant = plant.lock().expect("a panic in the plant ends the testnet");
            let sites =
                (0..plant.len()).map(|site| (Measured::Site(site), plant.nameplate(site).clone()));
            let cables = (0..plant.cables().len())
                .map(|cable| (Measured::Cable(cable), plant.cable_nameplate(cable)));
            sites.chain(cables).collect()
        };
        let mut bound = Vec::new();
        for (of, nameplate) in nameplates {
            let failed = |source| FarmError::Bind { site: nameplate.name.clone(), source };
            let (listener, address) = bind().await.map_err(failed)?;
            let kind = match of {
                Measured::Site(site) => MeterKind::of(meters, site),
                Measured::Cable(_) => MeterKind::SunSpec,
            };
            let of_meter = match kind {
                MeterKind::SunSpec | MeterKind::Sdm630 => None,
                MeterKind::HomeWizard | MeterKind::P1 | MeterKind::Shelly | MeterKind::Mqtt => {
                    Some(bind().await.map_err(failed)?)
                }
            };
            let (plant, clock) = (Arc::clone(&plant), Arc::clone(&clock));
            let controls = Mutex::new(SiteControls::new());
            let server = SiteServer { plant, clock, of, nameplate, controls };
            bound.push(((address, listener), (kind, of_meter), Arc::new(server)));
        }
        let stop = CancellationToken::new();
        let mut listeners = JoinSet::new();
        let (mut sites, mut cables) = (Vec::new(), Vec::new());
        for ((address, listener), (kind, of_meter), server) in bound {
            let meter = (kind, of_meter.as_ref().map_or(address, |(_, address)| *address));
            let nameplate = server.nameplate.clone();
            let described = SiteDescription { address, meter, nameplate };
            match server.of {
                Measured::Site(_) => sites.push(described),
                Measured::Cable(_) => cables.push(described),
            }
            if let Some((listener, _)) = of_meter {
                let meter = Arc::clone(&server);
                if kind == MeterKind::Mqtt {
                    listeners.spawn(mqtt::serve(listener, meter, stop.clone()));
                } else {
                    listeners.spawn(text::serve(listener, (meter, kind), stop.clone()));
                }
            }
            listeners.spawn(serve(listener, server, stop.clone()));
        }
        Ok(Self { sites, cables, stop, listeners })
    }

    /// The sites in the order of the plant.
    #[must_use]
    pub fn sites(&self) -> &[SiteDescription] {
        &self.sites
    }

    /// The meters of the cables at the busbar, which belong to no site, in the order of the plant.
    #[must_use]
    pub fn cables(&self) -> &[SiteDescription] {
        &self.cables
    }

    /// Stops listening, closes every connection and returns when all are closed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.listeners.join_next().await {
            if let Err(error) = ended {
                error!(%error, "device listener failed");
            }
        }
    }
}

async fn bind() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves one site until it is stopped and its last connection is closed.
async fn serve(listener: TcpListener, site: Arc<SiteServer>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let listener = Server::new(listener);
    let on_connected = |stream: TcpStream, peer: SocketAddr| {
        let place = Arc::clone(&places).try_acquire_owned();
        let server = Arc::clone(&site);
        async move {
            let Ok(place) = place else {
                warn!(%peer, site = server.nameplate.name, "too many connections to a site");
                return Ok(None);
            };
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%error, "connection was gone before it was served");
                return Ok(None);
            }
            Ok(Some((Connection { server, _place: place }, stream)))
        }
    };
    let on_error = |error: io::Error| debug!(%error, "connection to a device failed");
    while let Some(ended) = stop.run_until_cancelled(listener.serve(&on_connected, on_error)).await
    {
        // The system is out of something; connections that were open are closed and come again.
        if let Err(error) = ended {
            warn!(%error, site = site.nameplate.name, "cannot accept connections to a site");
        }
        sleep(ACCEPT_PAUSE).await;
    }
    // Each open connection holds a place until it has seen that it is to end.
    if let Err(closed) = places.acquire_many(CONNECTIONS_MAX).await {
        error!(error = %closed, "places of connections were closed");
    }
}
