//! What becomes of machines that misbehave: each has to end in a state that is safe and explained.
//!
//! Explained: what it does is what its node says it was told, or its node has it out of the plan and
//! says why. Safe: what has a relay is without power where nothing can be said of it, or it draws more
//! than it should; what has none is load like any other to its node, since it is out of the plan.
//! Judged by the plant; only the node's word is asked of the node.

use boltgrid::dispatcher::MachineStatus;
use boltgrid_protocol::units::Timestamp;

use super::watch::Seen;
use crate::devices::miners::Fault;
use crate::plant::MachineTruth;
use crate::run::invariants::Tally;
use crate::run::report::{MachineFaultRow, MinerRow};

/// How long a machine may do something else than it was told before its node says so: two tries to
/// start it, or until it counts as lost, and as long again as nodes are busy.
const EXPLAINED_MS: u64 = 30_000;
/// A machine does as it was told if it draws within this part of its rating of that.
const TOLERANCE_DIVISOR: i64 = 5;

/// All machines that a fault befell.
#[derive(Clone, Debug, Default)]
pub(super) struct Spoilt {
    machines: Vec<One>,
}

/// One of them.
#[derive(Clone, Debug)]
struct One {
    number: usize,
    fault: Fault,
    began: Timestamp,
    ended: Option<Timestamp>,
    seen_at: Timestamp,
    /// Since when it does something else than its node says.
    astray_since: Option<Timestamp>,
    unexplained_ms_max: u64,
    trouble: Option<String>,
    truth: Option<MachineTruth>,
    has_relay: bool,
    /// Whether it draws more than it was told, or nobody knows.
    draws_too_much: bool,
}

impl Spoilt {
    pub(super) fn begin(
        &mut self,
        (number, has_relay): (usize, bool),
        fault: Fault,
        now: Timestamp,
    ) {
        self.machines.push(One {
            number,
            fault,
            began: now,
            ended: None,
            seen_at: now,
            astray_since: None,
            unexplained_ms_max: 0,
            trouble: None,
            truth: None,
            has_relay,
            draws_too_much: false,
        });
    }

    pub(super) fn end(&mut self, number: usize, now: Timestamp) {
        let faulty = self.machines.iter_mut().filter(|it| it.ended.is_none());
        faulty.filter(|it| it.number == number).for_each(|it| it.ended = Some(now));
    }

    /// The machines that nothing befell.
    pub(super) fn sound<'a>(&'a self, machines: &'a [Seen]) -> impl Iterator<Item = &'a Seen> {
        let is_sound = |number: usize| !self.machines.iter().any(|it| it.number == number);
        machines.iter().enumerate().filter(move |(number, _)| is_sound(*number)).map(|(_, it)| it)
    }

    /// Takes what a machine's node says of it, and what it is.
    pub(super) fn hear(
        &mut self,
        number: usize,
        now: Timestamp,
        said: &MachineStatus,
        truth: Option<MachineTruth>,
    ) {
        let faulty = self.machines.iter_mut().filter(|it| it.ended.is_none());
        for one in faulty.filter(|it| it.number == number) {
            let Some(truth) = truth else { continue };
            one.seen_at = now;
            one.truth = Some(truth);
            one.draws_too_much =
                one.fault.is_mute() || excess_mw(said, &truth) > tolerance_mw(&truth);
            let explained = !said.is_in_plan && said.trouble.is_some();
            if explained {
                one.trouble.clone_from(&said.trouble);
            }
            if explained || (does_as_told(said, &truth) && !one.fault.is_mute()) {
                one.astray_since = None;
                continue;
            }
            let since = *one.astray_since.get_or_insert(now);
            one.unexplained_ms_max = one.unexplained_ms_max.max(now.ms_since(since));
        }
    }

    /// What became of them.
    pub(super) fn rows(&self, of: impl Fn(usize) -> Option<MinerRow>) -> Vec<MachineFaultRow> {
        let row = |one: &One| {
            let MinerRow { site, name, .. } = of(one.number).unwrap_or_default();
            MachineFaultRow {
                site,
                name,
                fault: one.fault.name().to_owned(),
                lasted_ms: one.lasted_ms(),
                unexplained_ms_max: one.unexplained_ms_max,
                trouble: one.trouble.clone(),
                drew_mw: one.truth.map_or(0, |truth| truth.power.to_milliwatts()),
                is_cut_off: one.truth.is_some_and(|truth| truth.is_cut),
            }
        };
        self.machines.iter().map(row).collect()
    }

    /// Whether each ended as it should; a fault that was too short for that is not judged.
    pub(super) fn verdict(&self, is: impl Fn(usize) -> String) -> Tally {
        let mut tally = Tally::default();
        for one in self.machines.iter().filter(|one| one.lasted_ms() > EXPLAINED_MS) {
            let (is, fault) = (is(one.number), one.fault.name());
            tally.check(one.unexplained_ms_max <= EXPLAINED_MS, || {
                format!("{is} ({fault}) was not explained for {} ms", one.unexplained_ms_max)
            });
            let Some(truth) = one.truth.filter(|_| one.has_relay && one.trouble.is_some()) else {
                continue;
            };
            tally.check(truth.is_cut || !one.draws_too_much, || {
                format!("{is} ({fault}) has a relay and draws {}", truth.power)
            });
        }
        tally
    }
}

impl One {
    fn lasted_ms(&self) -> u64 {
        self.ended.unwrap_or(self.seen_at).ms_since(self.began)
    }
}

/// Whether it draws what its node says it was told to.
const fn does_as_told(said: &MachineStatus, truth: &MachineTruth) -> bool {
    excess_mw(said, truth).saturating_abs() <= tolerance_mw(truth)
}

/// By how much it draws more than it was told; what it draws asleep it may.
const fn excess_mw(said: &MachineStatus, truth: &MachineTruth) -> i64 {
    let idle_mw = truth.rating.idle.to_milliwatts();
    let told_mw = match said.set_point_mw {
        Some(mw) if mw > idle_mw => mw,
        Some(_) | None => idle_mw,
    };
    truth.power.to_milliwatts().saturating_sub(told_mw)
}

const fn tolerance_mw(truth: &MachineTruth) -> i64 {
    truth.rating.rated.to_milliwatts() / TOLERANCE_DIVISOR
}
