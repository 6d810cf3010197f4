//! Chains of signed readings, under a real charter and roster.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use boltgrid_metering::chain::{ChainRejected, ReadingChain};
use boltgrid_metering::edge::AtEdge;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::envelope::{MessageRejected, Verified};
use boltgrid_protocol::id::MessageHash;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Power, Timestamp};

const INTERVAL_MS: u64 = 10_000;

struct Grid {
    charter: Charter,
    roster: Roster,
    participant: Keypair,
    meter: Keypair,
}

fn grid() -> Grid {
    let [registrar, participant, meter] = [1, 2, 3].map(|seed| Keypair::from_seed(&[seed; 32]));
    let charter = Charter::from_toml(&format!(
        r#"
        name = "chain"
        interval = {{ interval_ms = {INTERVAL_MS}, gate_before_delivery_ms = 6000,
          orders_open_before_gate_ms = 4000, orders_close_before_gate_ms = 1000,
          proposal_after_gate_ms = 500, view_ms = 1000, views = 4, confirm_by_after_gate_ms = 5500,
          readings_by_after_delivery_ms = 4000, clock_skew_max_ms = 500 }}
        price = {{ floor_msat_per_kwh = -200000, ceiling_msat_per_kwh = 500000 }}
        connection = {{ import_capacity_w = 160000, export_capacity_w = 160000, loss_ppm = 0 }}
        membership = {{ registrars = ["{}"], registrar_threshold = 1,
          roster_epoch_intervals = 100, bar_intervals = 10 }}
        [tariff]
        clock = {{ anchor_unix_ms = 0, anchor_local_ms = 0, speed = 1 }}
        base = {{ retail_msat_per_kwh = 300000, feed_in_msat_per_kwh = 80000 }}
        "#,
        registrar.participant_id()
    ))
    .unwrap();
    let mut enrolment = CertifiedEnrolment::request(Enrolment {
        grid: charter.grid_id(),
        participant: participant.participant_id(),
        meter: meter.meter_key(),
        connection_point: "bus-1".to_owned(),
        outside: false,
        rated_import_mw: Power::from_milliwatts(30_000_000),
        rated_export_mw: Power::from_milliwatts(30_000_000),
        votes: true,
        valid_from: Interval::from_number(0),
        valid_until: Interval::from_number(1_000),
    });
    enrolment.sign(&registrar);
    let roster = Roster::at(&charter, &[enrolment], Interval::from_number(1)).unwrap();
    Grid { charter, roster, participant, meter }
}

fn at_edge(interval: u64, import_mwh: u64, export_mwh: u64) -> AtEdge {
    AtEdge {
        at: Timestamp::from_unix_ms(interval * INTERVAL_MS),
        import_register: Energy::from_milliwatt_hours(import_mwh),
        export_register: Energy::from_milliwatt_hours(export_mwh),
        power: Power::from_milliwatts(-5),
        potential: None,
        voltage_mv: Some(230_000),
        frequency_mhz: None,
    }
}

impl Grid {
    fn sign(
        &self,
        chain: &ReadingChain,
        shown: &AtEdge,
    ) -> Result<Verified<Reading>, ChainRejected> {
        let participant = self.participant.participant_id();
        chain.sign(shown, (&participant, &self.meter), (&self.charter, &self.roster))
    }

    fn chain_of(&self, edges: &[AtEdge]) -> (ReadingChain, Vec<Verified<Reading>>) {
        let mut chain = ReadingChain::new();
        let mut readings = Vec::new();
        for edge in edges {
            let reading = self.sign(&chain, edge).unwrap();
            chain.follow(&reading).unwrap();
            readings.push(reading);
        }
        (chain, readings)
    }
}

#[test]
fn each_reading_names_the_one_before() {
    let (chain, readings) =
        grid().chain_of(&[at_edge(1, 10, 0), at_edge(2, 10, 7), at_edge(4, 10, 9)]);
    let sequences: Vec<_> = readings.iter().map(|reading| reading.body().sequence).collect();
    assert_eq!(sequences, [0, 1, 2]);
    assert_eq!(readings[0].body().previous, MessageHash::default());
    assert_eq!(readings[2].body().previous, readings[1].hash());
    assert_eq!(chain.last(), Some(readings[2].body()));
}

#[test]
fn a_chain_resumes_after_its_last_stored_reading() {
    let grid = grid();
    let (chain, readings) = grid.chain_of(&[at_edge(1, 10, 0), at_edge(2, 20, 0)]);
    let resumed = ReadingChain::resume(&readings[1]);
    let edge = at_edge(3, 30, 0);
    let (kept, again) = (grid.sign(&chain, &edge).unwrap(), grid.sign(&resumed, &edge).unwrap());
    assert_eq!(kept.bytes(), again.bytes());
}

#[test]
fn a_follower_sees_gaps_repetitions_and_forks() {
    let grid = grid();
    let (_, readings) = grid.chain_of(&[at_edge(1, 10, 0), at_edge(2, 20, 0), at_edge(3, 30, 0)]);
    let (_, other) = grid.chain_of(&[at_edge(1, 11, 0), at_edge(2, 21, 0)]);
    let mut follower = ReadingChain::new();
    let gap = ChainRejected::Gap { expected: 0, shown: 1 };
    assert_eq!(follower.follow(&readings[1]), Err(gap));
    assert_eq!(follower.follow(&readings[0]), Ok(()));
    assert_eq!(follower.follow(&readings[0]), Err(ChainRejected::Repeated(0)));
    assert_eq!(follower.follow(&other[0]), Err(ChainRejected::Fork(0)));
    assert_eq!(follower.follow(&other[1]), Err(ChainRejected::Fork(1)));
    let gap = ChainRejected::Gap { expected: 1, shown: 2 };
    assert_eq!(follower.follow(&readings[2]), Err(gap));
    assert_eq!(follower.follow(&readings[1]), Ok(()));
}

#[test]
fn a_follower_sees_registers_and_time_going_back() {
    let grid = grid();
    let (chain, readings) = grid.chain_of(&[at_edge(5, 10, 10)]);
    let before = Timestamp::from_unix_ms(5 * INTERVAL_MS);
    let check = |shown: AtEdge, expected: ChainRejected| {
        assert_eq!(grid.sign(&chain, &shown).unwrap_err(), expected);
        // The same from somebody who does not check before signing.
        let last = readings[0].body();
        let careless = Reading {
            at: shown.at,
            sequence: 1,
            previous: readings[0].hash(),
            import_register_mwh: shown.import_register,
            export_register_mwh: shown.export_register,
            ..*last
        };
        let participant = grid.participant.participant_id();
        let signed = Verified::sign(
            &careless,
            grid.charter.interval.interval_at(shown.at),
            (&participant, &grid.meter),
            (&grid.charter, &grid.roster),
        );
        assert_eq!(chain.clone().follow(&signed.unwrap()), Err(expected));
    };
    check(at_edge(6, 9, 10), ChainRejected::RegisterBack("import"));
    check(at_edge(6, 10, 9), ChainRejected::RegisterBack("export"));
    let shown = Timestamp::from_unix_ms(4 * INTERVAL_MS);
    check(at_edge(4, 10, 10), ChainRejected::TimeBack { before, shown });
    check(at_edge(5, 10, 10), ChainRejected::TimeBack { before, shown: before });
}

#[test]
fn only_edges_are_signed_and_only_with_the_meters_key() {
    let grid = grid();
    let chain = ReadingChain::new();
    let beside = AtEdge { at: Timestamp::from_unix_ms(INTERVAL_MS + 1), ..at_edge(1, 0, 0) };
    assert_eq!(grid.sign(&chain, &beside).unwrap_err(), ChainRejected::NotAnEdge(beside.at));
    let participant = grid.participant.participant_id();
    let with_another_key = chain.sign(
        &at_edge(1, 0, 0),
        (&participant, &grid.participant),
        (&grid.charter, &grid.roster),
    );
    let expected = ChainRejected::Message(MessageRejected::BadSignature);
    assert_eq!(with_another_key.unwrap_err(), expected);
}
