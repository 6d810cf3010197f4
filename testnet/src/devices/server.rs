//! Answers Modbus requests for the units of one site out of the shared plant.

use std::{
    future::{Ready, ready},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::OwnedSemaphorePermit;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest, server::Service};

use super::battery::{self, BatteryControls};
use super::controls::{Controls, written};
use super::image::Image;
use super::inverter::{self, PvControls};
use super::{
    BATTERY_UNIT, Clock, INVERTER_UNIT, MAPPED_UNIT, METER_UNIT, SharedPlant, meter, sdm630,
};
use crate::plant::{Command, Nameplate, SiteTruth};

/// Most registers of one read, by the Modbus specification.
const READ_MAX: u16 = 125;
/// Most registers of one write, by the Modbus specification.
const WRITE_MAX: usize = 123;

/// The equipment of one site.
pub(super) struct SiteServer {
    pub(super) plant: SharedPlant,
    pub(super) clock: Clock,
    /// What is measured.
    pub(super) of: Measured,
    pub(super) nameplate: Nameplate,
    /// Locked before the plant where both are.
    pub(super) controls: Mutex<SiteControls>,
}

/// What a grid meter is connected to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Measured {
    /// A site.
    Site(usize),
    /// A cable at the busbar: there is nothing but the meter.
    Cable(usize),
}

/// What the equipment has been told.
#[derive(Clone, Copy, Debug)]
pub(super) struct SiteControls {
    pv: PvControls,
    battery: BatteryControls,
}

impl SiteControls {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self { pv: PvControls::new(), battery: BatteryControls::new() }
    }
}

impl SiteServer {
    /// Answers one request.
    pub(super) fn answer(&self, request: SlaveRequest<'_>) -> Result<Response, ExceptionCode> {
        let SlaveRequest { slave: unit, request } = request;
        match request {
            Request::ReadHoldingRegisters(address, count) => {
                self.read(unit, address, count).map(Response::ReadHoldingRegisters)
            }
            Request::ReadInputRegisters(address, count) => {
                self.read(unit, address, count).map(Response::ReadInputRegisters)
            }
            Request::WriteSingleRegister(address, word) => self
                .write(unit, address, &[word])
                .map(|()| Response::WriteSingleRegister(address, word)),
            Request::WriteMultipleRegisters(address, words) => {
                let count =
                    u16::try_from(words.len()).map_err(|_| ExceptionCode::IllegalDataValue)?;
                self.write(unit, address, &words)?;
                Ok(Response::WriteMultipleRegisters(address, count))
            }
            Request::ReadCoils(..)
            | Request::ReadDiscreteInputs(..)
            | Request::WriteSingleCoil(..)
            | Request::WriteMultipleCoils(..)
            | Request::ReportServerId
            | Request::MaskWriteRegister(..)
            | Request::ReadWriteMultipleRegisters(..)
            | Request::ReadDeviceIdentification(..)
            | Request::Custom(..) => Err(ExceptionCode::IllegalFunction),
        }
    }

    fn read(&self, unit: u8, address: u16, count: u16) -> Result<Vec<u16>, ExceptionCode> {
        if !(1..=READ_MAX).contains(&count) {
            return Err(ExceptionCode::IllegalDataValue);
        }
        if unit == MAPPED_UNIT {
            let words = sdm630::read(&self.truth(), address, count);
            return words.ok_or(ExceptionCode::IllegalDataAddress);
        }
        let image = self.image(unit, *self.controls())?;
        let words = image.read(address, count).ok_or(ExceptionCode::IllegalDataAddress)?;
        Ok(words.to_vec())
    }

    fn write(&self, unit: u8, address: u16, words: &[u16]) -> Result<(), ExceptionCode> {
        if !(1..=WRITE_MAX).contains(&words.len()) {
            return Err(ExceptionCode::IllegalDataValue);
        }
        let mut controls = self.controls();
        let image = self.image(unit, *controls)?;
        if unit == INVERTER_UNIT {
            let pv = written(controls.pv, &image, address, words)?;
            self.command(pv.command(&self.nameplate))?;
            controls.pv = pv;
        } else {
            // The meter has no such model, so nothing of it can be written.
            let battery = written(controls.battery, &image, address, words)?;
            self.command(battery.command(&self.nameplate))?;
            controls.battery = battery;
        }
        Ok(())
    }

    /// The site as it is now.
    pub(super) fn truth(&self) -> SiteTruth {
        let mut plant = self.plant.lock().expect("a panic in the plant ends the testnet");
        plant.step_to((self.clock)());
        match self.of {
            Measured::Site(site) => plant.site_truth(site),
            Measured::Cable(cable) => plant.cable_truth(cable),
        }
    }

    /// The registers of a unit as they are now.
    fn image(&self, unit: u8, controls: SiteControls) -> Result<Image, ExceptionCode> {
        let truth = self.truth();
        let nameplate = &self.nameplate;
        let image = match unit {
            METER_UNIT => Some(meter::image(nameplate, &truth)),
            INVERTER_UNIT => {
                nameplate.pv.map(|pv| inverter::image(nameplate, pv, &truth, controls.pv))
            }
            BATTERY_UNIT => nameplate
                .battery
                .map(|battery| battery::image(nameplate, battery, &truth, controls.battery)),
            _ => None,
        };
        image.ok_or(ExceptionCode::GatewayTargetDevice)
    }

    fn command(&self, command: Command) -> Result<(), ExceptionCode> {
        let Measured::Site(site) = self.of else { return Err(ExceptionCode::IllegalFunction) };
        let mut plant = self.plant.lock().expect("a panic in the plant ends the testnet");
        plant.command((self.clock)(), site, command).map_err(|_| ExceptionCode::ServerDeviceFailure)
    }

    fn controls(&self) -> MutexGuard<'_, SiteControls> {
        self.controls.lock().expect("a panic while answering ends the testnet")
    }
}

/// One connection to a site's equipment; holds its place among those allowed.
pub(super) struct Connection {
    pub(super) server: Arc<SiteServer>,
    pub(super) _place: OwnedSemaphorePermit,
}

impl Service for Connection {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        ready(self.server.answer(request))
    }
}
