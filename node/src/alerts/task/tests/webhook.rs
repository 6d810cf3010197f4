//! What is implausible at a meter or a feeder arrives at a webhook, and so does that it is over.

use boltgrid_metering::feeder::{Balance, FeederGap, Suspect};
use boltgrid_metering::plausibility::{Anomaly, AnomalyKind, Finding};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Interval, NetEnergy};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::anomalies::AnomalyRecord;

impl House {
    /// Where the house's listener is, as a webhook.
    pub(super) fn webhook(&self) -> Destination {
        let url = format!("http://{}/hook", self.listener.local_addr().unwrap());
        Destination::Webhook { url, token_file: None }
    }

    /// Takes the next alert as a webhook does: its turn and its text.
    pub(super) async fn posted(&self) -> (String, String) {
        let taking = async {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut request = String::new();
            let json = loop {
                let mut chunk = [0; 4_096];
                let read = stream.read(&mut chunk).await.unwrap();
                assert!(read > 0, "the request ends early: {request}");
                request.push_str(str::from_utf8(&chunk[..read]).unwrap());
                let body = request.split_once("\r\n\r\n").map(|(_, body)| body);
                if let Some(Ok(json)) = body.map(serde_json::from_str::<Value>) {
                    break json;
                }
            };
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            let word = |name: &str| json[name].as_str().unwrap().to_owned();
            (word("turn"), word("text"))
        };
        timeout(PATIENCE, taking).await.expect("nothing is posted")
    }
}

fn finding(kind: AnomalyKind) -> Finding {
    let (energy, net) = (Energy::from_milliwatt_hours, NetEnergy::from_milliwatt_hours);
    match kind {
        AnomalyKind::RegisterBack => Finding::RegisterBack { before_counts: 9, shown_counts: 3 },
        AnomalyKind::RegisterJump => {
            Finding::RegisterJump { grown_mwh: energy(9), elapsed_ms: 1_000, most_mwh: energy(3) }
        }
        AnomalyKind::Frozen => Finding::Frozen {
            for_ms: 60_000,
            power_mw: Power::from_milliwatts(5),
            expected_mwh: energy(3),
        },
        AnomalyKind::Disagrees => Finding::Disagrees {
            for_ms: 60_000,
            registers_mwh: net(9),
            integrated_mwh: net(-9),
            tolerance_mwh: energy(1),
        },
        AnomalyKind::PvAtNight => {
            Finding::PvAtNight { pv_mw: Power::from_milliwatts(-5), sun_millidegrees: -9_000 }
        }
        AnomalyKind::Gap => Finding::Gap { for_ms: 60_000 },
    }
}

#[tokio::test]
async fn every_anomaly_of_a_meter_is_told_and_its_end() {
    let house = House::new().await;
    let run = house.start_with(("odd", When::Anomaly), house.webhook());
    for kind in AnomalyKind::ALL {
        let found = finding(kind);
        let at = Timestamp::from_unix_ms(1);
        let anomaly =
            Anomaly { finding: found, began_at: at, seen_at: at, count: 1, ended_at: None };
        let standing = vec![AnomalyRecord::of_site("cellar", &anomaly)];
        house.checked.send_replace(Checked { standing, ..Checked::default() });
        assert_eq!(house.posted().await, ("begins".to_owned(), format!("cellar: {found}")));
        house.checked.send_replace(Checked::default());
        let over = ("ends".to_owned(), "nothing implausible".to_owned());
        assert_eq!(house.posted().await, over, "{kind:?}");
    }
    run.end().await;
}

fn feeder(gap: Option<FeederGap>, located: Option<ParticipantId>) -> FeederState {
    let balance = Some(Balance {
        interval: Interval::from_number(9),
        feeder_mwh: NetEnergy::ZERO,
        sites_mwh: NetEnergy::ZERO,
        losses_mwh: Energy::ZERO,
        gap_mwh: NetEnergy::ZERO,
        tolerance_mwh: Energy::ZERO,
        turnover_mwh: Energy::ZERO,
    });
    FeederState { name: "cable 1".to_owned(), balance, gap, located, ..FeederState::default() }
}

#[tokio::test]
async fn a_feeders_gap_is_told_with_whose_meter_it_comes_from_and_its_end() {
    let house = House::new().await;
    let run = house.start_with(("gap", When::FeederGap), house.webhook());
    let whose = ParticipantId::from_bytes([7; 32]);
    let gap = FeederGap {
        since: Interval::from_number(7),
        intervals: 3,
        gap_mwh: NetEnergy::from_milliwatt_hours(54_000),
        gap_ppm: 120_000,
        suspects: vec![Suspect { participant: whose, shows_ppm: 600_000 }],
    };
    house.feeders.send_replace(vec![feeder(None, None), feeder(Some(gap), Some(whose))]);
    let (turn, text) = house.posted().await;
    assert_eq!(turn, "begins");
    assert!(text.starts_with("feeder cable 1: in 3 intervals since"), "{text}");
    let blamed = format!("it comes from the meter of {}", whose.short());
    assert!(text.contains(&blamed) && text.contains("600000 ppm"), "{text}");
    house.feeders.send_replace(vec![feeder(None, None)]);
    let over = "no feeder has a gap that stands".to_owned();
    assert_eq!(house.posted().await, ("ends".to_owned(), over));
    run.end().await;
}

#[test]
fn where_nothing_was_added_up_nobody_knows_of_a_gap() {
    assert_eq!(feeder_gaps(&[]), None);
    let unseen = FeederState { unseen: true, ..FeederState::default() };
    assert_eq!(feeder_gaps(&[unseen.clone(), FeederState::default()]), None);
    assert_eq!(feeder_gaps(&[unseen, feeder(None, None)]), Some(Vec::new()));
}
