//! The hand at one machine: what it learns, and what it does with a machine that is cut off.

use boltgrid_miners::effect::OnContactLost;
use boltgrid_miners::hash::HashRate;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::super::tests::house::Relay as Behind;
use super::*;

const DAY_MS: u64 = 86_400_000;
const RUN: SetPoint = SetPoint::Run { power_mw: watts(2_000) };

const fn watts(watts: i64) -> Power {
    Power::from_milliwatts(watts * 1_000)
}

/// A hand at a machine behind a relay, which is cut off by the same.
struct Bench {
    hand: Hand,
    found: Found,
    behind: Arc<Behind>,
    restart: watch::Sender<bool>,
    /// What the hand hears of, and its serving relay; they end with it.
    _held: (watch::Sender<Wanted>, mpsc::Receiver<Report>, JoinSet<()>),
}

impl Bench {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = format!(
            "driver = \"relay-http\"\naddress = \"{}\"\non_path = \"/on\"\noff_path = \"/off\"\n\
             state_path = \"/state\"\npower_w_pointer = \"/power\"\n",
            listener.local_addr().unwrap()
        );
        let behind = Arc::new(Behind::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&behind).serve(listener));
        let text = format!("name = \"m0\"\nrated_w = 2000\nsettle_s = 1\n{relay}");
        let miner: MinerConfig = toml::from_str(&text).unwrap();
        let relay = Some(toml::from_str(&relay).unwrap());
        let miner = MinerConfig { owned: Owned { relay, ..miner.owned }, ..miner };
        let (wants, wanted) = watch::channel(Wanted::default());
        let (restart, may_restart) = watch::channel(false);
        let (reports, hears) = mpsc::channel(64);
        let hand = Hand {
            place: 0,
            miner,
            wanted,
            may_restart,
            meters: watch::channel(Arc::from([])).1,
            learnt: Arc::default(),
            reports,
            stop: CancellationToken::new(),
        };
        let found = hand.find().await.unwrap();
        Self { hand, found, behind, restart, _held: (wants, hears, tasks) }
    }

    /// Shows what it draws and how fast it hashes, and does what follows.
    async fn shows(&mut self, at: Timestamp, power: i64, terahashes: u64) {
        let seen = Observation {
            at,
            power: Some(watts(power)),
            power_is_metered: false,
            hash_rate: Some(HashRate::from_gigahashes(terahashes * 1_000)),
            temperature_m_celsius: None,
        };
        let actions = self.hand.look(&mut self.found, at, Ok(seen), None);
        self.hand.act(&mut self.found, actions, None).await;
    }
}

#[tokio::test]
async fn what_a_machine_does_corrects_what_is_said_of_it() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.found.check.abilities().settle_ms, 1_000);
    let told_at = clock::now();
    let actions = bench.found.check.command(told_at, RUN);
    bench.hand.act(&mut bench.found, actions, None).await;
    bench.shows(told_at.plus_ms(10_000), 2_000, 100).await;
    bench.shows(told_at.plus_ms(11_000), 2_000, 100).await;
    assert_eq!(bench.found.check.abilities().settle_ms, 15_000, "half as much again as it took");
    for s in 0..12 {
        bench.shows(told_at.plus_ms(60_000 + s * 1_000), 2_000, 100).await;
    }
    // It hashes half as fast for once, and nothing is thought of it.
    bench.shows(told_at.plus_ms(80_000), 2_000, 50).await;
    let efficiency = bench.hand.efficiency(&bench.found).unwrap().to_millijoules();
    assert!((20_000..22_000).contains(&efficiency), "{efficiency}");
}

#[tokio::test]
async fn a_machine_that_is_cut_off_gets_power_again_once_there_is_room_for_it() {
    let mut bench = Bench::new().await;
    let yesterday = clock::now().minus_ms(DAY_MS);
    let abilities = bench.found.check.abilities().clone();
    bench.found.check = Check::new(abilities, 1_000, OnContactLost::OffByRelay, yesterday);
    let cut = bench.found.check.tick(yesterday.plus_ms(1_000));
    assert_eq!(cut.first(), Some(&Action::CutOff));
    assert_eq!(bench.hand.tick(&mut bench.found), []);
    bench.restart.send_replace(true);
    let actions = bench.hand.tick(&mut bench.found);
    assert_eq!(actions, [Action::Restore]);
    bench.hand.act(&mut bench.found, actions, None).await;
    assert_eq!(bench.behind.switched.lock().unwrap().as_slice(), [true]);
}
