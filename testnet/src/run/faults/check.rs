//! Whether an entry of a faults file can be, and the faults that it stands for.
//! Not for: reading the file.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::raw::{RawFault, RawKind};
use super::{Fault, FaultKind, LinkChoice, LinkEffect, Who};
use crate::rogue::{NotARole, Role};

/// How long a fault may last: up to a day.
const FOR_MS: RangeInclusive<u64> = 1..=86_400_000;
/// How long a flapping link may be up or down.
const FLAP_MS: RangeInclusive<u64> = 100..=3_600_000;
/// How much longer a datagram may take.
const DELAY_MS: RangeInclusive<u64> = 0..=10_000;
/// How much of a link's datagrams may get lost.
const LOSS_PERCENT: RangeInclusive<u64> = 1..=100;
/// How many messages a flood may send in a second.
const MESSAGES_PER_S: RangeInclusive<u64> = 1..=1_000_000;
/// How many blocks may be undone: what is deeper nobody expects to see undone.
const DEPTH: RangeInclusive<u64> = 1..=100;
/// What a falsified meter may show of 100 that flow.
const SHOWN_PERCENT: RangeInclusive<u64> = 0..=200;
/// What a cloud may leave of 100.
const SUN_PERCENT: RangeInclusive<u64> = 0..=99;
/// In how many intervals a falsified meter may be asked to be located.
const LOCATED_WITHIN: RangeInclusive<u64> = 3..=12;
/// How far a clock may be stepped either way: up to a day.
const SKEW_MS: RangeInclusive<u64> = 1..=86_400_000;

/// What is wrong with a fault, before anyone knows which one it is.
pub(super) struct Problem(pub(super) String);

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// An entry's faults, at most `left` of them: one for each of its times, and of its nodes where they
/// fail each by itself.
pub(super) fn fault(
    raw: &RawFault,
    nodes: usize,
    interval_ms: u64,
    left: usize,
) -> Result<Vec<Fault>, Problem> {
    if raw.at_ms >= interval_ms {
        let at_ms = raw.at_ms;
        let problem = format!("at_ms must be below interval_ms ({interval_ms}), is {at_ms}");
        return Err(Problem(problem));
    }
    keys_fit(raw)?;
    let kinds = kinds(raw, nodes)?;
    let (first, last, every) = times(raw)?;
    let repeats = last.saturating_sub(first).checked_div(every).unwrap_or(0).saturating_add(1);
    let repeats = usize::try_from(repeats).unwrap_or(usize::MAX);
    let count = kinds.len().saturating_mul(repeats);
    if count > left {
        return Err(Problem(format!("these would be {count} faults, and {left} more may be")));
    }
    let at = |at_interval| {
        kinds.iter().map(move |kind| Fault { at_interval, at_ms: raw.at_ms, kind: kind.clone() })
    };
    let step = usize::try_from(every).unwrap_or(usize::MAX);
    Ok((first..=last).step_by(step).flat_map(at).collect())
}

/// Every key goes with the kind.
fn keys_fit(raw: &RawFault) -> Result<(), Problem> {
    let kind = raw.kind;
    for (key, is_given, kinds) in raw.particular() {
        if is_given && !kinds.contains(&kind) {
            let with: Vec<String> =
                kinds.iter().map(|kind| format!("kind = \"{}\"", kind.name())).collect();
            let with = with.join(" or ");
            return Err(Problem(format!(
                "{key} goes with {with}, and not with \"{}\"",
                kind.name()
            )));
        }
    }
    Ok(())
}

/// The first and the last interval in which it may happen, and how many there are from one time to
/// the next.
fn times(raw: &RawFault) -> Result<(u64, u64, u64), Problem> {
    match (raw.every_intervals, raw.until_interval) {
        (None, None) => Ok((raw.at_interval, raw.at_interval, 1)),
        (Some(0), _) => Err("every_intervals must be at least 1, is 0".into()),
        (Some(every), Some(until)) if until >= raw.at_interval => {
            Ok((raw.at_interval, until, every))
        }
        (Some(_), Some(until)) => {
            let at = raw.at_interval;
            let problem =
                format!("until_interval must not be before at_interval ({at}), is {until}");
            Err(Problem(problem))
        }
        (Some(_), None) => {
            Err("every_intervals needs until_interval, the last one in which it may happen".into())
        }
        (None, Some(_)) => Err("until_interval goes with every_intervals".into()),
    }
}

/// What happens each time.
fn kinds(raw: &RawFault, nodes: usize) -> Result<Vec<FaultKind>, Problem> {
    let named = named(raw)?;
    all_exist(&named, nodes)?;
    match raw.kind {
        RawKind::Kill => each(raw, &named, nodes, |who| FaultKind::Kill { who }),
        RawKind::Restart => {
            let Some(after_ms) = raw.restart_after_ms else {
                return Err("restart_after_ms says how long the node is gone".into());
            };
            each(raw, &named, nodes, |who| FaultKind::Restart { who, after_ms })
        }
        RawKind::Pause => {
            let for_ms = needed_for_ms(raw)?;
            each(raw, &named, nodes, |who| FaultKind::Pause { who, for_ms })
        }
        RawKind::DiskFull => {
            let for_ms = needed_for_ms(raw)?;
            each(raw, &named, nodes, |who| FaultKind::DiskFull { who, for_ms })
        }
        RawKind::Skew => {
            let Some(by_ms) = raw.by_ms else {
                return Err("by_ms says how far the clock is stepped, ahead if positive".into());
            };
            inside("by_ms, whatever its sign,", by_ms.unsigned_abs(), &SKEW_MS)?;
            let for_ms = for_ms(raw)?;
            each(raw, &named, nodes, |who| FaultKind::Skew { who, by_ms, for_ms })
        }
        RawKind::Cut | RawKind::Drop | RawKind::Delay => {
            let (choice, effect) = (choice(raw, named, nodes)?, effect(raw)?);
            Ok(vec![FaultKind::Links { choice, effect, for_ms: for_ms(raw)? }])
        }
        RawKind::Rogue => rogues(raw, &named),
        RawKind::Hostile if named.is_empty() => Ok(vec![FaultKind::Hostile]),
        RawKind::Hostile => Err("a hostile peer is no node: leave node and nodes out".into()),
        RawKind::Flood => flood(raw, &named).map(|flood| vec![flood]),
        RawKind::Reorg => reorg(raw, &named).map(|reorg| vec![reorg]),
        RawKind::Falsify => falsify(raw, &named),
        RawKind::Cloud => cloud(raw, &named).map(|cloud| vec![cloud]),
        RawKind::Machine => machine(raw, &named).map(|machine| vec![machine]),
    }
}

fn flood(raw: &RawFault, named: &[usize]) -> Result<FaultKind, Problem> {
    let Some(messages_per_s) = raw.messages_per_s else {
        return Err("messages_per_s says how many messages are sent, as in 10_000".into());
    };
    inside("messages_per_s", messages_per_s.into(), &MESSAGES_PER_S)?;
    let for_ms = needed_for_ms(raw)?;
    match named {
        [] => Ok(FaultKind::Flood { node: None, messages_per_s, for_ms }),
        [node] => Ok(FaultKind::Flood { node: Some(*node), messages_per_s, for_ms }),
        _ => Err("a flood has the key of one node, or of none".into()),
    }
}

fn reorg(raw: &RawFault, named: &[usize]) -> Result<FaultKind, Problem> {
    let Some(depth) = raw.depth else {
        return Err("depth says how many blocks are undone, as in 2".into());
    };
    inside("depth", depth.into(), &DEPTH)?;
    if !named.is_empty() {
        return Err("all nodes are on one chain: leave node and nodes out".into());
    }
    Ok(FaultKind::Reorg { depth })
}

fn cloud(raw: &RawFault, named: &[usize]) -> Result<FaultKind, Problem> {
    let Some(sun_percent) = raw.sun_percent else {
        return Err("sun_percent says what a cloud leaves of 100, as in 20".into());
    };
    inside("sun_percent", sun_percent.into(), &SUN_PERCENT)?;
    if !named.is_empty() {
        return Err("a cloud is over all sites: leave node and nodes out".into());
    }
    Ok(FaultKind::Cloud { sun_percent, for_ms: needed_for_ms(raw)? })
}

fn machine(raw: &RawFault, named: &[usize]) -> Result<FaultKind, Problem> {
    let (Some(machine), [node]) = (raw.machine.clone(), named) else {
        return Err(
            "name one site and its machine, as in `node = 0` and `machine = \"luxos\"`".into()
        );
    };
    let Some(fault) = raw.does else {
        return Err("does says what the machine does, as in \"no_effect\"".into());
    };
    Ok(FaultKind::Machine { node: *node, machine, fault, for_ms: for_ms(raw)? })
}

fn falsify(raw: &RawFault, named: &[usize]) -> Result<Vec<FaultKind>, Problem> {
    let Some(shown_percent) = raw.shown_percent else {
        return Err("shown_percent says what the meter shows of 100 that flow, as in 60".into());
    };
    inside("shown_percent", shown_percent.into(), &SHOWN_PERCENT)?;
    if named.is_empty() {
        return Err("name the site of a falsified meter, as in `node = 3`".into());
    }
    let located_within_intervals = raw.located_within_intervals;
    if let Some(within) = located_within_intervals {
        inside("located_within_intervals", within, &LOCATED_WITHIN)?;
    }
    let falsify =
        |node: &usize| FaultKind::Falsify { node: *node, shown_percent, located_within_intervals };
    Ok(named.iter().map(falsify).collect())
}

/// A rogue at each of the nodes, the roles dealt round.
fn rogues(raw: &RawFault, named: &[usize]) -> Result<Vec<FaultKind>, Problem> {
    if (raw.at_interval, raw.at_ms, raw.every_intervals) != (0, 0, None) {
        return Err(
            "a rogue is there from the beginning: at_interval = 0, and no other time".into()
        );
    }
    if named.is_empty() {
        return Err("name the sites of rogues, as in `nodes = [3, 7]`".into());
    }
    if named.contains(&0) {
        return Err("node 0 is the one that the others call first: let another be the rogue".into());
    }
    let words = match (&raw.role, &raw.roles) {
        (Some(role), None) => vec![role.clone()],
        (None, Some(roles)) if !roles.is_empty() => roles.clone(),
        (Some(_), Some(_)) => return Err("give role or roles, not both".into()),
        (None, _) => {
            return Err("say what it plays, as in `role = \"double_voter\"`, or several roles, \
                        dealt round, as in `roles = [\"spammer\", \"lying_meter\"]`"
                .into());
        }
    };
    let roles: Result<Vec<Role>, _> = words.iter().map(|word| word.parse()).collect();
    let roles = roles.map_err(|error: NotARole| Problem(error.to_string()))?;
    let dealt = named.iter().zip(roles.iter().cycle());
    Ok(dealt.map(|(node, role)| FaultKind::Rogue { node: *node, role: *role }).collect())
}

/// Where a rogue plays there is no node for anything else to befall, and one is enough.
pub(super) fn rogues_left_alone(faults: &[(usize, Fault)]) -> Result<(), (usize, Problem)> {
    let mut rogues = BTreeSet::new();
    for (number, fault) in faults {
        if let FaultKind::Rogue { node, .. } = fault.kind
            && !rogues.insert(node)
        {
            return Err((*number, Problem(format!("node {node} is a rogue already"))));
        }
    }
    for (number, fault) in faults {
        if let FaultKind::Kill { who }
        | FaultKind::Restart { who, .. }
        | FaultKind::Pause { who, .. }
        | FaultKind::Skew { who, .. }
        | FaultKind::DiskFull { who, .. } = &fault.kind
            && let Who::Node(node) = who
            && rogues.contains(node)
        {
            let problem = format!("a rogue plays at node {node}, so no node is there");
            return Err((*number, Problem(problem)));
        }
    }
    Ok(())
}

/// The same for each of the nodes.
fn each(
    raw: &RawFault,
    named: &[usize],
    nodes: usize,
    kind: impl Fn(Who) -> FaultKind,
) -> Result<Vec<FaultKind>, Problem> {
    match raw.any {
        Some(_) if !named.is_empty() => Err("give node, nodes or any, only one of them".into()),
        Some(any) if any == 0 || any > nodes => {
            Err(Problem(format!("any must be 1 to {nodes}, the number of nodes, is {any}")))
        }
        Some(any) => Ok((0..any).map(|_| kind(Who::Drawn)).collect()),
        None if named.is_empty() => Err("name a node, as in `node = 3`, several, as in \
                                         `nodes = [3, 4]`, or let some be drawn, as in `any = 1`"
            .into()),
        None => Ok(named.iter().map(|node| kind(Who::Node(*node))).collect()),
    }
}

/// The nodes of a fault, in the order of the file.
fn named(raw: &RawFault) -> Result<Vec<usize>, Problem> {
    let named = match (raw.node, &raw.nodes) {
        (Some(_), Some(_)) => return Err("give node or nodes, not both".into()),
        (Some(node), None) => vec![node],
        (None, nodes) => nodes.clone().unwrap_or_default(),
    };
    all_different(&named)?;
    Ok(named)
}

fn all_different(named: &[usize]) -> Result<(), Problem> {
    match (1..named.len()).find(|place| named[..*place].contains(&named[*place])) {
        Some(place) => Err(Problem(format!("node {} is named twice", named[place]))),
        None => Ok(()),
    }
}

fn all_exist(named: &[usize], nodes: usize) -> Result<(), Problem> {
    match named.iter().find(|node| **node >= nodes) {
        Some(unknown) => {
            let last = nodes.saturating_sub(1);
            Err(Problem(format!("there is no node {unknown}: they are 0 to {last}")))
        }
        None => Ok(()),
    }
}

fn choice(raw: &RawFault, named: Vec<usize>, nodes: usize) -> Result<LinkChoice, Problem> {
    let one_way = raw.one_way.unwrap_or(false);
    let Some(groups) = raw.groups.clone() else {
        return match (raw.kind, named.is_empty()) {
            _ if one_way => {
                Err("one_way goes with two groups, from the first to the second".into())
            }
            (RawKind::Cut, true) => Err("say between whom, as in `groups = [[0, 1], [2, 3]]`, or \
                                         whom to cut off, as in `nodes = [3]`"
                .into()),
            (_, true) => Ok(LinkChoice::All),
            (_, false) => Ok(LinkChoice::Of(named)),
        };
    };
    if !named.is_empty() {
        return Err("give groups, node or nodes, only one of them".into());
    }
    if groups.len() < 2 || groups.iter().any(Vec::is_empty) {
        return Err("groups must be at least two, each with a node".into());
    }
    if one_way && groups.len() != 2 {
        return Err("one_way goes with two groups, from the first to the second".into());
    }
    let all = groups.concat();
    all_different(&all)?;
    all_exist(&all, nodes)?;
    Ok(LinkChoice::Between { groups, one_way })
}

fn effect(raw: &RawFault) -> Result<LinkEffect, Problem> {
    if let Some(flap_ms) = raw.flap_ms {
        inside("flap_ms", flap_ms, &FLAP_MS)?;
    }
    match (raw.kind, raw.loss_percent, raw.delay_ms) {
        (RawKind::Drop, Some(loss_percent), _) => {
            inside("loss_percent", loss_percent.into(), &LOSS_PERCENT)?;
            Ok(LinkEffect::Drop { loss_percent })
        }
        (RawKind::Drop, None, _) => Err("loss_percent says how many datagrams get lost".into()),
        (RawKind::Delay, _, Some(delay_ms)) => {
            let jitter_ms = raw.jitter_ms.unwrap_or(0);
            inside("delay_ms", delay_ms, &DELAY_MS)?;
            inside("jitter_ms", jitter_ms, &DELAY_MS)?;
            Ok(LinkEffect::Delay { delay_ms, jitter_ms })
        }
        (RawKind::Delay, _, None) => Err("delay_ms says how much longer datagrams take".into()),
        _ => Ok(LinkEffect::Cut { flap_ms: raw.flap_ms }),
    }
}

fn for_ms(raw: &RawFault) -> Result<Option<u64>, Problem> {
    raw.for_ms.map_or(Ok(()), |for_ms| inside("for_ms", for_ms, &FOR_MS))?;
    Ok(raw.for_ms)
}

fn needed_for_ms(raw: &RawFault) -> Result<u64, Problem> {
    for_ms(raw)?.ok_or_else(|| "for_ms says how long it lasts".into())
}

fn inside(key: &str, value: u64, range: &RangeInclusive<u64>) -> Result<(), Problem> {
    if range.contains(&value) {
        return Ok(());
    }
    let (from, to) = (range.start(), range.end());
    Err(Problem(format!("{key} must be {from} to {to}, is {value}")))
}

/// A node that was killed for good has nothing left to go wrong.
pub(super) fn killed_once(faults: &[(usize, Fault)]) -> Result<(), (usize, Problem)> {
    let mut gone = Vec::new();
    for (number, fault) in faults {
        let node = match &fault.kind {
            FaultKind::Kill { who }
            | FaultKind::Restart { who, .. }
            | FaultKind::Pause { who, .. }
            | FaultKind::Skew { who, .. }
            | FaultKind::DiskFull { who, .. } => match who {
                Who::Node(node) => *node,
                Who::Drawn => continue,
            },
            FaultKind::Flood { node: Some(node), .. } => *node,
            FaultKind::Flood { node: None, .. }
            | FaultKind::Rogue { .. }
            | FaultKind::Links { .. }
            | FaultKind::Reorg { .. }
            | FaultKind::Falsify { .. }
            | FaultKind::Cloud { .. }
            | FaultKind::Machine { .. }
            | FaultKind::Hostile => continue,
        };
        if gone.contains(&node) {
            return Err((*number, Problem(format!("node {node} was killed for good before"))));
        }
        if matches!(fault.kind, FaultKind::Kill { .. } | FaultKind::Flood { .. }) {
            gone.push(node);
        }
    }
    Ok(())
}
