//! The proxy between pools and machines that really hash, at a difficulty of 2⁻¹⁴, and between hostile
//! ones; over real sockets.

use std::sync::Mutex;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::dispatcher::MachineStatus;

const WORKER: &str = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq.cellar+d=7";
/// A share stands for 2¹⁸ hashes.
const DIFFICULTY: &str = "0.00006103515625";
const SHARE_BITS: u32 = 18;
const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy before a pool.
struct Proxy {
    address: SocketAddr,
    workers: watch::Receiver<Arc<[WorkerStatus]>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Proxy {
    async fn before(pool: SocketAddr) -> Self {
        let config =
            StratumConfig { listen: "127.0.0.1:0".parse().unwrap(), pool: pool.to_string() };
        // It is to hash at 184 TH/s, and says that it does.
        let machine = MachineStatus {
            name: "cellar".to_owned(),
            power_mw: Some(3_400_000),
            hash_rate_gh_per_s: Some(184_000),
            ..MachineStatus::default()
        };
        let status = DispatchStatus { machines: vec![machine], ..DispatchStatus::default() };
        let dispatch = watch::channel(Arc::new(status)).1;
        let machines = BTreeMap::from([(WORKER.to_owned(), "cellar".to_owned())]);
        let (prove, workers) = watch::channel(Arc::default());
        let stratum = Stratum::open(&config, machines, dispatch, prove).await.unwrap();
        let (address, stop, mut tasks) =
            (stratum.address(), CancellationToken::new(), JoinSet::new());
        tasks.spawn(stratum.run(stop.clone()));
        Self { address, workers, stop, tasks }
    }

    async fn worker(&mut self, is_so: impl Fn(&WorkerStatus) -> bool) -> WorkerStatus {
        let found = async {
            loop {
                let found = self.workers.borrow_and_update().iter().find(|it| is_so(it)).cloned();
                if let Some(found) = found {
                    return found;
                }
                self.workers.changed().await.unwrap();
            }
        };
        timeout(PATIENCE, found).await.expect("the worker is shown so in time")
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// Lines to and from somebody.
struct Talk {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
}

impl Talk {
    fn on(stream: TcpStream) -> Self {
        let (from, to) = stream.into_split();
        Self { from: BufReader::new(from), to }
    }

    async fn say(&mut self, line: &str) {
        self.to.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next line; none where the other side has hung up.
    async fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.from.read_line(&mut line)).await.expect("in time");
        read.ok().filter(|count| *count > 0).map(|_| line.trim_end().to_owned())
    }
}

/// What a header of `job` with this nonce hashes to, as double SHA-256.
fn is_share(job: &str, nonce: u64) -> bool {
    let once = Sha256::digest(format!("{job}{nonce:016x}").as_bytes());
    let twice = Sha256::digest(once);
    let (first, _) = twice.split_first_chunk::<4>().unwrap();
    u32::from_be_bytes(*first).leading_zeros() >= SHARE_BITS
}

/// A pool that looks at shares, and keeps all that it heard.
async fn pool(listener: TcpListener, heard: Arc<Mutex<Vec<String>>>) {
    let mut talk = Talk::on(listener.accept().await.unwrap().0);
    while let Some(line) = talk.hear().await {
        heard.lock().unwrap().push(line.clone());
        let asked: Value = serde_json::from_str(&line).unwrap();
        let id = &asked["id"];
        let yes = json!({"id": id, "result": true, "error": null}).to_string();
        match asked["method"].as_str().unwrap() {
            "mining.subscribe" => {
                let answer = json!({"id": id, "result": [[], "08000002", 8], "error": null});
                talk.say(&answer.to_string()).await;
            }
            "mining.authorize" => {
                talk.say(&yes).await;
                talk.say(&format!(
                    "{{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[{DIFFICULTY}]}}"
                ))
                .await;
                talk.say(
                    r#"{"id":null,"method":"mining.notify","params":["j1","","","",[],"","","",true]}"#,
                )
                .await;
            }
            "mining.submit" => {
                let params = &asked["params"];
                let nonce = u64::from_str_radix(params[4].as_str().unwrap(), 16).unwrap();
                let good = params[0] == WORKER && is_share(params[1].as_str().unwrap(), nonce);
                let no = json!({"id": id, "result": null, "error": [23, "low difficulty", null]});
                talk.say(&if good { yes } else { no.to_string() }).await;
            }
            _ => talk.say(&yes).await,
        }
    }
}

/// A machine that finds so many shares, and sends one that is none; returns all lines that it sent.
async fn machine(proxy: SocketAddr, shares: usize) -> (Vec<String>, Vec<String>) {
    let mut talk = Talk::on(TcpStream::connect(proxy).await.unwrap());
    let (mut sent, mut answers) = (Vec::new(), Vec::new());
    let first = [
        r#"{"id": 1,  "method":"mining.subscribe","params":["cgminer/4.11.1"] }"#.to_owned(),
        format!(r#"{{"params":["{WORKER}","x,pw=\u00e9"],"id":2,"method":"mining.authorize"}}"#),
    ];
    for line in first {
        talk.say(&line).await;
        sent.push(line);
    }
    while !talk.hear().await.unwrap().contains("mining.notify") {}
    let found = (0_u64..).filter(|nonce| is_share("j1", *nonce)).take(shares);
    let none = (0_u64..).find(|nonce| !is_share("j1", *nonce)).unwrap();
    let nonces: Vec<u64> = found.chain([none]).collect();
    for (id, nonce) in (10..).zip(nonces) {
        let line = format!(
            r#"{{"id":{id},"method":"mining.submit","params":["{WORKER}","j1","00","00","{nonce:x}"]}}"#
        );
        talk.say(&line).await;
        sent.push(line);
        answers.push(talk.hear().await.unwrap());
    }
    (sent, answers)
}

#[tokio::test]
async fn work_that_was_really_done_is_counted_and_nothing_of_it_changed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let mut tasks = JoinSet::new();
    tasks.spawn(pool(listener, Arc::clone(&heard)));
    let mut proxy = Proxy::before(address).await;
    let (sent, answers) = machine(proxy.address, 16).await;
    assert!(answers.iter().all(|answer| !answer.contains("1900000000")), "{answers:?}");
    let worker = proxy.worker(|it| it.accepted == 16 && it.refused == 1).await;
    assert_eq!((worker.worker.as_str(), worker.machine.as_deref()), (WORKER, Some("cellar")));
    // 16 shares of 2¹⁸ hashes are 4.19 million.
    assert_eq!((worker.work_megahashes, worker.uncounted), (4, 0));
    let heard = heard.lock().unwrap().clone();
    let (ours, theirs): (Vec<_>, Vec<_>) =
        heard.into_iter().partition(|line| line.contains("mining.suggest_difficulty"));
    assert_eq!(theirs, sent, "byte for byte, the worker's name and payout with it");
    for line in ours {
        assert!(line.ends_with("\"params\":[262144]}"), "what fits 184 TH/s: {line}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_difficulty_that_fits_is_asked_for_and_its_answer_is_kept_from_the_machine() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = Proxy::before(address).await;
    let mut machine = Talk::on(TcpStream::connect(proxy.address).await.unwrap());
    let mut pool = Talk::on(listener.accept().await.unwrap().0);
    let authorize = format!(r#"{{"id":2,"method":"mining.authorize","params":["{WORKER}","x"]}}"#);
    machine.say(&authorize).await;
    assert_eq!(pool.hear().await.unwrap(), authorize);
    pool.say(r#"{"id":2,"result":true,"error":null}"#).await;
    assert!(machine.hear().await.unwrap().contains("true"));
    let asked: Value = serde_json::from_str(&pool.hear().await.unwrap()).unwrap();
    assert_eq!(asked["method"], "mining.suggest_difficulty");
    assert_eq!(asked["params"], json!([262_144]));
    pool.say(&json!({"id": asked["id"], "result": true, "error": null}).to_string()).await;
    let told = r#"{"id":null,"method":"mining.set_difficulty","params":[262144]}"#;
    pool.say(told).await;
    assert_eq!(machine.hear().await.unwrap(), told, "the answer to us is not the machine's");
    proxy.stop().await;
}

#[tokio::test]
async fn hostile_sides_are_hung_up_on_and_others_go_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::before(listener.local_addr().unwrap()).await;
    let pair = async || {
        let machine = Talk::on(TcpStream::connect(proxy.address).await.unwrap());
        (machine, Talk::on(listener.accept().await.unwrap().0))
    };
    let (mut good_machine, mut good_pool) = pair().await;
    let away = r#"{"id":null,"method":"client.reconnect","params":["evil.example",3333,0]}"#;
    for from_pool in [away, "no json", &"[".repeat(20_000), &"9".repeat(2_000_000)] {
        let (mut machine, mut pool) = pair().await;
        // It may be hung up on before all of it is said.
        drop(pool.to.write_all(format!("{from_pool}\n").as_bytes()).await);
        assert_eq!(machine.hear().await, None, "the machine hears nothing of it");
        let (mut machine, mut pool) = pair().await;
        if from_pool != away {
            drop(machine.to.write_all(format!("{from_pool}\n").as_bytes()).await);
            assert_eq!(pool.hear().await, None, "the pool hears nothing of it");
        }
    }
    let line = r#"{"id":1,"method":"mining.subscribe","params":[]}"#;
    good_machine.say(line).await;
    assert_eq!(good_pool.hear().await.as_deref(), Some(line));
    drop(good_pool);
    assert_eq!(good_machine.hear().await, None, "whose pool goes is told");
    proxy.stop().await;
}

#[tokio::test]
async fn a_pool_that_is_not_there_ends_the_call_and_an_address_that_is_taken_the_start() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::before(gone).await;
    let mut machine = Talk::on(TcpStream::connect(proxy.address).await.unwrap());
    assert_eq!(machine.hear().await, None);
    proxy.stop().await;
    let busy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = StratumConfig { listen: busy.local_addr().unwrap(), pool: "p:1".to_owned() };
    let dispatch = watch::channel(Arc::default()).1;
    let workers = watch::channel(Arc::default()).0;
    let refused = Stratum::open(&config, BTreeMap::new(), dispatch, workers).await.unwrap_err();
    assert!(refused.to_string().contains("mining.stratum.listen"), "{refused}");
}

#[test]
fn a_pool_is_written_as_host_and_port() {
    let problem = |pool: &str| {
        let config =
            StratumConfig { listen: "127.0.0.1:1".parse().unwrap(), pool: pool.to_owned() };
        config.problem()
    };
    assert_eq!(problem("pool.example:3333"), None);
    assert_eq!(problem("[2001:db8::1]:3333"), None);
    for odd in ["pool.example", "stratum+tcp://pool.example:3333", ":3333", "pool:0", "pool:x"] {
        assert!(problem(odd).is_some_and(|it| it.contains("host:port")), "{odd}");
    }
}
