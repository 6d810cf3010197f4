//! Modbus over TCP, over a serial server and over a serial line, against a device that misbehaves in every
//! way that such devices do. All drivers that ask Modbus devices are above the bus that is tested here.

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
    /// Over a line a checksum that is not right, over TCP the answer to another transaction.
    BadFrame,
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

/// How frames are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapping {
    Rtu,
    Tcp,
}

/// A request, as `(transaction, unit, function, first, count)`.
type Asked = (u16, u8, u8, u16, u16);

impl Wrapping {
    async fn request(self, line: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Asked> {
        let mut header = [0; 6];
        let mut transaction = 0;
        if self == Self::Tcp {
            line.read_exact(&mut header).await?;
            transaction = u16::from_be_bytes([header[0], header[1]]);
            assert_eq!(header[2..], [0, 0, 0, 6]);
        }
        let mut request = [0; 6];
        line.read_exact(&mut request).await?;
        if self == Self::Rtu {
            let mut check = [0; 2];
            line.read_exact(&mut check).await?;
            assert_eq!(checksum(&request), check, "a request is whole");
        }
        let [unit, function, first_high, first_low, count_high, count_low] = request;
        let first = u16::from_be_bytes([first_high, first_low]);
        Ok((transaction, unit, function, first, u16::from_be_bytes([count_high, count_low])))
    }

    /// Unit and answer as they go over the wire.
    fn wrap(self, transaction: u16, bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Rtu => {
                let check = checksum(&bytes);
                [bytes, check.to_vec()].concat()
            }
            Self::Tcp => {
                let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
                [transaction.to_be_bytes().as_slice(), &[0, 0], &length, &bytes].concat()
            }
        }
    }
}

/// Every register shows its own number.
fn answer(unit: u8, function: u8, first: u16, count: u16) -> Vec<u8> {
    let mut bytes = vec![unit, function, u8::try_from(count * 2).unwrap()];
    bytes.extend((first..first + count).flat_map(u16::to_be_bytes));
    bytes
}

/// Serves one connection until it ends, or the device hangs up.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut line: S,
    wrapping: Wrapping,
    manners: &watch::Receiver<Manners>,
) -> std::io::Result<()> {
    loop {
        let (transaction, unit, function, first, count) = wrapping.request(&mut line).await?;
        if unit != UNIT {
            continue;
        }
        let wrap = |bytes| wrapping.wrap(transaction, bytes);
        let good = answer(unit, function, first, count);
        let now = *manners.borrow();
        let sent = match now {
            Manners::Good => wrap(good),
            Manners::Silent => continue,
            Manners::Half => {
                let whole = wrap(good);
                whole[..whole.len() - 3].to_vec()
            }
            Manners::OtherUnit => wrap(answer(unit + 1, function, first, count)),
            Manners::OtherFunction => wrap(answer(unit, function ^ 7, first, count)),
            Manners::TooShort => wrap(answer(unit, function, first, count - 1)),
            Manners::TooLong => wrap(answer(unit, function, first, count + 1)),
            Manners::BadFrame if wrapping == Wrapping::Tcp => {
                wrapping.wrap(transaction.wrapping_sub(1), good)
            }
            Manners::BadFrame => [good, vec![0xDE, 0xAD]].concat(),
            Manners::Garbage => vec![0x55; 40],
            Manners::Refusing => wrap(vec![unit, function | 0x80, 2]),
            Manners::Late => {
                sleep(TIMEOUT * 5 / 4).await;
                wrap(good)
            }
            Manners::HangsUp => {
                line.write_all(&wrap(good)[..4]).await?;
                return Ok(());
            }
        };
        line.write_all(&sent).await?;
    }
}

/// A device in the network, or a serial server with one behind it.
async fn server(wrapping: Wrapping, manners: watch::Receiver<Manners>) -> (Bus, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = if wrapping == Wrapping::Tcp { "tcp" } else { "rtu-tcp" };
    let address = format!("{scheme}://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let manners = manners.clone();
            // Whoever hangs up on us comes back.
            connections.spawn(async move { serve(stream, wrapping, &manners).await.ok() });
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
        serve(device, Wrapping::Rtu, &manners).await.unwrap();
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
        Manners::BadFrame,
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
async fn a_device_in_the_network_is_read_and_no_fault_of_it_is_taken_for_a_value() {
    let (sender, manners) = watch::channel(Manners::Good);
    let (bus, _tasks) = server(Wrapping::Tcp, manners).await;
    survives_everything(bus, sender, true).await;
}

#[tokio::test]
async fn a_serial_server_is_read_and_no_fault_of_a_device_is_taken_for_a_value() {
    let (sender, manners) = watch::channel(Manners::Good);
    let (bus, _tasks) = server(Wrapping::Rtu, manners).await;
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
    let (bus, _tasks) = server(Wrapping::Rtu, manners).await;
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
