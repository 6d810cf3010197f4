//! Escrow between three real nodes, over real Lightning and from real readings, with each of the three
//! killed on the way.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod world;

use boltgrid::rpc::escrow::EscrowStage;
use boltgrid::rpc::{ChannelRpcClient, EscrowListRpcClient, EscrowRpcClient};
use boltgrid_protocol::escrow::Releases;
use boltgrid_testnet::chain::Choice;

use world::{ARBITER, ASKED_SAT, ESCROW_SAT, PAYEE, PAYER, World};

/// The chain: ours, or the real bitcoind that there is.
fn chain() -> Choice {
    std::env::var_os("BITCOIND_EXE").map_or(Choice::Embedded, |path| Choice::Program(path.into()))
}

/// A contract and a bond, each met and not: with whether the payee gets the amount.
const CASES: [(Releases, bool, bool); 4] = [
    (Releases::Delivered, true, true),
    (Releases::Delivered, false, false),
    (Releases::Missed, true, false),
    (Releases::Missed, false, true),
];

/// How long before the end of a hold its payee gives the amount back.
const GIVES_BACK_BEFORE_BLOCKS: u32 = 2;
/// So many intervals ahead that no reading decides before a test is over.
const FAR_AHEAD: u64 = 400;

const fn end(to_payee: bool) -> EscrowStage {
    if to_payee { EscrowStage::Released } else { EscrowStage::GivenBack }
}

/// Waits until all are over as they should be, and the payer has sent what it should have and no more.
async fn all_end(world: &World, escrows: &[(String, bool)], before_sat: u64) {
    for (escrow, to_payee) in escrows {
        for node in [PAYER, PAYEE] {
            world.is(node, escrow, end(*to_payee)).await;
        }
    }
    let released = u64::try_from(escrows.iter().filter(|(_, to_payee)| *to_payee).count()).unwrap();
    let expected = before_sat - released * ESCROW_SAT;
    world::eventually("the channel holds what was not released", async || {
        world.sendable_sat().await == expected
    })
    .await;
    assert!(world.channel_is_open().await, "nothing had to go to the chain");
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_are_released_or_given_back_though_each_of_the_three_is_killed_while_they_are_locked()
 {
    let mut world = World::new(&chain()).await;
    let before_sat = world.sendable_sat().await;
    for killed in [PAYER, PAYEE, ARBITER] {
        let before_sat = world.sendable_sat().await;
        let mut escrows = Vec::new();
        for (releases, is_met, to_payee) in CASES {
            let escrow = world.propose(releases, is_met, 0).await;
            escrows.push((escrow, to_payee));
        }
        for (escrow, _) in &escrows {
            world.is(PAYEE, escrow, EscrowStage::Locked).await;
        }
        world.kill_and_start(killed).await;
        world.is_up(killed).await;
        all_end(&world, &escrows, before_sat).await;
    }
    assert_eq!(before_sat - world.sendable_sat().await, 6 * ESCROW_SAT);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_escrow_is_made_once_though_each_of_the_three_is_killed_while_they_sign() {
    let mut world = World::new(&chain()).await;
    for killed in [PAYER, PAYEE, ARBITER] {
        let before_sat = world.sendable_sat().await;
        // A bond that is missed: released even if a meter that starts up on a busy machine misses an edge.
        let escrow = world.propose(Releases::Missed, false, 12).await;
        world.kill_and_start(killed).await;
        world.is_up(killed).await;
        let mut on_chain = world.is_unless_on_chain(PAYEE, &escrow, EscrowStage::Locked).await;
        // And again, now that it is locked, and once more at the end.
        world.kill_and_start(killed).await;
        on_chain |= world.is_unless_on_chain(PAYEE, &escrow, EscrowStage::Released).await;
        if on_chain {
            world.settles_on_chain(&escrow).await;
            world.open().await;
        } else {
            all_end(&world, &[(escrow, true)], before_sat).await;
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_whose_channel_is_closed_by_force_is_released_on_the_chain() {
    let world = World::new(&chain()).await;
    let escrow = world.propose(Releases::Delivered, true, 0).await;
    world.is(PAYEE, &escrow, EscrowStage::Locked).await;
    let before_sat = world.owned_sat(PAYEE).await;
    let payer = world.client(PAYER);
    let channel = payer.channels().await.unwrap().remove(0).channel;
    payer.force_close(channel).await.unwrap();
    world.is(PAYEE, &escrow, EscrowStage::Released).await;
    assert_eq!(world.settles_on_chain(&escrow).await, EscrowStage::Released);
    world::eventually("the payee has the amount, less what the chain takes", async || {
        world.mine(1).await;
        let more_sat = world.owned_sat(PAYEE).await.saturating_sub(before_sat);
        (1..=ESCROW_SAT).contains(&more_sat)
    })
    .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_arbiter_rules_where_the_payer_has_gone_and_nobody_is_asked_below_dust() {
    let mut world = World::new(&chain()).await;
    let before_sat = world.sendable_sat().await;

    let client = world.client(PAYER);
    let mut below = world.terms(Releases::Delivered, true);
    below.amount_sat = 9_999;
    let refused = EscrowRpcClient::propose(&client, below).await.unwrap_err().to_string();
    assert!(refused.contains("10000 sat") && refused.contains("dust"), "{refused}");
    let mut above = world.terms(Releases::Delivered, true);
    above.amount_sat = 2_000_000;
    let refused = EscrowRpcClient::propose(&client, above).await.unwrap_err().to_string();
    assert!(refused.contains("no usable channel"), "{refused}");
    let mut too_long = world.terms(Releases::Delivered, true);
    too_long.hold_blocks = Some(901);
    let refused = EscrowRpcClient::propose(&client, too_long).await.unwrap_err().to_string();
    assert!(refused.contains("six days"), "{refused}");
    assert_eq!(client.escrows().await.unwrap(), []);

    let escrow = world.propose(Releases::Delivered, true, 0).await;
    world.is(PAYEE, &escrow, EscrowStage::Locked).await;
    // A lock lasts for blocks, not for half an hour's worth of them.
    world.mine(60).await;
    world.kill(PAYER).await;
    world.is(PAYEE, &escrow, EscrowStage::Released).await;
    world.is(ARBITER, &escrow, EscrowStage::Releasing).await;
    world.start(PAYER);
    world.is_up(PAYER).await;
    all_end(&world, &[(escrow, true)], before_sat).await;
    assert!(!world.log(ARBITER).contains("could not be locked"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_asked_above_their_limits_and_the_payer_may_release_before_readings_say() {
    let world = World::new(&chain()).await;
    let before_sat = world.sendable_sat().await;
    let ask = || world.propose_of(ASKED_SAT, Releases::Delivered, false, FAR_AHEAD);

    let declined = ask().await;
    world.is(ARBITER, &declined, EscrowStage::Asked).await;
    world.command(ARBITER, &["escrow", "decline", &declined]);
    world.is(PAYER, &declined, EscrowStage::Refused).await;
    assert_eq!(world.sendable_sat().await, before_sat, "nothing was locked");

    let escrow = ask().await;
    for node in [ARBITER, PAYEE] {
        world.is(node, &escrow, EscrowStage::Asked).await;
        let listed = world.command(node, &["escrow", "list"]);
        assert!(listed.contains(&escrow) && listed.contains("boltgrid escrow accept"), "{listed}");
        world.command(node, &["escrow", "accept", &escrow]);
    }
    world.is(PAYEE, &escrow, EscrowStage::Locked).await;
    world.command(PAYER, &["escrow", "release", &escrow]);
    for node in [PAYER, PAYEE] {
        world.is(node, &escrow, EscrowStage::Released).await;
    }
    world::eventually("the payer has sent it, and no more", async || {
        world.sendable_sat().await == before_sat - ASKED_SAT
    })
    .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_released_is_given_back_before_its_hold_runs_out_and_off_the_chain() {
    let world = World::new(&chain()).await;
    let before_sat = world.sendable_sat().await;
    let escrow = world.propose(Releases::Delivered, true, FAR_AHEAD).await;
    world.is(PAYEE, &escrow, EscrowStage::Locked).await;
    // Lightning's library adds some blocks to what was agreed, by chance.
    let held = world.view(PAYEE, &escrow).await.and_then(|it| it.claim_before_height).unwrap();
    let last = held - GIVES_BACK_BEFORE_BLOCKS;
    world.mine_and_see(last - 1 - world.height(PAYEE).await).await;
    world.is(PAYEE, &escrow, EscrowStage::Locked).await;
    world.mine_and_see(1).await;
    all_end(&world, &[(escrow, false)], before_sat).await;
    world.stop().await;
}
