//! The PV inverter of a site: unit 2, models 1, 103, 120, 122, and 123 if it can be curtailed.

use boltgrid_protocol::units::{Energy, Power};
use sunspec::models::model103::{Evt1, Evt2, Model103, St};
use sunspec::models::model120::{DerTyp, Model120};
use sunspec::models::model122::{EcpConn, Model122, PvConn, StorConn};
use sunspec::models::model123::{Conn, Model123, OutPfSetEna, VArPctEna, WMaxLimEna};
use tokio_modbus::ExceptionCode;

use super::controls::{Controls, PERCENT_SF, PPM_PER_HUNDREDTH, WHOLE};
use super::image::{Image, Registers};
use super::meter::{ENERGY_SF, FREQUENCY_SF, VOLTAGE_SF, accumulator, common, phase_current_ma};
use super::scale::{SIGNED_MAX, Scale, UNSIGNED_MAX};
use crate::plant::{Command, Nameplate, PvNameplate, SiteTruth};
use crate::scenario::SHARE_MAX_PPM;

/// What the inverter has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PvControls {
    limit: u16,
    enabled: bool,
}

impl PvControls {
    /// No limit.
    pub(super) const fn new() -> Self {
        Self { limit: WHOLE, enabled: false }
    }
}

impl Controls for PvControls {
    type Model = Model123;

    fn write(&mut self, offset: u16, word: u16) -> Result<(), ExceptionCode> {
        const LIMIT: u16 = Model123::W_MAX_LIM_PCT.offset;
        const ENABLE: u16 = Model123::W_MAX_LIM_ENA.offset;
        match (offset, word) {
            (LIMIT, 0..=WHOLE) => self.limit = word,
            (ENABLE, 0 | 1) => self.enabled = word == 1,
            (LIMIT | ENABLE, _) => return Err(ExceptionCode::IllegalDataValue),
            _ => return Err(ExceptionCode::IllegalDataAddress),
        }
        Ok(())
    }

    fn command(&self, _nameplate: &Nameplate) -> Command {
        Command::PvLimit(self.enabled.then(|| u32::from(self.limit) * PPM_PER_HUNDREDTH))
    }
}

/// What the inverter shows.
pub(super) fn image(
    nameplate: &Nameplate,
    pv: PvNameplate,
    truth: &SiteTruth,
    controls: PvControls,
) -> Image {
    let given_mw = -truth.pv.to_milliwatts();
    let state = match (given_mw, truth.pv == truth.pv_potential) {
        (_, false) => St::Throttled,
        (0, true) => St::Sleeping,
        (_, true) => St::Mppt,
    };
    let output = Output { rated: most(pv.rated), given_mw, given: truth.pv_produced, state };
    let image = Image::new()
        .with(|m| common(m, nameplate, "inverter"))
        .with(|m| output.fill(m, truth))
        .with(|m| rating(m, DerTyp::Pv, pv.rated))
        .with(|m| status(m, pv, truth));
    if pv.curtailable { image.with(|m| immediate_controls(m, controls)) } else { image }
}

/// The AC side of an inverter.
#[derive(Debug)]
pub(super) struct Output {
    /// The most that it can take or give.
    pub(super) rated: Power,
    /// What it gives; negative takes.
    pub(super) given_mw: i64,
    /// What it has given.
    pub(super) given: Energy,
    /// What it is doing.
    pub(super) state: St,
}

impl Output {
    /// Fills the three-phase inverter model.
    pub(super) fn fill(&self, m: &mut Registers<'_, Model103>, truth: &SiteTruth) {
        let most_mw = self.rated.to_milliwatts();
        let watts = Scale::fitting(most_mw.unsigned_abs(), SIGNED_MAX);
        m.put(Model103::W, watts.signed(self.given_mw));
        m.put(Model103::W_SF, watts.sf());
        let most_ma = 6 * phase_current_ma(most_mw, truth.phase_mv);
        let phase_ma = phase_current_ma(self.given_mw, truth.phase_mv);
        let amps = Scale::fitting(most_ma.unsigned_abs(), UNSIGNED_MAX);
        m.put(Model103::A, amps.unsigned(3 * phase_ma));
        for point in [Model103::APH_A, Model103::APH_B, Model103::APH_C] {
            m.put(point, amps.unsigned(phase_ma));
        }
        m.put(Model103::A_SF, amps.sf());
        let volts = u16::try_from(truth.phase_mv / 100).unwrap_or(0);
        for point in [Model103::PH_VPH_A, Model103::PH_VPH_B, Model103::PH_VPH_C] {
            m.put(point, volts);
        }
        m.put(Model103::V_SF, VOLTAGE_SF);
        m.put(Model103::HZ, u16::try_from(truth.frequency_mhz / 10).unwrap_or(0));
        m.put(Model103::HZ_SF, FREQUENCY_SF);
        m.put(Model103::WH, accumulator(self.given.to_milliwatt_hours()));
        m.put(Model103::WH_SF, ENERGY_SF);
        m.put(Model103::ST, self.state);
        m.put(Model103::EVT1, Evt1::empty());
        m.put(Model103::EVT2, Evt2::empty());
        // There is no sensor in the cabinet; the point is mandatory and keeps its sentinel.
        m.put(Model103::TMP_SF, 0);
        m.absent(Model103::PP_VPH_AB, Model103::PP_VPH_CA);
        m.absent(Model103::DCA, Model103::DCA);
        m.absent(Model103::DCV, Model103::DCV);
        m.absent(Model103::ST_VND, Model103::ST_VND);
        m.absent(Model103::EVT_VND1, Model103::EVT_VND1);
        m.absent(Model103::EVT_VND2, Model103::EVT_VND2);
        m.absent(Model103::EVT_VND3, Model103::EVT_VND3);
        m.absent(Model103::EVT_VND4, Model103::EVT_VND4);
    }
}

/// Fills the nameplate model, but for what concerns storage.
pub(super) fn rating(m: &mut Registers<'_, Model120>, kind: DerTyp, rated: Power) {
    let rated_mw = rated.to_milliwatts().unsigned_abs();
    let watts = Scale::fitting(rated_mw, UNSIGNED_MAX);
    m.put(Model120::DER_TYP, kind);
    m.put(Model120::W_RTG, watts.rating(rated_mw));
    m.put(Model120::W_RTG_SF, watts.sf());
    m.put(Model120::VA_RTG, watts.rating(rated_mw));
    m.put(Model120::VA_RTG_SF, watts.sf());
    // Unity power factor: no reactive power in any quadrant.
    for point in [
        Model120::V_AR_RTG_Q1,
        Model120::V_AR_RTG_Q2,
        Model120::V_AR_RTG_Q3,
        Model120::V_AR_RTG_Q4,
        Model120::V_AR_RTG_SF,
    ] {
        m.put(point, 0);
    }
    let rated_ma = 3 * phase_current_ma(rated.to_milliwatts(), NOMINAL_PHASE_MV).unsigned_abs();
    let amps = Scale::fitting(rated_ma, UNSIGNED_MAX);
    m.put(Model120::A_RTG, amps.rating(rated_ma));
    m.put(Model120::A_RTG_SF, amps.sf());
    for point in
        [Model120::PF_RTG_Q1, Model120::PF_RTG_Q2, Model120::PF_RTG_Q3, Model120::PF_RTG_Q4]
    {
        m.put(point, 100);
    }
    m.put(Model120::PF_RTG_SF, -2);
    m.absent(Model120::WH_RTG, Model120::WH_RTG);
    m.absent(Model120::AHR_RTG, Model120::AHR_RTG);
    m.absent(Model120::MAX_CHA_RTE, Model120::MAX_CHA_RTE);
    m.absent(Model120::MAX_DIS_CHA_RTE, Model120::MAX_DIS_CHA_RTE);
}

/// The phase voltage that rated currents are given at.
const NOMINAL_PHASE_MV: i64 = 230_000;

/// The most that PV may give: what a profile may exceed the rating by included.
fn most(rated: Power) -> Power {
    let mw = i128::from(rated.to_milliwatts()) * i128::from(SHARE_MAX_PPM) / 1_000_000;
    Power::from_milliwatts(i64::try_from(mw).expect("ratings are bounded by the scenario"))
}

fn status(m: &mut Registers<'_, Model122>, pv: PvNameplate, truth: &SiteTruth) {
    let available = Scale::fitting(most(pv.rated).to_milliwatts().unsigned_abs(), UNSIGNED_MAX);
    m.put(Model122::PV_CONN, PvConn::Connected | PvConn::Available | PvConn::Operating);
    m.put(Model122::STOR_CONN, StorConn::empty());
    m.put(Model122::ECP_CONN, EcpConn::Connected);
    m.put(Model122::ACT_WH, Some(truth.pv_produced.to_milliwatt_hours() / 1000));
    m.put(Model122::W_AVAL, Some(available.unsigned(-truth.pv_potential.to_milliwatts())));
    m.put(Model122::W_AVAL_SF, Some(available.sf()));
    m.absent(Model122::ACT_V_AH, Model122::ACT_V_ARH_Q4);
    m.absent(Model122::ST_SET_LIM_MSK, Model122::ST_SET_LIM_MSK);
    m.absent(Model122::ST_ACT_CTL, Model122::ST_ACT_CTL);
    m.put(Model122::TM_SRC, None);
    m.absent(Model122::TMS, Model122::TMS);
    m.absent(Model122::RT_ST, Model122::RT_ST);
    m.absent(Model122::RIS, Model122::RIS);
}

fn immediate_controls(m: &mut Registers<'_, Model123>, controls: PvControls) {
    let enabled = if controls.enabled { WMaxLimEna::Enabled } else { WMaxLimEna::Disabled };
    m.put(Model123::CONN, Conn::Connect);
    m.put(Model123::W_MAX_LIM_PCT, controls.limit);
    m.put(Model123::W_MAX_LIM_PCT_SF, PERCENT_SF);
    m.put(Model123::W_MAX_LIM_ENA, enabled);
    m.put(Model123::OUT_PF_SET, 100);
    m.put(Model123::OUT_PF_SET_SF, -2);
    m.put(Model123::OUT_PF_SET_ENA, OutPfSetEna::Disabled);
    m.put(Model123::V_AR_PCT_ENA, VArPctEna::Disabled);
    m.absent(Model123::CONN_WIN_TMS, Model123::CONN_RVRT_TMS);
    m.absent(Model123::W_MAX_LIM_PCT_WIN_TMS, Model123::W_MAX_LIM_PCT_RMP_TMS);
    m.absent(Model123::OUT_PF_SET_WIN_TMS, Model123::OUT_PF_SET_RMP_TMS);
    m.absent(Model123::V_AR_W_MAX_PCT, Model123::V_AR_AVAL_PCT);
    m.absent(Model123::V_AR_PCT_WIN_TMS, Model123::V_AR_PCT_RMP_TMS);
    m.absent(Model123::V_AR_PCT_MOD, Model123::V_AR_PCT_MOD);
}
