//! Payments and channels between two nodes.

use std::time::Duration;

use boltgrid::lightning::{
    Direction, InvoiceTerms, LightningError, LightningEvent, PaymentOrder, PaymentState,
};
use boltgrid_protocol::units::Msat;

use crate::bitcoind::Bitcoind;
use crate::world::{Home, Running, eventually, msat, open, start_with_money, two_with_a_channel};

pub(crate) fn terms(amount: Msat) -> InvoiceTerms {
    InvoiceTerms {
        amount,
        description: "interval 7, trade 3, tranche 1 of 1".to_owned(),
        expiry: Duration::from_secs(600),
    }
}

fn sent(event: &LightningEvent) -> Option<LightningEvent> {
    matches!(event, LightningEvent::PaymentSent { .. }).then(|| event.clone())
}

fn received(event: &LightningEvent) -> Option<LightningEvent> {
    matches!(event, LightningEvent::PaymentReceived { .. }).then(|| event.clone())
}

#[expect(clippy::panic, reason = "what was not sent fails the test")]
async fn pays(payer: &mut Running, payee: &mut Running, amount: Msat) {
    let invoice = payee.handle.invoice(terms(amount)).await.unwrap();
    let order = PaymentOrder { bolt11: invoice.bolt11, fee_max: Msat::ZERO };
    let hash = payer.handle.pay(order.clone()).await.unwrap();
    assert_eq!(hash, invoice.payment_hash);
    let paid = payee.until(received).await;
    assert_eq!(paid, LightningEvent::PaymentReceived { hash, amount });
    let LightningEvent::PaymentSent { hash: of, preimage, fee } = payer.until(sent).await else {
        panic!("it was sent");
    };
    assert_eq!((of, fee), (hash, Msat::ZERO));
    let known = payer.handle.payment(hash).await.unwrap().unwrap();
    assert_eq!((known.direction, known.amount), (Direction::Outgoing, Some(amount)));
    assert_eq!(known.state, PaymentState::Done { preimage: Some(preimage), fee });
    assert_eq!(payer.handle.pay(order).await, Err(LightningError::PaidBefore));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_pay_each_other_to_the_millisatoshi_and_close_together() {
    let Some(chain) = Bitcoind::start().await else { return };
    let ((_left, mut first), (_right, mut second)) = two_with_a_channel(&chain).await;
    let before = first.channel().await.unwrap().sendable;
    pays(&mut first, &mut second, msat(1_234_567)).await;
    pays(&mut second, &mut first, msat(1)).await;
    let spent = async || {
        let now = first.channel().await.unwrap().sendable;
        before.to_millisatoshi() - now.to_millisatoshi() == 1_234_566
    };
    eventually("the channel holds what was paid", spent).await;

    // Asked anew: what was known last may be of before the channel.
    let ours = first.handle.refresh().await.unwrap().balances.onchain_sat;
    let channel = first.channel().await.unwrap().id;
    first.handle.close_channel(channel).await.unwrap();
    eventually("the close is sent out", async || chain.waiting().await > 0).await;
    chain.mine(6).await;
    let home = async || first.handle.refresh().await.unwrap().balances.onchain_sat > ours;
    eventually("the money is in the wallet", home).await;
    assert_eq!(first.channel().await, None);
    assert_eq!(first.handle.close_channel(channel).await, Err(LightningError::NoSuchChannel));
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_paid_is_said_at_once_and_may_be_tried_again() {
    let Some(chain) = Bitcoind::start().await else { return };
    let ((_left, first), (_right, second)) = two_with_a_channel(&chain).await;
    let too_much = second.handle.invoice(terms(msat(900_000_000))).await.unwrap();
    let order = PaymentOrder { bolt11: too_much.bolt11, fee_max: Msat::ZERO };
    assert_eq!(first.handle.pay(order.clone()).await, Err(LightningError::NoRoute));
    assert_eq!(first.handle.pay(order).await, Err(LightningError::NoRoute), "not paid before");
    let known = first.handle.payment(too_much.payment_hash).await.unwrap().unwrap();
    assert_eq!(known.state, PaymentState::Failed);
    let nonsense = PaymentOrder { bolt11: "lnbcrt1".to_owned(), fee_max: Msat::ZERO };
    assert!(matches!(
        first.handle.pay(nonsense).await,
        Err(LightningError::BadParameter(why)) if why.contains("not an invoice")
    ));
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_passes_payments_on_at_no_fee_where_its_owner_wants_it_and_not_otherwise() {
    let Some(chain) = Bitcoind::start().await else { return };
    let (left, mut middle, right) =
        (Home::new(chain.source()), Home::new(chain.source()), Home::new(chain.source()));
    middle.config.forward = true;
    let nodes = start_with_money(&chain, [&left, &middle, &right]).await;
    let [mut first, between, mut second] = nodes.try_into().ok().unwrap();
    open(&chain, &first, (&middle, &between)).await;
    open(&chain, &between, (&right, &second)).await;
    pays(&mut first, &mut second, msat(25_000_123)).await;

    between.stop().await;
    middle.config.forward = false;
    let between = middle.start().await;
    let invoice = second.handle.invoice(terms(msat(1_000))).await.unwrap();
    let address = middle.config.listen[0].clone();
    for node in [&first, &second] {
        node.handle.connect(between.handle.node_id(), address.clone()).await.unwrap();
    }
    // Either there is no route for it any more, or it comes back from where it was not passed on.
    let tried = async || {
        let known = first.handle.payment(invoice.payment_hash).await.unwrap();
        let has_failed = known.is_some_and(|it| it.state == PaymentState::Failed);
        if !has_failed {
            let order = PaymentOrder { bolt11: invoice.bolt11.clone(), fee_max: Msat::ZERO };
            drop(first.handle.pay(order).await);
        }
        has_failed
    };
    eventually("it fails", tried).await;
    for node in [first, between, second] {
        node.stop().await;
    }
}
