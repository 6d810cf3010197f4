//! The owner's word about machines, and what is shown of them.

use std::sync::Arc;

use boltgrid_miners::emissions::Account;
use boltgrid_miners::heat::Temperatures;
use boltgrid_miners::machine::SetPoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::gas::{GasDay, GasStatus, days};
use super::places::PlaceStatus;
use crate::status::{Quoted, QuotedOption};
use crate::stratum::WorkerStatus;

/// Owners' words waiting.
pub(super) const WISHES_MAX: usize = 8;
/// An owner decides for at most a week.
pub(super) const FOR_MS_MAX: u64 = 604_800_000;

/// Why an owner's word is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such machine.
    #[error("there is no machine {0:?} in the config; `boltgrid miner decisions` shows all")]
    Unknown(String),
    /// It cannot be told that.
    #[error("{machine:?} cannot be told that: {problem}")]
    Unable {
        /// The machine.
        machine: String,
        /// Why.
        problem: String,
    },
    /// For too long, or no time at all.
    #[error("an owner decides for 1 ms to a week, and the plan from then on")]
    Time,
    /// There is no such place.
    #[error("there is no place {0:?} in the config; see `[[mining.place]]`")]
    NoPlace(String),
    /// No place is so warm or cold.
    #[error("a temperature is −60 to 150 °C, in thousandths of a degree")]
    Temperature,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// What the owner wants.
#[derive(Debug)]
pub(super) enum Wish {
    /// A machine does this for so long; nothing gives it back to the plan.
    Owner { machine: String, set_point: Option<SetPoint>, for_ms: u64 },
    /// All machines stop for so long; 0 ends that.
    Emergency { for_ms: u64 },
    /// How warm a place is.
    Warm { place: String, seen: Temperatures },
}

/// A wish, and where the answer goes.
pub(super) type Asked = (Wish, oneshot::Sender<Result<(), Refused>>);

/// Where to ask.
#[derive(Clone, Debug)]
pub struct DispatchDesk {
    pub(super) wishes: mpsc::Sender<Asked>,
    pub(crate) status: watch::Receiver<Arc<DispatchStatus>>,
    /// What became of the well's gas; the latest minute may be missing.
    pub(super) account: watch::Receiver<Arc<Account>>,
}

impl DispatchDesk {
    /// The desk of a node without machines, for tests of others.
    #[cfg(test)]
    pub(crate) fn of_nobody() -> Self {
        let ((wishes, _), (_, status)) = (mpsc::channel(1), watch::channel(Arc::default()));
        let (_, account) = watch::channel(Arc::default());
        Self { wishes, status, account }
    }

    /// How the machines are.
    #[must_use]
    pub fn status(&self) -> Arc<DispatchStatus> {
        Arc::clone(&self.status.borrow())
    }

    /// The days of the account of the well's gas that began between these, both included.
    #[must_use]
    pub fn gas_days(&self, from_unix_ms: u64, until_unix_ms: u64) -> Vec<GasDay> {
        let account = Arc::clone(&self.account.borrow());
        days(&account, from_unix_ms, until_unix_ms)
    }

    /// Has a machine do something for a while, or, with none, what the plan says.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn decide(
        &self,
        machine: String,
        set_point: Option<SetPoint>,
        for_ms: u64,
    ) -> Result<(), Refused> {
        self.ask(Wish::Owner { machine, set_point, for_ms }).await
    }

    /// Has all machines stop for a while; 0 ends that.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn shed(&self, for_ms: u64) -> Result<(), Refused> {
        self.ask(Wish::Emergency { for_ms }).await
    }

    /// Takes somebody's word for how warm a place is; it is believed for a while.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn warm(&self, place: String, seen: Temperatures) -> Result<(), Refused> {
        self.ask(Wish::Warm { place, seen }).await
    }

    async fn ask(&self, wish: Wish) -> Result<(), Refused> {
        let (answer, answered) = oneshot::channel();
        self.wishes.send((wish, answer)).await.map_err(|_| Refused::Stopping)?;
        answered.await.map_err(|_| Refused::Stopping)?
    }
}

/// How the machines are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DispatchStatus {
    /// The hashprice; none while nobody knows.
    #[serde(with = "QuotedOption")]
    pub hashprice_msat_per_th_day: Option<u64>,
    /// Where it comes from.
    pub hashprice_source: String,
    /// What the machines may draw now without anybody's buying more; none before the first plan.
    #[serde(with = "QuotedOption")]
    pub budget_mw: Option<i64>,
    /// What a kilowatt-hour brings that they leave.
    #[serde(with = "QuotedOption")]
    pub spare_brings_msat_per_kwh: Option<i64>,
    /// What 95 of 100 commands took at most from the change at the meter: from the sample before the one
    /// that shows it. None before the first.
    #[serde(with = "QuotedOption")]
    pub reaction_ms_p95: Option<u64>,
    /// How many commands that counts.
    pub reactions: u32,
    /// Until when all stop; none without an emergency.
    #[serde(with = "QuotedOption")]
    pub emergency_until_unix_ms: Option<u64>,
    /// The well, its generator and its flare, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gas: Option<GasStatus>,
    /// What machines warm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<PlaceStatus>,
    /// The machines.
    pub machines: Vec<MachineStatus>,
    /// What workers proved that mine through this node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerStatus>,
    /// The latest decisions, oldest first.
    pub decisions: Vec<Log>,
}

impl DispatchStatus {
    /// What is wrong with machines, generator or flare, in words; none where all do as they are told.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let gas = self.gas.iter().filter_map(|gas| Some(format!("gas: {}", gas.trouble.as_ref()?)));
        let troubled = self.machines.iter().filter_map(|machine| {
            let trouble = machine.trouble.as_ref()?;
            Some(format!("{}: {trouble}", machine.name))
        });
        let troubles: Vec<String> = troubled.chain(gas).collect();
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }
}

/// One machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MachineStatus {
    /// What it is called.
    pub name: String,
    /// What it is; none until it is found.
    pub about: Option<String>,
    /// What it draws, by its meter or its own word.
    #[serde(with = "QuotedOption")]
    pub power_mw: Option<i64>,
    /// How fast it hashes.
    #[serde(with = "QuotedOption")]
    pub hash_rate_gh_per_s: Option<u64>,
    /// What its hashes take.
    #[serde(with = "QuotedOption")]
    pub efficiency_mj_per_th: Option<u64>,
    /// The highest price at which it goes on …
    #[serde(with = "Quoted")]
    pub goes_on_msat_per_kwh: i64,
    /// … and the highest at which it is started: what its owner's appetite makes of its break-even.
    #[serde(with = "Quoted")]
    pub starts_msat_per_kwh: i64,
    /// Its break-even …
    #[serde(with = "Quoted")]
    pub break_even_msat_per_kwh: i64,
    /// … is what its hashes earn …
    #[serde(with = "Quoted")]
    pub hashing_msat_per_kwh: i64,
    /// … less what the pool keeps …
    #[serde(with = "Quoted")]
    pub pool_fee_msat_per_kwh: i64,
    /// … less wear …
    #[serde(with = "Quoted")]
    pub wear_msat_per_kwh: i64,
    /// … plus what its heat replaces.
    #[serde(with = "Quoted")]
    pub heat_msat_per_kwh: i64,
    /// To be started, it must pay for this too.
    #[serde(with = "Quoted")]
    pub start_msat_per_kwh: i64,
    /// What it is to draw; 0 for off, none where it is told nothing.
    #[serde(with = "QuotedOption")]
    pub set_point_mw: Option<i64>,
    /// Why.
    pub reason: Option<String>,
    /// What each of the owner's rules for it came to, in the order in which they decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Whether it does as it is told.
    pub is_in_plan: bool,
    /// What is wrong with it, in words.
    pub trouble: Option<String>,
    /// How often it was started since the node runs.
    #[serde(with = "Quoted")]
    pub starts: u64,
}

/// A decision that changed something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Log {
    /// When.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
    /// The machine.
    pub machine: String,
    /// What it is to draw; 0 for off, none where it is told nothing.
    #[serde(with = "QuotedOption")]
    pub set_point_mw: Option<i64>,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_names_each_machine_and_the_well() {
        let troubled = |trouble: Option<&str>| trouble.map(str::to_owned);
        let status = |machine, gas| DispatchStatus {
            machines: vec![
                MachineStatus { name: "a".to_owned(), ..MachineStatus::default() },
                MachineStatus {
                    name: "b".to_owned(),
                    trouble: troubled(machine),
                    ..MachineStatus::default()
                },
            ],
            gas: Some(GasStatus { trouble: troubled(gas), ..GasStatus::default() }),
            ..DispatchStatus::default()
        };
        let told = |machine, gas| status(machine, gas).trouble();
        assert_eq!(told(None, None), None);
        assert_eq!(told(Some("hot"), None).as_deref(), Some("b: hot"));
        assert_eq!(told(None, Some("out")).as_deref(), Some("gas: out"));
        assert_eq!(told(Some("hot"), Some("out")).as_deref(), Some("b: hot; gas: out"));
    }
}
