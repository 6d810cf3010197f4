//! The battery inverter of a site: unit 3, models 1, 103, 120, 124 and 802.
//!
//! Model 124 is used as batteries are in practice: the allowed power goes from charging at `InWRte`
//! to discharging at `OutWRte`, both in percent of `WChaMax`, each limit where its bit of
//! `StorCtl_Mod` is set. The battery idles if it may; a negative `OutWRte` makes it charge, a
//! negative `InWRte` makes it discharge. Limits that exclude each other make it idle.

use boltgrid_protocol::units::Power;
use sunspec::models::model103::St;
use sunspec::models::model120::{DerTyp, Model120};
use sunspec::models::model124::{ChaGriSet, ChaSt, Model124, StorCtlMod};
use sunspec::models::model802::{self, LocRemCtl, Model802, SetInvState, SetOp, Typ};
use tokio_modbus::ExceptionCode;

use super::controls::{Controls, PERCENT_SF, WHOLE};
use super::image::{Image, Registers};
use super::inverter::{Output, rating};
use super::meter::common;
use super::scale::{Scale, UNSIGNED_MAX};
use crate::plant::{BatteryNameplate, BatteryRange, Command, Nameplate, SiteTruth};

/// Hundredths of a percent in a whole, as a rate.
const WHOLE_RATE: i16 = 10_000;
const _: () = assert!(WHOLE == 10_000);

/// What the battery has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatteryControls {
    mode: StorCtlMod,
    /// The most to discharge, in hundredths of a percent.
    out_rate: i16,
    /// The most to charge, in hundredths of a percent.
    in_rate: i16,
}

impl BatteryControls {
    /// No limits: idle.
    pub(super) const fn new() -> Self {
        Self { mode: StorCtlMod::empty(), out_rate: WHOLE_RATE, in_rate: WHOLE_RATE }
    }
}

impl Controls for BatteryControls {
    type Model = Model124;

    fn write(&mut self, offset: u16, word: u16) -> Result<(), ExceptionCode> {
        const MODE: u16 = Model124::STOR_CTL_MOD.offset;
        const OUT_RATE: u16 = Model124::OUT_W_RTE.offset;
        const IN_RATE: u16 = Model124::IN_W_RTE.offset;
        let rate = word.cast_signed();
        match offset {
            MODE => {
                self.mode = StorCtlMod::from_bits(word).ok_or(ExceptionCode::IllegalDataValue)?;
            }
            OUT_RATE | IN_RATE if !(-WHOLE_RATE..=WHOLE_RATE).contains(&rate) => {
                return Err(ExceptionCode::IllegalDataValue);
            }
            OUT_RATE => self.out_rate = rate,
            IN_RATE => self.in_rate = rate,
            _ => return Err(ExceptionCode::IllegalDataAddress),
        }
        Ok(())
    }

    fn command(&self, nameplate: &Nameplate) -> Command {
        let rated_mw = nameplate.battery.map_or(0, |battery| battery.rated.to_milliwatts());
        let limit_mw = |bit, rate| {
            let rate = if self.mode.contains(bit) { rate } else { WHOLE_RATE };
            let mw = i128::from(rated_mw) * i128::from(rate) / i128::from(WHOLE_RATE);
            i64::try_from(mw).expect("a rate is at most one")
        };
        Command::Battery(BatteryRange {
            lowest: Power::from_milliwatts(-limit_mw(StorCtlMod::DiScharge, self.out_rate)),
            highest: Power::from_milliwatts(limit_mw(StorCtlMod::Charge, self.in_rate)),
        })
    }
}

/// What the battery shows.
pub(super) fn image(
    nameplate: &Nameplate,
    battery: BatteryNameplate,
    truth: &SiteTruth,
    controls: BatteryControls,
) -> Image {
    let given_mw = -truth.battery.to_milliwatts();
    let state = if given_mw == 0 { St::Standby } else { St::Mppt };
    let output = Output { rated: battery.rated, given_mw, given: truth.battery_discharged, state };
    Image::new()
        .with(|m| common(m, nameplate, "battery"))
        .with(|m| output.fill(m, truth))
        .with(|m| storage_rating(m, battery))
        .with(|m| storage(m, battery, truth, controls))
        .with(|m| bank(m, battery, truth))
}

fn storage_rating(m: &mut Registers<'_, Model120>, battery: BatteryNameplate) {
    rating(m, DerTyp::PvStor, battery.rated);
    let (rate, rate_sf) = register_of(battery.rated.to_milliwatts().unsigned_abs());
    let (capacity, capacity_sf) = register_of(battery.capacity.to_milliwatt_hours());
    m.put(Model120::WH_RTG, Some(capacity));
    m.put(Model120::WH_RTG_SF, Some(capacity_sf));
    m.put(Model120::MAX_CHA_RTE, Some(rate));
    m.put(Model120::MAX_CHA_RTE_SF, Some(rate_sf));
    m.put(Model120::MAX_DIS_CHA_RTE, Some(rate));
    m.put(Model120::MAX_DIS_CHA_RTE_SF, Some(rate_sf));
}

fn storage(
    m: &mut Registers<'_, Model124>,
    battery: BatteryNameplate,
    truth: &SiteTruth,
    controls: BatteryControls,
) {
    let (rate, rate_sf) = register_of(battery.rated.to_milliwatts().unsigned_abs());
    m.put(Model124::W_CHA_MAX, rate);
    m.put(Model124::W_CHA_MAX_SF, rate_sf);
    // Full power within a second, either way.
    m.put(Model124::W_CHA_GRA, 100);
    m.put(Model124::W_DIS_CHA_GRA, 100);
    m.put(Model124::W_CHA_DIS_CHA_GRA_SF, 0);
    m.put(Model124::STOR_CTL_MOD, controls.mode);
    m.put(Model124::OUT_W_RTE, Some(controls.out_rate));
    m.put(Model124::IN_W_RTE, Some(controls.in_rate));
    m.put(Model124::IN_OUT_W_RTE_SF, Some(PERCENT_SF));
    m.put(Model124::CHA_STATE, Some(charge_hundredths(battery, truth)));
    m.put(Model124::CHA_STATE_SF, Some(PERCENT_SF));
    m.put(Model124::CHA_ST, Some(charge_state(battery, truth)));
    m.put(Model124::CHA_GRI_SET, Some(ChaGriSet::Grid));
    m.absent(Model124::VA_CHA_MAX, Model124::MIN_RSV_PCT);
    m.absent(Model124::STOR_AVAL, Model124::IN_BAT_V);
    m.absent(Model124::IN_OUT_W_RTE_WIN_TMS, Model124::IN_OUT_W_RTE_RMP_TMS);
}

/// The bank behind the inverter: capacity and charge. Its DC side is not modelled, so voltage,
/// current and power keep their sentinels.
fn bank(m: &mut Registers<'_, Model802>, battery: BatteryNameplate, truth: &SiteTruth) {
    let (rate, rate_sf) = register_of(battery.rated.to_milliwatts().unsigned_abs());
    let (capacity, capacity_sf) = register_of(battery.capacity.to_milliwatt_hours());
    m.put(Model802::AH_RTG, u16::MAX);
    m.put(Model802::WH_RTG, capacity);
    m.put(Model802::WH_RTG_SF, capacity_sf);
    m.put(Model802::W_CHA_RTE_MAX, rate);
    m.put(Model802::W_DIS_CHA_RTE_MAX, rate);
    m.put(Model802::W_CHA_DIS_CHA_MAX_SF, rate_sf);
    m.put(Model802::SOC, charge_hundredths(battery, truth));
    m.put(Model802::SOC_SF, PERCENT_SF);
    m.put(Model802::LOC_REM_CTL, LocRemCtl::Remote);
    m.put(Model802::ALM_RST, 0);
    m.put(Model802::TYP, Typ::LithiumIon);
    m.put(Model802::STATE, model802::State::Connected);
    m.put(Model802::EVT1, model802::Evt1::empty());
    m.put(Model802::EVT2, model802::Evt2::empty());
    m.put(Model802::EVT_VND1, model802::EvtVnd1::empty());
    m.put(Model802::EVT_VND2, model802::EvtVnd2::empty());
    m.put(Model802::V, u16::MAX);
    m.put(Model802::SET_OP, SetOp::Connect);
    m.put(Model802::SET_INV_STATE, SetInvState::InverterStarted);
    m.absent(Model802::DIS_CHA_RTE, Model802::SOC_RSV_MIN);
    m.absent(Model802::DO_D, Model802::SOH);
    m.absent(Model802::N_CYC, Model802::N_CYC);
    m.absent(Model802::CHA_ST, Model802::CHA_ST);
    m.absent(Model802::HB, Model802::CTRL_HB);
    m.absent(Model802::STATE_VND, Model802::STATE_VND);
    m.absent(Model802::WARR_DT, Model802::WARR_DT);
    m.absent(Model802::V_MAX, Model802::CELL_V_AVG);
    m.absent(Model802::A_CHA_MAX, Model802::A_DIS_CHA_MAX);
    m.absent(Model802::REQ_INV_STATE, Model802::REQ_INV_STATE);
}

/// A rating in W or Wh as register and scale factor, as precise as 16 bits allow.
fn register_of(rating_milli: u64) -> (u16, i16) {
    let scale = Scale::fitting(rating_milli, UNSIGNED_MAX);
    (scale.rating(rating_milli), scale.sf())
}

/// The state of charge in hundredths of a percent, rounded down.
fn charge_hundredths(battery: BatteryNameplate, truth: &SiteTruth) -> u16 {
    let stored = u128::from(truth.battery_stored.to_milliwatt_hours()) * u128::from(WHOLE);
    let share = stored / u128::from(battery.capacity.to_milliwatt_hours().max(1));
    u16::try_from(share).unwrap_or(WHOLE).min(WHOLE)
}

fn charge_state(battery: BatteryNameplate, truth: &SiteTruth) -> ChaSt {
    match (truth.battery.to_milliwatts(), charge_hundredths(battery, truth)) {
        (1.., _) => ChaSt::Charging,
        (..0, _) => ChaSt::Discharging,
        (0, 0) => ChaSt::Empty,
        (0, WHOLE) => ChaSt::Full,
        (0, _) => ChaSt::Holding,
    }
}
