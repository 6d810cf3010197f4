//! Finding a meter and trying it out, before it is in any config: what `boltgrid meter discover` and
//! `boltgrid meter test` do, for a page.
//!
//! Not for: what is looked for, and what looks wrong ([`crate::cli::meter`], [`crate::site`]).

use std::sync::Arc;

use futures::{StreamExt as _, stream};

use super::said::Problem;
use crate::cli::meter::discover::look::{Found, look};
use crate::cli::meter::discover::{AT_ONCE, PORTS};
use crate::cli::targets::{Target, endpoints};
use crate::rpc::meter::MeterReport;
use crate::site::{DeviceConfig, MeterState, SiteConfig, Trial, hints};

/// Devices that are shown of a search.
const FOUND_MAX: usize = 24;
/// Samples by which a meter is judged, the latest.
const SAMPLES_MAX: usize = 30;

/// What there is at the addresses that the text names.
///
/// # Errors
///
/// [`Problem::NotATarget`].
pub(super) async fn look_around(text: &str) -> Result<Vec<Found>, Problem> {
    let target =
        |text: &str| text.parse::<Target>().map_err(|error| Problem::NotATarget(error.to_string()));
    let targets: Vec<Target> = text.split_whitespace().map(target).collect::<Result<_, _>>()?;
    let endpoints = endpoints(&targets, &PORTS).filter(|it| !it.is_empty());
    let endpoints = endpoints.ok_or_else(|| Problem::NotATarget(text.to_owned()))?;
    let looks = endpoints.into_iter().map(|(host, port)| async move { look(&host, port).await });
    let found = stream::iter(looks).buffered(AT_ONCE).flat_map(stream::iter);
    Ok(found.take(FOUND_MAX).collect().await)
}

/// A meter that is tried out.
#[derive(Debug)]
pub(super) struct Trying {
    pub(super) device: DeviceConfig,
    trial: Trial,
    seen: Vec<Arc<[MeterState]>>,
}

impl Trying {
    /// Begins with a meter at the grid's connection, without calling it yet.
    ///
    /// # Errors
    ///
    /// [`Problem::Other`] where no site can have such a device.
    pub(super) fn new(device: DeviceConfig) -> Result<Self, Problem> {
        let site = SiteConfig { meter: Some(device.clone()), ..SiteConfig::default() };
        let trial = Trial::new(&site).map_err(|error| Problem::Other(error.to_string()))?;
        Ok(Self { device, trial, seen: Vec::new() })
    }

    /// Reads it once.
    pub(super) async fn read(&mut self) {
        let meters = self.trial.read().await;
        if self.seen.len() == SAMPLES_MAX {
            self.seen.remove(0);
        }
        self.seen.push(meters);
    }

    /// What it showed last; none before it was read.
    pub(super) fn last(&self) -> Option<MeterReport> {
        self.seen.last().and_then(|meters| meters.first()).map(MeterReport::from)
    }

    /// How often it answered, and of how often it was read.
    pub(super) fn answered(&self) -> (usize, usize) {
        let is_fresh = |it: &&Arc<[MeterState]>| it.first().is_some_and(|it| it.stale.is_none());
        (self.seen.iter().filter(is_fresh).count(), self.seen.len())
    }

    /// What looks wrong about it, and what to do where it is not read.
    pub(super) fn hints(&self) -> Vec<String> {
        let mut found = hints(&self.seen, 0);
        let last = self.seen.last().and_then(|meters| meters.first());
        found.extend(last.and_then(|meter| self.trial.advice(meter)));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::setup::said::MeterForm;

    #[tokio::test]
    async fn nothing_but_addresses_is_looked_at() {
        for text in ["", "  ", "a b:c", "10.0.0.0/8"] {
            assert!(matches!(look_around(text).await, Err(Problem::NotATarget(_))), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_meter_that_is_not_there_did_not_answer() {
        // Nobody listens at a port that was given back.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let form = MeterForm { driver: "sunspec".to_owned(), address, ..MeterForm::default() };
        let mut trying = Trying::new(form.read().unwrap()).unwrap();
        assert!(trying.last().is_none());
        trying.read().await;
        assert_eq!(trying.answered(), (0, 1));
        assert!(trying.last().unwrap().stale.is_some());
        let told = trying.hints();
        assert!(told.iter().any(|it| it.contains("nothing listens at that port")), "{told:?}");
    }
}
