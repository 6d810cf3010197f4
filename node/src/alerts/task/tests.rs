//! The task with a receiver behind a real socket that comes and goes, and an outbox on disk.

mod owner;
mod webhook;

use boltgrid_protocol::units::{Energy, Power};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::super::rule::When;
use super::super::send::Destination;
use super::*;
use crate::broker_for_tests::{Heard, Manners, broker};
use crate::site::{Checked, SiteState, charter_for_tests};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

fn site(power_w: i64) -> SiteState {
    SiteState {
        at: Timestamp::default(),
        power_mw: Power::from_watts(power_w).unwrap(),
        load_mw: Power::ZERO,
        pv_mw: Power::ZERO,
        pv_potential_mw: Power::ZERO,
        pv_curtailable: false,
        generator_mw: Power::ZERO,
        battery: None,
        import_register_mwh: Energy::ZERO,
        export_register_mwh: Energy::ZERO,
        voltage_mv: None,
        frequency_mhz: None,
        stale: None,
    }
}

fn rule(name: &str, when: When) -> Rule {
    Rule { name: name.to_owned(), when, for_s: 0, urgent: false, receivers: Vec::new() }
}

/// A house with a broker, whose owner wants to know when it takes more than a kilowatt.
struct House {
    dir: TempDir,
    /// Where the broker is when it is there.
    listener: TcpListener,
    power: watch::Sender<Option<SiteState>>,
    sources: Sources,
    checked: watch::Sender<Checked>,
    feeders: watch::Sender<Vec<FeederState>>,
    _senders: (watch::Sender<Arc<[crate::site::MeterState]>>, watch::Sender<History>),
}

/// A run of its node.
struct Run {
    desk: AlertDesk,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl House {
    async fn new() -> Self {
        let (power, state) = watch::channel(Some(site(0)));
        let (meters, watched_meters) = watch::channel(Arc::from([]));
        let (checked, watched_checked) = watch::channel(Checked::default());
        let (feeders, watched_feeders) = watch::channel(Vec::new());
        let (history, watched_history) = watch::channel(History::default());
        let site = SiteWatch { state, meters: watched_meters, checked: watched_checked };
        let dispatch = DispatchDesk::of_nobody();
        Self {
            dir: tempfile::tempdir().unwrap(),
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            power,
            sources: Sources {
                site,
                feeders: watched_feeders,
                history: watched_history,
                lightning: None,
                dispatch,
                live: Live::default(),
            },
            checked,
            feeders,
            _senders: (meters, history),
        }
    }

    fn start(&self) -> Run {
        let to = Destination::Mqtt {
            broker: self.listener.local_addr().unwrap().to_string().parse().unwrap(),
            topic: "house/alerts".to_owned(),
            credentials_file: None,
            tls: None,
        };
        self.start_with(("much", When::PowerAboveW(1_000)), to)
    }

    /// A node that has one rule and one receiver.
    fn start_with(&self, (name, when): (&str, When), to: Destination) -> Run {
        self.start_with_rules(vec![rule(name, when)], to, None)
    }

    /// A node that has some rules, one receiver and perhaps quiet hours.
    fn start_with_rules(
        &self,
        rules: Vec<Rule>,
        to: Destination,
        quiet: Option<QuietHours>,
    ) -> Run {
        // As `main` does; another test may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let (desk, wishes) = AlertDesk::new();
        let config = AlertsConfig {
            quiet,
            again_ms: None,
            rules,
            receivers: vec![ReceiverConfig { name: "receiver".to_owned(), to }],
        };
        let of_node = ("bus7".to_owned(), Arc::new(charter_for_tests(300_000)));
        let sources = self.sources.clone();
        let task = Alerts::open(config, of_node, self.dir.path(), sources, wishes).unwrap();
        let stop = CancellationToken::new();
        let (mut running, stops) = (JoinSet::new(), stop.clone());
        running.spawn(async move { task.run(stops).await.unwrap() });
        Run { desk, stop, running }
    }

    fn takes(&self, power_w: i64) {
        self.power.send_replace(Some(site(power_w)));
    }

    /// Serves one connection, and returns the turns that were published over it.
    async fn hear(&self, manners: Manners) -> Vec<String> {
        let (tell, mut told) = mpsc::channel(16);
        timeout(PATIENCE, broker(&self.listener, &tell, manners)).await.expect("nobody connects");
        drop(tell);
        let mut turns = Vec::new();
        while let Some(heard) = told.recv().await {
            if let Heard::Published(topic, json, _) = heard {
                let json: serde_json::Value = serde_json::from_str(&json).unwrap();
                assert_eq!((topic.as_str(), &json["rule"]), ("house/alerts", &"much".into()));
                turns.push(json["turn"].as_str().unwrap().to_owned());
            }
        }
        turns
    }
}

impl Run {
    async fn until(&self, what: &str, is_so: impl Fn(&ReceiverStatus) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.desk.status().await.unwrap();
            if is_so(&status.receivers[0]) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {:?}", status.receivers);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills it, so that it comes to nothing more.
    async fn crash(mut self) {
        self.running.shutdown().await;
    }

    async fn end(mut self) {
        self.stop.cancel();
        timeout(PATIENCE, self.running.join_next()).await.expect("it stops").unwrap().unwrap();
    }
}

#[tokio::test]
async fn nothing_is_lost_while_the_broker_is_away_or_the_node_is() {
    let house = House::new().await;
    let first = house.start();
    // Whoever connects is hung up on, as by a broker that restarts.
    let nobody = Manners { lives: 0, ..Manners::GOOD };
    house.takes(2_000);
    assert!(house.hear(nobody).await.is_empty());
    first.until("it is failing", |it| it.waiting == 1 && it.failing.is_some()).await;
    house.takes(500);
    first.until("both wait", |it| it.waiting == 2).await;
    first.end().await;

    let second = house.start();
    // It takes the first message and is gone before its word on it.
    let half = Manners { lives: 2, acknowledges: false, ..Manners::GOOD };
    assert_eq!(house.hear(half).await, ["begins"]);
    second.until("it is failing", |it| it.waiting == 2 && it.failing.is_some()).await;
    // Back again: what was not acknowledged is told again, and the rest after it.
    assert_eq!(house.hear(Manners::GOOD).await, ["begins"]);
    assert_eq!(house.hear(Manners::GOOD).await, ["ends"]);
    second.until("nothing waits", |it| it.waiting == 0 && it.failing.is_none()).await;
    second.end().await;
}
