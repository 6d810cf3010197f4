//! Good devices of every language, each of which shows a watt more with every answer.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use boltgrid_metering::drivers::MeterConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How often a device that sends by itself does.
const SENDS_EVERY: Duration = Duration::from_millis(100);
/// The first register of a SunSpec device.
const BASE: u16 = 40_000;
/// The register with the power of its model 203.
const POWER: u16 = BASE + 4 + 16;
/// Where a device of MQTT publishes.
const TOPIC: &str = "tele/meter/SENSOR";

/// A language over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    SunSpec,
    SunSpecRtu,
    MapTcp,
    MapRtu,
    Http,
    Mqtt,
    P1,
    Sml,
}

impl Wire {
    /// Whether the device answers only what it is asked.
    pub(crate) fn is_asked(self) -> bool {
        self.has_units() || self == Self::Http
    }

    /// Whether answers say whose they are.
    pub(crate) fn has_units(self) -> bool {
        matches!(self, Self::SunSpec | Self::MapTcp) || self.is_rtu()
    }

    /// Whether answers are frames of a serial line.
    pub(crate) fn is_rtu(self) -> bool {
        matches!(self, Self::SunSpecRtu | Self::MapRtu)
    }

    /// Longer than the driver waits.
    pub(crate) fn late(self) -> Duration {
        let ms = if self == Self::Http { 3_500 } else { 1_300 };
        Duration::from_millis(ms)
    }

    pub(crate) fn config(self, at: SocketAddr, folder: &Path) -> MeterConfig {
        let map = folder.join("map.toml");
        let text = match self {
            Self::SunSpec => format!("driver = \"sunspec\"\naddress = \"{at}\"\n"),
            Self::SunSpecRtu => {
                format!("driver = \"sunspec\"\naddress = \"rtu-tcp://{at}\"\n")
            }
            Self::MapTcp | Self::MapRtu => {
                let text = format!(
                    "name = \"own\"\nmanufacturer = \"none\"\nmodels = [\"own\"]\n\
                     sources = [\"none\"]\nunit_id = 1\nlargest_read = 60\nlargest_gap = 4\n\
                     serial = {{ baud = 9600, parity = \"none\", stop = 1 }}\n\
                     [[point]]\nquantity = \"power\"\nregister = {POWER}\nfunction = \"holding\"\n\
                     type = \"i16\"\nscale = \"1\"\nunit = \"W\"\n"
                );
                fs::write(&map, text).unwrap();
                let scheme = if self == Self::MapRtu { "rtu-tcp://" } else { "" };
                let map = map.display();
                format!("driver = \"modbus-map\"\naddress = \"{scheme}{at}\"\nmap = \"{map}\"\n")
            }
            Self::Http => {
                let text = "[[request]]\npath = \"/power\"\n[[request.point]]\n\
                            quantity = \"power\"\npath = \"$.power\"\nunit = \"W\"\n";
                fs::write(&map, text).unwrap();
                format!("driver = \"http\"\naddress = \"{at}\"\nmap_file = \"{}\"\n", map.display())
            }
            Self::Mqtt => format!(
                "driver = \"mqtt\"\nbroker = \"{at}\"\nstale_after_ms = 1000\n\
                 [[topic]]\nname = \"{TOPIC}\"\npoint = [{{ quantity = \"power\", \
                 path = \"$.power\", unit = \"W\" }}]\n"
            ),
            Self::P1 => format!("driver = \"p1\"\naddress = \"{at}\"\nstale_after_ms = 1000\n"),
            Self::Sml => format!("driver = \"sml\"\naddress = \"{at}\"\nstale_after_ms = 1000\n"),
        };
        toml::from_str(&text).unwrap()
    }
}

/// A device that is served until it is dropped.
pub(crate) struct Device {
    pub(crate) address: SocketAddr,
    pub(crate) wire: Wire,
    /// The last power that it showed, in W.
    pub(crate) shown: Arc<AtomicI64>,
    pub(crate) clock_jumps: Arc<AtomicBool>,
    _running: JoinSet<()>,
}

impl Device {
    pub(crate) async fn start(wire: Wire) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shown, clock_jumps) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
        let says = Says { shown: Arc::clone(&shown), clock_jumps: Arc::clone(&clock_jumps) };
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut talks = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let says = says.clone();
                // Whoever listens may leave at any time.
                talks.spawn(async move { drop(says.talk(stream, wire).await) });
            }
        });
        Self { address, wire, shown, clock_jumps, _running: running }
    }
}

#[derive(Clone)]
struct Says {
    shown: Arc<AtomicI64>,
    clock_jumps: Arc<AtomicBool>,
}

impl Says {
    fn power_w(&self) -> i64 {
        self.shown.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The seconds of the device's clock.
    fn second(&self, power_w: i64) -> i64 {
        let jump = if self.clock_jumps.load(Ordering::SeqCst) { 37 * (power_w % 3 - 1) } else { 0 };
        (power_w + jump).rem_euclid(60)
    }

    async fn talk(&self, mut stream: TcpStream, wire: Wire) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        match wire {
            Wire::SunSpec | Wire::MapTcp => loop {
                let mut head = [0; 12];
                stream.read_exact(&mut head).await?;
                let words = self.registers(&head[8..]);
                let length = u16::try_from(words.len() + 3).unwrap().to_be_bytes();
                let count = u8::try_from(words.len()).unwrap();
                let answer = [&head[..4], &length, &head[6..8], &[count], &words].concat();
                stream.write_all(&answer).await?;
            },
            Wire::SunSpecRtu | Wire::MapRtu => loop {
                let mut asked = [0; 8];
                stream.read_exact(&mut asked).await?;
                let words = self.registers(&asked[2..6]);
                let count = u8::try_from(words.len()).unwrap();
                let body = [&asked[..2], &[count], &words].concat();
                let crc = crc16_modbus(&body).to_le_bytes();
                stream.write_all(&[&body[..], &crc].concat()).await?;
            },
            Wire::Http => {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let body = self.json();
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await
            }
            Wire::Mqtt => self.broker(stream).await,
            Wire::P1 => loop {
                stream.write_all(&self.telegram()).await?;
                sleep(SENDS_EVERY).await;
            },
            Wire::Sml => loop {
                stream.write_all(&self.sml()).await?;
                sleep(SENDS_EVERY).await;
            },
        }
    }

    /// The registers that are asked for by their first and their number.
    fn registers(&self, asked: &[u8]) -> Vec<u8> {
        let first = u16::from_be_bytes([asked[0], asked[1]]);
        let count = u16::from_be_bytes([asked[2], asked[3]]);
        // A meter of three phases with 230 V, 50 Hz, and zeros but for what must not be zero.
        let mut image = vec![0_u16; 4 + 105 + 2];
        image[..4].copy_from_slice(&[0x5375, 0x6E53, 203, 105]);
        for (place, shows) in [(5, 230), (14, 50), (37, 1_000), (45, 1_000)] {
            image[4 + place] = shows;
        }
        image[4 + 105] = 0xFFFF;
        if (first..first.saturating_add(count)).contains(&POWER) {
            let power_w = i16::try_from(self.power_w()).unwrap();
            image[usize::from(POWER - BASE)] = power_w.cast_unsigned();
        }
        let start = usize::from(first.saturating_sub(BASE));
        let words = image.into_iter().skip(start).chain(std::iter::repeat(0));
        words.take(count.into()).flat_map(u16::to_be_bytes).collect()
    }

    fn json(&self) -> String {
        let power_w = self.power_w();
        format!("{{\"second\": {}, \"power\": {power_w}}}", self.second(power_w))
    }

    fn telegram(&self) -> Vec<u8> {
        let power_w = self.power_w();
        let (kilowatts, second) = (power_w / 1_000, self.second(power_w));
        let body = format!(
            "/X\r\n\r\n0-0:1.0.0(2611220430{second:02}W)\r\n1-0:1.8.0(000001.000*kWh)\r\n\
             1-0:1.7.0({kilowatts:02}.{:03}*kW)\r\n!",
            power_w % 1_000
        );
        let crc = crc16(body.as_bytes(), 0, 0xA001);
        format!("{body}{crc:04X}\r\n").into_bytes()
    }

    fn sml(&self) -> Vec<u8> {
        let power_w = self.power_w();
        let second = u32::try_from(self.second(power_w)).unwrap().to_be_bytes();
        let watts = u16::try_from(power_w).unwrap().to_be_bytes();
        let list = [
            &[0x77, 0x01, 0x02, 0x41, 0x01, 0x72, 0x62, 0x01, 0x65][..],
            &second,
            &[0x71, 0x77, 0x07, 1, 0, 16, 7, 0, 0xFF, 0x01, 0x01, 0x62, 27, 0x52, 0, 0x63],
            &watts,
            &[0x01, 0x01, 0x01],
        ];
        let begin = [0x76, 0x02, 0x31, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x07, 0x01];
        let message = [&begin[..], &list.concat()].concat();
        let crc = (!crc16(&message, 0xFFFF, 0x8408)).to_le_bytes();
        let mut file = [&message[..], &[0x63], &crc, &[0]].concat();
        let fill = (4 - file.len() % 4) % 4;
        file.resize(file.len() + fill, 0);
        let fill = u8::try_from(fill).unwrap();
        let sent = [&[0x1B; 4][..], &[1; 4], &file, &[0x1B; 4], &[0x1A, fill]].concat();
        let crc = (!crc16(&sent, 0xFFFF, 0x8408)).to_le_bytes();
        [&sent[..], &crc].concat()
    }

    /// A broker of one topic: it takes whoever comes and whatever is asked for.
    async fn broker(&self, mut stream: TcpStream) -> std::io::Result<()> {
        loop {
            // A ping may come at any time.
            if let Ok(kind) = timeout(SENDS_EVERY, stream.read_u8()).await {
                let kind = kind?;
                let length = stream.read_u8().await?;
                let mut body = vec![0; length.into()];
                stream.read_exact(&mut body).await?;
                let answer = match kind & 0xF0 {
                    0x10 => vec![0x20, 2, 0, 0],
                    0x80 => vec![0x90, 3, body[0], body[1], 0],
                    0xC0 => vec![0xD0, 0],
                    _ => Vec::new(),
                };
                stream.write_all(&answer).await?;
                continue;
            }
            let payload = self.json();
            let topic = [&[0, u8::try_from(TOPIC.len()).unwrap()], TOPIC.as_bytes()].concat();
            let length = u8::try_from(topic.len() + payload.len()).unwrap();
            let message = [&[0x30, length], &topic[..], payload.as_bytes()].concat();
            stream.write_all(&message).await?;
        }
    }
}

fn crc16(bytes: &[u8], begin: u16, polynomial: u16) -> u16 {
    bytes.iter().fold(begin, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ polynomial } else { crc >> 1 }
        })
    })
}

pub(crate) fn crc16_modbus(bytes: &[u8]) -> u16 {
    crc16(bytes, 0xFFFF, 0xA001)
}
