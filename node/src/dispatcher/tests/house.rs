//! A house whose meter sees its machines, which are behind relays that speak HTTP, over real sockets.
//! Not for: what is to be seen in it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boltgrid_miners::break_even::Appetite;
use boltgrid_miners::hash::Hashprice;
use boltgrid_miners::plan::Habits;
use boltgrid_miners::react::Target;
use boltgrid_miners::rules::Rules;
use boltgrid_protocol::units::{Energy, Msat, Power, Price};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::*;
use crate::clock;
use crate::live::Live;
use crate::site::{Checked, Failure, MeterState, SiteState, SiteWatch, Stale, grid_for_tests};

/// No test waits longer than this for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const MACHINE_W: i64 = 2_000;

/// A relay with a machine behind it that follows at once, unless it is stuck.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    pub(super) runs: AtomicBool,
    pub(super) stuck: AtomicBool,
    /// Whether it refuses to be switched.
    pub(super) refuses: AtomicBool,
    /// Whether it hangs up without an answer.
    pub(super) mute: AtomicBool,
    /// How long it takes to answer, in ms.
    pub(super) answers_after_ms: AtomicU64,
    pub(crate) switched: Mutex<Vec<bool>>,
}

impl Relay {
    pub(super) fn watts(&self) -> i64 {
        if self.runs.load(Ordering::SeqCst) { MACHINE_W } else { 0 }
    }

    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let Ok(length) = stream.read(&mut request).await else { continue };
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            sleep(Duration::from_millis(self.answers_after_ms.load(Ordering::SeqCst))).await;
            let switch = request.contains("GET /on").then_some(true);
            let switch = switch.or(request.contains("GET /off").then_some(false));
            if self.mute.load(Ordering::SeqCst) {
                continue;
            }
            let refused = switch.is_some() && self.refuses.load(Ordering::SeqCst);
            if let Some(on) = switch {
                self.switched.lock().unwrap().push(on);
                if !refused && !self.stuck.load(Ordering::SeqCst) {
                    self.runs.store(on, Ordering::SeqCst);
                }
            }
            let body = format!("{{\"power\": {}}}", self.watts());
            let code = if refused { "500 No" } else { "200 OK" };
            let head = format!("HTTP/1.1 {code}\r\nContent-Length: {}\r\n", body.len());
            let answer = format!("{head}Connection: close\r\n\r\n{body}");
            // Whoever asked may be gone: a look is dropped for a command.
            drop(stream.write_all(answer.as_bytes()).await);
        }
    }
}

/// A house with its machines and its dispatcher, which end with it.
pub(super) struct House {
    pub(super) relays: Vec<Arc<Relay>>,
    /// What the house gives without its machines, in W.
    surplus_w: Arc<AtomicI64>,
    /// Whether samples are missed.
    pub(super) blind: Arc<AtomicBool>,
    /// What else its meter shows.
    pub(super) shows: Arc<Mutex<Shows>>,
    /// What the machines' own meters show.
    pub(super) meters: watch::Sender<Arc<[MeterState]>>,
    pub(super) stop: CancellationToken,
    pub(super) targets: watch::Sender<Targets>,
    pub(super) ends: DispatcherEnds,
    pub(super) tasks: JoinSet<()>,
}

/// What the house's meter shows beside its power.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shows {
    pub(super) frequency_mhz: Option<u32>,
    pub(super) voltage_mv: Option<u32>,
    /// Whether what it shows now is not to be relied on.
    pub(super) wrong: bool,
}

fn miner(name: &str, address: SocketAddr, msat_per_kwh: i64) -> MinerConfig {
    let text = format!(
        "name = {name:?}\ndriver = \"relay-http\"\naddress = \"{address}\"\non_path = \"/on\"\n\
         off_path = \"/off\"\nstate_path = \"/state\"\npower_w_pointer = \"/power\"\n\
         rated_w = {MACHINE_W}\nsettle_s = 1\n"
    );
    let miner: MinerConfig = toml::from_str(&text).unwrap();
    let appetite = Appetite::BelowMsatPerKwh(Price::from_msat_per_kwh(msat_per_kwh));
    MinerConfig { owned: Owned { appetite, ..miner.owned }, ..miner }
}

fn mining(machines: Vec<MinerConfig>) -> MiningConfig {
    let most = Power::from_watts(1_000_000).unwrap();
    MiningConfig {
        machines,
        hashprice: HashpriceSource::Fixed(Hashprice::from_msat_per_th_day(50_000)),
        pool_fee_ppm: 0,
        wear: Price::ZERO,
        start: Msat::ZERO,
        habits: Habits {
            on_ms_min: 0,
            off_ms_min: 0,
            starts_per_day_max: 100,
            dead_band: Power::ZERO,
        },
        machines_max: most,
        step_max: most,
        starts_max: 10,
        support: None,
        rules: Rules::default(),
        places: Vec::new(),
        place: None,
        stratum: None,
        gas: None,
        kept_file: None,
        account_file: None,
    }
}

pub(crate) fn state(power_w: i64, shows: Shows) -> SiteState {
    SiteState {
        at: clock::now(),
        power_mw: Power::from_watts(power_w).unwrap(),
        load_mw: Power::ZERO,
        pv_mw: Power::ZERO,
        pv_potential_mw: Power::ZERO,
        pv_curtailable: false,
        generator_mw: Power::ZERO,
        battery: None,
        import_register_mwh: Energy::ZERO,
        export_register_mwh: Energy::ZERO,
        voltage_mv: shows.voltage_mv,
        frequency_mhz: shows.frequency_mhz,
        stale: shows.wrong.then(missed),
    }
}

/// That a sample was missed.
fn missed() -> Stale {
    Stale { device: "meter".into(), failure: Failure::Late }
}

impl House {
    /// A house whose machines are worth these prices, in msat/kWh.
    pub(super) async fn with(worths: &[i64]) -> Self {
        Self::treated(worths, |mining| mining).await
    }

    /// Has the site do this in the present interval and those to come.
    pub(super) fn aim(&self, net_w: i64, next_hour: Option<NextHour>) {
        let target = Target {
            net: Power::from_watts(net_w).unwrap(),
            mining: Power::ZERO,
            spare_brings: Price::from_msat_per_kwh(80_000),
            lack_costs: Price::from_msat_per_kwh(300_000),
        };
        let aim =
            Aim { target, price: Price::from_msat_per_kwh(100_000), is_traded: true, next_hour };
        let (_, (charter, _)) = grid_for_tests();
        let now = charter.interval.interval_at(clock::now());
        self.targets.send_replace((0..60).map(|it| (now.plus(it), aim)).collect());
    }

    /// The same with machines that are treated otherwise.
    pub(super) async fn treated(
        worths: &[i64],
        treat: impl Fn(MiningConfig) -> MiningConfig,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let (mut relays, mut machines) = (Vec::new(), Vec::new());
        for (number, worth) in worths.iter().enumerate() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let relay = Arc::new(Relay::default());
            tasks.spawn(Arc::clone(&relay).serve(listener));
            machines.push(miner(&format!("m{number}"), address, *worth));
            relays.push(relay);
        }
        let (shows, state_watch) = watch::channel(None);
        let (meters, meters_watch) = watch::channel(Arc::from([]));
        let checked = watch::channel(Checked::default()).1;
        let site = SiteWatch { state: state_watch, meters: meters_watch, checked };
        let (targets, targets_watch) = watch::channel(Targets::new());
        let (participant, grid) = grid_for_tests();
        let proved = watch::channel(Arc::default()).1;
        let (dispatcher, ends) = Dispatcher::new(
            treat(mining(machines)),
            participant,
            grid,
            (site, targets_watch, Live::default()),
            proved,
        )
        .unwrap();
        let stop = CancellationToken::new();
        tasks.spawn(dispatcher.run(stop.clone()));
        let surplus_w = Arc::new(AtomicI64::new(0));
        let (seen, drawing) = (Arc::clone(&surplus_w), relays.clone());
        let blind = Arc::new(AtomicBool::new(false));
        let is_blind = Arc::clone(&blind);
        let also_shows = Arc::new(Mutex::new(Shows::default()));
        let also = Arc::clone(&also_shows);
        tasks.spawn(async move {
            loop {
                let machines: i64 = drawing.iter().map(|relay| relay.watts()).sum();
                if !is_blind.load(Ordering::SeqCst) {
                    let shown =
                        state(machines - seen.load(Ordering::SeqCst), *also.lock().unwrap());
                    shows.send_replace(Some(shown));
                } else {
                    shows.send_modify(|state| {
                        if let Some(state) = state {
                            state.stale = Some(missed());
                        }
                    });
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
        let shows = also_shows;
        Self { relays, surplus_w, blind, shows, meters, stop, targets, ends, tasks }
    }

    pub(super) fn give(&self, watts: i64) {
        self.surplus_w.store(watts, Ordering::SeqCst);
    }

    pub(super) fn running(&self) -> Vec<bool> {
        self.relays.iter().map(|relay| relay.watts() > 0).collect()
    }

    /// Waits until what the dispatcher shows is as wanted.
    pub(super) async fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&Self, &DispatchStatus) -> bool,
    ) {
        let polled = async {
            while !holds(self, &self.ends.desk.status()) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let reached = timeout(PATIENCE, polled).await;
        assert!(reached.is_ok(), "{what}: {:#?}", self.ends.desk.status());
        assert!(self.tasks.try_join_next().is_none(), "a task ended");
    }

    pub(super) async fn found(&mut self) {
        self.until("found", |it, status| {
            status.machines.len() == it.relays.len()
                && status.machines.iter().all(|it| it.is_in_plan && it.reason.is_some())
        })
        .await;
    }
}
