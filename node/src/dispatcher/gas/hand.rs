//! The hand at generator and flare: asks them each second how they are, and tells the generator what it
//! is to do.
//!
//! A call that fails is tried again with the next look; what is not heard for a while is not known.
//! Not for: what the generator is to do.

#[cfg(test)]
mod tests;

use std::time::Duration;

use boltgrid_miners::drivers::{DeviceError, Flame, Genset, Looked};
use boltgrid_miners::flare::Steered;
use boltgrid_protocol::units::{Power, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::GasConfig;
use crate::clock;

/// How often generator and flare are asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The generator is told what it was told already this often: a controller that was restarted knows
/// nothing of it.
const TELL_AGAIN: Duration = Duration::from_secs(10);
/// What was said is believed for so long.
const BELIEVED_MS: u64 = 5_000;

/// What generator and flare said last.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::dispatcher) struct Told {
    pub(super) looked: Option<(Timestamp, Looked)>,
    pub(super) flame: Option<(Timestamp, bool)>,
    /// Whether they were asked at all.
    pub(super) was_asked: bool,
}

impl Told {
    /// Whether the generator runs; none where it did not say for a while.
    pub(super) fn runs(&self, now: Timestamp) -> Option<bool> {
        let (at, looked) = self.looked?;
        (now.ms_since(at) <= BELIEVED_MS).then_some(looked.runs)
    }

    /// Whether the flare burns, likewise.
    pub(super) fn burns(&self, now: Timestamp) -> Option<bool> {
        let (at, burns) = self.flame?;
        (now.ms_since(at) <= BELIEVED_MS).then_some(burns)
    }

    /// For how many hours the generator ever ran, as it said last.
    pub(super) fn hours(&self) -> Option<u32> {
        self.looked.and_then(|(_, looked)| looked.hours)
    }
}

/// The hand.
#[derive(Debug)]
pub(in crate::dispatcher) struct Hand {
    genset: Genset,
    flame: Option<Flame>,
    /// Smaller changes than this are not told.
    step: Power,
    orders: watch::Receiver<Option<Steered>>,
    told: watch::Sender<Told>,
}

impl Hand {
    pub(super) fn new(
        config: &GasConfig,
        orders: watch::Receiver<Option<Steered>>,
        told: watch::Sender<Told>,
    ) -> Self {
        let step_mw = i64::from(config.generator.control.set_point_w).saturating_mul(1_000);
        Self {
            genset: Genset::new(&config.generator.control),
            flame: config.flare.as_ref().map(Flame::new),
            step: Power::from_milliwatts(step_mw),
            orders,
            told,
        }
    }

    /// Runs until stopped, and leaves the generator as it is then: its own controller protects it.
    pub(in crate::dispatcher) async fn run(mut self, stop: CancellationToken) {
        let (mut look_at, mut tell_at) = (Instant::now(), Instant::now());
        let (mut failing, mut flame_failing) = (false, false);
        let mut told: Option<(bool, Power)> = None;
        loop {
            let changed = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = self.orders.changed() => match changed {
                    Ok(()) => true,
                    // The dispatcher has ended.
                    Err(_) => return,
                },
                () = sleep_until(look_at) => false,
            };
            let order = *self.orders.borrow_and_update();
            if let Some(Steered { runs, output, .. }) = order {
                let is_news =
                    told.is_none_or(|(ran, gave)| ran != runs || self.differ(gave, output));
                if is_news || Instant::now() >= tell_at {
                    let done = self.genset.command(runs, output).await;
                    told = done.is_ok().then_some((runs, output));
                    tell_at = Instant::now() + if done.is_ok() { TELL_AGAIN } else { LOOK_EVERY };
                    note(&mut failing, done.err(), "generator");
                }
            }
            if changed {
                continue;
            }
            look_at = Instant::now() + LOOK_EVERY;
            let looked = self.genset.look().await;
            let flame = match &self.flame {
                Some(flame) => Some(flame.burns().await),
                None => None,
            };
            let now = clock::now();
            self.told.send_modify(|told| {
                told.was_asked = true;
                if let Ok(looked) = &looked {
                    told.looked = Some((now, *looked));
                }
                if let Some(Ok(burns)) = &flame {
                    told.flame = Some((now, *burns));
                }
            });
            note(&mut failing, looked.err(), "generator");
            if let Some(flame) = flame {
                note(&mut flame_failing, flame.err(), "flare");
            }
        }
    }

    /// Has generator and flare say something.
    #[cfg(test)]
    pub(super) fn tell(&self, change: impl FnOnce(&mut Told)) {
        self.told.send_modify(change);
    }

    /// What the generator is to do.
    #[cfg(test)]
    pub(super) fn order(&self) -> Option<Steered> {
        *self.orders.borrow()
    }

    fn differ(&self, one: Power, other: Power) -> bool {
        let by = one.to_milliwatts().saturating_sub(other.to_milliwatts()).saturating_abs();
        by >= self.step.to_milliwatts().max(1)
    }
}

/// Tells of the first of many failures, and of their end.
fn note(failing: &mut bool, error: Option<DeviceError>, device: &'static str) {
    match &error {
        Some(error) if !*failing => {
            warn!(%device, %error, "it does not do as asked; it is tried again");
        }
        None if *failing => info!(%device, "it does as asked again"),
        Some(_) | None => {}
    }
    *failing = error.is_some();
}
