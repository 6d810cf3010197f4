//! The grid of a plan: its charter, its members' keys and enrolments.
//!
//! Keys are the same in every run, so that they cost nothing. Not for: what members do.

use std::sync::Arc;

use boltgrid_protocol::charter::{Charter, Feeder};
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Interval, Power, Timestamp};

use super::flaw::Flaw;
use super::plan::{INTERVAL_MS, Membership, Plan};

/// When every run starts: at the start of an interval.
pub(super) const STARTS_UNIX_MS: u64 = 1_700_000_000_000;
/// What every site may take and give.
const RATED_WATTS: i64 = 100_000;

const CHARTER: &str = r#"
name = "simulated"
readings = "DISCLOSURE"
[interval]
interval_ms = 10000
gate_before_delivery_ms = 6500
orders_open_before_gate_ms = 2500
orders_close_before_gate_ms = 500
proposal_after_gate_ms = 300
view_ms = 800
views = 6
confirm_by_after_gate_ms = 6000
readings_by_after_delivery_ms = 3000
clock_skew_max_ms = SKEW
[price]
floor_msat_per_kwh = -200000
ceiling_msat_per_kwh = 400000
[connection]
import_capacity_w = 160000
export_capacity_w = 160000
loss_ppm = LOSS
[membership]
registrars = ["REGISTRAR"]
registrar_threshold = 1
roster_epoch_intervals = EPOCH
bar_intervals = 10
[tariff]
clock = { anchor_unix_ms = 0, anchor_local_ms = 0, speed = 1 }
base = { retail_msat_per_kwh = 300000, feed_in_msat_per_kwh = 80000 }
"#;

/// The feeder of a run that has one, which is the meter's connection point.
pub(super) const FEEDER: &str = "lane";

fn point(member: &Membership, key: &Keypair) -> String {
    if member.is_meter { FEEDER.to_owned() } else { key.participant_id().short() }
}

/// Where a member is the meter of a feeder, that feeder with all other members.
fn feeders(plan: &Plan, keys: &[Keypair]) -> Vec<Feeder> {
    if !plan.members.iter().any(|member| member.is_meter) {
        return Vec::new();
    }
    let sites = plan.members.iter().zip(keys).filter(|(member, _)| !member.is_meter);
    let connection_points = sites.map(|(member, key)| point(member, key)).collect();
    vec![Feeder { name: FEEDER.to_owned(), connection_points }]
}

/// The grid of one run.
#[derive(Clone, Debug)]
pub(super) struct Founding {
    pub(super) charter: Arc<Charter>,
    pub(super) rosters: Rosters,
    /// One per node; a site's meter signs with the same key.
    pub(super) keys: Vec<Keypair>,
    pub(super) participants: Vec<ParticipantId>,
    /// The first interval of the run.
    pub(super) first: Interval,
}

impl Founding {
    pub(super) fn of(plan: &Plan, flaw: Option<Flaw>) -> Self {
        let registrar = Keypair::from_seed(&[200; 32]);
        let text = CHARTER
            .replace("REGISTRAR", &registrar.participant_id().to_string())
            .replace("DISCLOSURE", plan.readings.word())
            .replace("SKEW", &plan.skew_max_ms.to_string())
            .replace("LOSS", &plan.loss_ppm.to_string())
            .replace("EPOCH", &plan.epoch_intervals.to_string());
        let mut charter = Charter::from_toml(&text).expect("the charter is valid");
        let keys: Vec<Keypair> =
            (1_u8..).take(plan.members.len()).map(|seed| Keypair::from_seed(&[seed; 32])).collect();
        charter.feeders = feeders(plan, &keys);
        let charter = Arc::new(charter);
        let start = Timestamp::from_unix_ms(STARTS_UNIX_MS);
        let first = charter.interval.interval_at(start).plus(2);
        let rated = |member: &Membership| {
            let watts = if member.is_meter { 0 } else { RATED_WATTS };
            Power::from_watts(watts).expect("it fits")
        };
        let enrolments = keys
            .iter()
            .zip(&plan.members)
            .map(|(key, member)| {
                let mut request = CertifiedEnrolment::request(Enrolment {
                    grid: charter.grid_id(),
                    participant: key.participant_id(),
                    meter: key.meter_key(),
                    connection_point: point(member, key),
                    outside: member.outside,
                    rated_import_mw: rated(member),
                    rated_export_mw: rated(member),
                    votes: member.votes,
                    valid_from: member.from.map_or(Interval::default(), |from| first.plus(from)),
                    valid_until: member
                        .until
                        .map_or(Interval::from_number(u64::MAX), |until| first.plus(until + 1)),
                });
                request.sign(&registrar);
                request
            })
            .collect();
        let mut rosters =
            Rosters::new(Arc::clone(&charter), enrolments).expect("the registrar signed them");
        if flaw == Some(Flaw::LowQuorum) {
            rosters.lower_quorum(1);
        }
        let participants = keys.iter().map(Keypair::participant_id).collect();
        debug_assert_eq!(charter.interval.interval_ms, INTERVAL_MS);
        Self { charter, rosters, keys, participants, first }
    }

    /// Which node a participant is.
    pub(super) fn node_of(&self, participant: &ParticipantId) -> Option<usize> {
        self.participants.iter().position(|it| it == participant)
    }
}
