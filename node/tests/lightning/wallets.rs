//! A wallet from its words.

use boltgrid::lightning::{ChannelState, ChannelTerms, RestoreError, Seed, restore};

use crate::bitcoind::Bitcoind;
use crate::world::{Home, eventually, msat, start_with_money, two_with_a_channel};

#[tokio::test(flavor = "multi_thread")]
async fn words_bring_the_on_chain_money_back_on_another_machine_and_no_channel() {
    let Some(chain) = Bitcoind::start().await else { return };
    let ((payer, first), (_payee, second)) = two_with_a_channel(&chain).await;
    let (node_id, onchain) = (first.handle.node_id(), first.spendable_sat().await);
    assert!(onchain > 0);
    let words = Seed::read(&payer.config.seed_file).unwrap().words();
    first.stop().await;
    drop(payer);

    let mut home = Home::new(chain.source());
    let seed = Seed::from_words(&words).unwrap();
    let refused = restore(home.config.clone(), &home.data(), &seed).await;
    assert!(matches!(refused, Err(RestoreError::Seed(_))), "another wallet's seed is kept");
    home.config.seed_file = home.dir.path().join("restored.seed");
    let restored = restore(home.config.clone(), &home.data(), &seed).await.unwrap();
    assert_eq!(restored, node_id);

    let first = home.start().await;
    assert_eq!(first.handle.node_id(), node_id);
    let seen = async || {
        let status = first.handle.refresh().await.unwrap();
        // Without the channel there is no reserve to be kept for it.
        status.balances.onchain_sat >= onchain
    };
    eventually("the wallet finds its money", seen).await;
    assert_eq!(first.channel().await, None, "no state of a channel comes from words");
    let again = restore(home.config.clone(), &home.dir.path().join("other"), &seed).await;
    assert!(again.is_ok(), "the same words may be restored elsewhere");
    first.stop().await;
    let over = restore(home.config.clone(), &home.data(), &seed).await;
    assert!(matches!(over, Err(RestoreError::Exists { .. })), "a wallet is not overwritten");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_that_are_opened_at_once_do_not_spend_the_same_coin() {
    let Some(chain) = Bitcoind::start().await else { return };
    let homes: Vec<Home> = (0..4).map(|_| Home::new(chain.source())).collect();
    let [opener, partners @ ..] = &homes[..] else { panic!("there are four") };
    let node = start_with_money(&chain, [opener]).await.remove(0);
    let mut others = Vec::new();
    for home in partners {
        others.push(home.start().await);
    }
    // All coins that there are are one, and nobody waits for a block in between.
    let openings = others.iter().zip(partners).map(|(other, home)| {
        node.handle.open_channel(ChannelTerms {
            counterparty: other.handle.node_id(),
            address: home.config.listen[0].clone(),
            size_sat: 500_000,
            push: msat(0),
        })
    });
    for opened in futures::future::join_all(openings).await {
        opened.unwrap();
    }
    eventually("all fundings are sent out", async || chain.waiting().await == 3).await;
    chain.mine(6).await;
    let all_usable = async || {
        let channels = node.handle.channels().await.unwrap();
        channels.iter().filter(|it| it.state == ChannelState::Usable).count() == 3
    };
    eventually("all channels are usable", all_usable).await;
    node.stop().await;
    for other in others {
        other.stop().await;
    }
}
