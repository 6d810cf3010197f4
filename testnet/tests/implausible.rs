//! A real node whose meter shows what cannot be: it stops ordering, says why wherever it is asked, tells
//! its owner, and trades again once two whole intervals are clean.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boltgrid::clock;
use boltgrid::status::IntervalOutcome;
use boltgrid_protocol::units::{Energy, Interval};
use boltgrid_testnet::run::RunOptions;
use boltgrid_testnet::run::fleet::Fleet;
use boltgrid_testnet::run::stage::Stage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Something that takes a few intervals takes no longer than this, on a machine that is busy as well.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(200);
const PROGRAM: &str = env!("CARGO_BIN_EXE_boltgrid-testnet");
/// Which site's meter goes wrong.
const ODD: usize = 1;

/// What a webhook was told.
type Told = Arc<Mutex<String>>;

async fn webhook() -> (u16, Told, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = Told::default();
    let hears = Arc::clone(&told);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 65_536];
            let read = stream.read(&mut request).await.unwrap_or(0);
            hears.lock().await.push_str(&String::from_utf8_lossy(&request[..read]));
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            if stream.write_all(answer).await.is_err() {
                continue;
            }
        }
    });
    (port, told, serving)
}

/// Lets a node tell a webhook of anomalies.
fn tell_owner(config: &Path, port: u16) {
    let text = std::fs::read_to_string(config).unwrap();
    let mut config_toml: toml::Table = toml::from_str(&text).unwrap();
    let alerts = format!(
        "receivers = [{{ name = \"hook\", to = {{ webhook = {{ url = \"http://127.0.0.1:{port}/\" }} }} }}]\n\
         rules = [{{ name = \"odd meter\", when = \"anomaly\", urgent = true }}]\n"
    );
    config_toml.insert("alerts".to_owned(), toml::from_str(&alerts).unwrap());
    std::fs::write(config, toml::to_string(&config_toml).unwrap()).unwrap();
}

/// What the command line says of a running node.
fn cli(config: &Path, args: &[&str]) -> String {
    let mut child = Command::new(PROGRAM)
        .args(["node", "--"])
        .args(args)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It ends when its standard input does.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

struct Grid {
    stage: Stage,
    fleet: Fleet,
}

impl Grid {
    async fn until<T>(&mut self, what: &str, is_so: impl AsyncFn(&mut Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(it) = is_so(self).await {
                return it;
            }
            assert!(began.elapsed() < PATIENCE, "{what}");
            sleep(LOOK).await;
        }
    }

    /// Why the odd site's state is stale, if it is.
    async fn stale(&mut self) -> Option<Option<String>> {
        self.fleet.check_alive().unwrap();
        self.fleet.look(clock::now()).await;
        let status = self.fleet.members[ODD].status.as_ref()?;
        Some(status.site.as_ref()?.stale.clone())
    }

    fn current(&self) -> Interval {
        self.stage.charter.interval.interval_at(clock::now())
    }

    /// Whether the odd site ordered anything in an interval that is over.
    async fn ordered(&self, interval: Interval) -> Option<bool> {
        let report = self.fleet.report(ODD, interval).await?;
        (report.outcome == IntervalOutcome::Decided).then_some(!report.own_order.is_empty())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_meter_goes_back_stops_ordering_says_why_and_trades_again() {
    let options = RunOptions {
        nodes: NonZeroUsize::new(4),
        interval_ms: 10_000,
        from: Some("2016-05-25T07:15".to_owned()),
        chain: None,
        ..RunOptions::default()
    };
    let stage = Stage::set(&options).await.unwrap();
    let (port, told, _serving) = webhook().await;
    tell_owner(&stage.places[ODD].config, port);
    let places = (stage.places.clone(), Vec::new());
    let fleet = Fleet::start(PROGRAM.into(), places, &BTreeMap::new(), &|_, _| {}).unwrap();
    let mut grid = Grid { stage, fleet };

    let first = grid.until("the odd site never orders", async |grid| {
        grid.stale().await;
        let interval = grid.current();
        (grid.ordered(interval).await == Some(true)).then_some(interval)
    });
    let first = first.await;

    // More than the site takes or gives in the whole test.
    let back = Energy::from_milliwatt_hours(100_000_000);
    grid.stage.plant.lock().unwrap().turn_back(clock::now(), ODD, back);
    let why = grid
        .until("nothing is noticed", async |grid| {
            grid.stale().await.flatten().filter(|why| why.contains("register"))
        })
        .await;
    // What is open at that moment may have been ordered before.
    let silent = grid.current().plus(2);
    let config = grid.stage.places[ODD].config.clone();
    let status = cli(&config, &["status"]);
    assert!(status.contains("register"), "{why}: {status}");
    let parts = ["register-back", "nothing is ordered meanwhile", "new meter key"];
    grid.until("the anomaly is not shown", async |_| {
        let anomalies = cli(&config, &["meter", "anomalies"]);
        parts.iter().all(|part| anomalies.contains(part)).then_some(())
    })
    .await;
    let hears = Arc::clone(&told);
    grid.until("the owner is not told", async |_| {
        let text = hears.lock().await;
        (text.contains("odd meter") && text.contains("new meter key")).then_some(())
    })
    .await;
    let ordered = grid
        .until("nothing is decided without it", async |grid| {
            grid.stale().await;
            grid.ordered(silent).await
        })
        .await;
    assert!(!ordered, "it ordered in {silent}, which began after {first}");

    // The display shows what it did before, as when a plug was pulled and put back.
    grid.stage.plant.lock().unwrap().turn_back(clock::now(), ODD, Energy::ZERO);
    let right_since = grid.current();
    let again = grid
        .until("it does not trade again", async |grid| {
            grid.stale().await;
            let mut interval = silent.next();
            while interval <= grid.current() {
                if grid.ordered(interval).await == Some(true) {
                    return Some(interval);
                }
                interval = interval.next();
            }
            None
        })
        .await;
    assert!(again >= right_since.plus(2), "{again} is too soon after {right_since}");
    let anomalies = cli(&config, &["meter", "anomalies"]);
    assert!(!anomalies.contains("nothing is ordered meanwhile"), "{anomalies}");
    let slow = grid.fleet.stop().await.unwrap();
    assert!(slow.is_empty(), "{slow:?}");
    grid.stage.farm.stop().await;
}
