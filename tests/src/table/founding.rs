//! The grid of a row: a charter of five-minute intervals, members' keys and the roster.

use std::sync::Arc;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::order::{Order, Side, Source, Step};
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Power, Price};

/// The lengths that a five-minute grid has where its founders choose no others.
const CHARTER: &str = r#"
name = "table"
[interval]
interval_ms = 300000
gate_before_delivery_ms = 60000
orders_open_before_gate_ms = 45000
orders_close_before_gate_ms = 15000
proposal_after_gate_ms = 2000
view_ms = 5000
views = 5
confirm_by_after_gate_ms = 45000
readings_by_after_delivery_ms = 30000
clock_skew_max_ms = 1000
[price]
floor_msat_per_kwh = -200000
ceiling_msat_per_kwh = 500000
[connection]
import_capacity_w = 160000
export_capacity_w = 160000
loss_ppm = 30000
[membership]
registrars = ["REGISTRAR"]
registrar_threshold = 1
roster_epoch_intervals = 1000000
bar_intervals = 2016
[tariff]
clock = { anchor_unix_ms = 0, anchor_local_ms = 0, speed = 1 }
base = { retail_msat_per_kwh = 300000, feed_in_msat_per_kwh = 80000 }
"#;

/// The interval of the first trial; those of the others follow, so that leaders change.
pub(super) const FIRST: Interval = Interval::from_number(5_500_000);

/// Members in roster order: a node's number is its place.
#[derive(Debug)]
pub(super) struct Founding {
    pub(super) charter: Arc<Charter>,
    pub(super) rosters: Rosters,
    pub(super) keys: Vec<Keypair>,
    pub(super) participants: Vec<ParticipantId>,
}

impl Founding {
    pub(super) fn of(members: usize) -> Self {
        let registrar = Keypair::from_seed(&[200; 32]);
        let text = CHARTER.replace("REGISTRAR", &registrar.participant_id().to_string());
        let charter = Arc::new(Charter::from_toml(&text).expect("the charter is valid"));
        let mut keys: Vec<Keypair> = (0_u64..).take(members).map(key).collect();
        keys.sort_by_key(Keypair::participant_id);
        let rated = Power::from_watts(100_000).expect("it fits");
        let enrolments = keys.iter().map(|key| {
            let mut request = CertifiedEnrolment::request(Enrolment {
                grid: charter.grid_id(),
                participant: key.participant_id(),
                meter: key.meter_key(),
                connection_point: key.participant_id().short(),
                outside: false,
                rated_import_mw: rated,
                rated_export_mw: rated,
                votes: true,
                valid_from: Interval::default(),
                valid_until: Interval::from_number(u64::MAX),
            });
            request.sign(&registrar);
            request
        });
        let mut rosters = Rosters::new(Arc::clone(&charter), enrolments.collect())
            .expect("the registrar signed them");
        // At hand from now on, so that every market shares it.
        rosters.at(FIRST);
        let participants = keys.iter().map(Keypair::participant_id).collect();
        Self { charter, rosters, keys, participants }
    }

    pub(super) fn node_of(&self, participant: &ParticipantId) -> usize {
        self.participants.binary_search(participant).expect("everyone is a member")
    }
}

fn key(number: u64) -> Keypair {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    Keypair::from_seed(&seed)
}

/// What a node orders: even ones sell, odd ones buy.
pub(super) fn order(node: usize) -> Order {
    let (side, source, limit) = if node.is_multiple_of(2) {
        (Side::Sell, Source::Pv, 80_000)
    } else {
        (Side::Buy, Source::Load, 300_000)
    };
    let step = Step {
        side,
        source,
        energy_mwh: Energy::from_milliwatt_hours(100_000 + node as u64),
        limit_msat_per_kwh: Price::from_msat_per_kwh(limit),
    };
    Order { steps: vec![step], ..Order::default() }
}
