//! A grid meter that publishes over MQTT, and the broker of its house.
//!
//! Not for: what a broker does (see [`broker`]).

mod broker;
mod tasmota;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::server::SiteServer;
use broker::Broker;
pub(super) use tasmota::settings;

/// Serves a house's broker, to which its grid meter publishes, until it is stopped.
pub(super) async fn serve(listener: TcpListener, site: Arc<SiteServer>, stop: CancellationToken) {
    let address: io::Result<_> = listener.local_addr();
    match address {
        Ok(address) => {
            let broker = Broker::new();
            tokio::join!(
                broker.serve(listener, stop.clone()),
                tasmota::publish(address, &site, stop),
            );
        }
        Err(error) => error!(%error, "a broker does not know where it listens"),
    }
}
