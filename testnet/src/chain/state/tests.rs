//! Coins that anybody can spend, spent in all ways that are allowed and some that are not.

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{ScriptBuf, Sequence, TxIn, TxOut, Witness};

use super::*;
use crate::scenario::splitmix64;

const NOW_S: u64 = 1_800_000_000;

/// A script that is true.
fn anyone() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51])
}

fn to_anyone() -> ScriptBuf {
    anyone().to_p2wsh()
}

/// Spends outputs of anyone to anyone, all but a fee, in two halves.
fn spend(chain: &Chain, from: &[OutPoint], fee_sat: u64) -> Transaction {
    let value: Amount =
        from.iter().filter_map(|it| chain.coin(it)).map(|coin| coin.output.value).sum();
    let half = (value - Amount::from_sat(fee_sat)) / 2;
    let output = TxOut { value: half, script_pubkey: to_anyone() };
    let rest = TxOut { value: value - Amount::from_sat(fee_sat) - half, ..output.clone() };
    let input = from.iter().map(|previous_output| TxIn {
        previous_output: *previous_output,
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[anyone().as_bytes()]),
        ..TxIn::default()
    });
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: input.collect(),
        output: vec![output, rest],
    }
}

fn mine(chain: &mut Chain, count: u32) {
    for _ in 0..count {
        chain.mine(&to_anyone(), NOW_S);
    }
}

/// A chain with a hundred blocks on the coinbase of the first one.
fn mature() -> (Chain, OutPoint) {
    let mut chain = Chain::new();
    mine(&mut chain, 101);
    let coinbase = coinbase(&chain, 1);
    (chain, coinbase)
}

fn coinbase(chain: &Chain, height: u32) -> OutPoint {
    let hash = chain.tree.hash_at(height).unwrap();
    let block = &chain.tree.get(&hash).unwrap().block;
    OutPoint { txid: block.txdata[0].compute_txid(), vout: 0 }
}

fn tip(chain: &Chain) -> Block {
    chain.tree.get(&chain.tree.tip()).unwrap().block.clone()
}

/// All coins are all subsidies: fees go to whoever mines.
fn assert_conserved(chain: &Chain) {
    assert_eq!(chain.coins.total(), SUBSIDY * u64::from(chain.tree.height()));
}

#[test]
fn fees_go_to_the_miner_and_all_coins_are_all_subsidies() {
    let (mut chain, coinbase) = mature();
    let tx = spend(&chain, &[coinbase], 12_345);
    chain.submit(tx.clone(), NOW_S).unwrap();
    assert_eq!((chain.pool.len(), chain.pool.fees_sat()), (1, 12_345));
    mine(&mut chain, 1);
    let block = tip(&chain);
    assert_eq!(block.txdata[1], tx);
    assert_eq!(block.txdata[0].output[0].value, SUBSIDY + Amount::from_sat(12_345));
    assert_eq!((chain.pool.len(), chain.pool.fees_sat(), chain.pool.vsize()), (0, 0, 0));
    assert_conserved(&chain);
}

#[test]
fn what_a_reorganisation_undoes_waits_again_and_its_coins_are_back() {
    let (mut chain, coinbase) = mature();
    let before = chain.clone();
    let parent = spend(&chain, &[coinbase], 1_000);
    let parent_id = chain.submit(parent, NOW_S).unwrap();
    mine(&mut chain, 1);
    let child = spend(&chain, &[OutPoint::new(parent_id, 1)], 1_000);
    let child_id = chain.submit(child, NOW_S).unwrap();
    mine(&mut chain, 1);
    let old_tip = chain.tree.tip();

    assert_eq!(chain.depth(&before.tree.hash_at(101).unwrap()), Some(3));
    assert_eq!(chain.disconnect(2), 2);
    assert_eq!(chain.tree.tip(), before.tree.tip());
    assert_eq!(chain.coins.total(), before.coins.total());
    assert!(chain.coins.get(&coinbase).is_some());
    let waiting: Vec<Txid> = chain.pool.in_order().map(|entry| entry.txid).collect();
    assert_eq!(waiting, [parent_id, child_id]);

    mine(&mut chain, 3);
    assert_eq!(tip(&chain).txdata.len(), 1);
    assert_eq!(chain.pool.len(), 0);
    assert!(chain.coins.get(&OutPoint::new(child_id, 0)).is_some());
    assert_eq!(chain.depth(&old_tip), Some(0), "it can still be asked for");
    assert_conserved(&chain);
}

#[test]
fn what_spends_a_coinbase_that_is_undone_is_gone_with_it() {
    let (mut chain, _) = mature();
    mine(&mut chain, 1);
    let early = coinbase(&chain, 2);
    let tx = spend(&chain, &[early], 1_000);
    chain.submit(tx, NOW_S).unwrap();
    chain.disconnect(1);
    assert_eq!(chain.pool.len(), 1, "it is mature one block before");
    chain.disconnect(1);
    assert_eq!(chain.pool.len(), 0);
    assert_conserved(&chain);
}

#[test]
fn who_pays_more_takes_the_place_of_others_and_of_what_hangs_on_them() {
    let (mut chain, coinbase) = mature();
    let first = chain.submit(spend(&chain, &[coinbase], 1_000), NOW_S).unwrap();
    let child = spend(&chain, &[OutPoint::new(first, 0)], 1_000);
    chain.submit(child, NOW_S).unwrap();

    let cheap = spend(&chain, &[coinbase], 1_001);
    assert_eq!(chain.submit(cheap, NOW_S), Err(Rejection::ReplacementFee));
    let of_itself = spend(&chain, &[coinbase, OutPoint::new(first, 1)], 50_000);
    assert_eq!(chain.submit(of_itself, NOW_S), Err(Rejection::SpendsConflict));
    let rich = spend(&chain, &[coinbase], 5_000);
    let rich_id = chain.submit(rich, NOW_S).unwrap();
    let waiting: Vec<Txid> = chain.pool.in_order().map(|entry| entry.txid).collect();
    assert_eq!(waiting, [rich_id]);
    mine(&mut chain, 1);
    assert_conserved(&chain);
}

#[test]
fn a_block_throws_out_what_conflicts_with_it() {
    let (mut chain, coinbase) = mature();
    let mut other = chain.clone();
    other.submit(spend(&chain, &[coinbase], 2_000), NOW_S).unwrap();
    let block = other.mine(&to_anyone(), NOW_S);
    let ours = chain.submit(spend(&chain, &[coinbase], 1_000), NOW_S).unwrap();
    chain.submit(spend(&chain, &[OutPoint::new(ours, 0)], 1_000), NOW_S).unwrap();
    chain.connect(block).unwrap();
    assert_eq!(chain.pool.len(), 0);
    assert_conserved(&chain);
}

#[test]
fn a_wrong_witness_is_refused() {
    let (mut chain, coinbase) = mature();
    let mut tx = spend(&chain, &[coinbase], 1_000);
    tx.input[0].witness = Witness::from_slice(&[[0x52]]);
    assert_eq!(chain.submit(tx, NOW_S), Err(Rejection::Script { input: 0 }));
}

#[test]
fn no_more_than_a_bounded_chain_of_transactions_waits() {
    let (mut chain, coinbase) = mature();
    let mut last = vec![coinbase];
    for _ in 0..25 {
        let txid = chain.submit(spend(&chain, &last, 1_000), NOW_S).unwrap();
        last = [0, 1].map(|vout| OutPoint::new(txid, vout)).to_vec();
    }
    let one_more = spend(&chain, &last, 1_000);
    assert_eq!(chain.submit(one_more.clone(), NOW_S), Err(Rejection::ChainTooLong));
    mine(&mut chain, 1);
    chain.submit(one_more, NOW_S).unwrap();
}

#[test]
fn a_block_that_breaks_a_rule_changes_nothing() {
    let (mut chain, coinbase) = mature();
    chain.submit(spend(&chain, &[coinbase], 1_000), NOW_S).unwrap();
    let before = (chain.coins.total(), chain.coins.len(), chain.tree.tip());
    let template = |fees_sat, transactions| {
        let place = chain.next();
        let fees = Amount::from_sat(fees_sat);
        let (previous, time_s) = (chain.tree.tip(), place.time_past + 1);
        let template =
            Template { previous, height: place.height, time_s, extra: 7, fees, transactions };
        template.build(&to_anyone())
    };
    let good = spend(&chain, &[coinbase], 1_000);
    let twice = spend(&chain, &[coinbase], 2_000);
    let greedy = template(1_001, vec![good.clone()]);
    let double = template(3_000, vec![good.clone(), twice]);
    let mut late = template(1_000, vec![good]);
    late.header.prev_blockhash = chain.tree.hash_at(100).unwrap();
    let mut changed = template(0, Vec::new());
    changed.txdata[0].output[0].value = Amount::ONE_SAT;
    for (block, expected) in [
        (greedy, BlockRejection::Subsidy),
        (double, BlockRejection::Transaction(Rejection::MissingInputs)),
        (late, BlockRejection::NotOnTip),
        (changed, BlockRejection::MerkleRoot),
    ] {
        assert_eq!(chain.connect(block), Err(expected));
        assert_eq!((chain.coins.total(), chain.coins.len(), chain.tree.tip()), before);
    }
    mine(&mut chain, 1);
    assert_conserved(&chain);
}

/// Spends, replacements, blocks and steps back in whatever order: what can be spent is always all
/// subsidies, and what waits always fits onto the tip.
#[test]
fn coins_are_conserved_whatever_happens() {
    let mut refused = 0;
    for seed in 0..8 {
        let (mut chain, _) = mature();
        mine(&mut chain, 20);
        let mut chance = seed;
        let mut draw = |below: usize| {
            chance = splitmix64(chance);
            usize::try_from(chance % u64::try_from(below).unwrap()).unwrap()
        };
        for _ in 0..120 {
            match draw(10) {
                0..=5 => {
                    let mature = (1..=chain.tree.height().saturating_sub(99))
                        .map(|height| coinbase(&chain, height));
                    let waiting = chain.pool.in_order().map(|entry| OutPoint::new(entry.txid, 0));
                    let from: Vec<OutPoint> = mature.chain(waiting).collect();
                    let from = from[draw(from.len())];
                    let fee_sat = u64::try_from(draw(5_000)).unwrap();
                    if chain.coin(&from).is_some() {
                        // Some pay too little, some conflict.
                        refused += u32::from(
                            chain.submit(spend(&chain, &[from], fee_sat), NOW_S).is_err(),
                        );
                    }
                }
                6..=8 => mine(&mut chain, 1),
                _ => {
                    let count = u32::try_from(draw(4)).unwrap();
                    chain.disconnect(count);
                }
            }
            assert_conserved(&chain);
        }
        let waiting = chain.pool.len();
        let block = chain.mine(&to_anyone(), NOW_S);
        assert_eq!(block.txdata.len(), waiting + 1);
        assert_conserved(&chain);
    }
    assert!(refused > 0, "nothing that is refused was tried");
}
