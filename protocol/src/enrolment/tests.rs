//! Tests of enrolments: who makes somebody a member, and what is refused.

use super::*;
use crate::fixture::{CHARTER, certified, enrolment, key, registrars};

fn charter() -> Charter {
    Charter::from_toml(CHARTER).unwrap()
}

fn sample(charter: &Charter) -> Enrolment {
    enrolment(charter, &key(1, 0), &key(2, 0))
}

#[test]
fn two_of_three_registrars_make_a_member() {
    let charter = charter();
    let certified = certified(sample(&charter));
    assert_eq!(certified.verify(&charter), Ok(&certified.enrolment));
    let read = CertifiedEnrolment::from_bytes(&certified.to_bytes());
    assert_eq!(read.as_ref(), Ok(&certified));
}

#[test]
fn fewer_signatures_than_the_threshold_make_nobody_a_member() {
    let charter = charter();
    let mut certified = CertifiedEnrolment::request(sample(&charter));
    let too_few = |have| Err(EnrolmentRejected::TooFewSignatures { have, need: 2 });
    assert_eq!(certified.verify(&charter), too_few(0));
    certified.sign(&registrars()[2]);
    assert_eq!(certified.verify(&charter), too_few(1));
}

#[test]
fn a_registrar_who_signs_twice_counts_once() {
    let charter = charter();
    let mut certified = CertifiedEnrolment::request(sample(&charter));
    certified.sign(&registrars()[0]);
    certified.sign(&registrars()[0]);
    assert_eq!(certified.signatures.len(), 1);
    let again = certified.signatures[0].clone();
    certified.signatures.push(again);
    let registrar = registrars()[0].participant_id();
    assert_eq!(certified.verify(&charter), Err(EnrolmentRejected::NotARegistrar(registrar)));
}

#[test]
fn a_stranger_is_no_registrar() {
    let charter = charter();
    let mut certified = certified(sample(&charter));
    let stranger = key(9, 9);
    certified.sign(&stranger);
    let rejected = EnrolmentRejected::NotARegistrar(stranger.participant_id());
    assert_eq!(certified.verify(&charter), Err(rejected));
}

#[test]
fn whatever_is_changed_after_signing_is_noticed() {
    let charter = charter();
    let original = certified(sample(&charter));
    let changed = |change: fn(&mut Enrolment)| {
        let mut certified = original.clone();
        change(&mut certified.enrolment);
        let verified = certified.verify(&charter).cloned();
        assert!(matches!(verified, Err(EnrolmentRejected::BadSignature(_))), "{verified:?}");
    };
    changed(|it| it.participant = key(1, 1).participant_id());
    changed(|it| it.meter = key(2, 1).meter_key());
    changed(|it| it.connection_point = "bus-2".to_owned());
    changed(|it| it.outside = true);
    changed(|it| it.rated_import_mw = Power::from_milliwatts(1));
    changed(|it| it.rated_export_mw = Power::from_milliwatts(1));
    changed(|it| it.votes = false);
    changed(|it| it.valid_from = Interval::from_number(1));
    changed(|it| it.valid_until = Interval::from_number(10_000_001));
}

#[test]
fn an_enrolment_of_another_grid_is_refused() {
    let charter = charter();
    let certified = certified(sample(&charter));
    let other = Charter::from_toml(&CHARTER.replace("Lindenhof", "Eichenhof")).unwrap();
    let rejected = EnrolmentRejected::WrongGrid(charter.grid_id());
    assert_eq!(certified.verify(&other), Err(rejected));
}

#[test]
fn fields_out_of_range_are_refused_whoever_signed_them() {
    let charter = charter();
    let refused = |change: fn(&mut Enrolment)| {
        let mut enrolment = sample(&charter);
        change(&mut enrolment);
        let certified = certified(enrolment);
        let verified = certified.verify(&charter).cloned();
        assert!(matches!(verified, Err(EnrolmentRejected::Field(_))), "{verified:?}");
    };
    refused(|it| it.connection_point = String::new());
    refused(|it| it.connection_point = "x".repeat(65));
    refused(|it| it.connection_point = "bus\u{1b}[2J".to_owned());
    refused(|it| it.rated_import_mw = Power::from_milliwatts(-1));
    refused(|it| it.rated_import_mw = Power::from_milliwatts(1_000_000_000_001));
    refused(|it| it.rated_export_mw = Power::from_milliwatts(i64::MIN));
    refused(|it| it.rated_export_mw = Power::from_milliwatts(i64::MAX));
    refused(|it| it.valid_until = it.valid_from);
}

#[test]
fn keys_that_verify_nothing_or_anything_are_refused() {
    let charter = charter();
    let mut identity_point = [0; 32];
    identity_point[0] = 1;
    let no_point = [2; 32];
    for bytes in [identity_point, no_point] {
        let participant = ParticipantId::from_bytes(bytes);
        let weak_participant = Enrolment { participant, ..sample(&charter) };
        let weak_meter = Enrolment { meter: MeterKey::Ed25519(bytes), ..sample(&charter) };
        for enrolment in [weak_participant, weak_meter] {
            let verified = certified(enrolment).verify(&charter).cloned();
            assert_eq!(verified, Err(EnrolmentRejected::BadKey));
        }
    }
}

#[test]
fn an_enrolment_holds_from_its_first_interval_to_before_its_last() {
    let enrolment = Enrolment {
        valid_from: Interval::from_number(10),
        valid_until: Interval::from_number(12),
        ..sample(&charter())
    };
    let holds: Vec<u64> =
        (8..14).filter(|at| enrolment.holds_in(Interval::from_number(*at))).collect();
    assert_eq!(holds, [10, 11]);
}

#[test]
fn a_feeders_meter_neither_votes_nor_trades() {
    let charter = charter();
    let at_feeder = |change: fn(&mut Enrolment)| {
        let mut enrolment = sample(&charter);
        enrolment.connection_point = "north".to_owned();
        (enrolment.votes, enrolment.rated_import_mw, enrolment.rated_export_mw) =
            (false, Power::ZERO, Power::ZERO);
        change(&mut enrolment);
        certified(enrolment).verify(&charter).map(|_| ())
    };
    assert_eq!(at_feeder(|_| {}), Ok(()));
    let refused: [fn(&mut Enrolment); 3] = [
        |it| it.votes = true,
        |it| it.rated_import_mw = Power::from_milliwatts(1),
        |it| it.rated_export_mw = Power::from_milliwatts(1),
    ];
    for change in refused {
        assert!(matches!(at_feeder(change), Err(EnrolmentRejected::Field(_))));
    }
}

#[test]
fn a_site_at_a_point_that_is_named_like_a_feeder_is_a_site() {
    let text = CHARTER.replace("[\"bus-3\"]", "[\"north\"]");
    let charter = Charter::from_toml(&text).unwrap();
    assert!(charter.feeder_metered_at("north").is_none());
    assert!(charter.feeder_metered_at("south").is_some());
    assert!(charter.feeder_metered_at("bus-1").is_none());
    let mut enrolment = sample(&charter);
    enrolment.connection_point = "north".to_owned();
    assert_eq!(certified(enrolment).verify(&charter).map(|_| ()), Ok(()));
}
