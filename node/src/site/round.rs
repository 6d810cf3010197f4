//! One round of reading: what all devices of the site said about one moment.
//! Not for: what it means; see [`super::state`] and `metering::sample`.

use boltgrid_protocol::units::Timestamp;

use super::device::Report;

/// The reports of one moment.
///
/// Invariant: a round is handed out once, when it is complete or a later moment has come.
#[derive(Debug)]
pub(super) struct Round {
    moment: Timestamp,
    reports: Vec<Option<Report>>,
    handed_out: bool,
}

impl Round {
    /// Before the first round of `devices` devices.
    pub(super) fn before_first(devices: usize) -> Self {
        Self { moment: Timestamp::default(), reports: blank(devices), handed_out: true }
    }

    /// Takes a report and returns the rounds that end with it, the earlier first: the last one,
    /// where devices are still missing, and this one when it is complete. A report of a moment that
    /// is over is dropped.
    pub(super) fn take(&mut self, report: Report) -> Vec<Vec<Option<Report>>> {
        let mut ended = Vec::new();
        if report.moment < self.moment {
            return ended;
        }
        if report.moment > self.moment {
            if !self.handed_out {
                ended.push(self.hand_out());
            }
            self.moment = report.moment;
            self.handed_out = false;
        }
        if let Some(place) = self.reports.get_mut(report.device) {
            *place = Some(report);
        }
        if !self.handed_out && self.reports.iter().all(Option::is_some) {
            ended.push(self.hand_out());
        }
        ended
    }

    fn hand_out(&mut self) -> Vec<Option<Report>> {
        self.handed_out = true;
        let devices = self.reports.len();
        std::mem::replace(&mut self.reports, blank(devices))
    }
}

fn blank(devices: usize) -> Vec<Option<Report>> {
    (0..devices).map(|_| None).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use boltgrid_metering::drivers::{DeviceError, PointRejected};

    use super::*;

    fn report(device: usize, moment_ms: u64) -> Report {
        let source = PointRejected::NotImplemented;
        let error = DeviceError::Point { device: "device".into(), point: "W".into(), source };
        Report { device, moment: Timestamp::from_unix_ms(moment_ms), shown: Err(Arc::new(error)) }
    }

    /// Who is in the rounds that end with each report, as `(device, moment)`.
    fn rounds(reports: &[(usize, u64)]) -> Vec<Vec<Vec<bool>>> {
        let mut round = Round::before_first(2);
        let present = |round: Vec<Option<Report>>| round.iter().map(Option::is_some).collect();
        reports
            .iter()
            .map(|(device, moment)| {
                round.take(report(*device, *moment)).into_iter().map(present).collect()
            })
            .collect()
    }

    #[test]
    fn a_round_ends_when_all_have_reported() {
        let ended = rounds(&[(0, 1), (1, 1), (1, 2), (0, 2)]);
        assert_eq!(ended, [vec![], vec![vec![true, true]], vec![], vec![vec![true, true]]]);
    }

    #[test]
    fn a_round_ends_without_those_who_are_late_and_their_report_is_dropped() {
        let ended = rounds(&[(0, 1), (0, 2), (1, 1), (1, 2)]);
        assert_eq!(ended, [vec![], vec![vec![true, false]], vec![], vec![vec![true, true]]]);
    }
}
