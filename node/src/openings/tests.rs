//! A feeder of nine sites in a real archive, whose shares are opened to one node: honestly, with a false
//! meter, with a spoilt sum, and by those who mean harm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::charter::{Charter, Disclosure, Feeder};
use boltgrid_protocol::codec;
use boltgrid_protocol::direct::{Answer, Question};
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::masking::{
    Cohort, Finding, Opening, OpeningRefused, OpeningRejected, OpeningWord, share,
};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, NetEnergy, Power, Timestamp};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::arbiter::Arbiter;
use super::*;
use crate::network::{Asked, NetworkEvent};
use crate::site::charter_for_tests;
use crate::store::{CohortRecord, Store};

/// The feeder's meter is member 0.
const SITES: std::ops::RangeInclusive<u8> = 1..=9;

fn key(member: u8) -> Keypair {
    Keypair::from_seed(&[10 * member + 5; 32])
}

fn id(member: u8) -> ParticipantId {
    key(member).participant_id()
}

struct Grid {
    store: Store,
    charter: Arc<Charter>,
    rosters: Rosters,
    first: Interval,
    /// What every site's meter has shown so far.
    shown: BTreeMap<u8, i64>,
    _dir: tempfile::TempDir,
}

impl Grid {
    fn new() -> Self {
        let mut charter = charter_for_tests(300_000);
        charter.readings = Disclosure::Masked;
        let point = |member: u8| format!("house {member}");
        let connection_points = SITES.map(point).collect();
        charter.feeders = vec![Feeder { name: "mill lane".to_owned(), connection_points }];
        let charter = Arc::new(charter);
        let enrolments = (0..=*SITES.end()).map(|member| {
            let is_meter = member == 0;
            let rated = Power::from_watts(if is_meter { 0 } else { 10_000 }).unwrap();
            let mut it = CertifiedEnrolment::request(Enrolment {
                grid: charter.grid_id(),
                participant: id(member),
                meter: key(member).meter_key(),
                connection_point: if is_meter { "mill lane".to_owned() } else { point(member) },
                outside: false,
                rated_import_mw: rated,
                rated_export_mw: rated,
                votes: !is_meter,
                valid_from: Interval::from_number(0),
                valid_until: Interval::from_number(u64::MAX),
            });
            it.sign(&key_of_registrar());
            it
        });
        let rosters = Rosters::new(Arc::clone(&charter), enrolments.collect()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let first = Interval::from_number(1_000_000);
        Self { store, charter, rosters, first, shown: BTreeMap::new(), _dir: dir }
    }

    fn arbiter(&self) -> Arbiter {
        let grid = (Arc::clone(&self.charter), self.rosters.clone());
        Arbiter::new(grid, self.store.archive())
    }

    fn put_reading(&mut self, member: u8, edge: Interval) {
        let reading = Reading {
            at: self.charter.interval.start_of(edge),
            sequence: edge.to_number(),
            previous: MessageHash::default(),
            import_register_mwh: Energy::from_milliwatt_hours(
                u64::try_from(self.shown.get(&member).copied().unwrap_or(0)).unwrap(),
            ),
            export_register_mwh: Energy::ZERO,
            power_mw: Power::ZERO,
            potential_mw: None,
            voltage_mv: None,
            frequency_mhz: None,
        };
        let roster = self.rosters.at(edge);
        let author = (&id(member), &key(member));
        let signed = Verified::sign(&reading, edge, author, (&self.charter, &roster)).unwrap();
        self.store.archive().put_reading(edge, author.0, signed.bytes()).unwrap();
    }

    /// One interval after the first: what all sites' meters show of it, and the feeder's.
    fn deliver(&mut self, after: u64, shows: impl Fn(u8) -> i64, feeder: i64) -> Interval {
        let interval = self.first.plus(after);
        let roster = self.rosters.at(interval);
        let present: BTreeSet<_> = SITES.map(id).collect();
        let at = ("mill lane", interval);
        let cohort = Cohort::new(&roster.hash(), at, &present, present.len()).unwrap();
        let mut sites = BTreeMap::new();
        for site in SITES {
            self.put_reading(site, interval);
            *self.shown.entry(site).or_default() += shows(site);
            self.put_reading(site, interval.next());
            let net = NetEnergy::from_milliwatt_hours(shows(site));
            sites.insert(id(site), Some(share(&cohort, &key(site), net).unwrap().0));
        }
        let feeder_mwh = Some(NetEnergy::from_milliwatt_hours(feeder));
        let absent_most_mwh = Energy::ZERO;
        self.put(interval, &CohortRecord { feeder_mwh, absent: 0, absent_most_mwh, sites });
        interval
    }

    fn put(&self, interval: Interval, record: &CohortRecord) {
        self.store.archive().put_cohort(interval, "mill lane", record).unwrap();
    }

    fn record(&self, interval: Interval) -> CohortRecord {
        self.store.archive().cohort(interval, "mill lane").unwrap().unwrap()
    }

    /// What a site would send.
    fn prepare(&self, site: u8, first: Interval, last: Interval) -> Vec<Prepared> {
        let wish = Wish { to: id(1), first, last, is_dry: true };
        let now = self.charter.interval.start_of(last.next());
        self.arbiter().prepare(&key(site), &wish, now).unwrap()
    }

    fn opening(&self, site: u8, interval: Interval) -> Opening {
        self.prepare(site, interval, interval).remove(0).1.unwrap()
    }

    fn take(&self, site: u8, interval: Interval) -> OpeningWord {
        self.arbiter().take(&id(site), interval, &self.opening(site, interval))
    }

    fn rulings(&self) -> Vec<FeederRuling> {
        rulings(&self.store.archive(), &self.charter, &mut self.rosters.clone()).unwrap()
    }
}

type Prepared = (OpenedInterval, Option<Opening>);

fn key_of_registrar() -> Keypair {
    Keypair::from_seed(&[1; 32])
}

/// What a site takes; not quite the same twice.
fn truth(site: u8, after: u64) -> i64 {
    let wobble = i64::try_from(after * u64::from(site + 2) % 5).unwrap() * 1_000;
    40_000 + 7_000 * i64::from(site) + wobble
}

/// Twelve intervals. From the sixth on one meter shows two fifths of the truth.
fn falsified(liar: u8) -> (Grid, Vec<Interval>) {
    let mut grid = Grid::new();
    let intervals = (0..12).map(|after| {
        let feeder = SITES.map(|site| truth(site, after)).sum();
        let shows = |site| {
            let lies = site == liar && after >= 5;
            if lies { truth(site, after) * 2 / 5 } else { truth(site, after) }
        };
        grid.deliver(after, shows, feeder)
    });
    let intervals = intervals.collect();
    (grid, intervals)
}

#[test]
fn once_all_have_opened_the_false_meter_is_named_to_its_owner_and_nobody_else() {
    let liar = 8;
    let (grid, intervals) = falsified(liar);
    for site in SITES.filter(|site| *site != 3) {
        for interval in &intervals {
            let word = grid.take(site, *interval);
            assert_eq!(word, OpeningWord::Kept(Finding::Waits), "site 3 has not opened");
        }
    }
    let [before] = &grid.rulings()[..] else { panic!("{:?}", grid.rulings()) };
    assert_eq!((before.reckoned, &before.gap), (0, &None));
    assert!(before.intervals.iter().all(|it| it.opened.missing == [id(3)]));
    for interval in &intervals {
        grid.take(3, *interval);
    }
    let [ruling] = &grid.rulings()[..] else { panic!("{:?}", grid.rulings()) };
    assert_eq!((ruling.reckoned, ruling.located), (12, Some(id(liar))), "{ruling:?}");
    let latest = *intervals.last().unwrap();
    assert_eq!(ruling.intervals[0].interval, latest);
    let shown = ruling.intervals[0].opened.net_mwh[&id(3)].to_milliwatt_hours();
    assert_eq!(shown, truth(3, 11));
    for site in SITES {
        let word = grid.take(site, latest);
        let OpeningWord::Kept(finding) = word else { panic!("{word:?}") };
        if site == liar {
            let Finding::Located { shows_ppm } = finding else { panic!("{finding:?}") };
            assert!((380_000..=480_000).contains(&shows_ppm), "{shows_ppm}");
        } else {
            assert_eq!(finding, Finding::Cleared, "{site}");
        }
    }
}

#[test]
fn honest_meters_have_no_gap_in_the_open() {
    let (grid, intervals) = falsified(0);
    let words = intervals.iter().flat_map(|it| SITES.map(|site| grid.take(site, *it)));
    let last = words.last();
    assert_eq!(last, Some(OpeningWord::Kept(Finding::NoGap)));
    assert_eq!(grid.rulings()[0].gap, None);
}

#[test]
fn whatever_else_is_sent_is_refused_with_the_reason_and_leaves_nothing() {
    let (grid, intervals) = falsified(0);
    let (at, other) = (intervals[0], intervals[1]);
    let refused = |from: u8, interval: Interval, opening: &Opening| match grid.arbiter().take(
        &id(from),
        interval,
        opening,
    ) {
        OpeningWord::Refused(why) => why,
        OpeningWord::Kept(finding) => panic!("{finding:?}"),
    };
    let mine = grid.opening(2, at);
    let wrong = OpeningRefused::Rejected(OpeningRejected::OtherCommitment);
    assert_eq!(refused(2, other, &mine), wrong, "another interval");
    assert_eq!(refused(3, at, &mine), wrong, "another site, as if it was its own");
    assert_eq!(refused(2, grid.first.minus(1), &mine), OpeningRefused::NotHeard);
    assert_eq!(refused(0, at, &mine), OpeningRefused::NotHeard, "the feeder's meter");
    assert_eq!(refused(20, at, &mine), OpeningRefused::NotHeard, "no member at all");
    let bent = |at: usize| {
        let mut bytes = codec::canonical(&mine);
        bytes[at] ^= 0x40;
        codec::decode::<Opening>(&bytes, Opening::LIMIT).unwrap()
    };
    assert_eq!(refused(2, at, &bent(11)), wrong, "another energy");
    assert_eq!(refused(2, at, &bent(12)), wrong, "another blinding");
    let not_needed = OpeningRefused::MasksNotNeeded;
    let roster = grid.rosters.clone().at(at);
    let present: BTreeSet<_> = SITES.map(id).collect();
    let cohort = Cohort::new(&roster.hash(), ("mill lane", at), &present, 9).unwrap();
    let full = share(&cohort, &key(2), mine.net()).unwrap().1;
    assert_eq!(refused(2, at, &full), not_needed);
    assert_eq!(grid.rulings(), [], "nothing was kept");
    // Of an interval of which one share was not heard nothing is settled.
    let mut record = grid.record(at);
    record.sites.insert(id(5), None);
    grid.put(at, &record);
    assert_eq!(refused(2, at, &mine), OpeningRefused::NotHeard);
    // The same again is the same once.
    let mine = grid.opening(2, other);
    for _ in 0..3 {
        let word = grid.arbiter().take(&id(2), other, &mine);
        assert_eq!(word, OpeningWord::Kept(Finding::Waits));
    }
    assert_eq!(grid.rulings()[0].intervals[0].opened.net_mwh.len(), 1);
}

#[test]
fn of_a_spoilt_sum_masks_are_opened_and_two_that_differ_are_told_so() {
    let (grid, intervals) = falsified(0);
    let (at, liar) = (intervals[0], id(4));
    let mut record = grid.record(at);
    let share = record.sites.get_mut(&liar).unwrap().as_mut().unwrap();
    share.masked_mwh = share.masked_mwh.wrapping_sub(30_000);
    grid.put(at, &record);
    // Its own node makes another share of its readings than the one it sent.
    assert_eq!(grid.prepare(4, at, at)[0].0.given, Err(NoOpening::OtherShare));
    for site in SITES.filter(|site| *site != 4) {
        assert_eq!(grid.prepare(site, at, at)[0].0.given.map(|it| it.1), Ok(8), "with masks");
        assert_eq!(grid.take(site, at), OpeningWord::Kept(Finding::Waits));
    }
    let short = grid.opening(2, at).without_masks();
    let word = grid.arbiter().take(&id(2), at, &short);
    assert_eq!(word, OpeningWord::Refused(OpeningRefused::NeedsMasks));
    // Whoever spoilt it bends a mask so that its share follows, and contradicts that neighbour.
    let roster = grid.rosters.clone().at(at);
    let present: BTreeSet<_> = SITES.map(id).collect();
    let cohort = Cohort::new(&roster.hash(), ("mill lane", at), &present, 9).unwrap();
    let net = NetEnergy::from_milliwatt_hours(truth(4, 0));
    let honest = boltgrid_protocol::masking::share(&cohort, &key(4), net).unwrap().1;
    let blamed = *cohort.neighbours(&liar).unwrap().iter().next().unwrap();
    let mut bytes = codec::canonical(&honest);
    let mask = u64::from_be_bytes(bytes[52..60].try_into().unwrap());
    let by = if liar < blamed { 30_000_u64.wrapping_neg() } else { 30_000 };
    bytes[52..60].copy_from_slice(&mask.wrapping_add(by).to_be_bytes());
    let bent = codec::decode::<Opening>(&bytes, Opening::LIMIT).unwrap();
    let word = grid.arbiter().take(&liar, at, &bent);
    assert_eq!(word, OpeningWord::Kept(Finding::Differs { neighbour: blamed }));
    let [ruling] = &grid.rulings()[..] else { panic!("{:?}", grid.rulings()) };
    assert_eq!(ruling.differing, [(at, liar.min(blamed), liar.max(blamed))]);
    let innocent = { SITES }.find(|site| ![liar, blamed].contains(&id(*site))).unwrap();
    assert_eq!(grid.take(innocent, at), OpeningWord::Kept(Finding::Waits));
}

#[test]
fn an_arbiter_keeps_the_latest_of_each_member_and_hides_nothing_behind_those_of_one() {
    let mut grid = Grid::new();
    let count = u64::try_from(OPEN_MAX).unwrap() + 1;
    let all: Vec<_> = (0..count).map(|after| grid.deliver(after, |_| 50_000, 450_000)).collect();
    for site in [1, 2] {
        grid.take(site, all[0]);
    }
    for interval in &all {
        grid.take(9, *interval);
    }
    let archive = grid.store.archive();
    let open: Vec<_> = archive.opened_intervals().map(Result::unwrap).collect();
    assert_eq!(open.len(), all.len());
    assert_eq!(open.last(), Some(&all[0]));
    let oldest = archive.openings(all[0]).unwrap();
    assert_eq!(oldest.keys().copied().collect::<BTreeSet<_>>(), [id(1), id(2)].into());
    // The one interval that two have opened is shown, however many others one has.
    let [ruling] = &grid.rulings()[..] else { panic!("{:?}", grid.rulings()) };
    assert_eq!(ruling.intervals.len(), 24);
    assert_eq!(ruling.intervals.last().unwrap().opened.net_mwh.len(), 2);
    let pruned = archive.prune_openings_before(*all.last().unwrap()).unwrap();
    // All cohorts but one, all but one opening of one member, and one each of two.
    assert_eq!(pruned, (all.len() - 1) + (OPEN_MAX - 1) + 2);
    assert_eq!(archive.opened_intervals().count(), 1);
    assert_eq!(archive.cohort(all[0], "mill lane").unwrap(), None);
}

#[test]
fn only_what_this_node_shared_can_be_opened_and_so_many_intervals_at_once() {
    let (mut grid, intervals) = falsified(0);
    let (first, last) = (intervals[0], *intervals.last().unwrap());
    let given = |grid: &Grid, site, at| grid.prepare(site, at, at).remove(0).0.given;
    assert_eq!(given(&grid, 2, first), Ok((NetEnergy::from_milliwatt_hours(truth(2, 0)), 0)));
    assert_eq!(grid.prepare(2, first, last).len(), 12);
    assert_eq!(given(&grid, 0, first), Err(NoOpening::NoFeeder));
    assert_eq!(given(&grid, 2, first.minus(1)), Err(NoOpening::NoShare));
    let at = grid.deliver(12, |_| 1_000, 9_000);
    let record = grid.record(at);
    grid.put(at.next(), &record);
    assert_eq!(given(&grid, 2, at.next()), Err(NoOpening::NoReadings));
    let ask = |to, first: Interval, last| {
        let wish = Wish { to, first, last, is_dry: true };
        grid.arbiter().prepare(&key(2), &wish, Timestamp::from_unix_ms(0)).map(drop)
    };
    assert_eq!(ask(id(1), first, first.plus(INTERVALS_AT_ONCE - 1)), Ok(()));
    assert_eq!(ask(id(1), first, first.plus(INTERVALS_AT_ONCE)), Err(NotOpened::Span));
    assert_eq!(ask(id(1), first, first.minus(1)), Err(NotOpened::Span));
    assert_eq!(ask(id(20), first, first), Err(NotOpened::NoMember));
}

/// The arbiter, as it is from one site.
struct Far {
    asked: Asked,
    tell: mpsc::Sender<NetworkEvent>,
}

impl Far {
    /// Answers all questions that come, each after a while.
    async fn answers(&mut self, after: Duration) {
        while let Some((by, question)) = self.asked.next().await {
            sleep(after).await;
            assert!(matches!(question, Question::Open { .. }), "{question:?}");
            let answer = Answer::Open(OpeningWord::Kept(Finding::Waits));
            self.tell.send(NetworkEvent::Told { by, question, answer }).await.unwrap();
        }
    }
}

/// How a command gives up that asks a node and hears nothing.
const COMMAND_TIME: Duration = Duration::from_secs(20);

/// A site that opens the last twelve intervals to an arbiter: what became of each, and how long it took,
/// each time that it is asked to, while the arbiter does something else.
async fn opened(talk: impl AsyncFnOnce(&mut Far, &dyn Fn() -> BoxFuture<'static, Vec<Outcome>>)) {
    let mut grid = Grid::new();
    for after in 0..12 {
        grid.deliver(after, |_| 1_000, 9_000);
    }
    let (network, asked) = Asked::of_nobody();
    let of_grid = (Arc::clone(&grid.charter), grid.rosters.clone());
    let of_node = (network, grid.store.archive());
    let (task, tell, desk) = OpeningsTask::new(of_grid, key(2), of_node);
    let (first, last) = (grid.first, grid.first.plus(11));
    let open = move || {
        let (desk, began) = (desk.clone(), Instant::now());
        async move {
            let wish = Wish { to: id(1), first, last, is_dry: false };
            let opened = desk.open(wish).await.unwrap();
            assert!(began.elapsed() < COMMAND_TIME, "it took {:?}", began.elapsed());
            assert!(opened.iter().all(|it| it.given.is_ok()), "{opened:?}");
            opened.into_iter().map(|it| it.outcome).collect()
        }
        .boxed()
    };
    let stop = CancellationToken::new();
    let talking = async {
        talk(&mut Far { asked, tell }, &open).await;
        stop.cancel();
    };
    tokio::join!(task.run(stop.clone()), talking);
}

const KEPT: Outcome = Outcome::Said(OpeningWord::Kept(Finding::Waits));

#[tokio::test(start_paused = true)]
async fn an_arbiter_that_does_not_answer_is_not_asked_on_and_may_be_asked_again() {
    opened(async |far, open| {
        let outcomes = open().await;
        assert_eq!(outcomes[0], Outcome::NotAnswered);
        assert!(outcomes[1..].iter().all(|it| *it == Outcome::NotSent), "{outcomes:?}");
        let (whom, question) = far.asked.next().await.unwrap();
        assert_eq!(whom, id(1));
        // Its word comes after all, and is nobody's by then.
        let answer = Answer::Open(OpeningWord::Kept(Finding::NoGap));
        far.tell.send(NetworkEvent::Told { by: whom, question, answer }).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        tokio::select! {
            outcomes = open() => assert_eq!(outcomes, [KEPT; 12]),
            () = far.answers(Duration::ZERO) => panic!("the site is gone"),
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_arbiter_that_is_slow_keeps_nobody_waiting_and_takes_the_rest_the_next_time() {
    opened(async |far, open| {
        tokio::select! {
            outcomes = open() => {
                let kept = outcomes.iter().filter(|it| **it == KEPT).count();
                let left = outcomes.iter().filter(|it| **it == Outcome::NotSent).count();
                assert!(kept >= 2 && left >= 6 && kept + left == 12, "{outcomes:?}");
            }
            () = far.answers(Duration::from_secs(5)) => panic!("the site is gone"),
        }
    })
    .await;
}
