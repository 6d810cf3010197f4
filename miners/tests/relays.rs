//! Plugs and relays over real sockets: switched, read, and every way in which they fail.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use boltgrid_miners::drivers::{DeviceError, Machine, MachineConfig, Stated};
use boltgrid_miners::machine::SetPoint;
use boltgrid_protocol::units::{Power, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_modbus::server::{Service, tcp::Server};
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

const NOW: Timestamp = Timestamp::from_unix_ms(1);
const ON: SetPoint = SetPoint::Run { power_mw: Power::from_milliwatts(2_000_000) };

/// A device that gives the same answer to whatever it is asked, and keeps what that was.
struct Plug {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Plug {
    async fn start(answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, mut serving) = (Arc::clone(&asked), JoinSet::new());
        serving.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 4_096];
                let count = stream.read(&mut buffer).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                kept.lock().unwrap().push(text);
                if answer.is_empty() {
                    // It says nothing, and does not hang up either.
                    std::future::pending::<()>().await;
                }
                drop(stream.write_all(answer).await);
            }
        });
        Self { address, asked, _serving: serving }
    }

    fn asked(&self) -> Vec<String> {
        let lines = self.asked.lock().unwrap();
        lines.iter().map(|text| text.lines().next().unwrap_or_default().to_owned()).collect()
    }

    async fn open(&self, more: &str) -> Machine {
        let text = format!("driver = \"relay-http\"\naddress = \"{}\"\n{more}", self.address);
        open(&text).await
    }
}

async fn open(text: &str) -> Machine {
    let config: MachineConfig = toml::from_str(text).unwrap();
    let stated = Stated { rated_w: Some(2_000), ..Stated::default() };
    Machine::open(&config, stated, "plug").await.unwrap()
}

const SHELLY: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-length: 33\r\n\r\n{\"output\": true,\"apower\": 1987.5}";

#[tokio::test]
async fn a_shelly_is_switched_and_says_what_flows() {
    let plug = Plug::start(SHELLY).await;
    let mut machine = plug.open("plug = \"shelly\"\nchannel = 1").await;
    machine.command(ON).await.unwrap();
    machine.command(SetPoint::Off).await.unwrap();
    let seen = machine.observe(NOW).await.unwrap();
    assert_eq!(seen.power, Some(Power::from_milliwatts(1_987_500)));
    assert!(seen.power_is_metered, "a plug is a meter");
    let expected = [
        "GET /rpc/Switch.Set?id=1&on=true HTTP/1.1",
        "GET /rpc/Switch.Set?id=1&on=false HTTP/1.1",
        "GET /rpc/Switch.GetStatus?id=1 HTTP/1.1",
    ];
    assert_eq!(plug.asked(), expected);
}

#[tokio::test]
async fn a_relay_that_does_not_say_what_flows_shows_nothing() {
    let plug = Plug::start(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let machine = plug.open("on_path = \"/on\"\noff_path = \"/off\"").await;
    let mut machine = machine;
    machine.command(ON).await.unwrap();
    assert_eq!(machine.observe(NOW).await.unwrap().power, None);
    assert_eq!(plug.asked(), ["GET /on HTTP/1.1"]);
}

#[tokio::test]
async fn what_makes_no_sense_is_an_error_that_names_the_plug() {
    let cases: [(&[u8], &str); 6] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"apower\": -4.0}", "no power"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"output\":true}", "nothing"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{\"ap", "no JSON"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"apower\"", "failed"),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", "503"),
        (b"\x01\x02\x03\x04", "failed"),
    ];
    for (answer, why) in cases {
        let plug = Plug::start(answer).await;
        let error = plug.open("plug = \"shelly\"").await.observe(NOW).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("plug: ") && text.contains(why), "{text}");
        assert!(!error.is_misconfiguration(), "{text}");
    }
    let plug = Plug::start(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n").await;
    let error = plug.open("plug = \"shelly\"").await.command(ON).await.unwrap_err();
    assert!(
        error.is_misconfiguration() && error.to_string().contains("credentials_file"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let endless = vec![b'x'; 200_000];
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n".to_vec();
    let plug = Plug::start(Vec::leak([head, endless].concat())).await;
    let error = plug.open("plug = \"shelly\"").await.observe(NOW).await.unwrap_err();
    assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
}

#[tokio::test]
async fn a_silent_plug_costs_bounded_time() {
    let plug = Plug::start(b"").await;
    let mut machine = plug.open("plug = \"tasmota\"").await;
    let begun = Instant::now();
    let error = machine.command(ON).await.unwrap_err();
    assert!(matches!(error, DeviceError::TimedOut { .. }), "{error}");
    assert!(begun.elapsed() >= Duration::from_secs(3), "it was given its time");
}

/// A Modbus device with eight coils.
#[derive(Clone, Default)]
struct Coils(Arc<Mutex<[bool; 8]>>);

impl Service for Coils {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    #[expect(clippy::wildcard_enum_match_arm, reason = "it knows no other requests")]
    fn call(&self, SlaveRequest { request, .. }: Self::Request) -> Self::Future {
        let mut coils = self.0.lock().unwrap();
        ready(match request {
            Request::WriteSingleCoil(at, on) if at < 8 => {
                coils[usize::from(at)] = on;
                Ok(Response::WriteSingleCoil(at, on))
            }
            Request::ReadCoils(at, 1) if at < 8 => {
                Ok(Response::ReadCoils(vec![coils[usize::from(at)]]))
            }
            _ => Err(ExceptionCode::IllegalDataAddress),
        })
    }
}

#[tokio::test]
async fn a_coil_is_switched_either_way_round() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let coils = Coils::default();
    let (device, mut serving) = (coils.clone(), JoinSet::new());
    serving.spawn(async move {
        let server = Server::new(listener);
        let on_connected =
            |stream, _| ready(Ok::<_, std::io::Error>(Some((device.clone(), stream))));
        server.serve(&on_connected, |_| {}).await.unwrap();
    });
    let config = |coil: u16, inverted: bool| {
        format!(
            "driver = \"relay-modbus\"\naddress = \"{address}\"\ncoil = {coil}\ninverted = {inverted}"
        )
    };
    let mut machine = open(&config(3, false)).await;
    machine.command(ON).await.unwrap();
    assert!(coils.0.lock().unwrap()[3]);
    assert_eq!(machine.observe(NOW).await.unwrap().power, None, "a coil is no meter");
    machine.command(SetPoint::Off).await.unwrap();
    assert!(!coils.0.lock().unwrap()[3]);
    let mut inverted = open(&config(4, true)).await;
    inverted.command(SetPoint::Off).await.unwrap();
    assert!(coils.0.lock().unwrap()[4]);
    let error = open(&config(9, false)).await.command(ON).await.unwrap_err();
    assert!(matches!(error, DeviceError::Refused { .. }), "{error}");
    serving.shutdown().await;
    let error = machine.command(ON).await.unwrap_err();
    assert!(matches!(error, DeviceError::Io { .. }), "{error}");
}
