//! Two real Lightning nodes on each chain: funded, a channel, payments, both kinds of closing.

use std::path::Path;
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bitcoin::{Address, Amount};
use boltgrid_testnet::chain::{Choice, Faucet};
use boltgrid_testnet::run::ports;
use ldk_node::bitcoin::Network;
use ldk_node::lightning::ln::msgs::SocketAddress;
use ldk_node::lightning_invoice::{Bolt11InvoiceDescription, Description};
use ldk_node::{Builder, Event, LightningBalance, Node, UserChannelId};
use tokio::runtime::Runtime;

use super::world::{Ground, choices, turn};

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What every node is given.
const FUNDS: Amount = Amount::from_sat(1_000_000);
/// What all transactions of a node may cost together.
const FEES_MAX: Amount = Amount::from_sat(10_000);
/// Blocks until a force-closed channel is swept, and some more.
const SWEEP_BLOCKS: u32 = 160;

/// A node that is stopped however its test ends.
struct Peer(Node);

impl Drop for Peer {
    fn drop(&mut self) {
        if let Err(error) = self.0.stop() {
            eprintln!("a node did not stop: {error}");
        }
    }
}

impl Peer {
    fn start(ground: &Ground, folder: &Path) -> Self {
        let access = ground.source.access().clone();
        let port = ports::hold(1).unwrap()[0].number();
        let listen = SocketAddress::from_str(&format!("127.0.0.1:{port}")).unwrap();
        let mut builder = Builder::new();
        builder.set_network(Network::Regtest);
        builder.set_storage_dir_path(folder.display().to_string());
        builder.set_listening_addresses(vec![listen]).unwrap();
        let (user, password) = (access.user, access.password);
        builder.set_chain_source_bitcoind_rpc(access.host, access.port, user, password);
        let node = builder.build().unwrap();
        node.start().unwrap();
        Self(node)
    }

    fn address(&self) -> Address {
        self.0.onchain_payment().new_address().unwrap()
    }

    fn onchain(&self) -> Amount {
        Amount::from_sat(self.0.list_balances().total_onchain_balance_sats)
    }

    /// The first event of which something follows; others are dropped.
    fn event<T>(&self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        until(what, || {
            let event = self.0.next_event()?;
            self.0.event_handled().unwrap();
            wanted(&event)
        })
    }

    fn event_of(&self, what: &str, mut is: impl FnMut(&Event) -> bool) {
        self.event(what, |event| is(event).then_some(()));
    }

    fn pay(&self, other: &Self, amount_msat: u64) {
        let description = Description::new("energy".to_owned()).unwrap();
        let description = Bolt11InvoiceDescription::Direct(description);
        let receiving = other.0.bolt11_payment();
        let invoice = receiving.receive(amount_msat, &description, 600).unwrap();
        self.0.bolt11_payment().send(&invoice, None).unwrap();
        self.event_of("a payment that succeeds", |event| {
            matches!(event, Event::PaymentSuccessful { .. })
        });
        other.event_of("a payment that arrives", |event| {
            matches!(event, Event::PaymentReceived { amount_msat: got, .. } if *got == amount_msat)
        });
    }
}

/// Asks until there is an answer.
fn until<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no {what} in time");
        sleep(LOOK_EVERY);
    }
}

/// A chain with two nodes on it.
struct Pair {
    runtime: Runtime,
    faucet: Faucet,
    alice: Peer,
    bob: Peer,
}

impl Pair {
    fn mine(&self, count: u32) {
        self.runtime.block_on(self.faucet.mine(count)).unwrap();
        let tip = self.runtime.block_on(self.faucet.client().height()).unwrap();
        for peer in [&self.alice, &self.bob] {
            until("node that has seen the tip", || {
                peer.0.sync_wallets().unwrap();
                (peer.0.status().current_best_block.height == tip).then_some(())
            });
        }
    }

    /// Waits until so many transactions wait for a block.
    fn until_waiting(&self, count: usize) {
        until("transaction that waits for a block", || {
            let asked = self.faucet.client().call("getrawmempool", serde_json::json!([]));
            let waiting = self.runtime.block_on(asked).unwrap();
            (waiting.as_array().unwrap().len() >= count).then_some(())
        });
    }

    fn open(&self) -> UserChannelId {
        let (alice, bob) = (&self.alice, &self.bob);
        let at = bob.0.listening_addresses().unwrap()[0].clone();
        let id = alice.0.open_channel(bob.0.node_id(), at, 300_000, Some(100_000_000), None);
        let id = id.unwrap();
        for peer in [alice, bob] {
            peer.event_of("pending channel", |event| matches!(event, Event::ChannelPending { .. }));
        }
        self.until_waiting(1);
        self.mine(6);
        for peer in [alice, bob] {
            peer.event_of("ready channel", |event| matches!(event, Event::ChannelReady { .. }));
        }
        let channel = &alice.0.list_channels()[0];
        assert!(channel.is_usable);
        id
    }

    /// No payment is on its way any more: both have the same last state, without an output for it.
    fn until_settled(&self) {
        for peer in [&self.alice, &self.bob] {
            until("channel without payments on their way", || {
                let balances = peer.0.list_balances().lightning_balances;
                let at_rest = |it: &LightningBalance| {
                    matches!(it, LightningBalance::ClaimableOnChannelClose { .. })
                };
                balances.iter().all(at_rest).then_some(())
            });
        }
    }

    fn until_closed(&self) {
        for peer in [&self.alice, &self.bob] {
            peer.event_of("closed channel", |event| matches!(event, Event::ChannelClosed { .. }));
        }
        self.until_waiting(1);
    }

    fn until_all_is_onchain(&self) {
        for peer in [&self.alice, &self.bob] {
            until("node with everything in its wallet", || {
                self.mine(1);
                let balances = peer.0.list_balances();
                let is_swept = balances.total_lightning_balance_sats == 0
                    && balances.lightning_balances.is_empty();
                is_swept.then_some(())
            });
        }
        self.mine(6);
    }
}

fn lives_on(name: &'static str, choice: &Choice) {
    let runtime = Runtime::new().unwrap();
    let ground = runtime.block_on(Ground::start(choice));
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let mut faucet = Faucet::new(ground.source.client(), 1);
    runtime.block_on(faucet.fill(FUNDS * 3)).unwrap();
    let alice = Peer::start(&ground, folders[0].path());
    let bob = Peer::start(&ground, folders[1].path());
    let payees = [(alice.address(), FUNDS), (bob.address(), FUNDS)];
    runtime.block_on(faucet.pay(&payees)).unwrap();
    let pair = Pair { runtime, faucet, alice, bob };
    pair.mine(1);
    assert_eq!((pair.alice.onchain(), pair.bob.onchain()), (FUNDS, FUNDS), "{name}");

    let channel = pair.open();
    pair.alice.pay(&pair.bob, 20_000_000);
    pair.bob.pay(&pair.alice, 50_000_123);
    pair.alice.0.close_channel(&channel, pair.bob.0.node_id()).unwrap();
    pair.until_closed();
    pair.until_all_is_onchain();
    // Alice gave 100 000 + 20 000 and got 50 000 of the channel.
    let moved = Amount::from_sat(70_000);
    let assert_ends = |peer: &Peer, expected: Amount| {
        let has = peer.onchain();
        assert!(has <= expected + Amount::ONE_SAT, "{name}: {has} and not {expected}");
        assert!(has + FEES_MAX >= expected, "{name}: {has} and not {expected}");
    };
    assert_ends(&pair.alice, FUNDS - moved);
    assert_ends(&pair.bob, FUNDS + moved);

    let (alice_has, bob_has) = (pair.alice.onchain(), pair.bob.onchain());
    let channel = pair.open();
    pair.alice.pay(&pair.bob, 30_000_000);
    pair.until_settled();
    pair.alice.0.force_close_channel(&channel, pair.bob.0.node_id(), None).unwrap();
    pair.until_closed();
    pair.mine(SWEEP_BLOCKS);
    pair.until_all_is_onchain();
    let moved = Amount::from_sat(130_000);
    assert_ends(&pair.alice, alice_has - moved);
    assert_ends(&pair.bob, bob_has + moved);

    let Pair { runtime, alice, bob, .. } = pair;
    drop((alice, bob));
    runtime.block_on(ground.source.stop()).unwrap();
}

#[test]
fn channels_live_and_end_on_every_chain() {
    let _turn = turn();
    for (name, choice) in choices() {
        lives_on(name, &choice);
    }
}
