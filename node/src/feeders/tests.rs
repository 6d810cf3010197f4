//! Feeders of signed readings in a real archive: balanced, falsified, and with a reading that is late.

use boltgrid_protocol::charter::Feeder;
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::MessageHash;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Power};

use super::*;
use crate::site::charter_for_tests;
use crate::store::Store;

/// The feeder's meter, then its sites.
pub(crate) const MEMBERS: [u8; 4] = [10, 20, 30, 40];
/// What the sites take in each interval, in mWh; the third one gives.
const TRUTH: [[i64; 3]; 5] = [
    [80_000, 30_000, -20_000],
    [40_000, 90_000, -50_000],
    [95_000, 20_000, -10_000],
    [60_000, 50_000, -70_000],
    [85_000, 70_000, -30_000],
];

pub(crate) fn key(seed: u8) -> Keypair {
    Keypair::from_seed(&[seed; 32])
}

pub(crate) struct Grid {
    pub(crate) store: Store,
    pub(crate) charter: Arc<Charter>,
    pub(crate) rosters: Rosters,
    pub(crate) first: Interval,
    _dir: tempfile::TempDir,
}

impl Grid {
    pub(crate) fn new() -> Self {
        let mut charter = charter_for_tests(300_000);
        let connection_points =
            vec!["house 1".to_owned(), "house 2".to_owned(), "house 3".to_owned()];
        charter.feeders = vec![Feeder { name: "mill lane".to_owned(), connection_points }];
        let charter = Arc::new(charter);
        let enrolments = (0_u8..).zip(MEMBERS).map(|(place, seed)| {
            let is_meter = place == 0;
            let rated = Power::from_watts(if is_meter { 0 } else { 10_000 }).unwrap();
            let mut it = CertifiedEnrolment::request(Enrolment {
                grid: charter.grid_id(),
                participant: key(seed).participant_id(),
                meter: key(seed + 1).meter_key(),
                connection_point: if is_meter {
                    "mill lane".into()
                } else {
                    format!("house {place}")
                },
                outside: false,
                rated_import_mw: rated,
                rated_export_mw: rated,
                votes: !is_meter,
                valid_from: Interval::from_number(0),
                valid_until: Interval::from_number(u64::MAX),
            });
            it.sign(&key(1));
            it
        });
        let rosters = Rosters::new(Arc::clone(&charter), enrolments.collect()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        Self { store, charter, rosters, first: Interval::from_number(1_000_000), _dir: dir }
    }

    pub(crate) fn feeders(&self) -> Feeders {
        let me = key(MEMBERS[1]).participant_id();
        let grid = (Arc::clone(&self.charter), self.rosters.clone());
        Feeders::new(grid, me, self.store.archive()).0
    }

    /// Signs what a member's meter shows after so many intervals, and puts it into the archive.
    pub(crate) fn show(&mut self, member: usize, after: u64, net_mwh: i64) {
        let edge = self.first.plus(after);
        let (seed, moved) = (MEMBERS[member], Energy::from_milliwatt_hours(net_mwh.unsigned_abs()));
        let (taken, given) =
            if net_mwh < 0 { (Energy::ZERO, moved) } else { (moved, Energy::ZERO) };
        let reading = Reading {
            at: self.charter.interval.start_of(edge),
            sequence: after,
            previous: MessageHash::default(),
            import_register_mwh: taken,
            export_register_mwh: given,
            power_mw: Power::ZERO,
            potential_mw: None,
            voltage_mv: None,
            frequency_mhz: None,
        };
        let author = (&key(seed).participant_id(), &key(seed + 1));
        let roster = self.rosters.at(edge);
        let signed = Verified::sign(&reading, edge, author, (&self.charter, &roster)).unwrap();
        self.store.archive().put_reading(edge, author.0, signed.bytes()).unwrap();
    }

    /// All readings of so many intervals, but those left out; one site may show a share of the truth.
    fn run(&mut self, intervals: usize, liar: Option<(usize, i64)>, left_out: &[(usize, u64)]) {
        let mut sums = [0; 4];
        for after in 0..=intervals {
            let edge = u64::try_from(after).unwrap();
            for (member, sum) in sums.into_iter().enumerate() {
                if !left_out.contains(&(member, edge)) {
                    self.show(member, edge, sum);
                }
            }
            for (site, truth) in (1..).zip(TRUTH.get(after).into_iter().flatten()) {
                let percent =
                    liar.map_or(100, |(liar, percent)| if liar == site { percent } else { 100 });
                sums[0] += truth;
                sums[site] += truth * percent / 100;
            }
        }
    }

    /// Looks once at each of so many intervals, as the task does.
    fn look(&self, feeders: &mut Feeders, intervals: u64) -> FeederState {
        for after in 0..intervals {
            let interval = self.first.plus(after);
            feeders.look(feeders.due(interval), interval);
        }
        feeders.states.borrow()[0].clone()
    }

    pub(crate) fn kept(&self) -> Vec<AnomalyRecord> {
        let ever = Timestamp::from_unix_ms(u64::MAX);
        self.store.archive().anomalies(Timestamp::default(), ever).map(Result::unwrap).collect()
    }
}

#[test]
fn honest_meters_balance() {
    let mut grid = Grid::new();
    grid.run(5, None, &[]);
    let state = grid.look(&mut grid.feeders(), 5);
    assert_eq!(state.meter, Some(key(MEMBERS[0]).participant_id()));
    let balance = state.balance.unwrap();
    assert_eq!((balance.interval, balance.gap_mwh.to_milliwatt_hours()), (grid.first.plus(4), 0));
    assert_eq!((state.gap, state.missing, grid.kept()), (None, None, Vec::new()));
}

#[test]
fn a_falsified_meter_is_noticed_in_the_third_interval_and_named() {
    let mut grid = Grid::new();
    grid.run(5, Some((1, 60)), &[]);
    let mut feeders = grid.feeders();
    assert_eq!(grid.look(&mut feeders, 2).gap, None);
    let gap = grid.look(&mut feeders, 3).gap.expect("three intervals are enough");
    assert_eq!(gap.suspects[0].participant, key(MEMBERS[1]).participant_id(), "{gap:?}");
    assert!((590_000..=610_000).contains(&gap.suspects[0].shows_ppm), "{gap:?}");
    let [record] = &grid.kept()[..] else { panic!("{:?}", grid.kept()) };
    assert_eq!((record.kind(), &*record.of, record.ended_at), ("feeder-gap", "mill lane", None));
    let said = record.found.to_string();
    assert!(said.contains("in 3 intervals") && said.contains("it could be"), "{said}");
}

#[test]
fn a_meter_that_begins_to_lie_is_located_and_stays_so_while_the_gap_stands() {
    let mut grid = Grid::new();
    let mut sums = [0_i64; 4];
    let mut feeders = grid.feeders();
    let liar = key(MEMBERS[1]).participant_id();
    for after in 0..=30_u64 {
        for (member, sum) in sums.into_iter().enumerate() {
            grid.show(member, after, sum);
        }
        if let Some(past) = after.checked_sub(1) {
            let interval = grid.first.plus(past);
            feeders.look(feeders.due(interval), interval);
            let state = feeders.states.borrow()[0].clone();
            let wanted = (past >= 6).then_some(liar);
            assert_eq!(state.located, wanted, "{past}: {:?}", state.gap);
        }
        let wobble = i64::try_from(after % 3).unwrap() * 2_000;
        let truth = [80_000 + wobble, 60_000 - wobble, -40_000];
        sums[0] += truth.iter().sum::<i64>();
        // From the fifth interval on.
        let shown = if after >= 4 { truth[0] / 2 } else { truth[0] };
        for (sum, shown) in sums.iter_mut().skip(1).zip([shown, truth[1], truth[2]]) {
            *sum += shown;
        }
    }
    let [record] = &grid.kept()[..] else { panic!("{:?}", grid.kept()) };
    let said = record.found.to_string();
    assert!(said.contains("stepped when the gap began"), "{said}");
}

#[test]
fn a_reading_that_comes_late_takes_its_place() {
    let mut grid = Grid::new();
    grid.run(4, Some((2, 50)), &[(1, 2)]);
    let mut feeders = grid.feeders();
    let state = grid.look(&mut feeders, 4);
    // Its edge is missing, so two of four intervals are not known, and two are no row.
    assert_eq!((state.gap, state.missing), (None, None));
    assert_eq!(grid.look(&mut feeders, 2).missing.unwrap().1, [key(MEMBERS[1]).participant_id()]);
    grid.show(1, 2, 120_000);
    let gap = grid.look(&mut feeders, 4).gap.expect("four intervals are known now");
    assert_eq!((gap.intervals, gap.since), (4, grid.first));
}

#[test]
fn a_gap_that_is_over_ends_on_disk_too() {
    let mut grid = Grid::new();
    grid.run(3, Some((1, 60)), &[]);
    let mut feeders = grid.feeders();
    assert!(grid.look(&mut feeders, 3).gap.is_some());
    // From here on the meter shows the truth: registers go on from where they are.
    let truth = TRUTH[3];
    let shown = [(1, 129_000 + truth[0]), (2, 140_000 + truth[1]), (3, -80_000 + truth[2])];
    for (site, net_mwh) in shown {
        grid.show(site, 4, net_mwh);
    }
    grid.show(0, 4, 215_000 + 140_000 - 80_000 + truth.iter().sum::<i64>());
    assert_eq!(grid.look(&mut feeders, 4).gap, None);
    assert!(grid.kept()[0].ended_at.is_some());
}
