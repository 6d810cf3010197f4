//! `boltgrid meter anomalies|quality|balance`: what the running node found implausible.

use std::io::Write;

use boltgrid_protocol::units::{Energy, Timestamp};
use clap::Args;

use crate::cli::error::CliError;
use crate::cli::node::Node;
use crate::cli::show;
use crate::rpc::ChecksRpcClient;
use crate::rpc::checks::{
    AnomalyReport, BalanceReport, CohortReport, EventReport, FeederReport, GapReport,
    QualityReport, SuspectReport,
};

/// Since when to look back.
#[derive(Debug, Args)]
pub(in crate::cli) struct Since {
    /// Only what began at this time or later, in Unix milliseconds
    #[arg(long, value_name = "UNIX_MS", default_value_t = 0)]
    from_unix_ms: u64,
    #[command(flatten)]
    node: Node,
}

pub(super) fn anomalies(since: &Since, out: &mut impl Write) -> Result<(), CliError> {
    let from = since.from_unix_ms.to_string();
    let anomalies = since.node.ask(|it| async move { it.anomalies(from, None).await })?;
    if since.node.json {
        return show::json(out, &anomalies);
    }
    if anomalies.is_empty() {
        writeln!(out, "nothing was found implausible")?;
    }
    for it in &anomalies {
        writeln!(out, "{}", anomaly(it))?;
    }
    Ok(())
}

pub(super) fn quality(since: &Since, out: &mut impl Write) -> Result<(), CliError> {
    let from = since.from_unix_ms.to_string();
    let quality = since.node.ask(|it| async move { it.quality(from).await })?;
    if since.node.json {
        return show::json(out, &quality);
    }
    show::rows(out, &week(&quality))?;
    for it in &quality.events {
        writeln!(out, "{}", event(it))?;
    }
    Ok(())
}

pub(super) fn balance(node: &Node, out: &mut impl Write) -> Result<(), CliError> {
    let feeders = node.ask(|it| async move { it.balance().await })?;
    if node.json {
        return show::json(out, &feeders);
    }
    if feeders.is_empty() {
        writeln!(out, "no feeders are added up: the charter names none, or it is too early")?;
    }
    for it in &feeders {
        writeln!(out, "{}", feeder(it))?;
    }
    Ok(())
}

fn span(began_at_unix_ms: u64, ended_at_unix_ms: Option<u64>) -> String {
    let began = show::moment(Timestamp::from_unix_ms(began_at_unix_ms));
    match ended_at_unix_ms {
        None => format!("{began}, lasting"),
        Some(ended) => {
            format!("{began}, for {}", show::seconds(ended.saturating_sub(began_at_unix_ms)))
        }
    }
}

fn anomaly(it: &AnomalyReport) -> String {
    let blocks = it.blocks_orders && it.ended_at_unix_ms.is_none();
    let blocks = if blocks { "; nothing is ordered meanwhile" } else { "" };
    let span = span(it.began_at_unix_ms, it.ended_at_unix_ms);
    format!("{span}  {} ({}, seen {} times)  {}{blocks}", it.of, it.kind, it.count, it.found)
}

fn percent(ppm: Option<u64>) -> String {
    show::or_none(ppm.map(|ppm| format!("{}.{:02} %", ppm / 10_000, ppm % 10_000 / 100)))
}

fn thousandths(least: Option<u32>, most: Option<u32>, unit: &str) -> String {
    let whole = |it: u32| format!("{}.{:03}", it / 1_000, it % 1_000);
    let range = least.zip(most);
    show::or_none(range.map(|(low, high)| format!("{} to {} {unit}", whole(low), whole(high))))
}

fn week(it: &QualityReport) -> Vec<(&'static str, String)> {
    let meets = match it.meets_en_50160 {
        None => "not known yet",
        Some(true) => "yes, as far as it was seen",
        Some(false) => "no",
    };
    vec![
        ("10-minute means of a week", it.windows.to_string()),
        ("within 10 %, 95 % must be", percent(it.within_10_percent_ppm)),
        ("within +10/-15 %, all must be", percent(it.within_15_percent_ppm)),
        ("voltage", thousandths(it.lowest_mv, it.highest_mv, "V")),
        ("frequency within 1 %", percent(it.frequency_within_1_percent_ppm)),
        ("frequency", thousandths(it.lowest_mhz, it.highest_mhz, "Hz")),
        ("meets EN 50160", meets.to_owned()),
    ]
}

fn event(it: &EventReport) -> String {
    let phase = it.phase.map_or_else(String::new, |phase| format!(" on phase {phase}"));
    let to = it.extreme_mv.map(|mv| thousandths(Some(mv), Some(mv), "V"));
    let to = to.or(it.extreme_mhz.map(|mhz| thousandths(Some(mhz), Some(mhz), "Hz")));
    let to = to.as_deref().and_then(|range| range.split_once(" to ").map(|(_, one)| one));
    let span = span(it.began_at_unix_ms, it.ended_at_unix_ms);
    format!("{span}  {}{phase}, as far as {}", it.kind, show::or_none(to))
}

fn feeder(it: &FeederReport) -> String {
    if it.unseen {
        return format!(
            "{}: not checked: the charter lets counterparties only see its sites' readings",
            it.name
        );
    }
    let Some(meter) = &it.meter else {
        return format!(
            "{}: has no meter; none is enrolled at a connection point of its name",
            it.name
        );
    };
    let balance = it.balance.as_ref().map_or_else(|| "not added up yet".to_owned(), sums);
    let missing = match it.missing.len() {
        0 => String::new(),
        count => {
            let what = if it.cohort.is_some() { "readings or shares" } else { "readings" };
            format!("; {what} of {count} members are missing: {}", it.missing.join(", "))
        }
    };
    let cohort = it.cohort.as_ref().map_or_else(String::new, cohort);
    let gap = it.gap.as_ref().map_or_else(String::new, |it_gap| gap(it_gap, it.cohort.as_ref()));
    format!("{}: metered by {meter}; {balance}{cohort}{missing}{gap}", it.name)
}

fn wh(mwh: i64) -> String {
    let sign = if mwh < 0 { "-" } else { "" };
    format!("{sign}{}", show::energy(Energy::from_milliwatt_hours(mwh.unsigned_abs())))
}

fn sums(it: &BalanceReport) -> String {
    format!(
        "interval {}: {} into it, its sites say {}, gap {} ({} ppm, honest up to {})",
        it.interval,
        wh(it.feeder_mwh),
        wh(it.sites_mwh),
        wh(it.gap_mwh),
        it.gap_ppm,
        show::energy(Energy::from_milliwatt_hours(it.tolerance_mwh)),
    )
}

fn cohort(it: &CohortReport) -> String {
    let mut said = format!("; of interval {} {} sites are added up unseen", it.interval, it.sites);
    if it.absent > 0 {
        let most = show::energy(Energy::from_milliwatt_hours(it.absent_most_mwh));
        said += &format!(", {} are absent and may have moved {most}", it.absent);
    }
    if let Some(why) = &it.no_sum {
        said += &format!("; there is no sum: {why}");
    }
    said
}

pub(super) fn gap(it: &GapReport, cohort: Option<&CohortReport>) -> String {
    let suspect = |it: &SuspectReport| {
        format!("{} (if its meter shows {} ppm of the truth)", it.participant, it.shows_ppm)
    };
    let suspects: Vec<_> = it.suspects.iter().map(suspect).collect();
    let whose = if let Some(whose) = &it.located {
        let shown = it.suspects.iter().find(|it| it.participant == *whose);
        let shown = shown.map_or_else(String::new, |it| {
            format!(", and it shows {} ppm of the truth", it.shows_ppm)
        });
        format!("it comes from {whose}, whose flow stepped when the gap began{shown}")
    } else if let Some(cohort) = cohort {
        format!(
            "it comes from the cohort of {} sites, or from the feeder's own meter; whose it is, an \
             arbiter can tell to whom they open their shares (`boltgrid meter open --help`)",
            cohort.sites
        )
    } else if suspects.is_empty() {
        "no single meter explains it".to_owned()
    } else {
        format!("it could be {}", suspects.join(" or "))
    };
    let (gap, intervals) = (wh(it.gap_mwh), it.intervals);
    format!("; A GAP STANDS: {gap} ({} ppm) in {intervals} intervals; {whose}", it.gap_ppm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anomaly_is_one_line_for_people() {
        let it = AnomalyReport {
            of: "meter".to_owned(),
            kind: "frozen".to_owned(),
            found: "nothing has moved".to_owned(),
            blocks_orders: true,
            began_at_unix_ms: 1_000,
            seen_at_unix_ms: 2_000,
            count: 3,
            ended_at_unix_ms: None,
            suspects: Vec::new(),
            located: None,
        };
        let line = anomaly(&it);
        assert!(line.contains("lasting  meter (frozen, seen 3 times)"), "{line}");
        assert!(line.contains("nothing is ordered meanwhile"), "{line}");
        let over = AnomalyReport { ended_at_unix_ms: Some(61_000), ..it };
        assert!(!anomaly(&over).contains("ordered"), "{}", anomaly(&over));
    }

    #[test]
    fn an_event_says_phase_and_depth() {
        let it = EventReport {
            kind: "dip".to_owned(),
            phase: Some(2),
            began_at_unix_ms: 0,
            ended_at_unix_ms: Some(4_000),
            extreme_mv: Some(190_050),
            extreme_mhz: None,
        };
        let line = event(&it);
        assert!(line.contains("dip on phase 2, as far as 190.050 V"), "{line}");
    }

    #[test]
    fn a_gap_names_whose_it_could_be() {
        let suspects = vec![SuspectReport { participant: "ab".to_owned(), shows_ppm: 700_000 }];
        let it = FeederReport {
            name: "mill lane".to_owned(),
            meter: Some("cd".to_owned()),
            balance: None,
            gap: Some(GapReport {
                since_interval: 7,
                intervals: 3,
                gap_mwh: 450_000,
                gap_ppm: 93_000,
                suspects,
                located: None,
            }),
            unseen: false,
            missing: Vec::new(),
            cohort: None,
        };
        let unseen = feeder(&FeederReport { unseen: true, ..it.clone() });
        assert!(unseen.contains("not checked"), "{unseen}");
        let line = feeder(&it);
        assert!(line.contains("A GAP STANDS") && line.contains("it could be ab"), "{line}");
        let cohort = CohortReport {
            interval: 9,
            sites: 8,
            absent: 1,
            absent_most_mwh: 5_000_000,
            no_sum: Some("2 shares are missing".to_owned()),
        };
        let gap = it.gap.clone().map(|gap| GapReport { suspects: Vec::new(), ..gap });
        let masked = feeder(&FeederReport { gap, cohort: Some(cohort), ..it.clone() });
        assert!(masked.contains("8 sites are added up unseen, 1 are absent"), "{masked}");
        assert!(masked.contains("there is no sum: 2 shares are missing"), "{masked}");
        assert!(masked.contains("it comes from the cohort of 8 sites"), "{masked}");
        let gap = it.gap.clone().map(|gap| GapReport { located: Some("ab".to_owned()), ..gap });
        let line = feeder(&FeederReport { gap, ..it });
        assert!(line.contains("it comes from ab") && line.contains("700000 ppm"), "{line}");
    }
}
