//! What a restart keeps, and what it refuses.

use std::fs;

use boltgrid::lightning::{
    GuardError, LIGHTNING_DIR, LightningError, LightningEvent, LightningStartError, PaymentOrder,
    PaymentState,
};
use boltgrid_protocol::lightning::Preimage;
use boltgrid_protocol::units::Msat;
use ldk_node::io::sqlite_store::{KV_TABLE_NAME, SQLITE_DB_FILE_NAME, SqliteStore};
use ldk_node::lightning::util::persist::KVStoreSync;

use crate::bitcoind::Bitcoind;
use crate::payments::terms;
use crate::world::{Running, eventually, msat, two_with_a_channel};

async fn first_payment(node: &mut Running) -> boltgrid::lightning::Delivery {
    loop {
        let delivery = node.events.next().await.unwrap();
        if matches!(delivery.event(), LightningEvent::PaymentReceived { .. }) {
            return delivery;
        }
        delivery.kept();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_told_again_until_it_is_kept_and_only_then_comes_the_next() {
    let Some(chain) = Bitcoind::start().await else { return };
    let ((_payer, first), (payee, mut second)) = two_with_a_channel(&chain).await;
    let invoice = second.handle.invoice(terms(msat(5_000))).await.unwrap();
    let order = PaymentOrder { bolt11: invoice.bolt11, fee_max: Msat::ZERO };
    let hash = first.handle.pay(order).await.unwrap();
    let told = LightningEvent::PaymentReceived { hash, amount: msat(5_000) };

    // Dropped: told again in the same run.
    let delivery = first_payment(&mut second).await;
    assert_eq!(*delivery.event(), told);
    drop(delivery);
    let delivery = first_payment(&mut second).await;
    assert_eq!(*delivery.event(), told);
    // Stopped before it is kept: told again in the next.
    second.stop().await;
    drop(delivery);
    let mut second = payee.start().await;
    let delivery = first_payment(&mut second).await;
    assert_eq!(*delivery.event(), told);
    delivery.kept();

    // Then comes the next. The library may tell of the first once more, when it was stopped before it
    // had written down that it need not.
    let invoice = second.handle.invoice(terms(msat(6_000))).await.unwrap();
    let usable = async || {
        let order = PaymentOrder { bolt11: invoice.bolt11.clone(), fee_max: Msat::ZERO };
        first.handle.pay(order).await.is_ok()
    };
    first.handle.connect(second.handle.node_id(), payee.config.listen[0].clone()).await.unwrap();
    eventually("the channel is usable again", usable).await;
    let next = LightningEvent::PaymentReceived { hash: invoice.payment_hash, amount: msat(6_000) };
    loop {
        let delivery = first_payment(&mut second).await;
        let is_next = *delivery.event() == next;
        assert!(is_next || *delivery.event() == told, "{:?}", delivery.event());
        delivery.kept();
        if is_next {
            break;
        }
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_store_is_refused_and_the_newest_goes_on() {
    let Some(chain) = Bitcoind::start().await else { return };
    let ((payer, first), (_payee, mut second)) = two_with_a_channel(&chain).await;
    first.stop().await;
    let (store, old) = (payer.data().join(LIGHTNING_DIR), payer.dir.path().join("old"));
    let newest = payer.dir.path().join("newest");
    copy(&store, &old);

    let first = payer.start().await;
    let invoice = second.handle.invoice(terms(msat(7_000))).await.unwrap();
    let usable = async || {
        let order = PaymentOrder { bolt11: invoice.bolt11.clone(), fee_max: Msat::ZERO };
        first.handle.pay(order).await.is_ok()
    };
    eventually("the channel is usable again", usable).await;
    first_payment(&mut second).await.kept();
    first.stop().await;

    fs::rename(&store, &newest).unwrap();
    copy(&old, &store);
    let refused = payer.try_start().await.err().unwrap();
    assert!(matches!(refused, LightningStartError::Guard(GuardError::RolledBack { .. })));
    assert!(refused.to_string().contains("newest"), "{refused}");

    fs::remove_dir_all(&store).unwrap();
    fs::rename(&newest, &store).unwrap();
    let first = payer.start().await;
    assert!(first.channel().await.is_some());
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_noted_and_never_sent_is_begun_again_and_what_is_under_way_is_not() {
    let Some(chain) = Bitcoind::start().await else { return };
    let ((payer, first), (payee, mut second)) = two_with_a_channel(&chain).await;
    // One is under way, held by its payee, and the library's record of it is lost; of the other there is
    // nothing but the note that it was begun.
    let preimage = Preimage::from_bytes([0x5a; 32]);
    let held = preimage.payment_hash();
    let invoice = second.handle.hold_invoice(terms(msat(8_000)), held).await.unwrap();
    let held_order = PaymentOrder { bolt11: invoice.bolt11, fee_max: Msat::ZERO };
    first.handle.pay(held_order.clone()).await.unwrap();
    let is_held =
        |event: &LightningEvent| matches!(event, LightningEvent::PaymentHeld { .. }).then_some(());
    second.until(is_held).await;
    let unsent = second.handle.invoice(terms(msat(5_000))).await.unwrap();
    first.stop().await;
    let dir = payer.data().join(LIGHTNING_DIR);
    let (file, table) = (SQLITE_DB_FILE_NAME.to_owned(), KV_TABLE_NAME.to_owned());
    let store = SqliteStore::new(dir, Some(file), Some(table)).unwrap();
    KVStoreSync::read(&store, "payments", "", &held.to_string()).unwrap();
    KVStoreSync::remove(&store, "payments", "", &held.to_string(), false).unwrap();
    let noted = unsent.payment_hash.to_string();
    KVStoreSync::write(&store, "boltgrid", "begun", &noted, vec![1]).unwrap();
    drop(store);

    let mut first = payer.start().await;
    let known = first.handle.payment(held).await.unwrap().unwrap();
    assert_eq!(known.state, PaymentState::Pending);
    assert_eq!(first.handle.payment(unsent.payment_hash).await, Ok(None));
    first.handle.connect(second.handle.node_id(), payee.config.listen[0].clone()).await.unwrap();
    let usable = async || {
        let order = PaymentOrder { bolt11: unsent.bolt11.clone(), fee_max: Msat::ZERO };
        first.handle.pay(order).await.is_ok()
    };
    eventually("what was never sent is", usable).await;
    first_payment(&mut second).await.kept();
    assert_eq!(first.handle.pay(held_order.clone()).await, Err(LightningError::PaidBefore));

    // The end of the one that nothing else is known of is kept.
    second.handle.claim(preimage).await.unwrap();
    let told = |event: &LightningEvent| {
        matches!(event, LightningEvent::PaymentSent { hash, .. } if *hash == held).then_some(())
    };
    first.until(told).await;
    let done = PaymentState::Done { preimage: Some(preimage), fee: Msat::ZERO };
    let kept = async || {
        let known = first.handle.payment(held).await.unwrap().unwrap();
        known.state == done
    };
    eventually("the end is kept", kept).await;
    assert_eq!(first.handle.pay(held_order).await, Err(LightningError::PaidBefore));
    first.stop().await;
    second.stop().await;
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
