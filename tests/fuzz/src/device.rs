//! A device that answers whatever the input says, over real Modbus TCP, to the real drivers.
//!
//! Not for: what a driver should make of good answers; `metering/tests` has that.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use boltgrid_metering::drivers::sunspec::{SunSpecBattery, SunSpecMeter, SunSpecPv};
use boltgrid_metering::drivers::{Bus, BusAddress};
use boltgrid_protocol::units::Power;
use tokio::runtime::{Builder, Runtime};

/// How long a driver waits: the device answers at once or not at all.
const PATIENCE: Duration = Duration::from_millis(10);
/// Where SunSpec registers begin.
const BASE: usize = 40_000;
/// Bytes before the function code: transaction, protocol, length, unit.
const HEADER_LEN: usize = 7;
/// Longest request, by the Modbus specification.
const REQUEST_MAX: usize = 260;
/// What the owner says the devices are rated at: 10 kW.
const RATED: Power = Power::from_milliwatts(10_000_000);

/// What the device says.
#[derive(Debug, Default)]
struct Says {
    /// Whether `bytes` are registers, or the bodies of answers whatever the request.
    registers: bool,
    bytes: Vec<u8>,
}

/// The device and whoever reads it.
#[derive(Debug)]
pub(crate) struct Bench {
    says: Arc<Mutex<Says>>,
    address: BusAddress,
    runtime: Runtime,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("it is bound");
        let says = Arc::<Mutex<Says>>::default();
        let device = Arc::clone(&says);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let device = Arc::clone(&device);
                // A connection that the driver gives up ends its thread.
                thread::spawn(move || drop(serve(stream, &device)));
            }
        });
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { says, address: address.to_string().parse().expect("an address"), runtime }
    }

    /// Lets every driver open and read a device that says `bytes`. Values must come or be refused;
    /// says whether any came.
    pub(crate) fn read(&self, registers: bool, bytes: &[u8]) -> bool {
        *self.says.lock().expect("no thread panics") = Says { registers, bytes: bytes.to_vec() };
        let rated = Some(RATED);
        self.runtime.block_on(async {
            let bus = Bus::new(self.address.clone(), PATIENCE);
            let mut any = false;
            if let Ok(meter) = SunSpecMeter::open(&bus, 1, "meter", rated).await {
                any |= meter.read().await.is_ok();
            }
            if let Ok(pv) = SunSpecPv::open(&bus, 1, "pv", None).await {
                any |= pv.read().await.is_ok() | pv.limit(rated).await.is_ok();
            }
            if let Ok(battery) = SunSpecBattery::open(&bus, 1, "battery", None, None).await {
                any |= battery.read().await.is_ok() | battery.set_power(rated).await.is_ok();
            }
            any
        })
    }
}

fn serve(mut stream: TcpStream, says: &Mutex<Says>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header)?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut request = [0; REQUEST_MAX];
        let request = request.get_mut(..length.saturating_sub(1)).ok_or(io::ErrorKind::Other)?;
        stream.read_exact(request)?;
        let body = answer(request, &says.lock().expect("no thread panics"));
        let length = u16::try_from(body.len() + 1).unwrap_or(u16::MAX).to_be_bytes();
        header[4..6].copy_from_slice(&length);
        stream.write_all(&[header.as_slice(), &body].concat())?;
    }
}

/// The answer to a request: function 3 reads registers, 16 writes them.
fn answer(request: &[u8], says: &Says) -> Vec<u8> {
    let [function, a, b, c, d, ..] = *request else { return vec![0x83, 1] };
    if !says.registers {
        return says.bytes.iter().copied().take(REQUEST_MAX).collect();
    }
    let first = usize::from(u16::from_be_bytes([a, b]));
    let count = usize::from(u16::from_be_bytes([c, d]));
    let start = first.wrapping_sub(BASE).wrapping_mul(2);
    match (function, says.bytes.get(start..start.saturating_add(count * 2))) {
        (3, Some(words)) => [&[3, u8::try_from(words.len()).unwrap_or(u8::MAX)], words].concat(),
        (16, Some(_)) => vec![16, a, b, c, d],
        _ => vec![function | 0x80, 2],
    }
}
