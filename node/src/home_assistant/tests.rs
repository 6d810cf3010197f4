//! The task against a broker of a few lines that tells what it was told.

use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Power, Timestamp};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;
use crate::broker_for_tests::{Heard, Manners, broker, tls_broker};
use crate::tls_for_tests::Itself;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
fn site(power_w: i64) -> SiteState {
    let (power_mw, nothing) = (Power::from_watts(power_w).unwrap(), Power::ZERO);
    SiteState {
        at: Timestamp::default(),
        power_mw,
        load_mw: nothing,
        pv_mw: nothing,
        pv_potential_mw: nothing,
        pv_curtailable: false,
        generator_mw: Power::ZERO,
        battery: None,
        import_register_mwh: Energy::from_milliwatt_hours(1_500_000),
        export_register_mwh: Energy::ZERO,
        voltage_mv: None,
        frequency_mhz: None,
        stale: None,
    }
}

/// The task, running against what listens, and the sender of the site's state.
struct Bench {
    listener: TcpListener,
    site: watch::Sender<Option<SiteState>>,
    _history: watch::Sender<History>,
    stop: CancellationToken,
    running: JoinSet<()>,
    tell: mpsc::Sender<Heard>,
    told: mpsc::Receiver<Heard>,
}

impl Bench {
    async fn start() -> Self {
        Self::start_with("mqtt", None, None).await
    }

    async fn start_with(
        scheme: &str,
        tls: Option<TlsConfig>,
        credentials_file: Option<PathBuf>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = format!("{scheme}://{}", listener.local_addr().unwrap()).parse().unwrap();
        let config = HomeAssistantConfig {
            broker,
            tls,
            credentials_file,
            discovery_prefix: "homeassistant".to_owned(),
            every: Duration::from_millis(10),
        };
        let (site, watched_site) = watch::channel(None);
        let (history, watched_history) = watch::channel(History::default());
        let dispatch = DispatchDesk::of_nobody();
        let sources =
            Sources { site: watched_site, history: watched_history, lightning: None, dispatch };
        let participant = Keypair::from_seed(&[7; 32]).participant_id();
        let task = HomeAssistant::open(&config, &participant, "Kirchberg", sources).unwrap();
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(task.run(stop.clone()));
        let (tell, told) = mpsc::channel(64);
        Self { listener, site, _history: history, stop, running, tell, told }
    }

    async fn next(&mut self) -> Heard {
        timeout(PATIENCE, self.told.recv()).await.expect("nothing is told").unwrap()
    }

    /// The next message, which must be in the topic that ends so.
    async fn message(&mut self, topic_end: &str) -> (String, bool) {
        match self.next().await {
            Heard::Published(topic, message, retained) if topic.ends_with(topic_end) => {
                (message, retained)
            }
            other @ (Heard::Connected { .. } | Heard::Published(..)) => {
                panic!("{other:?}, not in a topic that ends with {topic_end}")
            }
        }
    }

    /// The power in the next state.
    async fn power(&mut self) -> Value {
        let (state, retained) = self.message("/state").await;
        assert!(!retained, "a state is of its time");
        serde_json::from_str::<Value>(&state).unwrap()["power"].clone()
    }
}

#[tokio::test]
async fn home_assistant_hears_of_everything_of_changes_and_of_the_end() {
    let mut bench = Bench::start().await;
    let (listener, tell) =
        (std::mem::replace(&mut bench.listener, unused().await), bench.tell.clone());
    bench.running.spawn(async move {
        let manners = Manners { started_after: Some(4), ..Manners::GOOD };
        broker(&listener, &tell, manners).await;
    });

    let Heard::Connected { will: Some((topic, message, true)), .. } = bench.next().await else {
        panic!("no last will")
    };
    assert!(topic.starts_with("boltgrid/boltgrid-") && topic.ends_with("/availability"), "{topic}");
    assert_eq!(message, "offline");
    let (config, retained) = bench.message("/config").await;
    assert!(retained, "Home Assistant may start later");
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["availability_topic"], topic.as_str());
    assert_eq!(config["components"]["power"]["device_class"], "power");
    assert_eq!(bench.power().await, Value::Null);
    assert_eq!(bench.message("/availability").await, ("online".to_owned(), true));

    // The fourth message; then Home Assistant says that it was started, and hears everything again.
    bench.site.send_replace(Some(site(-1_500)));
    assert_eq!(bench.power().await, "-1500.000");
    bench.message("/config").await;
    assert_eq!(bench.power().await, "-1500.000");
    bench.message("/availability").await;
    bench.site.send_replace(Some(SiteState { voltage_mv: Some(230_000), ..site(2_000) }));
    let (config, _) = bench.message("/config").await;
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["components"]["voltage"]["unit_of_measurement"], "V");
    assert_eq!(bench.power().await, "2000.000");

    bench.stop.cancel();
    assert_eq!(bench.message("/availability").await, ("offline".to_owned(), true));
    timeout(PATIENCE, bench.running.join_next()).await.expect("it stops").unwrap().unwrap();
}

/// A listener that stands where another one was.
async fn unused() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn a_broker_that_is_lost_is_found_again() {
    let mut bench = Bench::start().await;
    let (listener, tell) =
        (std::mem::replace(&mut bench.listener, unused().await), bench.tell.clone());
    bench.running.spawn(async move {
        // Lost in the middle, and then there again.
        broker(&listener, &tell, Manners { lives: 3, ..Manners::GOOD }).await;
        broker(&listener, &tell, Manners::GOOD).await;
    });
    let mut connections = 0;
    while connections < 2 {
        connections += usize::from(matches!(bench.next().await, Heard::Connected { .. }));
    }
    bench.message("/config").await;
    bench.power().await;
    assert_eq!(bench.message("/availability").await, ("online".to_owned(), true));
}

#[tokio::test]
async fn the_right_broker_is_told_over_tls_and_who_tells_and_no_other_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    fs::write(&file, "node:s3cret\n").unwrap();
    let (itself, another) = (Itself::new(), Itself::new());
    for stranger in [Some(another.pinned()), None] {
        let mut bench = Bench::start_with("mqtts", stranger, Some(file.clone())).await;
        let acceptor = itself.serves();
        let serving = tls_broker(&bench.listener, &acceptor, &bench.tell);
        timeout(PATIENCE, serving).await.expect("nobody connects");
        assert!(bench.told.try_recv().is_err(), "a stranger is told nothing");
        bench.stop.cancel();
    }
    let mut bench = Bench::start_with("mqtts", Some(itself.pinned()), Some(file)).await;
    let (listener, tell) =
        (std::mem::replace(&mut bench.listener, unused().await), bench.tell.clone());
    bench.running.spawn(async move { tls_broker(&listener, &itself.serves(), &tell).await });
    let Heard::Connected { login, .. } = bench.next().await else { panic!("it does not connect") };
    assert_eq!(login, Some(("node".to_owned(), "s3cret".to_owned())));
    bench.message("/config").await;
}

#[tokio::test]
async fn a_node_stops_at_once_where_there_is_no_broker() {
    let mut bench = Bench::start().await;
    drop(std::mem::replace(&mut bench.listener, unused().await));
    bench.stop.cancel();
    timeout(PATIENCE, bench.running.join_next()).await.expect("it stops").unwrap().unwrap();
}
