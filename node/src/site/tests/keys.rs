//! Another meter key by a new enrolment: which key signs, and where its chain and registers begin.

use boltgrid_protocol::id::{MessageHash, MeterKey};

use super::*;

/// The enrolment of the participant with this meter key, for these intervals.
fn enrolled(
    charter: &Charter,
    meter: MeterKey,
    valid_from: Interval,
    valid_until: Interval,
) -> CertifiedEnrolment {
    let rated = Power::from_watts(10_000).unwrap();
    let mut enrolment = CertifiedEnrolment::request(Enrolment {
        grid: charter.grid_id(),
        participant: key(2).participant_id(),
        meter,
        connection_point: "bus-1".to_owned(),
        outside: false,
        rated_import_mw: rated,
        rated_export_mw: rated,
        votes: true,
        valid_from,
        valid_until,
    });
    enrolment.sign(&key(1));
    enrolment
}

/// A charter with epochs of four intervals.
fn charter_of_short_epochs() -> Charter {
    let mut charter = charter(INTERVAL_MS);
    charter.membership.roster_epoch_intervals = 4;
    charter
}

/// A grid in which another meter key is enrolled from `turn` on.
fn grid_that_turns(turn: Interval) -> (Arc<Charter>, Rosters) {
    let charter = Arc::new(charter_of_short_epochs());
    let (never, ever) = (Interval::from_number(0), Interval::from_number(u64::MAX));
    let enrolments = vec![
        enrolled(&charter, key(3).meter_key(), never, ever),
        enrolled(&charter, key(4).meter_key(), turn, ever),
    ];
    let rosters = Rosters::new(Arc::clone(&charter), enrolments).unwrap();
    (charter, rosters)
}

#[tokio::test]
async fn a_meter_that_is_replaced_goes_on_with_a_new_key_and_a_new_chain() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let turn = Interval::from_number((current().to_number() / 4 + 2) * 4);
    let keys = [key(3), key(4)].into_iter().collect();
    let mut site =
        Running::open_with(config(&fake), keys, grid_that_turns(turn), dir.path()).await.unwrap();
    let old = loop {
        let reading = site.reading().await;
        assert!(reading.interval() < turn, "two intervals are there before it");
        if reading.interval().plus(2) >= turn {
            break reading;
        }
    };
    assert_eq!(old.body().import_register_mwh, Energy::from_milliwatt_hours(5_000));
    // The new meter has counted next to nothing yet. To the old key that is a register that goes back.
    fake.set(GRID_IMPORT_LOW, 7);
    site.state(|state| state.stale.is_some()).await;
    let new = loop {
        let reading = site.reading().await;
        if reading.interval() >= turn {
            break reading;
        }
    };
    assert_eq!(new.interval(), turn, "no reading is lost by the turn");
    assert_eq!((new.body().sequence, new.body().previous), (0, MessageHash::default()));
    assert_eq!(new.body().import_register_mwh, Energy::from_milliwatt_hours(7));
    let next = site.reading().await;
    assert_eq!((next.body().sequence, next.body().previous), (1, new.hash()));
    // A restart goes on with the new chain.
    site.stop().await;
    let grid = grid_that_turns(turn);
    let mut site =
        Running::open_with(config(&fake), key(4).into(), grid, dir.path()).await.unwrap();
    let mut last = site.reading().await;
    while last.body().sequence <= next.body().sequence {
        last = site.reading().await;
    }
    assert!(last.body().previous != MessageHash::default());
    site.stop().await;
}

#[tokio::test]
async fn without_the_enrolled_key_nothing_is_signed() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut site =
        Running::open_with(config(&fake), key(9).into(), grid(), dir.path()).await.unwrap();
    let edge = current().plus(2);
    site.state(|state| charter(INTERVAL_MS).interval.interval_at(state.at) >= edge).await;
    assert!(site.readings.try_recv().is_err(), "it would be nobody's");
    site.stop().await;
}
