//! Three SunSpec devices on one Modbus TCP port, as few bytes as will do: a meter (unit 1), a PV
//! inverter (2) and a battery (3).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(super) const METER: u8 = 1;
pub(super) const PV: u8 = 2;
pub(super) const BATTERY: u8 = 3;
/// Where SunSpec registers begin.
const BASE: u16 = 40_000;
const READ: u8 = 3;
const WRITE: u8 = 16;

/// A point: unit, model, offset.
pub(super) type Point = (u8, u16, u16);
pub(super) const GRID_W: Point = (METER, 203, 16);
pub(super) const GRID_IMPORT_LOW: Point = (METER, 203, 45);
pub(super) const PV_LIMIT: Point = (PV, 123, 3);
pub(super) const PV_LIMITED: Point = (PV, 123, 7);
pub(super) const BATTERY_MODE: Point = (BATTERY, 124, 3);
pub(super) const BATTERY_IN: Point = (BATTERY, 124, 11);

#[derive(Debug, Default)]
struct Units {
    words: BTreeMap<u8, Vec<u16>>,
    models: BTreeMap<(u8, u16), usize>,
    mute: bool,
}

impl Units {
    fn add(&mut self, unit: u8, model: u16, length: u16, points: &[(u16, i16)]) {
        let words = self.words.entry(unit).or_insert_with(|| vec![0x5375, 0x6E53, 0xFFFF, 0]);
        words.truncate(words.len() - 2);
        words.extend([model, length]);
        let start = words.len();
        words.extend(vec![0; length.into()]);
        for (offset, value) in points {
            words[start + usize::from(*offset)] = value.cast_unsigned();
        }
        words.extend([0xFFFF, 0]);
        self.models.insert((unit, model), start);
    }

    fn word(&mut self, (unit, model, offset): Point) -> &mut u16 {
        let start = self.models[&(unit, model)];
        &mut self.words.get_mut(&unit).unwrap()[start + usize::from(offset)]
    }

    /// The answer's bytes after the unit id, for the request's bytes after the unit id.
    fn answer(&mut self, unit: u8, request: &[u8]) -> Option<Vec<u8>> {
        let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        let (function, count) = (request[0], usize::from(word(3)));
        let start = usize::from(word(1).checked_sub(BASE)?);
        let words = self.words.get_mut(&unit)?.get_mut(start..start + count)?;
        if function == WRITE {
            for (word, bytes) in words.iter_mut().zip(request[6..].chunks(2)) {
                *word = u16::from_be_bytes([bytes[0], bytes[1]]);
            }
            return Some(request[..5].to_vec());
        }
        assert_eq!(function, READ);
        let bytes = words.iter().flat_map(|word| word.to_be_bytes());
        Some([READ, u8::try_from(count * 2).unwrap()].into_iter().chain(bytes).collect())
    }
}

/// The devices, for as long as this lives.
#[derive(Debug)]
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    units: Arc<Mutex<Units>>,
    _serving: JoinSet<()>,
}

impl Fake {
    /// −1 kW at the meter (5 Wh taken so far), 4 kW of PV (10 kW on its nameplate), 500 W into a
    /// battery of 5 kW that is half full.
    pub(super) async fn start() -> Self {
        let mut units = Units::default();
        let (wh_imp, wh_sf) = ((45, 5_000), (52, -3));
        units.add(METER, 203, 105, &[(5, 230), (14, 50), (16, -1_000), wh_imp, wh_sf]);
        units.add(PV, 103, 50, &[(12, 4_000)]);
        units.add(PV, 120, 26, &[(1, 10_000)]);
        units.add(PV, 123, 24, &[(21, -2)]);
        units.add(BATTERY, 103, 50, &[(12, -500)]);
        units.add(BATTERY, 124, 24, &[(0, 5_000), (6, 50), (23, -2)]);
        let units = Arc::new(Mutex::new(units));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        let shared = Arc::clone(&units);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, units, _serving: serving }
    }

    pub(super) fn set(&self, point: Point, value: i16) {
        *self.units.lock().unwrap().word(point) = value.cast_unsigned();
    }

    pub(super) fn get(&self, point: Point) -> i16 {
        self.units.lock().unwrap().word(point).cast_signed()
    }

    /// Lets all devices close their connections at the next request, or behave again.
    pub(super) fn mute(&self, mute: bool) {
        self.units.lock().unwrap().mute = mute;
    }
}

async fn serve(mut stream: TcpStream, units: Arc<Mutex<Units>>) {
    let mut header = [0; 7];
    while stream.read_exact(&mut header).await.is_ok() {
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut request = vec![0; length - 1];
        stream.read_exact(&mut request).await.unwrap();
        let answer = {
            let mut units = units.lock().unwrap();
            if units.mute {
                return;
            }
            let refused = vec![request[0] | 0x80, 2];
            units.answer(header[6], &request).unwrap_or(refused)
        };
        let length = u16::try_from(answer.len() + 1).unwrap().to_be_bytes();
        header[4..6].copy_from_slice(&length);
        if stream.write_all(&[&header[..], &answer].concat()).await.is_err() {
            return;
        }
    }
}
