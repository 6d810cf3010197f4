//! What each worker proved, beside what its machine says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use boltgrid_miners::hash::HashRate;
use boltgrid_miners::stratum::{Account, Difficulty, Event, Proof};
use boltgrid_protocol::units::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::dispatcher::{DispatchStatus, MachineStatus};
use crate::status::{Quoted, QuotedOption};

/// Workers that are counted; what others prove passes uncounted.
const WORKERS_MAX: usize = 2_048;
/// Gigahashes in a terahash: power in mW over rate in GH/s is in mJ/GH.
const GH_PER_TH: i64 = 1_000;

/// What one worker proved, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerStatus {
    /// Its name, as the machine has it and the pool knows it.
    pub worker: String,
    /// The machine that it is; none where no `[[miner]]` names it.
    pub machine: Option<String>,
    /// Shares that the pool took.
    #[serde(with = "Quoted")]
    pub accepted: u64,
    /// Shares that the pool took at a difficulty that is not known.
    #[serde(with = "Quoted")]
    pub uncounted: u64,
    /// Shares that the pool refused.
    #[serde(with = "Quoted")]
    pub refused: u64,
    /// What accepted shares stand for.
    #[serde(with = "Quoted")]
    pub work_megahashes: u64,
    /// How fast it hashes by them over the last half an hour.
    #[serde(with = "QuotedOption")]
    pub proved_gh_per_s: Option<u64>,
    /// How fast its machine says that it hashes.
    #[serde(with = "QuotedOption")]
    pub said_gh_per_s: Option<u64>,
    /// What hashes take by the machine's watts and what it proved.
    #[serde(with = "QuotedOption")]
    pub proved_mj_per_th: Option<u64>,
    /// Whether the one bears out the other: "open", "agrees", "less" or "more".
    pub proof: String,
}

/// All workers.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Which machine a worker is.
    machines: BTreeMap<String, String>,
    dispatch: watch::Receiver<Arc<DispatchStatus>>,
    accounts: Mutex<BTreeMap<String, Counted>>,
}

#[derive(Debug, Default)]
struct Counted {
    account: Account,
    proof: Proof,
}

impl Ledger {
    pub(super) fn new(
        machines: BTreeMap<String, String>,
        dispatch: watch::Receiver<Arc<DispatchStatus>>,
    ) -> Self {
        Self { machines, dispatch, accounts: Mutex::default() }
    }

    /// Notes what happened on a connection whose worker is `worker`, once the pool knows one.
    pub(super) fn happened(&self, now: Timestamp, worker: &mut Option<String>, event: Event) {
        let is_new = match &event {
            Event::Authorized(name) => Some(name.clone()),
            Event::Accepted(_) | Event::Refused | Event::Uncounted => None,
        };
        if let Some(name) = is_new {
            info!(worker = %name, machine = ?self.machines.get(&name), "the pool knows the worker");
            *worker = Some(name);
        }
        let Some(name) = worker else { return };
        self.with(name, |counted| match event {
            Event::Authorized(_) => {}
            Event::Accepted(difficulty) => counted.account.accepted(now, difficulty),
            Event::Refused => counted.account.refused(),
            Event::Uncounted => counted.account.uncounted(),
        });
    }

    /// Notes what a worker's machine says now, and says how fast it is going to hash: at the power that
    /// it is given, where its efficiency is known. None where no machine is this worker.
    pub(super) fn look(
        &self,
        now: Timestamp,
        worker: &str,
        difficulty: Option<Difficulty>,
    ) -> Option<HashRate> {
        let dispatch = Arc::clone(&self.dispatch.borrow());
        let machine = self.machine(worker, &dispatch)?;
        let said = machine.hash_rate_gh_per_s.map(HashRate::from_gigahashes)?;
        self.with(worker, |counted| {
            counted.account.said(now, said, difficulty);
            let proof = counted.account.proof();
            if proof != counted.proof {
                told(worker, machine, proof);
            }
            counted.proof = proof;
        });
        let planned = machine.set_point_mw.zip(machine.efficiency_mj_per_th);
        let planned = planned.and_then(|(mw, mj)| rate(mw, mj));
        Some(planned.unwrap_or(said))
    }

    /// What all workers proved, by name.
    pub(super) fn status(&self, now: Timestamp) -> Vec<WorkerStatus> {
        let dispatch = Arc::clone(&self.dispatch.borrow());
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |(worker, counted): (&String, &Counted)| {
            let machine = self.machine(worker, &dispatch);
            let proved = counted.account.proved(now).map(HashRate::to_gigahashes);
            let power = machine.and_then(|machine| machine.power_mw);
            WorkerStatus {
                worker: worker.clone(),
                machine: machine.map(|machine| machine.name.clone()),
                accepted: counted.account.accepted,
                uncounted: counted.account.uncounted,
                refused: counted.account.refused,
                work_megahashes: megahashes_floor(counted.account.hashes),
                proved_gh_per_s: proved,
                said_gh_per_s: machine.and_then(|machine| machine.hash_rate_gh_per_s),
                proved_mj_per_th: power.zip(proved).and_then(|(mw, gh)| {
                    let mj = mw.checked_mul(GH_PER_TH)?.checked_div(i64::try_from(gh).ok()?)?;
                    u64::try_from(mj).ok()
                }),
                proof: word(counted.proof).to_owned(),
            }
        };
        accounts.iter().map(status).collect()
    }

    fn machine<'a>(&self, worker: &str, dispatch: &'a DispatchStatus) -> Option<&'a MachineStatus> {
        let name = self.machines.get(worker)?;
        dispatch.machines.iter().find(|machine| machine.name == *name)
    }

    fn with(&self, worker: &str, change: impl FnOnce(&mut Counted)) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= WORKERS_MAX && !accounts.contains_key(worker) {
            return;
        }
        change(accounts.entry(worker.to_owned()).or_default());
    }
}

/// What a machine hashes at a power, by its efficiency; none where it is given none.
fn rate(power_mw: i64, mj_per_th: u64) -> Option<HashRate> {
    let mj = i64::try_from(mj_per_th).ok()?;
    let gigahashes = power_mw.checked_mul(GH_PER_TH)?.checked_div(mj)?;
    u64::try_from(gigahashes).ok().filter(|it| *it > 0).map(HashRate::from_gigahashes)
}

fn megahashes_floor(hashes: u128) -> u64 {
    u64::try_from(hashes / 1_000_000).unwrap_or(u64::MAX)
}

const fn word(proof: Proof) -> &'static str {
    match proof {
        Proof::Open => "open",
        Proof::Agrees => "agrees",
        Proof::Less => "less",
        Proof::More => "more",
    }
}

fn told(worker: &str, machine: &MachineStatus, proof: Proof) {
    let (name, said) = (&machine.name, machine.hash_rate_gh_per_s.unwrap_or(0));
    match proof {
        Proof::Less => warn!(
            %worker, machine = %name, said_gh_per_s = said,
            "accepted work proves less than the machine says: it draws power for nothing, mines for \
             somebody else, or says what is not"
        ),
        Proof::More => warn!(
            %worker, machine = %name, said_gh_per_s = said,
            "accepted work proves more than the machine says: another one mines by its name"
        ),
        Proof::Open | Proof::Agrees => {
            info!(%worker, machine = %name, proof = word(proof), "accepted work was looked at");
        }
    }
}
