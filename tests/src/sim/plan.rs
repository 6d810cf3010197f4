//! What one seed stands for: the grid, the weather on its links, and everything that goes wrong.
//!
//! A plan is drawn whole before the run starts, so that a failing one can be shrunk and still means
//! the same. Not for: carrying it out.

use boltgrid_protocol::charter::Disclosure;
use boltgrid_testnet::rogue::Role;

use super::dice::{Dice, MILLION, lot, to_index};
use super::directed;
use super::flaw::Flaw;
use super::incident::{Event, Incident, Moment};

/// Length of an interval in every plan.
pub(super) const INTERVAL_MS: u64 = 10_000;
/// Fewest and most nodes.
const NODES: (u64, u64) = (4, 13);

/// In one of so many runs counterparties only see readings.
const COUNTERPARTY_ONE_IN: u64 = 3;
/// What that is drawn with beside the seed.
const READINGS_LOT: u64 = 40;
/// In one of so many of the others the sites of a feeder mask what they took.
const MASKED_ONE_IN: u64 = 4;
/// What that is drawn with, and whether one of them hides something.
const MASKED_LOT: u64 = 41;
const HIDDEN_LOT: u64 = 42;
/// Fewest nodes of such a run: eight sites hide one another, the feeder has a meter, and one may be
/// outside.
const MASKED_NODES_MIN: u64 = 10;

/// What is always so on every link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Every message travels at least so long.
    pub delay_ms: u64,
    /// And up to so much longer, each its own time.
    pub jitter_ms: u64,
    /// So many are lost.
    pub loss_ppm: u64,
    /// So many arrive twice.
    pub copies_ppm: u64,
}

/// One member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Whether it votes.
    pub votes: bool,
    /// Whether it is beyond the grid connection.
    pub outside: bool,
    /// Whether it is no site, but the meter of the feeder that feeds all others.
    pub is_meter: bool,
    /// From which interval of the run it is enrolled.
    pub from: Option<u64>,
    /// Until which interval of the run it is.
    pub until: Option<u64>,
}

/// Everything that decides a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where it was drawn from.
    pub seed: u64,
    /// How many intervals it runs through.
    pub intervals: u64,
    /// Length of a roster's epoch.
    pub epoch_intervals: u64,
    /// Line losses.
    pub loss_ppm: u32,
    /// How far clocks may differ.
    pub skew_max_ms: u64,
    /// Who sees readings.
    pub readings: Disclosure,
    /// From which interval of the run on a site takes more than its meter shows; where readings are
    /// masked only.
    pub hidden: Option<u64>,
    /// The members, one per node.
    pub members: Vec<Membership>,
    /// The links.
    pub weather: Weather,
    /// Who plays which part.
    pub rogues: Vec<(usize, Role)>,
    /// What goes wrong.
    pub incidents: Vec<Incident>,
}

/// How rough a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sky {
    /// Single nodes fail now and then, links are good: here intervals must decide.
    Calm,
    /// Anything happens now and then.
    Mixed,
    /// Something happens all the time.
    Storm,
}

impl Plan {
    /// The plan of a seed; under a flaw, one that gives the flaw something to do: for some of them
    /// written by hand.
    #[must_use]
    pub fn draw(seed: u64, intervals: u64, flaw: Option<Flaw>) -> Self {
        if let Some(plan) = flaw.and_then(|flaw| directed::plan(seed, intervals, flaw)) {
            return plan;
        }
        let mut dice = Dice::new(seed);
        let sky = match dice.below(10) {
            0..3 => Sky::Calm,
            3..7 => Sky::Mixed,
            _ => Sky::Storm,
        };
        let readings = readings(seed, flaw);
        let fewest = if readings.is_masked() { MASKED_NODES_MIN } else { NODES.0 };
        let nodes = to_index(dice.between(fewest, NODES.1));
        let mut members = members(&mut dice, nodes, intervals);
        if readings.is_masked() {
            make_feeder(&mut members);
        }
        let hides = readings.is_masked() && lot([seed, HIDDEN_LOT, 0, 0]).is_multiple_of(2);
        let weather = weather(&mut dice, sky);
        let mut plan = Self {
            seed,
            intervals,
            epoch_intervals: dice.pick(&[5, 8, 13, 1_000]),
            loss_ppm: dice.pick(&[0, 30_000]),
            skew_max_ms: dice.pick(&[100, 300]),
            readings,
            hidden: hides.then_some(intervals / 4),
            members,
            weather,
            rogues: Vec::new(),
            incidents: Vec::new(),
        };
        if flaw == Some(Flaw::LateOrders) {
            plan.skew_max_ms = 100;
        }
        plan.rogues = rogues(&mut dice, &plan.members);
        plan.incidents = incidents(&mut dice, sky, &plan);
        plan
    }

    /// Whether every node reads its meter when it should, if it runs: one whose disk is full reads it
    /// again later.
    #[must_use]
    pub fn reads_meters_in_time(&self) -> bool {
        self.incidents.iter().all(|incident| {
            !matches!(
                incident.event,
                Event::ClockStep { .. }
                    | Event::ClockDrift { .. }
                    | Event::Pause { .. }
                    | Event::DiskFull { .. }
            )
        })
    }

    /// When the run is over, since it started: the last interval is settled.
    #[must_use]
    pub fn ends_ms(&self) -> u64 {
        (self.intervals + 4) * INTERVAL_MS
    }
}

/// Drawn apart from the rest, so that a seed stands for the same run as before there was a choice.
fn readings(seed: u64, flaw: Option<Flaw>) -> Disclosure {
    if flaw.is_some() {
        Disclosure::Open
    } else if lot([seed, READINGS_LOT, 0, 0]).is_multiple_of(COUNTERPARTY_ONE_IN) {
        Disclosure::Counterparty
    } else if lot([seed, MASKED_LOT, 0, 0]).is_multiple_of(MASKED_ONE_IN) {
        Disclosure::Masked
    } else {
        Disclosure::Open
    }
}

/// The last one is the meter of a feeder that feeds the others, who are members all the time.
fn make_feeder(members: &mut [Membership]) {
    for member in members.iter_mut() {
        (member.from, member.until) = (None, None);
    }
    if let Some(last) = members.last_mut() {
        (last.votes, last.outside, last.is_meter) = (false, false, true);
    }
}

fn members(dice: &mut Dice, nodes: usize, intervals: u64) -> Vec<Membership> {
    (0..nodes)
        .map(|node| {
            // Four always vote, so that there is always a faulty one to bear.
            let core = node < 4;
            Membership {
                votes: core || !dice.happens(150_000),
                outside: dice.happens(100_000),
                is_meter: false,
                from: (!core && dice.happens(100_000)).then_some(intervals / 3),
                until: (!core && dice.happens(100_000)).then_some(intervals * 2 / 3),
            }
        })
        .collect()
}

/// At most `f` of the voters that there always are.
fn rogues(dice: &mut Dice, members: &[Membership]) -> Vec<(usize, Role)> {
    let mut candidates: Vec<usize> = (0..members.len())
        .filter(|node| {
            let member = &members[*node];
            member.votes && member.from.is_none() && member.until.is_none()
        })
        .collect();
    let faulty_max = candidates.len().saturating_sub(1) / 3;
    let count = to_index(dice.below(faulty_max as u64 + 1));
    (0..count)
        .map(|_| {
            let node = candidates.remove(dice.index(candidates.len()));
            (node, dice.pick(&Role::without_money()))
        })
        .collect()
}

fn weather(dice: &mut Dice, sky: Sky) -> Weather {
    match sky {
        Sky::Calm => Weather {
            delay_ms: dice.between(1, 30),
            jitter_ms: dice.between(0, 40),
            loss_ppm: 0,
            copies_ppm: dice.pick(&[0, 50_000]),
        },
        Sky::Mixed => Weather {
            delay_ms: dice.between(5, 60),
            jitter_ms: dice.between(5, 120),
            loss_ppm: dice.between(0, 100_000),
            copies_ppm: dice.between(0, 50_000),
        },
        Sky::Storm => Weather {
            delay_ms: dice.between(5, 120),
            jitter_ms: dice.between(50, 500),
            loss_ppm: dice.between(0, 250_000),
            copies_ppm: dice.between(0, 200_000),
        },
    }
}

fn incidents(dice: &mut Dice, sky: Sky, plan: &Plan) -> Vec<Incident> {
    let per_interval_ppm = match sky {
        Sky::Calm => 200_000,
        Sky::Mixed => 600_000,
        Sky::Storm => 2_500_000,
    };
    let count = plan.intervals * per_interval_ppm / MILLION;
    let mut incidents: Vec<Incident> = (0..count)
        .map(|_| {
            let at_ms = dice.below((plan.intervals + 2) * INTERVAL_MS);
            let for_ms = dice.between(200, 25_000);
            let event = if sky == Sky::Calm || dice.happens(500_000) {
                at_a_node(dice, plan.members.len())
            } else {
                on_links(dice, plan.members.len())
            };
            Incident { at_ms, for_ms: if lasts(&event) { for_ms } else { 0 }, event }
        })
        .collect();
    // What a rogue does wrong is its own business.
    let is_rogue = |node: usize| plan.rogues.iter().any(|(rogue, _)| *rogue == node);
    incidents.retain(|it| it.event.node().is_none_or(|node| !is_rogue(node)));
    // A clock that was set back after the journal was lost could repeat an interval, which no rule
    // of the journal can prevent: P21 speaks of losing the journal, not of both.
    let set: Vec<_> = incidents.iter().filter(|it| is_step(&it.event)).copied().collect();
    incidents.retain(|it| {
        !matches!(it.event, Event::DiskLost { .. })
            || set.iter().all(|step| step.event.node() != it.event.node())
    });
    incidents.sort_by_key(|incident| incident.at_ms);
    incidents
}

const fn is_step(event: &Event) -> bool {
    matches!(event, Event::ClockStep { .. })
}

const fn lasts(event: &Event) -> bool {
    !matches!(
        event,
        Event::Crash { .. }
            | Event::DiskLost { .. }
            | Event::ClockStep { .. }
            | Event::ClockDrift { .. }
    )
}

fn at_a_node(dice: &mut Dice, nodes: usize) -> Event {
    let node = dice.index(nodes);
    match dice.below(20) {
        0..12 => Event::Crash {
            node,
            moment: dice.pick(&Moment::ALL),
            down_ms: dice.pick(&[1, 50, 300, 1_000, 3_000, 12_000, 30_000]),
        },
        12..14 => Event::DiskFull { node },
        14 => Event::DiskLost { node },
        15..17 => Event::Pause { node },
        17..19 => {
            let by_ms: i64 = dice.pick(&[30, 90, 300, 1_200, 4_000, 15_000]);
            Event::ClockStep { node, by_ms: if dice.happens(500_000) { by_ms } else { -by_ms } }
        }
        _ => Event::ClockDrift { node, drift_ppm: dice.pick(&[-1_000, -200, -20, 20, 200, 1_000]) },
    }
}

fn on_links(dice: &mut Dice, nodes: usize) -> Event {
    match dice.below(10) {
        0..5 => {
            let bits = dice.below(1 << nodes);
            Event::Cut {
                side: u16::try_from(bits).expect("a bit per node"),
                one_way: dice.happens(300_000),
                flap_ms: if dice.happens(300_000) { dice.between(50, 3_000) } else { 0 },
            }
        }
        5..7 => Event::Loss { chance_ppm: dice.between(50_000, 700_000) },
        7..9 => Event::Delay { most_ms: dice.pick(&[200, 800, 3_000, 12_000]) },
        _ => Event::Copies { chance_ppm: dice.between(100_000, 900_000) },
    }
}
