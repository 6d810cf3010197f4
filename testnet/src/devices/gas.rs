//! A well's devices over Modbus TCP on the loopback interface: the controller of its generator, its gas
//! meters (pulses of a tenth of a litre), the generator's meter, and the flare.
//!
//! | unit | what | where |
//! |---|---|---|
//! | [`CONTROLLER_UNIT`] | generator | coil 0 runs it, holding register 0 is its set point in 100 W, discrete input 0 says whether it runs, holding registers 10 and 11 are its hours |
//! | [`WELL_UNIT`], [`FLARE_METER_UNIT`] | gas meters | pulses in holding registers 0 and 1 |
//! | [`GENERATOR_METER_UNIT`] | the generator's meter | as an Eastron SDM630, what it gives negative |
//! | [`FLARE_UNIT`] | flare | discrete input 0 is on while its flame burns |
//!
//! Not for: physics, which are the plant's.

#[cfg(test)]
mod tests;

use std::future::{Ready, ready};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use boltgrid_protocol::units::{Energy, Power};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{Clock, SharedPlant, sdm630};
use crate::plant::{Command, SiteRegisters, SiteTruth, WellCommand, WellTruth};

/// The unit id of the generator's controller.
pub const CONTROLLER_UNIT: u8 = 1;
/// The unit id of the meter of all gas.
pub const WELL_UNIT: u8 = 2;
/// The unit id of the meter of the gas that flows to the flare.
pub const FLARE_METER_UNIT: u8 = 3;
/// The unit id of the flare.
pub const FLARE_UNIT: u8 = 4;
/// The unit id of the generator's meter.
pub const GENERATOR_METER_UNIT: u8 = 5;
/// What a count of the set point's register is, in mW.
const SET_POINT_MW: i64 = 100_000;
/// What a pulse of a gas meter stands for, in ml.
const PULSE_ML: u64 = 100;
/// Where the hours are.
const HOURS_REGISTER: u16 = 10;
/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

/// The devices of one well. Dropping it stops them at once.
#[derive(Debug)]
pub struct WellDevices {
    /// Where they listen.
    pub address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// Answers for one site's well.
struct WellServer {
    plant: SharedPlant,
    clock: Clock,
    site: usize,
}

impl WellDevices {
    /// Listens on a free port of the loopback interface, for the well of a site.
    ///
    /// # Errors
    ///
    /// What the system says where there is no port.
    pub async fn start(plant: &SharedPlant, clock: &Clock, site: usize) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let server =
            Arc::new(WellServer { plant: Arc::clone(plant), clock: Arc::clone(clock), site });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let on_connected = |stream: TcpStream, _| {
                let server = Connection(Arc::clone(&server));
                async move { Ok(Some((server, stream))) }
            };
            let on_error = |error: io::Error| debug!(%error, "connection to a well failed");
            let listener = Server::new(listener);
            let served = stopped.run_until_cancelled(listener.serve(&on_connected, on_error));
            if let Some(Err(error)) = served.await {
                warn!(%error, "cannot accept connections to a well");
            }
        });
        Ok(Self { address, stop, tasks })
    }

    /// Stops listening.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a well's listener failed");
            }
        }
    }
}

#[derive(Clone)]
struct Connection(Arc<WellServer>);

impl Service for Connection {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        ready(self.0.answer(request))
    }
}

impl WellServer {
    fn answer(&self, request: SlaveRequest<'_>) -> Result<Response, ExceptionCode> {
        let SlaveRequest { slave: unit, request } = request;
        match (unit, request) {
            (CONTROLLER_UNIT, Request::WriteSingleCoil(0, run)) => {
                self.tell(WellCommand::Run(run))?;
                Ok(Response::WriteSingleCoil(0, run))
            }
            (CONTROLLER_UNIT, Request::WriteSingleRegister(0, count)) => {
                let mw = i64::from(count) * SET_POINT_MW;
                self.tell(WellCommand::SetPoint(Power::from_milliwatts(mw)))?;
                Ok(Response::WriteSingleRegister(0, count))
            }
            (CONTROLLER_UNIT, Request::ReadDiscreteInputs(0, 1)) => {
                Ok(Response::ReadDiscreteInputs(vec![self.well()?.runs]))
            }
            (CONTROLLER_UNIT, Request::ReadHoldingRegisters(HOURS_REGISTER, 2)) => {
                let hours = words(self.well()?.ran_ms / HOUR_MS);
                Ok(Response::ReadHoldingRegisters(hours.to_vec()))
            }
            (FLARE_UNIT, Request::ReadDiscreteInputs(0, 1)) => {
                Ok(Response::ReadDiscreteInputs(vec![self.well()?.flame]))
            }
            (WELL_UNIT, Request::ReadHoldingRegisters(0, 2)) => {
                let pulses = words(self.well()?.gas_ml / PULSE_ML);
                Ok(Response::ReadHoldingRegisters(pulses.to_vec()))
            }
            (FLARE_METER_UNIT, Request::ReadHoldingRegisters(0, 2)) => {
                let pulses = words(self.well()?.to_flare_ml / PULSE_ML);
                Ok(Response::ReadHoldingRegisters(pulses.to_vec()))
            }
            (GENERATOR_METER_UNIT, Request::ReadInputRegisters(first, count)) => {
                let words = sdm630::read(&self.of_generator()?, first, count);
                words.map(Response::ReadInputRegisters).ok_or(ExceptionCode::IllegalDataAddress)
            }
            (CONTROLLER_UNIT..=GENERATOR_METER_UNIT, _) => Err(ExceptionCode::IllegalFunction),
            _ => Err(ExceptionCode::GatewayTargetDevice),
        }
    }

    /// What the generator's meter sees: the site's voltage and frequency, and what the generator gives.
    fn of_generator(&self) -> Result<SiteTruth, ExceptionCode> {
        let well = self.well()?;
        let plant = self.plant.lock().expect("a panic in the plant ends the testnet");
        let site = plant.site_truth(self.site);
        let registers = SiteRegisters { imported: Energy::ZERO, exported: well.given };
        Ok(SiteTruth { metered: site.generator, registers, ..site })
    }

    fn well(&self) -> Result<WellTruth, ExceptionCode> {
        let mut plant = self.plant.lock().expect("a panic in the plant ends the testnet");
        plant.step_to((self.clock)());
        plant.well_truth(self.site).ok_or(ExceptionCode::ServerDeviceFailure)
    }

    fn tell(&self, command: WellCommand) -> Result<(), ExceptionCode> {
        let mut plant = self.plant.lock().expect("a panic in the plant ends the testnet");
        let told = plant.command((self.clock)(), self.site, Command::Well(command));
        told.map_err(|_| ExceptionCode::ServerDeviceFailure)
    }
}

/// A count in two registers, the more significant first; it begins again where it ends.
fn words(count: u64) -> [u16; 2] {
    let word = |shift: u32| u16::try_from((count >> shift) & 0xFFFF).unwrap_or(0);
    [word(16), word(0)]
}
