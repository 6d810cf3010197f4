//! The hand at a generator's controller that speaks Modbus TCP over a real socket.

use std::sync::{Arc, Mutex};

use boltgrid_miners::flare::Because;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::config::tests::gas;
use super::*;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was written to a controller, and how it is.
#[derive(Debug, Default)]
struct Controller {
    /// Set points by their registers' counts, and whether to run, in the order in which they came.
    written: Vec<Written>,
    refuses: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    SetPoint(u16),
    Run(bool),
}

async fn serve(controller: Arc<Mutex<Controller>>, listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        answer(&controller, stream).await;
    }
}

/// Answers one side until it hangs up.
async fn answer(controller: &Mutex<Controller>, mut stream: TcpStream) {
    let mut frame = [0; 12];
    while stream.read_exact(&mut frame).await.is_ok() {
        let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let body: Vec<u8> = match frame[7] {
            code if code > 4 && controller.lock().unwrap().refuses => vec![code | 0x80, 4],
            // A discrete input: it runs.
            2 => vec![2, 1, 1],
            5 => {
                controller.lock().unwrap().written.push(Written::Run(word(10) != 0));
                frame[7..12].to_vec()
            }
            6 => {
                controller.lock().unwrap().written.push(Written::SetPoint(word(10)));
                frame[7..12].to_vec()
            }
            code => vec![code | 0x80, 1],
        };
        let length = u16::try_from(body.len() + 1).unwrap().to_be_bytes();
        let head = [frame[0], frame[1], 0, 0, length[0], length[1], frame[6]];
        if stream.write_all(&[&head, body.as_slice()].concat()).await.is_err() {
            return;
        }
    }
}

/// A hand at a controller; both end with it.
struct Bench {
    controller: Arc<Mutex<Controller>>,
    orders: watch::Sender<Option<Steered>>,
    told: watch::Receiver<Told>,
    tasks: JoinSet<()>,
}

impl Bench {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = gas();
        config.generator.control.address =
            listener.local_addr().unwrap().to_string().parse().unwrap();
        let (orders, orders_watch) = watch::channel(None);
        let (told, told_watch) = watch::channel(Told::default());
        let controller = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(Arc::clone(&controller), listener));
        tasks.spawn(Hand::new(&config, orders_watch, told).run(CancellationToken::new()));
        Self { controller, orders, told: told_watch, tasks }
    }

    fn order(&self, runs: bool, kw: i64) {
        let output = Power::from_milliwatts(kw * 1_000_000);
        let because = Because::NoDemand;
        self.orders.send_replace(Some(Steered { runs, output, because, ..Steered::default() }));
    }

    /// Waits until the controller is as wanted.
    async fn until(&mut self, what: &str, holds: impl Fn(&Controller) -> bool) {
        let polled = async {
            while !holds(&self.controller.lock().unwrap()) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let reached = timeout(PATIENCE, polled).await;
        assert!(reached.is_ok(), "{what}: {:?}", self.controller);
        assert!(self.tasks.try_join_next().is_none(), "a task ended");
    }
}

#[tokio::test]
async fn a_controller_is_told_what_to_give_before_it_is_told_to_run() {
    let mut bench = Bench::new().await;
    bench.order(true, 45);
    let expected = [Written::SetPoint(45), Written::Run(true)];
    bench.until("it is told", |it| it.written == expected).await;
    let told = timeout(PATIENCE, bench.told.wait_for(|it| it.was_asked)).await.unwrap();
    assert_eq!(told.unwrap().runs(clock::now()), Some(true));
    bench.order(false, 0);
    bench.until("it is stopped", |it| it.written.last() == Some(&Written::Run(false))).await;
}

#[tokio::test]
async fn what_a_controller_did_not_take_is_told_again_until_it_does() {
    let mut bench = Bench::new().await;
    bench.controller.lock().unwrap().refuses = true;
    bench.order(true, 45);
    let asked = timeout(PATIENCE, bench.told.wait_for(|it| it.was_asked)).await.unwrap();
    drop(asked.unwrap());
    assert_eq!(bench.controller.lock().unwrap().written, []);
    bench.controller.lock().unwrap().refuses = false;
    let began = Instant::now();
    bench.until("it is told", |it| it.written.ends_with(&[Written::Run(true)])).await;
    assert!(began.elapsed() < TELL_AGAIN, "soon, and not when it would be told again anyway");
}

#[tokio::test]
async fn a_controller_that_may_have_forgotten_is_told_again() {
    let mut bench = Bench::new().await;
    bench.order(true, 45);
    bench.until("it is told", |it| it.written.len() == 2).await;
    bench.until("it is told again", |it| it.written.len() == 4).await;
    let again = bench.controller.lock().unwrap().written.split_off(2);
    assert_eq!(again, [Written::SetPoint(45), Written::Run(true)]);
}

#[test]
fn what_was_said_a_while_ago_is_not_known() {
    let at = Timestamp::from_unix_ms(1_000_000);
    let looked = Some((at, Looked { runs: true, hours: Some(7) }));
    let told = Told { looked, flame: Some((at, true)), was_asked: true };
    let late = at.plus_ms(BELIEVED_MS);
    assert_eq!((told.runs(late), told.burns(late)), (Some(true), Some(true)));
    assert_eq!((told.runs(late.plus_ms(1)), told.burns(late.plus_ms(1))), (None, None));
    assert_eq!(told.hours(), Some(7), "hours do not go back");
}
