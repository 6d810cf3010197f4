//! What stands between a driver and its device, and spoils what the device says.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::devices::{Wire, crc16_modbus};

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Nothing arrives.
    NoAnswer,
    /// Half of it arrives, then the line breaks.
    HalfAnswer,
    /// It is another unit's.
    WrongUnit,
    /// It is a byte short, though it says that it is not.
    WrongLength,
    /// Its bytes are all others.
    Garbage,
    /// It arrives after the driver has given up.
    Late,
    /// The line breaks before it, and for a while nobody is there.
    Reboot,
    /// The device's own clock goes back and forth.
    ClockJumps,
}

impl Fault {
    pub(crate) const ALL: [Self; 8] = [
        Self::NoAnswer,
        Self::HalfAnswer,
        Self::WrongUnit,
        Self::WrongLength,
        Self::Garbage,
        Self::Late,
        Self::Reboot,
        Self::ClockJumps,
    ];
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    fault: watch::Sender<Fault>,
    _running: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(device: SocketAddr, wire: Wire) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, faults) = watch::channel(Fault::None);
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut links = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if *faults.borrow() == Fault::Reboot {
                    continue;
                }
                let device = TcpStream::connect(device).await.unwrap();
                links.spawn(link(client, device, wire, faults.clone()));
            }
        });
        Self { address, fault, _running: running }
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn link(
    client: TcpStream,
    device: TcpStream,
    wire: Wire,
    mut faults: watch::Receiver<Fault>,
) {
    let (mut asks, mut hears) = client.into_split();
    let (mut says, mut asked) = device.into_split();
    let up = tokio::io::copy(&mut asks, &mut asked);
    let mut watched = faults.clone();
    let reboots = async move {
        // The sender outlives all links.
        watched.wait_for(|fault| *fault == Fault::Reboot).await.map(drop).ok()
    };
    let down = async move {
        let mut buffer = vec![0; 4_096];
        loop {
            let count = says.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
            let answer = buffer.get(..count)?;
            let fault = *faults.borrow_and_update();
            if fault == Fault::Late {
                sleep(wire.late()).await;
            }
            hears.write_all(&spoilt(answer, fault, wire)).await.ok()?;
            if fault == Fault::HalfAnswer {
                // Whoever listens has it before the line breaks.
                sleep(Duration::from_millis(10)).await;
                return Some(());
            }
        }
    };
    tokio::select! {
        _ = up => {}
        _ = down => {}
        _ = reboots => {}
    }
}

fn spoilt(answer: &[u8], fault: Fault, wire: Wire) -> Vec<u8> {
    let mut bytes = answer.to_vec();
    match fault {
        Fault::None | Fault::Late | Fault::ClockJumps | Fault::Reboot => {}
        Fault::NoAnswer => bytes.clear(),
        Fault::HalfAnswer => bytes.truncate(bytes.len() / 2),
        Fault::WrongUnit if wire.is_rtu() => {
            bytes[0] ^= 0x20;
            let body = bytes.len() - 2;
            let crc = crc16_modbus(&bytes[..body]).to_le_bytes();
            bytes[body..].copy_from_slice(&crc);
        }
        Fault::WrongUnit => bytes[6] ^= 0x20,
        Fault::WrongLength => {
            // Of HTTP a byte of the body: without its length a head still makes sense.
            let place = if wire == Wire::Http { bytes.len() - 2 } else { bytes.len() / 2 };
            bytes.remove(place);
        }
        Fault::Garbage => bytes.fill(0xA5),
    }
    bytes
}
