//! Modbus RTU over a serial server and over a serial line, against a device that misbehaves in every way
//! that such devices do.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::time::Duration;

use boltgrid_metering::drivers::Bus;
use boltgrid_metering::drivers::bus::Table;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

const UNIT: u8 = 5;
const TIMEOUT: Duration = Duration::from_millis(150);

/// What the device does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manners {
    Good,
    Silent,
    Half,
    OtherUnit,
    OtherFunction,
    TooShort,
    TooLong,
    BadChecksum,
    Garbage,
    Refusing,
    /// The right answer, when nobody waits for it any more.
    Late,
    /// It hangs up in the middle of its answer.
    HangsUp,
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut check = 0xFFFF_u16;
    for byte in bytes {
        check ^= u16::from(*byte);
        for _ in 0..8 {
            check = if check & 1 == 0 { check >> 1 } else { (check >> 1) ^ 0xA001 };
        }
    }
    check.to_le_bytes()
}

/// A frame with its checksum.
fn framed(mut bytes: Vec<u8>) -> Vec<u8> {
    let check = checksum(&bytes);
    bytes.extend(check);
    bytes
}

/// Every register shows its own number.
fn answer(unit: u8, function: u8, first: u16, count: u16) -> Vec<u8> {
    let mut bytes = vec![unit, function, u8::try_from(count * 2).unwrap()];
    bytes.extend((first..first + count).flat_map(u16::to_be_bytes));
    bytes
}

/// Serves one connection until it ends; `true` if the device hung up by itself.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut line: S,
    manners: &watch::Receiver<Manners>,
) -> std::io::Result<()> {
    loop {
        let mut request = [0; 8];
        line.read_exact(&mut request).await?;
        let [unit, function, first_high, first_low, count_high, count_low, check @ ..] = request;
        assert_eq!(checksum(&request[..6]), check, "a request is whole");
        if unit != UNIT {
            continue;
        }
        let first = u16::from_be_bytes([first_high, first_low]);
        let count = u16::from_be_bytes([count_high, count_low]);
        let good = answer(unit, function, first, count);
        let now = *manners.borrow();
        let sent = match now {
            Manners::Good => framed(good),
            Manners::Silent => continue,
            Manners::Half => framed(good)[..5].to_vec(),
            Manners::OtherUnit => framed(answer(unit + 1, function, first, count)),
            Manners::OtherFunction => framed(answer(unit, function ^ 7, first, count)),
            Manners::TooShort => framed(answer(unit, function, first, count - 1)),
            Manners::TooLong => framed(answer(unit, function, first, count + 1)),
            Manners::BadChecksum => [good, vec![0xDE, 0xAD]].concat(),
            Manners::Garbage => vec![0x55; 40],
            Manners::Refusing => framed(vec![unit, function | 0x80, 2]),
            Manners::Late => {
                sleep(TIMEOUT * 5 / 4).await;
                framed(good)
            }
            Manners::HangsUp => {
                line.write_all(&framed(good)[..4]).await?;
                return Ok(());
            }
        };
        line.write_all(&sent).await?;
    }
}

/// A serial server in the network, with the device behind it.
async fn server(manners: watch::Receiver<Manners>) -> (Bus, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("rtu-tcp://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Whoever hangs up on us comes back.
            serve(stream, &manners).await.ok();
        }
    });
    (Bus::new(address.parse().unwrap(), TIMEOUT), tasks)
}

/// A serial line of this machine, with the device at its other end.
#[cfg(unix)]
fn serial_line(manners: watch::Receiver<Manners>) -> (Bus, JoinSet<()>) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&device).unwrap();
    unlockpt(&device).unwrap();
    let path = ptsname(&device, Vec::new()).unwrap().into_string().unwrap();
    let mut attributes = rustix::termios::tcgetattr(&device).unwrap();
    attributes.make_raw();
    rustix::termios::tcsetattr(&device, rustix::termios::OptionalActions::Now, &attributes)
        .unwrap();
    // Held open, so that the device does not see the line end when we close it.
    let held = std::fs::File::open(&path).unwrap();
    let mut tasks = JoinSet::new();
    // Not a pipe, but read and written like one.
    rustix::io::ioctl_fionbio(&device, true).unwrap();
    let (from, to) = (std::fs::File::from(device.try_clone().unwrap()), device.into());
    let device = tokio::io::join(
        pipe::Receiver::from_file_unchecked(from).unwrap(),
        pipe::Sender::from_file_unchecked(to).unwrap(),
    );
    tasks.spawn(async move {
        let _held = held;
        serve(device, &manners).await.unwrap();
    });
    let address = format!("rtu://{path}?baud=115200");
    (Bus::new(address.parse().unwrap(), TIMEOUT), tasks)
}

/// Reads registers that show their own numbers; a value that is not right ends the test.
async fn read(bus: &Bus, first: u16, count: u16) -> Result<(), String> {
    match bus.read(UNIT, Table::Input, first, count).await {
        Ok(words) => {
            let right: Vec<u16> = (first..first + count).collect();
            assert_eq!(words, right, "a false value");
            Ok(())
        }
        Err(error) => Err(format!("{error:?}")),
    }
}

async fn survives_everything(bus: Bus, manners: watch::Sender<Manners>, hangs_up: bool) {
    read(&bus, 100, 4).await.unwrap();
    let mut spoilt = vec![
        Manners::Silent,
        Manners::Half,
        Manners::OtherUnit,
        Manners::OtherFunction,
        Manners::TooShort,
        Manners::TooLong,
        Manners::BadChecksum,
        Manners::Garbage,
        Manners::Refusing,
        Manners::Late,
    ];
    if hangs_up {
        spoilt.push(Manners::HangsUp);
    }
    for bad in spoilt {
        manners.send_replace(bad);
        for _ in 0..2 {
            read(&bus, 100, 4).await.expect_err("no answer, or none that is right");
        }
        manners.send_replace(Manners::Good);
        // From elsewhere, with the same shape: an answer of before would be a false value.
        let back = [read(&bus, 200, 4).await, read(&bus, 300, 4).await];
        assert!(
            back.iter().any(Result::is_ok),
            "not back within two polls after {bad:?}: {back:?}"
        );
        assert_eq!(read(&bus, 400, 4).await, Ok(()), "after {bad:?}");
    }
}

#[tokio::test]
async fn a_serial_server_is_read_and_no_fault_of_a_device_is_taken_for_a_value() {
    let (sender, manners) = watch::channel(Manners::Good);
    let (bus, _tasks) = server(manners).await;
    survives_everything(bus, sender, true).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_serial_line_is_read_and_no_fault_of_a_device_is_taken_for_a_value() {
    let (sender, manners) = watch::channel(Manners::Good);
    let (bus, _tasks) = serial_line(manners);
    // A line does not hang up.
    survives_everything(bus, sender, false).await;
}

#[tokio::test]
async fn a_unit_that_is_not_there_costs_a_timeout_and_not_its_neighbours() {
    let (_sender, manners) = watch::channel(Manners::Good);
    let (bus, _tasks) = server(manners).await;
    bus.read(UNIT + 1, Table::Input, 100, 4).await.expect_err("nobody has this number");
    read(&bus, 100, 4).await.unwrap();
}

#[tokio::test]
async fn a_serial_line_that_is_not_there_is_an_error_that_says_so() {
    let bus = Bus::new("rtu:///dev/no-such-line".parse().unwrap(), TIMEOUT);
    let error = bus.read(UNIT, Table::Holding, 0, 1).await.unwrap_err();
    let sunspec::client::ModbusError::IO(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}
