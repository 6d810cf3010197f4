//! What a restart keeps, and what it refuses.

use std::fs;

use boltgrid::lightning::PaymentOrder;
use boltgrid::lightning::{GuardError, LIGHTNING_DIR, LightningEvent, LightningStartError};
use boltgrid_protocol::units::Msat;

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

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
