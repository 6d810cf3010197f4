//! Tests against a Lightning of our own: whoever holds the other end of the handle.

use boltgrid_protocol::lightning::Preimage;
use boltgrid_protocol::units::{Interval, Msat, Timestamp};
use tokio::sync::watch;

use super::*;
use crate::fixture::Grid;
use crate::lightning::{ChannelId, Invoice, KnownPayment, LightningStatus, Request};
use crate::store::{Archive, ChannelChange, Store};

const HASH: PaymentHash = PaymentHash::from_bytes([7; 32]);

fn msat(msat: u64) -> Msat {
    Msat::from_millisatoshi(msat).unwrap()
}

/// A running task, its ends, and what it asks of Lightning.
struct Bench {
    // Kept open as long as the task runs.
    dir: tempfile::TempDir,
    archive: Archive,
    status: watch::Sender<LightningStatus>,
    ends: SettlingEnds,
    requests: mpsc::Receiver<Request>,
    deliver: mpsc::Sender<Delivery>,
    stop: CancellationToken,
    task: Pin<Box<dyn Future<Output = ()> + Send>>,
}

fn bench() -> Bench {
    let id = format!("02{}", "11".repeat(32)).parse().unwrap();
    let (status, watched) = watch::channel(LightningStatus::default());
    let (handle, requests) = LightningHandle::new(id, watched);
    let (deliver, events) = LightningEvents::new();
    let dir = tempfile::tempdir().unwrap();
    let archive = Store::open(dir.path()).unwrap().archive();
    let books = Books::new(archive.clone(), Grid::sample().charter.interval);
    let (held, _held) = mpsc::channel(1);
    let (settling, ends) = Settling::new(handle, events, books, held);
    let stop = CancellationToken::new();
    let task = Box::pin(settling.run(stop.clone()));
    Bench { dir, archive, status, ends, requests, deliver, stop, task }
}

fn pay() -> Wanted {
    let (bolt11, amount_msat) = ("lnbcrt1".to_owned(), msat(1_000));
    Wanted::Pay { payment_hash: HASH, bolt11, amount_msat, fee_max_msat: msat(10) }
}

/// Answers the question what is known of a payment.
fn know(request: Option<Request>, known: Option<PaymentState>) {
    let Some(Request::Payment(payment_hash, reply)) = request else { panic!("{request:?}") };
    let known = known.map(|state| KnownPayment {
        payment_hash,
        direction: Direction::Outgoing,
        amount: Some(msat(1_000)),
        state,
    });
    reply.send(Ok(known)).unwrap();
}

/// Runs the task until `until` is done.
async fn meanwhile<T>(
    task: &mut Pin<Box<dyn Future<Output = ()> + Send>>,
    until: impl Future<Output = T>,
) -> T {
    tokio::select! {
        () = task => panic!("the task ended"),
        done = until => done,
    }
}

fn outcome_of(happening: Option<Happening>) -> Outcome {
    match happening.map(|it| it.happened) {
        Some(
            Happened::Told { payment_hash: HASH, outcome }
            | Happened::Known { payment_hash: HASH, inquiry: 1, outcome },
        ) => outcome,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_lightning_knows_nothing_of_is_paid() {
    let mut bench = bench();
    bench.ends.wanted.try_send(pay()).unwrap();
    meanwhile(&mut bench.task, async {
        know(bench.requests.recv().await, None);
        let Some(Request::Pay(order, reply)) = bench.requests.recv().await else {
            panic!("not paid")
        };
        assert_eq!((order.bolt11.as_str(), order.fee_max), ("lnbcrt1", msat(10)));
        reply.send(Err(LightningError::NoRoute)).unwrap();
        assert_eq!(outcome_of(bench.ends.happened.recv().await), Outcome::Failed);
    })
    .await;
}

#[tokio::test]
async fn what_lightning_knows_is_never_paid_again() {
    let done = PaymentState::Done { preimage: Some(Preimage::from_bytes([8; 32])), fee: msat(1) };
    let sent = Outcome::Sent { preimage: Preimage::from_bytes([8; 32]), fee_msat: msat(1) };
    for (known, outcome) in [
        (PaymentState::Pending, Outcome::Pending),
        (PaymentState::Failed, Outcome::Failed),
        (done, sent),
    ] {
        let mut bench = bench();
        bench.ends.wanted.try_send(pay()).unwrap();
        meanwhile(&mut bench.task, async {
            know(bench.requests.recv().await, Some(known));
            assert_eq!(outcome_of(bench.ends.happened.recv().await), outcome);
        })
        .await;
        assert!(bench.requests.try_recv().is_err(), "{known:?}");
    }
}

#[tokio::test]
async fn lightning_is_asked_about_one_hash_at_a_time() {
    let mut bench = bench();
    bench.ends.wanted.try_send(pay()).unwrap();
    bench.ends.wanted.try_send(Wanted::Inquire { payment_hash: HASH, inquiry: 1 }).unwrap();
    meanwhile(&mut bench.task, async {
        let first = bench.requests.recv().await;
        tokio::task::yield_now().await;
        assert!(bench.requests.try_recv().is_err(), "the second one is lost");
        know(first, Some(PaymentState::Pending));
        assert_eq!(outcome_of(bench.ends.happened.recv().await), Outcome::Pending);
        bench.ends.wanted.try_send(Wanted::Inquire { payment_hash: HASH, inquiry: 1 }).unwrap();
        know(bench.requests.recv().await, None);
        assert_eq!(outcome_of(bench.ends.happened.recv().await), Outcome::Unknown);
    })
    .await;
}

#[tokio::test]
async fn a_payment_whose_begin_is_not_known_is_neither_failed_nor_begun_again() {
    let mut bench = bench();
    bench.ends.wanted.try_send(pay()).unwrap();
    meanwhile(&mut bench.task, async {
        know(bench.requests.recv().await, None);
        let Some(Request::Pay(_, reply)) = bench.requests.recv().await else { panic!("not paid") };
        reply.send(Err(LightningError::TimedOut)).unwrap();
        bench.ends.wanted.try_send(Wanted::Inquire { payment_hash: HASH, inquiry: 1 }).unwrap();
        // The hash is free again once the answer came; until then this is lost and wanted again.
        while bench.requests.is_empty() {
            bench.ends.wanted.try_send(Wanted::Inquire { payment_hash: HASH, inquiry: 1 }).ok();
            tokio::task::yield_now().await;
        }
        know(bench.requests.recv().await, Some(PaymentState::Pending));
        assert_eq!(outcome_of(bench.ends.happened.recv().await), Outcome::Pending);
    })
    .await;
}

#[tokio::test]
async fn an_event_is_kept_only_when_the_market_says_so() {
    let mut bench = bench();
    let event = LightningEvent::PaymentReceived { hash: HASH, amount: msat(5) };
    let (delivery, mut kept) = Delivery::new(event);
    bench.deliver.try_send(delivery).unwrap();
    let happening = meanwhile(&mut bench.task, bench.ends.happened.recv()).await.unwrap();
    assert!(kept.try_recv().is_err(), "not yet");
    happening.delivery.unwrap().kept();
    assert!(kept.try_recv().is_ok());
}

#[tokio::test]
async fn an_invoice_is_made_for_what_is_wanted() {
    let mut bench = bench();
    let due = DueId { interval: Interval::from_number(7), cause: Cause::Trade { index: 3 } };
    let wanted = Wanted::Make { due, tranche: 2, amount_msat: msat(9), expiry_ms: 60_000 };
    bench.ends.wanted.try_send(wanted).unwrap();
    meanwhile(&mut bench.task, async {
        let Some(Request::Invoice(terms, reply)) = bench.requests.recv().await else {
            panic!("no invoice")
        };
        assert_eq!(terms.amount, msat(9));
        assert_eq!(terms.expiry, Duration::from_secs(60));
        assert_eq!(terms.description, "Boltgrid interval 7, trade 3, tranche 2");
        let expires_at = Timestamp::from_unix_ms(60_000);
        let invoice = Invoice { bolt11: "lnbcrt1".to_owned(), payment_hash: HASH, expires_at };
        reply.send(Ok(invoice)).unwrap();
        let happening = bench.ends.happened.recv().await.unwrap();
        let Happened::Made { due: of, tranche: 2, bolt11, read } = happening.happened else {
            panic!("{happening:?}")
        };
        assert_eq!((of, bolt11.as_str()), (due, "lnbcrt1"));
        assert_eq!(read, Bolt11 { payment_hash: HASH, amount_msat: Some(msat(9)), expires_at });
    })
    .await;
}

#[tokio::test]
async fn it_stops_when_it_is_told_to() {
    let Bench { task, stop, .. } = bench();
    stop.cancel();
    task.await;
}

#[tokio::test]
async fn what_becomes_of_channels_and_balances_is_kept_for_the_owner() {
    let mut bench = bench();
    let channel = ChannelId::from_number(7);
    let counterparty = Some(format!("03{}", "22".repeat(32)).parse().unwrap());
    let reason = "fees, ".repeat(1000);
    let (delivery, kept) =
        Delivery::new(LightningEvent::ChannelClosed { channel, counterparty, reason });
    bench.deliver.try_send(delivery).unwrap();
    let (status, archive) = (&bench.status, &bench.archive);
    let all = (Interval::default(), Interval::from_number(u64::MAX));
    meanwhile(&mut bench.task, async {
        kept.await.unwrap();
        let mut now = LightningStatus { synced_at_unix_s: Some(1), ..LightningStatus::default() };
        now.balances.onchain_sat = 5;
        status.send(now).unwrap();
        while archive.balances(all.0, all.1).count() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (_, balance) = archive.balances(all.0, all.1).next().unwrap().unwrap();
    assert_eq!(balance.onchain_sat, 5);
    let (_, record) = archive.channel_log(all.0, all.1).next().unwrap().unwrap();
    assert_eq!((record.change, record.counterparty), (ChannelChange::Closed, counterparty));
    assert_eq!(record.channel, channel.to_string());
    assert!(record.reason.is_some_and(|it| it.starts_with("fees, ") && it.len() == 512));
    assert!(bench.dir.path().exists());
}

#[test]
fn a_wallet_that_has_not_seen_the_chain_tells_nothing_of_where_the_money_is() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Store::open(dir.path()).unwrap().archive();
    let timing = Grid::sample().charter.interval;
    let books = Books::new(archive.clone(), timing);
    let now = timing.start_of(Interval::from_number(7));
    let kept = || archive.balances(Interval::default(), Interval::from_number(9)).count();
    let unseen = LightningStatus::default();
    books.note_status(&unseen, now);
    assert_eq!(kept(), 0);
    books.note_status(&LightningStatus { synced_at_unix_s: Some(1), ..unseen }, now);
    assert_eq!(kept(), 1);
}
