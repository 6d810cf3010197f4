//! The data folder as a node uses it, through crashes, damage and second users.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use boltgrid::store::{
    BalanceRecord, BookRecord, ByHandRecord, ChannelChange, ChannelRecord, ClearingRecord,
    DayRecord, DisputeRecord, JournalError, Store, StoreError,
};
use boltgrid_market::effect::{JournalEntry, Slot};
use boltgrid_market::payments::{Dispute, DueId, Payment, Stage, Why};
use boltgrid_metering::substitute::Flow;
use boltgrid_protocol::id::{BookHash, ClearingDigest, ParticipantId};
use boltgrid_protocol::invoice::Cause;
use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::units::{Energy, Interval, Msat, Price, SignedMsat, Timestamp};
use futures::StreamExt;

fn at(number: u64) -> Interval {
    Interval::from_number(number)
}

fn entry(slot: Slot, bytes: &[u8]) -> JournalEntry {
    JournalEntry { slot, bytes: Arc::from(bytes) }
}

/// A copy of the folder as a power cut would leave it: whatever is in the files right now.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

#[test]
fn the_first_evidence_against_a_culprit_in_an_interval_is_kept_and_pruned_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Store::open(dir.path()).unwrap().archive();
    let [one, other] = [1, 2].map(|byte| ParticipantId::from_bytes([byte; 32]));
    assert!(archive.put_evidence(at(7), &one, b"first").unwrap());
    assert!(!archive.put_evidence(at(7), &one, b"second").unwrap());
    assert!(archive.put_evidence(at(8), &one, b"third").unwrap());
    assert!(archive.put_evidence(at(9), &other, b"fourth").unwrap());
    let of = |intervals| {
        let kept: Result<Vec<_>, _> = archive.evidence(intervals).collect();
        kept.unwrap()
            .into_iter()
            .map(|(interval, (whose, _))| (interval, whose))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(at(7)..at(9)), [(at(7), one), (at(8), one)]);
    let first = archive.evidence(at(0)..at(8)).next().unwrap().unwrap();
    assert_eq!(first.1.1.as_ref(), b"first");
    assert_eq!(archive.prune_before(at(9)).unwrap(), 0);
    assert_eq!(archive.prune_evidence_before(at(8)).unwrap(), 1);
    assert_eq!(of(at(0)..at(100)), [(at(8), one), (at(9), other)]);
}

#[test]
fn a_payment_whose_end_was_lost_is_mended_and_one_that_is_known_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Store::open(dir.path()).unwrap().archive();
    let paid = Stage::Paid { preimage: None, fee_msat: Msat::ZERO };
    let payment = |hash, stage, unix_ms| Payment {
        due: DueId { interval: at(7), cause: Cause::Trade { index: 0 } },
        counterparty: ParticipantId::from_bytes([1; 32]),
        to_me: true,
        tranche: 0,
        tranches: 1,
        amount_msat: Msat::from_millisatoshi(5).unwrap(),
        payment_hash: PaymentHash::from_bytes([hash; 32]),
        stage,
        at: Timestamp::from_unix_ms(unix_ms),
    };
    archive.put_payment(&payment(1, Stage::Invoiced, 10)).unwrap();
    archive.put_payment(&payment(2, paid, 11)).unwrap();
    for hash in [1, 2, 3] {
        archive.mend_payment(&payment(hash, paid, 9)).unwrap();
    }
    let kept: Result<Vec<_>, _> = archive.payments(at(7), at(8)).collect();
    let mut kept: Vec<_> = kept.unwrap().iter().map(|it| (it.stage, it.at)).collect();
    kept.sort_by_key(|(_, at)| *at);
    let ms = Timestamp::from_unix_ms;
    assert_eq!(kept, [(paid, ms(9)), (paid, ms(10)), (paid, ms(11))]);
}

#[test]
fn a_dispute_that_is_forgiven_stays_and_says_when() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Store::open(dir.path()).unwrap().archive();
    let due = |number| DueId { interval: at(number), cause: Cause::Trade { index: 0 } };
    for number in [7, 8] {
        let dispute = Dispute {
            due: due(number),
            counterparty: ParticipantId::from_bytes([1; 32]),
            due_msat: SignedMsat::from_millisatoshi(5),
            unpaid_msat: Msat::from_millisatoshi(5).unwrap(),
            why: Why::NotPaid,
            at: Timestamp::from_unix_ms(9),
            proof: vec![b"readings".to_vec()],
            invoice: None,
        };
        let record = DisputeRecord { dispute, resolved_at: None, forgiven_at: None };
        archive.put_dispute(&record).unwrap();
    }
    let when = Timestamp::from_unix_ms(10);
    archive.forgive_dispute(&due(7), when).unwrap();
    archive.forgive_dispute(&due(6), when).unwrap();
    let kept: Result<Vec<_>, _> =
        archive.disputes(Interval::default(), Interval::from_number(u64::MAX)).collect();
    let kept: Vec<_> =
        kept.unwrap().into_iter().map(|it| (it.dispute.due, it.forgiven_at)).collect();
    assert_eq!(kept, [(due(8), None), (due(7), Some(when))]);
    assert_eq!(archive.disputes(at(7), at(8)).count(), 1);
    assert_eq!(archive.disputes(at(8), at(8)).count(), 0);
}

#[test]
fn a_payment_by_hand_is_kept_once_where_it_was_begun_and_pruned_with_its_interval() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Store::open(dir.path()).unwrap().archive();
    let record = |hash| ByHandRecord {
        at: Timestamp::from_unix_ms(9),
        payment_hash: PaymentHash::from_bytes([hash; 32]),
        is_received: false,
        amount: Msat::from_millisatoshi(5).unwrap(),
        description: "firewood".to_owned(),
        expires_at: Timestamp::from_unix_ms(10),
    };
    let kept = |from, before| -> Vec<(Interval, u8)> {
        let kept: Result<Vec<_>, _> = archive.by_hand(at(from), at(before)).collect();
        let hash = |it: ByHandRecord| it.payment_hash.as_bytes()[0];
        kept.unwrap().into_iter().map(|(interval, it)| (interval, hash(it))).collect()
    };
    for (interval, hash) in [(7, 1), (8, 2), (9, 3)] {
        assert!(archive.put_by_hand(at(interval), &record(hash)).unwrap());
    }
    assert!(!archive.put_by_hand(at(9), &record(1)).unwrap(), "tried again");
    assert_eq!(kept(0, 100), [(at(9), 3), (at(8), 2), (at(7), 1)]);
    assert_eq!(kept(8, 9), [(at(8), 2)]);
    archive.remove_by_hand(at(8), &record(2).payment_hash).unwrap();
    assert_eq!(archive.prune_before(at(9)).unwrap(), 1);
    assert_eq!(kept(0, 100), [(at(9), 3)]);
}

#[tokio::test]
async fn what_was_recorded_is_in_the_files_before_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (data, crashed) = (dir.path().join("data"), dir.path().join("crashed"));
    let store = Store::open(&data).unwrap();
    let order = entry(Slot::Order(at(7)), b"order");
    store.journal().record(vec![order.clone()]).await.unwrap();
    copy_files(&data, &crashed);

    let restarted = Store::open(&crashed).unwrap();
    assert_eq!(restarted.journal().load_since(at(0)).await.unwrap(), [order]);
}

#[tokio::test]
async fn a_slot_is_filled_once_and_a_refused_batch_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let journal = store.journal();
    let first = entry(Slot::Prevote(at(7), 0), b"for this book");
    journal.record(vec![first.clone()]).await.unwrap();
    journal.record(vec![first.clone()]).await.unwrap();

    let other = entry(first.slot, b"for another book");
    let ack = entry(Slot::Ack(at(7)), b"ack");
    let refused = journal.record(vec![ack.clone(), other]).await;
    assert!(
        matches!(refused, Err(JournalError::SlotTaken { slot }) if slot == first.slot),
        "{refused:?}"
    );
    assert_eq!(journal.get(ack.slot).await.unwrap(), None);
    assert_eq!(journal.get(first.slot).await.unwrap(), Some(first.bytes));
}

#[tokio::test]
async fn entries_come_back_by_interval_and_pruning_keeps_the_last_reading() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let journal = store.journal();
    let reading = |number| entry(Slot::Reading(at(number)), &[1]);
    let vote = |number, view| entry(Slot::Precommit(at(number), view), &[2]);
    journal.record(vec![vote(9, 1), reading(4), vote(9, 0), reading(5), vote(4, 0)]).await.unwrap();
    assert_eq!(journal.load_since(at(5)).await.unwrap(), [reading(5), vote(9, 0), vote(9, 1)]);
    assert_eq!(journal.prune_before(at(9)).await.unwrap(), 2);
    assert_eq!(journal.load_since(at(0)).await.unwrap(), [reading(5), vote(9, 0), vote(9, 1)]);
    let last = journal.last_reading().await.unwrap();
    assert_eq!(last, Some((at(5), reading(5).bytes)));
}

#[tokio::test]
async fn what_was_paid_is_read_from_the_last_summary_on_and_outlives_pruning() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let journal = store.journal();
    let record = |number, place| entry(Slot::Payment(at(number), place), &[3]);
    let written =
        [(5, 0), (5, 1), (7, 0), (7, 1), (9, 0)].map(|(number, place)| record(number, place));
    journal.record(written.to_vec()).await.unwrap();
    assert_eq!(journal.load_payments().await.unwrap(), written, "all, before there is a summary");
    let summary = entry(Slot::Summary(at(7)), b"BG");
    journal.record(vec![summary.clone(), entry(Slot::Ack(at(9)), b"ack")]).await.unwrap();
    let since = vec![record(7, 0), record(7, 1), summary, record(9, 0)];
    assert_eq!(journal.load_payments().await.unwrap(), since);
    assert_eq!(journal.prune_before(at(100)).await.unwrap(), 3, "two records and the ack");
    assert_eq!(journal.load_payments().await.unwrap(), since);
}

#[tokio::test]
async fn closing_does_what_is_queued_and_later_requests_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let journal = store.journal();
    let queued: Vec<_> = (0..40).map(|number| entry(Slot::Ack(at(number)), b"ack")).collect();
    let mut records: futures::stream::FuturesUnordered<_> =
        queued.iter().map(|entry| journal.record(vec![entry.clone()])).collect();
    // The first poll queues them all.
    let mut done = futures::FutureExt::now_or_never(records.next()).map_or(0, |first| {
        first.unwrap().unwrap();
        1
    });
    drop(store);
    while let Some(record) = records.next().await {
        record.unwrap();
        done += 1;
    }
    assert_eq!(done, queued.len());
    let late = journal.record(vec![entry(Slot::Ack(at(99)), b"late")]).await;
    assert!(matches!(late, Err(JournalError::Closed)), "{late:?}");
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.journal().load_since(at(0)).await.unwrap(), queued);
}

/// Where the child of the test below finds its folder.
const CHILD_DIR: &str = "BOLTGRID_TEST_CHILD_DIR";

/// Not a test of its own: the process that the next test kills.
#[tokio::test]
#[ignore = "run by a_killed_process_has_lost_nothing_that_it_recorded"]
#[expect(clippy::disallowed_methods, reason = "a test's child gets its folder this way")]
async fn child_that_records_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let store = Store::open(Path::new(&dir)).unwrap();
    let journal = store.journal();
    for number in 0..u64::MAX {
        journal.record(vec![entry(Slot::Order(at(number)), &[7; 500])]).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "recorded {number}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn a_killed_process_has_lost_nothing_that_it_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_records_until_it_is_killed", "--ignored", "--nocapture"])
        .env(CHILD_DIR, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut recorded = 0;
    while recorded < 25 {
        let line = lines.next().expect("the child records until it is killed");
        recorded = line.strip_prefix("recorded ").map_or(recorded, |n| n.parse().unwrap());
    }
    let busy = Store::open(dir.path()).unwrap_err();
    assert!(matches!(busy, StoreError::Folder(_)), "{busy}");
    assert!(busy.to_string().contains(&child.id().to_string()), "{busy}");

    child.kill().unwrap();
    child.wait().unwrap();
    let last = lines.filter_map(|line| line.strip_prefix("recorded ")?.parse().ok()).last();
    let promised: u64 = last.unwrap_or(recorded) + 1;
    let store = Store::open(dir.path()).unwrap();
    let found = store.journal().load_since(at(0)).await.unwrap();
    assert!(u64::try_from(found.len()).unwrap() >= promised, "{} of {promised}", found.len());
}

async fn closed_store_with_a_long_journal(data: &Path) {
    let store = Store::open(data).unwrap();
    let entries = (0..500).map(|number| entry(Slot::Order(at(number)), &[7; 300])).collect();
    store.journal().record(entries).await.unwrap();
}

#[tokio::test]
async fn a_damaged_journal_stops_the_start_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    closed_store_with_a_long_journal(dir.path()).await;
    let journal = dir.path().join("journal.sqlite");
    let intact = fs::read(&journal).unwrap();
    for damaged in [0, 8192, intact.len() - 4096] {
        let mut bytes = intact.clone();
        bytes[damaged..damaged + 64].fill(0xAA);
        fs::write(&journal, bytes).unwrap();
        let refused = Store::open(dir.path()).unwrap_err();
        assert!(
            matches!(refused, StoreError::Journal(JournalError::Damaged { .. })),
            "damage at {damaged}: {refused}"
        );
        assert!(refused.to_string().contains("restore it from a backup"), "{refused}");
    }
    fs::write(&journal, intact).unwrap();
    Store::open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_journal_of_a_later_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let path = dir.path().join("journal.sqlite");
    let later = rusqlite::Connection::open(path).unwrap();
    later.pragma_update(None, "user_version", 9).unwrap();
    drop(later);
    let refused = Store::open(dir.path()).unwrap_err().to_string();
    assert!(refused.contains("schema 9"), "{refused}");
}

fn book() -> BookRecord {
    let orders = (0..300_u32).map(|author| Arc::from(author.to_le_bytes())).collect();
    BookRecord { certificate: Arc::from([9; 1000]), orders }
}

fn clearing() -> ClearingRecord {
    ClearingRecord {
        view: 1,
        decide_ms: 2_345,
        book: BookHash::from_bytes([1; 32]),
        clearing: ClearingDigest::from_bytes([2; 32]),
        price_msat_per_kwh: Some(Price::from_msat_per_kwh(-30_000)),
        volume_mwh: Energy::from_milliwatt_hours(1_234_567),
        orders: 300,
        trades: 120,
    }
}

#[test]
fn what_the_archive_is_given_it_gives_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (me, you) = (ParticipantId::from_bytes([1; 32]), ParticipantId::from_bytes([2; 32]));
    let archive = Store::open(dir.path()).unwrap().archive();
    archive.put_reading(at(256), &you, b"yours").unwrap();
    archive.put_reading(at(256), &me, b"mine").unwrap();
    archive.put_reading(at(1), &me, b"early").unwrap();
    let longer = BookRecord { orders: vec![Arc::from(*b"order"); 301], ..book() };
    archive.put_book(at(7), &longer).unwrap();
    archive.put_book(at(7), &book()).unwrap();
    archive.put_clearing(at(7), &clearing()).unwrap();
    archive.put_clearing(at(256), &clearing()).unwrap();
    archive.put_settlement(at(7), &(1_u64, vec![2_i64])).unwrap();
    archive.put_peer(&me, b"old").unwrap();
    archive.put_peer(&me, b"new").unwrap();
    drop(archive);

    let archive = Store::open(dir.path()).unwrap().archive();
    let readings = archive.readings(at(256)).unwrap();
    assert_eq!(readings, [(me, Arc::from(*b"mine")), (you, Arc::from(*b"yours"))]);
    assert_eq!(archive.book(at(7)).unwrap(), Some(book()));
    assert_eq!(archive.book(at(8)).unwrap(), None);
    assert_eq!(archive.clearing(at(7)).unwrap(), Some(clearing()));
    let history: Vec<_> = archive.clearings(at(0)..).map(|entry| entry.unwrap().0).collect();
    assert_eq!(history, [at(256), at(7)], "the latest first");
    assert_eq!(archive.settlement(at(7)).unwrap(), Some((1_u64, vec![2_i64])));
    assert!(archive.settlement::<u64>(at(7)).is_err(), "put in another form");
    assert_eq!(archive.peers().unwrap(), [(me, Arc::from(*b"new"))]);
    archive.remove_peer(&me).unwrap();
    assert_eq!(archive.peers().unwrap(), []);
}

#[test]
fn pruning_forgets_by_age_and_leaves_peers_alone() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Store::open(dir.path()).unwrap().archive();
    let me = ParticipantId::from_bytes([1; 32]);
    for number in [1, 255, 256, 257] {
        archive.put_book(at(number), &book()).unwrap();
        archive.put_clearing(at(number), &clearing()).unwrap();
        archive.put_reading(at(number), &me, b"reading").unwrap();
        archive.put_settlement(at(number), &number).unwrap();
    }
    archive.put_peer(&me, b"record").unwrap();
    assert_eq!(archive.prune_before(at(256)).unwrap(), 2 * (301 + 3));
    assert_eq!(archive.book(at(255)).unwrap(), None);
    assert_eq!(archive.book(at(256)).unwrap(), Some(book()));
    assert_eq!(archive.readings(at(1)).unwrap(), []);
    assert_eq!(archive.clearing(at(255)).unwrap(), None);
    assert_eq!(archive.settlement::<u64>(at(257)).unwrap(), Some(257));
    assert_eq!(archive.peers().unwrap().len(), 1);
}

#[test]
fn balances_and_what_became_of_channels_come_back_by_interval_and_channels_outlive_pruning() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Store::open(dir.path()).unwrap().archive();
    let balance = |onchain_sat| BalanceRecord { onchain_sat, ..BalanceRecord::default() };
    for number in 1..=4 {
        archive.put_balance(at(number), &balance(number)).unwrap();
    }
    archive.put_balance(at(4), &balance(40)).unwrap();
    let change = |change| ChannelRecord {
        at: Timestamp::from_unix_ms(9),
        channel: "0f".repeat(16),
        counterparty: None,
        change,
        reason: None,
    };
    let (opened, closed) = (change(ChannelChange::Ready), change(ChannelChange::Closed));
    archive.put_channel(at(1), &opened).unwrap();
    archive.put_channel(at(1), &opened).unwrap();
    archive.put_channel(at(3), &closed).unwrap();
    let kept = |from, before| -> Vec<u64> {
        let balances = archive.balances(at(from), at(before));
        balances.map(|it| it.unwrap().1.onchain_sat).collect()
    };
    assert_eq!(kept(2, 9), [40, 3, 2], "the latest first, the last of an interval counts");
    assert_eq!(kept(2, 4), [3, 2]);
    assert_eq!(kept(9, 2), [0; 0]);
    assert_eq!(archive.prune_before(at(4)).unwrap(), 3);
    assert_eq!(kept(0, 9), [40]);
    let log = archive.channel_log(at(0), at(9)).map(Result::unwrap);
    assert_eq!(log.collect::<Vec<_>>(), [(at(3), closed), (at(1), opened)]);
}

#[tokio::test]
async fn a_damaged_archive_is_moved_aside_and_the_journal_stays() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 2] = [
        ("config is noise", |archive| fs::write(archive.join("conf"), [0x55; 100]).unwrap()),
        ("config is cut short", |archive| {
            let conf = fs::read(archive.join("conf")).unwrap();
            fs::write(archive.join("conf"), &conf[..conf.len() / 2]).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let order = entry(Slot::Order(at(7)), b"order");
        store.journal().record(vec![order.clone()]).await.unwrap();
        store.archive().put_book(at(7), &book()).unwrap();
        drop(store);

        damage(&dir.path().join("archive"));
        let store = Store::open(dir.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(dir.path().join("archive.aside").exists(), "{name}");
        assert_eq!(store.archive().book(at(7)).unwrap(), None, "{name}");
        store.archive().put_book(at(8), &book()).unwrap();
        assert_eq!(store.journal().get(order.slot).await.unwrap(), Some(order.bytes), "{name}");
    }
}

#[test]
fn noise_in_an_archive_that_was_not_closed_neither_stops_the_start_nor_comes_up_later() {
    let dir = tempfile::tempdir().unwrap();
    let intact = dir.path().join("intact");
    let archive = Store::open(&intact).unwrap().archive();
    for number in 0..50 {
        archive.put_book(at(number), &book()).unwrap();
    }
    drop(archive);
    let database = fs::read(intact.join("archive/db")).unwrap();
    for eighth in 0..8 {
        let data = dir.path().join(format!("noise-{eighth}"));
        copy_files(&intact, &data);
        copy_files(&intact.join("archive"), &data.join("archive"));
        let mut noisy = database.clone();
        let from = noisy.len() / 8 * eighth;
        let until = (from + 4096).min(noisy.len());
        noisy[from..until].fill(0xA5);
        fs::write(data.join("archive/db"), noisy).unwrap();
        fs::write(data.join("lock"), "1\n").unwrap();

        let archive = Store::open(&data).unwrap().archive();
        for number in (0..60).step_by(3) {
            archive.put_book(at(number), &book()).unwrap();
            assert_eq!(archive.book(at(number)).unwrap(), Some(book()));
        }
        archive.prune_before(at(55)).unwrap();
        archive.flush().unwrap();
    }
}

/// Ten years of one site, by five minutes.
#[test]
fn ten_years_of_a_site_fit_on_a_disk() {
    const YEARS_DAYS: u64 = 3_653;
    const DAY_INTERVALS: u64 = 288;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let archive = store.archive();
    // As much as a meter's flows may differ; what repeats would be no test of a disk.
    let mut chance = 1_u64;
    let mut flow = || {
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (import, export) = ((chance >> 40) % 900_000, (chance >> 20) % 900_000);
        let [import_mwh, export_mwh] = [import, export].map(Energy::from_milliwatt_hours);
        Some(Flow { import_mwh, export_mwh, substitute: None })
    };
    for day in 0..YEARS_DAYS {
        let flows = (0..DAY_INTERVALS).map(|_| flow()).collect();
        archive.put_day(day, &DayRecord { first: at(day * DAY_INTERVALS), flows }).unwrap();
    }
    archive.flush().unwrap();
    drop((archive, store));
    let size: u64 = walk(dir.path());
    println!("ten years: {} KiB on disk", size / 1024);
    assert!(size < 200 * 1024 * 1024, "{size} bytes");

    let archive = Store::open(dir.path()).unwrap().archive();
    let mut slowest = std::time::Duration::ZERO;
    for day in (0..YEARS_DAYS).step_by(29) {
        let began = std::time::Instant::now();
        let known = archive.day(day).unwrap().unwrap().known().count();
        slowest = slowest.max(began.elapsed());
        assert_eq!(u64::try_from(known).unwrap(), DAY_INTERVALS);
    }
    println!("the slowest day of {} was read in {slowest:?}", YEARS_DAYS.div_ceil(29));
}

/// The bytes of all files of a folder.
fn walk(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let sizes = files.map(|file| match file.file_type().unwrap().is_dir() {
        true => walk(&file.path()),
        false => file.metadata().unwrap().len(),
    });
    sizes.sum()
}
