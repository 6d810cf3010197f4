//! A Modbus TCP server with hand-laid SunSpec registers, which can also misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use boltgrid_metering::drivers::BusAddress;
use sunspec::{Group, Model, Point, SUNS_IDENTIFIER, Value};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

/// Where SunSpec registers begin.
const BASE: u16 = 40_000;

/// How the server treats a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// As it should.
    Good,
    /// With one register too few.
    TooShort,
    /// With one register too many.
    TooLong,
    /// With the answer to another request.
    BesideThePoint,
    /// Not at all.
    Silent,
}

/// The registers of one unit, from [`BASE`] or another place on.
#[derive(Clone, Debug)]
pub(crate) struct Registers {
    base: u16,
    words: Vec<u16>,
    models: BTreeMap<u16, usize>,
}

impl Registers {
    /// A unit without models.
    pub(crate) fn new() -> Self {
        let words = [&SUNS_IDENTIFIER[..], &[0xFFFF, 0]].concat();
        Self { base: BASE, words, models: BTreeMap::new() }
    }

    /// The same registers elsewhere.
    pub(crate) fn at(self, base: u16) -> Self {
        Self { base, ..self }
    }

    /// Adds a model that nobody knows, of so many registers.
    pub(crate) fn with_unknown(mut self, id: u16, length: u16) -> Self {
        self.words.truncate(self.words.len() - 2);
        self.words.extend([id, length]);
        self.words.extend(vec![0xFFFF; length.into()]);
        self.words.extend([0xFFFF, 0]);
        self
    }

    /// Adds a model of zeros, laid out as `M`, under the number `id`.
    pub(crate) fn with_as<M: Model>(self, id: u16) -> Self {
        self.with_length::<M>(id, M::LEN)
    }

    /// Adds a model of zeros, laid out as `M` and of so many registers, under the number `id`.
    pub(crate) fn with_length<M: Model>(mut self, id: u16, length: u16) -> Self {
        self.words.truncate(self.words.len() - 2);
        self.words.extend([id, length]);
        self.models.insert(M::ID, self.words.len());
        self.words.extend(vec![0; length.into()]);
        self.words.extend([0xFFFF, 0]);
        self
    }

    /// Adds a model of zeros.
    pub(crate) fn with<M: Model>(self) -> Self {
        self.with_as::<M>(M::ID)
    }

    /// Fills up with registers that mean nothing.
    pub(crate) fn lengthen(&mut self, count: usize) {
        self.words.resize(count, 0);
    }

    /// Sets a point.
    pub(crate) fn set<M: Model + Group, T: Value>(&mut self, point: Point<M, T>, value: T) {
        let start = self.models[&M::ID] + usize::from(point.offset);
        let words = value.encode();
        self.words[start..start + words.len()].copy_from_slice(&words);
    }

    /// Sets a point, for laying out.
    pub(crate) fn put<M: Model + Group, T: Value>(mut self, point: Point<M, T>, value: T) -> Self {
        self.set(point, value);
        self
    }

    /// Sets registers of a model where no point of its own is, for laying out.
    pub(crate) fn put_words<M: Model>(mut self, offset: u16, words: &[u16]) -> Self {
        let start = self.models[&M::ID] + usize::from(offset);
        self.words[start..start + words.len()].copy_from_slice(words);
        self
    }

    /// Reads a point.
    pub(crate) fn get<M: Model + Group, T: Value>(&self, point: Point<M, T>) -> T {
        let start = self.models[&M::ID] + usize::from(point.offset);
        T::decode(&self.words[start..start + usize::from(point.length)]).unwrap()
    }

    fn range(&self, address: u16, count: usize) -> Result<std::ops::Range<usize>, ExceptionCode> {
        let start = address.checked_sub(self.base).ok_or(ExceptionCode::IllegalDataAddress)?.into();
        let end = start + count;
        if end <= self.words.len() {
            Ok(start..end)
        } else {
            Err(ExceptionCode::IllegalDataAddress)
        }
    }
}

/// What server and test share.
#[derive(Debug)]
struct Shared {
    units: BTreeMap<u8, Registers>,
    manners: BTreeMap<u8, Manners>,
    connections: usize,
}

type Answer = Result<Response, ExceptionCode>;

#[derive(Clone, Debug)]
struct Device(Arc<Mutex<Shared>>);

impl Service for Device {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn call(&self, SlaveRequest { slave, request }: Self::Request) -> Self::Future {
        let mut shared = self.0.lock().unwrap();
        let manners = shared.manners.get(&slave).copied().unwrap_or(Manners::Good);
        if manners == Manners::Silent {
            return Box::pin(std::future::pending());
        }
        let answer = shared
            .units
            .get_mut(&slave)
            .ok_or(ExceptionCode::GatewayTargetDevice)
            .and_then(|unit| answer(unit, &request, manners));
        Box::pin(std::future::ready(answer))
    }
}

fn answer(unit: &mut Registers, request: &Request<'static>, manners: Manners) -> Answer {
    if let Request::WriteMultipleRegisters(address, words) = request {
        let range = unit.range(*address, words.len())?;
        unit.words[range].copy_from_slice(words);
        let count = u16::try_from(words.len()).unwrap();
        return Ok(Response::WriteMultipleRegisters(*address, count));
    }
    let Request::ReadHoldingRegisters(address, count) = request else {
        return Err(ExceptionCode::IllegalFunction);
    };
    let range = unit.range(*address, (*count).into())?;
    let mut words = unit.words[range].to_vec();
    match manners {
        Manners::TooShort => words.truncate(words.len() - 1),
        Manners::TooLong => words.push(0),
        Manners::BesideThePoint => {
            return Ok(Response::WriteMultipleRegisters(*address, *count));
        }
        Manners::Good | Manners::Silent => {}
    }
    Ok(Response::ReadHoldingRegisters(words))
}

/// A running server. Dropping it closes its connections.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Serves units on a free port.
    pub(crate) async fn start(units: impl IntoIterator<Item = (u8, Registers)>) -> Self {
        let units = units.into_iter().collect();
        let shared = Shared { units, manners: BTreeMap::new(), connections: 0 };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut running =
            Self { address, shared: Arc::new(Mutex::new(shared)), tasks: JoinSet::new() };
        running.serve(listener);
        running
    }

    fn serve(&mut self, listener: TcpListener) {
        let device = Device(Arc::clone(&self.shared));
        self.tasks.spawn(async move {
            let on_connected = |stream, _| {
                let device = device.clone();
                async move {
                    device.0.lock().unwrap().connections += 1;
                    Ok(Some((device, stream)))
                }
            };
            Server::new(listener).serve(&on_connected, |_| ()).await.unwrap();
        });
    }

    /// Stops serving and closes all connections.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Serves again on the same port.
    pub(crate) async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    pub(crate) fn bus_address(&self) -> BusAddress {
        self.address.to_string().parse().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.lock().unwrap().connections
    }

    pub(crate) fn behave(&self, unit: u8, manners: Manners) {
        self.shared.lock().unwrap().manners.insert(unit, manners);
    }

    /// Changes a unit's registers.
    pub(crate) fn change(&self, unit: u8, change: impl FnOnce(&mut Registers)) {
        change(self.shared.lock().unwrap().units.get_mut(&unit).unwrap());
    }

    /// A unit's point.
    pub(crate) fn get<M: Model + Group, T: Value>(&self, unit: u8, point: Point<M, T>) -> T {
        self.shared.lock().unwrap().units[&unit].get(point)
    }
}
