//! What the dispatcher shows of itself and its machines.

use std::sync::Arc;

use boltgrid_miners::hash::Hashprice;
use boltgrid_protocol::units::{Power, Timestamp};

use super::super::HashpriceSource;
use super::super::desk::{DispatchStatus, MachineStatus};
use super::super::member::Member;
use super::{Dispatcher, milliwatts};
use crate::clock;

impl Dispatcher {
    /// Shows it.
    pub(super) fn show(&self) {
        let now = clock::now();
        let machines = self.members.iter().map(|member| status_of(member, now)).collect();
        let conditions = self.conditions.as_ref();
        let emergency_until = self.emergency_until.filter(|until| now < *until);
        let status = DispatchStatus {
            hashprice_msat_per_th_day: self.hashprice.map(Hashprice::to_msat_per_th_day),
            hashprice_source: match &self.mining.hashprice {
                HashpriceSource::Fixed(_) => "the config file".to_owned(),
                HashpriceSource::Chain(source) => source.to_string(),
                HashpriceSource::Feed(feed) => feed.shown(),
                HashpriceSource::Unknown => "nowhere".to_owned(),
            },
            budget_mw: conditions.map(|it| it.budget_least.to_milliwatts()),
            spare_brings_msat_per_kwh: conditions.map(|it| it.spare_brings.to_msat_per_kwh()),
            reaction_ms_p95: self.reactions.ms_p95(),
            reactions: u32::try_from(self.reactions.count()).unwrap_or(u32::MAX),
            emergency_until_unix_ms: emergency_until.map(Timestamp::to_unix_ms),
            gas: self.well.as_ref().map(|well| well.status(now)),
            places: self.places.iter().map(|place| place.status(now)).collect(),
            machines,
            workers: self.workers.borrow().to_vec(),
            decisions: self.decisions.iter().cloned().collect(),
        };
        self.status.send_replace(Arc::new(status));
    }
}

fn status_of(member: &Member, now: Timestamp) -> MachineStatus {
    let known = member.known.as_ref();
    let seen = known.and_then(|known| known.seen_lately(now));
    let (parts, worth) = (member.break_even, member.worth());
    MachineStatus {
        name: member.miner.owned.name.clone(),
        about: known.map(|known| known.about.to_string()),
        power_mw: seen.and_then(|seen| seen.power).map(Power::to_milliwatts),
        hash_rate_gh_per_s: seen.and_then(|seen| seen.hash_rate).map(|it| it.to_gigahashes()),
        efficiency_mj_per_th: known
            .and_then(|known| known.efficiency)
            .map(|efficiency| efficiency.to_millijoules()),
        goes_on_msat_per_kwh: worth.to_go_on.to_msat_per_kwh(),
        starts_msat_per_kwh: worth.to_start.to_msat_per_kwh(),
        break_even_msat_per_kwh: parts.to_go_on().to_msat_per_kwh(),
        hashing_msat_per_kwh: parts.hashing_msat_per_kwh.to_msat_per_kwh(),
        pool_fee_msat_per_kwh: parts.pool_fee_msat_per_kwh.to_msat_per_kwh(),
        wear_msat_per_kwh: parts.wear_msat_per_kwh.to_msat_per_kwh(),
        heat_msat_per_kwh: parts.heat_msat_per_kwh.to_msat_per_kwh(),
        start_msat_per_kwh: parts.start_msat_per_kwh.to_msat_per_kwh(),
        set_point_mw: member.decision.and_then(|it| it.set_point).map(milliwatts),
        reason: member.reason(),
        rules: member.rules.clone(),
        is_in_plan: known.is_some_and(|known| known.standing.is_in_plan()),
        trouble: member.trouble.clone(),
        starts: member.starts_ever,
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_miners::machine::Observation;

    use super::super::super::hand::Known;
    use super::super::super::tests::members::{at, known, member};
    use super::*;

    #[test]
    fn what_a_machine_said_long_ago_is_not_shown_as_what_it_draws() {
        let seen = Observation {
            at: at(0),
            power: Some(Power::from_milliwatts(2_000_000)),
            power_is_metered: false,
            hash_rate: None,
            temperature_m_celsius: None,
        };
        let mut member = member(100);
        member.know(at(0), Some(Known { seen: Some(seen), ..known() }));
        assert_eq!(status_of(&member, at(15)).power_mw, Some(2_000_000));
        assert_eq!(status_of(&member, at(16)).power_mw, None);
    }
}
