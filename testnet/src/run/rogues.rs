//! The rogues of a run: members whose sites are played by [`crate::rogue`] instead of a node.
//!
//! They run inside this program, from before the nodes are ready until the end, each for itself: with
//! the member's own key, its meter's key, what its meter really shows, and real connections to every
//! honest node. What a rogue says of the run is not asked for, since it proves nothing.
//! Not for: which sites, which is the faults file's.

mod lines;
mod player;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boltgrid::config::{Config, ConfigError, RawConfig};
use boltgrid::grid::{Grid, GridError};
use boltgrid::network::NetworkError;
use boltgrid_protocol::message::Gatekeeper;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::founding::{self, key};
use super::overheard::Overheard;
use super::report::RogueRow;
use super::stage::Stage;
use crate::rogue::{Rogue, Role, Trick};
use lines::Lines;
use player::{Chain, Player};

/// How many messages a rogue sent, by kind.
pub type Deeds = BTreeMap<&'static str, u64>;
/// A payer's word on an invoice that it will pay.
pub const TAKEN: &str = "taken";

/// What a rogue said, and what was said to it.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// What it sent.
    pub sent: Deeds,
    /// The words on its invoices, by what was wrong with these.
    pub words: BTreeMap<Trick, Deeds>,
    /// What it heard that is a reading or a seal of another member, or was told when it asked.
    pub heard: Overheard,
    /// The payment hashes of invoices with which nothing was wrong, in hexadecimal.
    pub right: BTreeSet<String>,
}

/// Why a rogue cannot play.
#[derive(Debug, thiserror::Error)]
pub enum RogueError {
    /// The site's files.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The grid's.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// Its connections.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// All rogues of a run. Dropping them sends them away.
#[derive(Debug, Default)]
pub struct Rogues {
    roles: BTreeMap<usize, Role>,
    players: JoinSet<(usize, Played)>,
    stop: CancellationToken,
    played: BTreeMap<usize, Played>,
}

impl Rogues {
    /// Lets the rogues play at these sites, counted as in the scenario.
    ///
    /// # Errors
    ///
    /// [`RogueError`].
    pub fn start(
        stage: &Stage,
        seed: u64,
        roles: BTreeMap<usize, Role>,
    ) -> Result<Self, RogueError> {
        let mut rogues = Self { roles, ..Self::default() };
        let honest: Vec<_> = stage
            .places
            .iter()
            .enumerate()
            .filter(|(number, _)| !rogues.roles.contains_key(number))
            .map(|(_, place)| (place.participant, place.address.clone()))
            .collect();
        for (number, role) in rogues.roles.clone() {
            let Some(place) = stage.places.get(number) else { continue };
            let config = Config::load(&place.config, RawConfig::default())?;
            let Grid { charter, rosters } = Grid::load(&config.grid)?;
            let own = key(seed, founding::Role::Participant, number);
            let meter = key(seed, founding::Role::Meter, number);
            let lines = Lines::open(&own, charter.grid_id(), &honest)?;
            let dice = seed.wrapping_add(u64::try_from(number).unwrap_or(0));
            let (charter, own_rosters) = (Arc::clone(&charter), rosters.clone());
            let participant = own.participant_id();
            let rogue = Rogue::new(role, dice, Arc::clone(&charter), own_rosters, own, Vec::new());
            let player = Player {
                rogue: rogue.with_meter(meter.clone()),
                lines,
                gate: Gatekeeper::new(Arc::clone(&charter), rosters),
                charter,
                participant,
                meter,
                plant: Arc::clone(&stage.plant),
                number,
                readings: Chain::default(),
                played: Played::default(),
                asked: BTreeMap::new(),
            };
            let stop = rogues.stop.clone();
            rogues.players.spawn(async move { (number, player.play(stop).await) });
        }
        Ok(rogues)
    }

    /// Whether a site is played by a rogue.
    #[must_use]
    pub fn is_rogue(&self, number: usize) -> bool {
        self.roles.contains_key(&number)
    }

    /// What a rogue said and was told; it is there once it was sent away.
    pub fn played(&self) -> impl Iterator<Item = (usize, &Played)> {
        self.played.iter().map(|(number, played)| (*number, played))
    }

    /// What each of them heard of others' readings.
    pub fn overheard(&self) -> impl Iterator<Item = (Role, Overheard)> {
        let played = self.played.iter();
        played.filter_map(|(number, played)| Some((*self.roles.get(number)?, played.heard)))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.roles.len()
    }

    /// Sends all rogues away, and learns what they said.
    ///
    /// # Panics
    ///
    /// If one of them has, which is a bug.
    pub async fn end(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.players.join_next().await {
            let (number, played) = ended.expect("a panic of a rogue ends the testnet");
            self.played.insert(number, played);
        }
    }

    /// The rows of the report; what was said is there once they were sent away.
    #[must_use]
    pub fn rows(&self, stage: &Stage) -> Vec<RogueRow> {
        let row = |(number, role): (&usize, &Role)| {
            let place = stage.places.get(*number)?;
            let played = self.played.get(number).cloned().unwrap_or_default();
            let counts = |deeds: Deeds| {
                deeds.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect()
            };
            let words = played.words.into_iter();
            Some(RogueRow {
                site: place.name.clone(),
                participant: place.participant.to_string(),
                role: role.word().to_owned(),
                sent: counts(played.sent),
                heard: played.heard.into(),
                words: words.map(|(it, words)| (it.word().to_owned(), counts(words))).collect(),
                ..RogueRow::default()
            })
        };
        self.roles.iter().filter_map(row).collect()
    }
}

fn count(deeds: &mut Deeds, kind: &'static str) {
    let count = deeds.entry(kind).or_default();
    *count = count.saturating_add(1);
}
