//! Plans written by hand, for flaws that a drawn plan is unlikely to show: each brings four voters
//! into the one situation that the broken rule is for.
//!
//! Sites differ from seed to seed, the course of things does not. Not for: finding anything new.

use boltgrid_protocol::charter::Disclosure;
use boltgrid_testnet::rogue::Role;

use super::flaw::Flaw;
use super::founding::{Founding, STARTS_UNIX_MS};
use super::incident::{Event, Incident};
use super::plan::{Membership, Plan, Weather};

/// How many voters: the fewest that bear a faulty one.
const VOTERS: usize = 4;
/// Every message travels so long.
const DELAY_MS: u64 = 10;

/// The plan for a flaw, if it has one of its own.
pub(super) fn plan(seed: u64, intervals: u64, flaw: Flaw) -> Option<Plan> {
    let plan = calm(seed, intervals);
    match flaw {
        Flaw::NoLock => Some(a_lock_that_only_its_holders_know(plan)),
        Flaw::TooManyRogues => Some(a_leader_and_its_accomplice(plan)),
        Flaw::NoFsync | Flaw::LowQuorum | Flaw::LateOrders => None,
    }
}

/// Nothing goes wrong.
fn calm(seed: u64, intervals: u64) -> Plan {
    let member =
        Membership { votes: true, outside: false, is_meter: false, from: None, until: None };
    Plan {
        seed,
        intervals,
        epoch_intervals: 1_000,
        loss_ppm: 0,
        skew_max_ms: 100,
        readings: Disclosure::Open,
        hidden: None,
        members: vec![member; VOTERS],
        weather: Weather { delay_ms: DELAY_MS, jitter_ms: 0, loss_ppm: 0, copies_ppm: 0 },
        rogues: Vec::new(),
        incidents: Vec::new(),
    }
}

/// The nodes in the order in which they lead the first interval's views.
fn leaders(plan: &Plan) -> [usize; VOTERS] {
    let mut founding = Founding::of(plan, None);
    let roster = founding.rosters.at(founding.first);
    let mut views = 0..;
    [(); VOTERS].map(|()| {
        let leader = views.next().and_then(|view| roster.leader(founding.first, view));
        let leader = leader.and_then(|leader| roster.participant(leader));
        leader.and_then(|leader| founding.node_of(&leader)).expect("all four vote")
    })
}

/// In the first view of the first interval a quorum precommits one book, and none of them hears of
/// another's precommit; the leader of the next view has heard no vote at all and proposes another.
/// Only the lock (P15) keeps the first three from voting for it.
fn a_lock_that_only_its_holders_know(mut plan: Plan) -> Plan {
    let founding = Founding::of(&plan, None);
    let schedule = founding.charter.interval.schedule(founding.first);
    let [opens, gate, first_view, second_view] =
        [schedule.orders_open, schedule.gate, schedule.first_view, schedule.view_starts(1)]
            .map(|at| at.to_unix_ms() - STARTS_UNIX_MS);
    let [first, second, one, other] = leaders(&plan);
    let side = |nodes: &[usize]| nodes.iter().fold(0, |side, node| side | 1 << node);
    let cut = |(from_ms, until_ms), nodes: &[usize], one_way| Incident {
        at_ms: from_ms,
        for_ms: until_ms - from_ms,
        event: Event::Cut { side: side(nodes), one_way, flap_ms: 0 },
    };
    // No orders cross until no gossip layer offers them any more before the gate.
    let ordering = (opens - 200, gate - 200);
    // Each leader has the acks of three, and they are not the same three.
    let acking = (gate - 50, gate + 200);
    // The second one is deaf to the first view.
    let deaf = (gate + 200, second_view - 10);
    // Time for the proposal, to ask for orders and to prevote; precommits do not get through.
    let precommitting = (first_view + 3 * DELAY_MS + DELAY_MS / 2, second_view - 10);
    plan.incidents = vec![
        cut(ordering, &[first, one], false),
        cut(acking, &[first], true),
        cut(acking, &[second], true),
        cut(deaf, &[second], false),
        cut(precommitting, &[first, second], false),
        cut(precommitting, &[one, second], false),
    ];
    debug_assert_ne!(one, other);
    plan
}

/// The leader of the first view tells each half another book, and another rogue votes for both.
fn a_leader_and_its_accomplice(mut plan: Plan) -> Plan {
    let [leader, _, _, accomplice] = leaders(&plan);
    plan.rogues =
        [leader, accomplice].into_iter().map(|node| (node, Role::EquivocatingLeader)).collect();
    plan
}
