//! What the owner wants of the market beyond the config file: standing instructions, and orders of its own
//! for coming intervals.
//!
//! Both are kept in the data folder, with who changed what, so that they hold after a restart.
//! Not for: what follows from them; the planner and the market task ask here.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::order::{Order, Side, Source, Step};
use boltgrid_protocol::units::{Energy, Interval, Price, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::OwnerConfig;
use crate::status::shapes::{SideShape, SourceShape};
use crate::status::{Quoted, QuotedOption};

/// File of the owner's word inside the data folder.
const FILE: &str = "instructions.json";
/// Most bytes of that file: every order and change that there may be.
const FILE_MAX: u64 = 1024 * 1024;
/// Own orders that wait at most: a day of five-minute intervals.
pub const ORDERS_MAX: usize = 288;
/// How far ahead an own order may be.
pub const AHEAD_MAX_MS: u64 = 604_800_000;
/// Changes that are remembered.
const CHANGES_MAX: usize = 100;

/// Standing instructions. What is left out is as the config file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Instructions {
    /// Whether to place orders at all.
    pub trade: Option<bool>,
    /// Never buy above this; inside the charter's band.
    #[serde(with = "QuotedOption")]
    pub buy_at_most_msat_per_kwh: Option<i64>,
    /// Never sell what can be withheld below this; inside the charter's band.
    #[serde(with = "QuotedOption")]
    pub sell_at_least_msat_per_kwh: Option<i64>,
    /// What stays in the battery for the owner, 0 to 100 percent of its capacity.
    pub reserve_state_of_charge_percent: Option<u8>,
}

/// One step of an own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepTerms {
    /// Buy or sell.
    #[schemars(with = "SideShape")]
    pub side: Side,
    /// What stands behind it.
    #[schemars(with = "SourceShape")]
    pub source: Source,
    /// How much, above zero.
    #[serde(with = "Quoted")]
    pub energy_mwh: u64,
    /// The highest price to buy at, or the lowest to sell at.
    #[serde(with = "Quoted")]
    pub limit_msat_per_kwh: i64,
}

/// A change of the instructions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// When.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
    /// Who: the token's name, or `cookie` for the owner of the data folder.
    pub by: String,
    /// What held from then on.
    pub instructions: Instructions,
}

/// What is in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Kept {
    instructions: Instructions,
    /// By interval.
    orders: BTreeMap<u64, Vec<StepTerms>>,
    /// Oldest first.
    changes: VecDeque<Change>,
}

/// Why an instruction makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadInstructions {
    /// A price outside the band.
    #[error("a price is outside the charter's band; `grid.charter` shows it")]
    OutsideBand,
    /// No part of a battery.
    #[error("`reserve_state_of_charge_percent` is 0 to 100")]
    Percent,
}

/// Why the owner's word cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum InstructionsError {
    /// The file cannot be read or written.
    #[error("{}: {source}; check the disk and who may use the data folder", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It holds something else.
    #[error(
        "{} does not hold the owner's instructions ({source}); move it away to go by the config \
         file alone",
        path.display()
    )]
    Garbled {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The owner's word: the config file's, and what was said since.
#[derive(Clone, Debug)]
pub(crate) struct OwnersWord {
    path: PathBuf,
    config: OwnerConfig,
    kept: Kept,
}

impl Instructions {
    /// Whether they make sense on this grid.
    ///
    /// # Errors
    ///
    /// [`BadInstructions`].
    pub fn check(&self, charter: &Charter) -> Result<(), BadInstructions> {
        let prices = [self.buy_at_most_msat_per_kwh, self.sell_at_least_msat_per_kwh];
        let prices = prices.into_iter().flatten().map(Price::from_msat_per_kwh);
        if !prices.into_iter().all(|price| charter.price.contains(price)) {
            return Err(BadInstructions::OutsideBand);
        }
        match self.reserve_state_of_charge_percent {
            Some(percent) if percent > 100 => Err(BadInstructions::Percent),
            Some(_) | None => Ok(()),
        }
    }

    /// What holds with them.
    fn over(&self, config: OwnerConfig) -> OwnerConfig {
        let price = |said: Option<i64>| said.map(Price::from_msat_per_kwh);
        OwnerConfig {
            trade: self.trade.unwrap_or(config.trade),
            buy_at_most: price(self.buy_at_most_msat_per_kwh).or(config.buy_at_most),
            sell_at_least: price(self.sell_at_least_msat_per_kwh).or(config.sell_at_least),
            reserve_state_of_charge_percent: self
                .reserve_state_of_charge_percent
                .unwrap_or(config.reserve_state_of_charge_percent),
            ..config
        }
    }
}

impl From<&OwnerConfig> for Instructions {
    fn from(owner: &OwnerConfig) -> Self {
        Self {
            trade: Some(owner.trade),
            buy_at_most_msat_per_kwh: owner.buy_at_most.map(Price::to_msat_per_kwh),
            sell_at_least_msat_per_kwh: owner.sell_at_least.map(Price::to_msat_per_kwh),
            reserve_state_of_charge_percent: Some(owner.reserve_state_of_charge_percent),
        }
    }
}

impl From<&StepTerms> for Step {
    fn from(terms: &StepTerms) -> Self {
        Self {
            side: terms.side,
            source: terms.source,
            energy_mwh: Energy::from_milliwatt_hours(terms.energy_mwh),
            limit_msat_per_kwh: Price::from_msat_per_kwh(terms.limit_msat_per_kwh),
        }
    }
}

impl OwnersWord {
    /// Reads what was said before from the data folder; nothing where there is no such file.
    ///
    /// # Errors
    ///
    /// [`InstructionsError`].
    pub(crate) fn open(data_dir: &Path, config: OwnerConfig) -> Result<Self, InstructionsError> {
        let path = data_dir.join(FILE);
        let failed = |source| InstructionsError::Io { path: path.clone(), source };
        let kept = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(source) => return Err(failed(source)),
            Ok(about) if about.len() > FILE_MAX => {
                return Err(failed(io::ErrorKind::FileTooLarge.into()));
            }
            Ok(_) => {
                let bytes = fs::read(&path).map_err(failed)?;
                serde_json::from_slice(&bytes)
                    .map_err(|source| InstructionsError::Garbled { path: path.clone(), source })?
            }
        };
        Ok(Self { path, config, kept })
    }

    /// What holds.
    pub(crate) fn owner(&self) -> OwnerConfig {
        self.kept.instructions.over(self.config)
    }

    /// What the config file says.
    pub(crate) const fn config(&self) -> &OwnerConfig {
        &self.config
    }

    /// The standing instructions.
    pub(crate) const fn instructions(&self) -> Instructions {
        self.kept.instructions
    }

    /// The latest changes, oldest first.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.kept.changes.iter()
    }

    /// The owner's own order for an interval, as its steps; none where the planner orders. No steps mean
    /// that nothing is ordered.
    pub(crate) fn order(&self, interval: Interval) -> Option<Order> {
        let steps = self.kept.orders.get(&interval.to_number())?;
        Some(Order { steps: steps.iter().map(Step::from).collect(), ..Order::default() })
    }

    /// All own orders that wait.
    pub(crate) fn orders(&self) -> impl Iterator<Item = (Interval, &[StepTerms])> {
        self.kept.orders.iter().map(|(it, steps)| (Interval::from_number(*it), steps.as_slice()))
    }

    /// The word with other instructions.
    pub(crate) fn instructed(&self, instructions: Instructions, by: &str, now: Timestamp) -> Self {
        let mut word = self.clone();
        word.kept.instructions = instructions;
        let change = Change { at_unix_ms: now.to_unix_ms(), by: by.to_owned(), instructions };
        word.kept.changes.push_back(change);
        while word.kept.changes.len() > CHANGES_MAX {
            word.kept.changes.pop_front();
        }
        word
    }

    /// The word with another order for an interval, or none; what is over by `current` is forgotten.
    /// `None` where too many wait.
    pub(crate) fn ordered(
        &self,
        (interval, current): (Interval, Interval),
        steps: Option<Vec<StepTerms>>,
    ) -> Option<Self> {
        let mut word = self.clone();
        word.kept.orders = word.kept.orders.split_off(&current.to_number());
        match steps {
            Some(steps) => drop(word.kept.orders.insert(interval.to_number(), steps)),
            None => drop(word.kept.orders.remove(&interval.to_number())),
        }
        (word.kept.orders.len() <= ORDERS_MAX).then_some(word)
    }

    /// Writes it all down, so that it holds after a restart too. Takes as long as the disk does.
    ///
    /// # Errors
    ///
    /// [`InstructionsError::Io`].
    pub(crate) fn keep(&self) -> Result<(), InstructionsError> {
        let write = || {
            let new = self.path.with_extension("new");
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec(&self.kept).map_err(io::Error::from)?)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|source| InstructionsError::Io { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_market::payments::CreditTerms;
    use boltgrid_protocol::units::Msat;

    use super::*;
    use crate::site::charter_for_tests;

    fn config() -> OwnerConfig {
        OwnerConfig {
            trade: true,
            buy_at_most: None,
            sell_at_least: Some(Price::from_msat_per_kwh(5)),
            reserve_state_of_charge_percent: 10,
            wear: Price::ZERO,
            battery_efficiency_ppm: 950_000,
            credit: CreditTerms { first_msat: Msat::ZERO, most_msat: Msat::ZERO },
            willing: boltgrid_market::escrow::Willingness::default(),
        }
    }

    fn step() -> StepTerms {
        let (side, source) = (Side::Buy, Source::Load);
        StepTerms { side, source, energy_mwh: 7, limit_msat_per_kwh: -3 }
    }

    #[test]
    fn instructions_stand_over_the_config_file_and_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let word = OwnersWord::open(dir.path(), config()).unwrap();
        assert_eq!(Instructions::from(&word.owner()), Instructions::from(&config()));
        let wanted = Instructions {
            trade: Some(false),
            buy_at_most_msat_per_kwh: Some(-9),
            ..Instructions::default()
        };
        word.instructed(wanted, "tablet", Timestamp::from_unix_ms(8)).keep().unwrap();
        let word = OwnersWord::open(dir.path(), config()).unwrap();
        let owner = word.owner();
        assert!(!owner.trade);
        assert_eq!(owner.buy_at_most, Some(Price::from_msat_per_kwh(-9)));
        assert_eq!(owner.sell_at_least, config().sell_at_least, "which was left out");
        let change = Change { at_unix_ms: 8, by: "tablet".to_owned(), instructions: wanted };
        assert_eq!(word.changes().collect::<Vec<_>>(), [&change]);
    }

    #[test]
    fn orders_wait_for_their_interval_and_are_forgotten_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = Interval::from_number;
        let word = OwnersWord::open(dir.path(), config()).unwrap();
        let word = word.ordered((at(9), at(5)), Some(vec![step()])).unwrap();
        let word = word.ordered((at(10), at(5)), Some(Vec::new())).unwrap();
        word.keep().unwrap();
        let word = OwnersWord::open(dir.path(), config()).unwrap();
        assert_eq!(word.order(at(9)).unwrap().steps, [Step::from(&step())]);
        assert_eq!(word.order(at(10)).unwrap().steps, [], "nothing is to be ordered");
        assert_eq!(word.order(at(11)), None, "the planner orders");
        let word = word.ordered((at(10), at(10)), None).unwrap();
        assert_eq!(word.orders().count(), 0);
    }

    #[test]
    fn no_more_orders_and_changes_are_kept_than_there_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let at = |number: usize| Interval::from_number(u64::try_from(number).unwrap());
        let mut word = OwnersWord::open(dir.path(), config()).unwrap();
        for number in 0..ORDERS_MAX {
            word = word.ordered((at(number), at(0)), Some(vec![step(); 8])).unwrap();
        }
        assert!(word.ordered((at(ORDERS_MAX), at(0)), Some(vec![step()])).is_none());
        for number in 0..u64::try_from(2 * CHANGES_MAX).unwrap() {
            let now = Timestamp::from_unix_ms(number);
            word = word.instructed(Instructions::default(), &"n".repeat(64), now);
        }
        assert_eq!(word.changes().count(), CHANGES_MAX);
        word.keep().unwrap();
        OwnersWord::open(dir.path(), config()).expect("a full file is not too large");
    }

    #[test]
    fn a_file_with_something_else_is_named_and_so_is_what_makes_no_sense() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{\"trade\": true}").unwrap();
        let refused = OwnersWord::open(dir.path(), config()).unwrap_err().to_string();
        assert!(refused.contains(FILE) && refused.contains("move it away"), "{refused}");
        let charter = charter_for_tests(300_000);
        let percent =
            Instructions { reserve_state_of_charge_percent: Some(101), ..Instructions::default() };
        assert_eq!(percent.check(&charter), Err(BadInstructions::Percent));
        let price =
            Instructions { buy_at_most_msat_per_kwh: Some(i64::MAX), ..Instructions::default() };
        assert_eq!(price.check(&charter), Err(BadInstructions::OutsideBand));
        assert_eq!(Instructions::default().check(&charter), Ok(()));
    }
}
