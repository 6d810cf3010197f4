//! The page Grid: how agreement is doing, what lines carry, and who is on the grid.
//!
//! What flows through a line is known where its meter, or all its sites, let themselves be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use boltgrid_protocol::enrolment::Enrolment;
use boltgrid_protocol::envelope::Signed;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::units::{Energy, Interval, NetEnergy, Power};

use super::Dashboard;
use super::flows::mean_power;
use super::format::{Format, Quantity};
use super::frame::{Frame, show};
use super::words::{Words, fill};
use crate::clock;
use crate::store::ArchiveError;

/// The width of a load's bar in its own units.
const BAR: u64 = 1_000;
/// From so much of the capacity on a line is shown as hot.
const HOT: u64 = 900;
/// The latest interval whose readings have surely come is so many back.
const INTERVALS_BACK: u64 = 2;

#[derive(Template)]
#[template(path = "grid.html")]
struct Page {
    frame: Frame,
    w: &'static Words,
    agreement: Agreement,
    tree: Tree,
    members: Vec<Member>,
}

struct Agreement {
    decided: u64,
    fell_back: u64,
    decide_ms: Option<u64>,
    heard: String,
    peers: usize,
    clock_ms: Option<i64>,
    trouble: Option<String>,
}

/// A line and what flowed through it in the latest interval that was read.
struct Line {
    name: String,
    power: Option<Quantity>,
    /// The part of the capacity that is used; none where no capacity is known.
    load: Option<u64>,
    is_hot: bool,
    note: String,
}

/// The grid as it is wired.
struct Tree {
    connection: Line,
    branches: Vec<Branch>,
}

/// A feeder and the sites behind it; without a feeder, those that are behind none.
struct Branch {
    line: Option<Line>,
    sites: Vec<Line>,
}

struct Member {
    name: String,
    is_me: bool,
    votes: bool,
    is_feeders_meter: bool,
    rated: String,
}

/// `GET ./grid`.
pub(super) async fn page(State(dashboard): State<Arc<Dashboard>>, frame: Frame) -> Response {
    let frame = Frame { page: "grid", ..frame };
    let (w, format) = (frame.words(), frame.format());
    let interval = dashboard.answers.charter.interval.interval_at(clock::now());
    let roster = dashboard.answers.rosters.clone().at(interval);
    match tree(&dashboard, w, format, (&roster, interval)) {
        Ok(tree) => show(&Page {
            w,
            agreement: agreement(&dashboard),
            tree,
            members: members(&dashboard, &roster, format),
            frame,
        }),
        Err(error) => super::unreadable(&frame, &error),
    }
}

fn agreement(dashboard: &Dashboard) -> Agreement {
    let history = dashboard.answers.history.borrow();
    let (outcomes, sight) = (history.outcomes(), history.sight());
    let hearing = sight.hearing.map(crate::status::HearingStatus::from);
    let trouble = sight.abstaining.as_ref().map(crate::status::AbstentionStatus::from);
    Agreement {
        decided: outcomes.decided,
        fell_back: outcomes.fallen_back,
        decide_ms: history.last_concluded().and_then(|it| it.decide_ms),
        heard: hearing.map_or_else(|| "–".to_owned(), |it| format!("{}/{}", it.heard, it.members)),
        peers: dashboard.answers.network.status().peers_connected,
        clock_ms: sight.clocks.map(|it| it.median_offset_ms),
        trouble: trouble.map(|it| format!("{} {}", it.why, it.advice)),
    }
}

fn members(dashboard: &Dashboard, roster: &Roster, format: Format) -> Vec<Member> {
    let charter = &dashboard.answers.charter;
    let member = |(place, it): (u32, &boltgrid_protocol::roster::Member)| {
        let place = boltgrid_protocol::id::RosterIndex::new(place);
        let whom = it.enrolment.participant;
        let power = |rated: Power| format.power(rated.to_milliwatts()).to_string();
        let (import, export) = (it.enrolment.rated_import_mw, it.enrolment.rated_export_mw);
        Member {
            name: dashboard.name_of(&whom),
            is_me: whom == dashboard.answers.participant,
            votes: roster.is_voter(place),
            is_feeders_meter: roster.is_feeders_meter(place, charter),
            rated: format!("{} / {}", power(import), power(export)),
        }
    };
    (0..).zip(roster.members()).map(member).collect()
}

/// The grid as it is wired: its connection, by what all sites show, each feeder, by its meter or by what
/// its sites show, and each site against what it is rated for.
fn tree(
    dashboard: &Dashboard,
    w: &Words,
    format: Format,
    (roster, current): (&Roster, Interval),
) -> Result<Tree, ArchiveError> {
    let charter = &dashboard.answers.charter;
    let how = (w, format, charter.interval.interval_ms);
    let nets = nets(dashboard, roster, current.minus(INTERVALS_BACK))?;
    let members = (0..).map(boltgrid_protocol::id::RosterIndex::new).zip(roster.members());
    let sites: Vec<&Enrolment> = members
        .filter(|(place, _)| !roster.is_feeders_meter(*place, charter))
        .map(|(_, member)| &member.enrolment)
        .filter(|it| !it.outside)
        .collect();
    let net = |it: &&Enrolment| nets.get(&it.participant).map(|net| net.to_milliwatt_hours());
    let sum_of = |sites: &[&Enrolment]| {
        sites.iter().map(net).try_fold(0_i64, |sum, net| Some(sum.saturating_add(net?)))
    };
    let site = |it: &&Enrolment| {
        let rated = |mw: i64| if mw >= 0 { it.rated_import_mw } else { it.rated_export_mw };
        line(dashboard.name_of(&it.participant), net(it), rated, how)
    };
    let connection = &charter.connection;
    let capacity =
        |mw: i64| if mw >= 0 { connection.import_capacity() } else { connection.export_capacity() };
    let states = dashboard.answers.feeders.borrow();
    let mut branches: Vec<Branch> = Vec::new();
    for feeder in &charter.feeders {
        let is_behind = |it: &&&Enrolment| feeder.connection_points.contains(&it.connection_point);
        let behind: Vec<&Enrolment> = sites.iter().filter(is_behind).copied().collect();
        let state = states.iter().find(|state| state.name == feeder.name);
        let metered = state.and_then(|state| state.balance.as_ref());
        let metered = metered.map(|it| it.feeder_mwh.to_milliwatt_hours());
        let net = metered.or_else(|| sum_of(&behind));
        let mut shown = line(feeder.name.clone(), net, |_| Power::ZERO, how);
        if let Some(gap) = state.and_then(|state| state.gap.as_ref()) {
            shown.is_hot = true;
            shown.note = format!("{}: {}", w.gap, gap.intervals);
        }
        branches.push(Branch { line: Some(shown), sites: behind.iter().map(site).collect() });
    }
    let is_loose = |it: &&&Enrolment| {
        !charter
            .feeders
            .iter()
            .any(|feeder| feeder.connection_points.contains(&it.connection_point))
    };
    let loose: Vec<Line> = sites.iter().filter(is_loose).map(site).collect();
    if !loose.is_empty() {
        branches.push(Branch { line: None, sites: loose });
    }
    let connection = line(w.connection.to_owned(), sum_of(&sites), capacity, how);
    Ok(Tree { connection, branches })
}

fn line(
    name: String,
    net_mwh: Option<i64>,
    capacity: impl Fn(i64) -> Power,
    (w, format, interval_ms): (&Words, Format, u64),
) -> Line {
    let Some(net) = net_mwh else {
        let note = w.not_known.to_owned();
        return Line { name, power: None, load: None, is_hot: false, note };
    };
    let amount = mean_power(Energy::from_milliwatt_hours(net.unsigned_abs()), interval_ms);
    let most = capacity(net);
    let load = (most > Power::ZERO).then(|| {
        let used = i128::from(amount.to_milliwatts()) * i128::from(BAR);
        u64::try_from(used / i128::from(most.to_milliwatts())).unwrap_or(BAR)
    });
    let text = format.power(most.to_milliwatts()).to_string();
    Line {
        name,
        power: Some(format.power(amount.to_milliwatts() * net.signum())),
        load: load.map(|it| it.min(BAR)),
        is_hot: load.is_some_and(|it| it >= HOT),
        note: load.map_or_else(String::new, |_| fill(w.at_capacity, &[("capacity", &text)])),
    }
}

/// What each member took on balance in an interval, as far as its readings are everybody's.
fn nets(
    dashboard: &Dashboard,
    roster: &Roster,
    interval: Interval,
) -> Result<BTreeMap<ParticipantId, NetEnergy>, ArchiveError> {
    let answers = &dashboard.answers;
    let at = |edge: Interval| -> Result<BTreeMap<ParticipantId, Reading>, ArchiveError> {
        let stored = answers.archive.readings(edge)?;
        // What does not verify is missing, and the feeders' watch has said so in the log.
        let verified = stored.into_iter().filter_map(|(whose, bytes)| {
            let signed = Signed::<Reading>::decode(bytes).ok()?;
            Some((whose, *signed.verify(&answers.charter, roster).ok()?.body()))
        });
        Ok(verified.collect())
    };
    let (starts, ends) = (at(interval)?, at(interval.next())?);
    let net = |(whose, end): (&ParticipantId, &Reading)| {
        let start = starts.get(whose)?;
        let import = end.import_register_mwh.checked_sub(start.import_register_mwh)?;
        let export = end.export_register_mwh.checked_sub(start.export_register_mwh)?;
        Some((*whose, NetEnergy::between(import, export).ok()?))
    };
    Ok(ends.iter().filter_map(net).collect())
}
