//! `boltgrid meter flows|corrections`: what passed the site's meter in each interval, what stands in for
//! missing readings, and what of that was corrected.

use std::io::Write;
use std::iter;

use boltgrid_protocol::units::{Energy, SignedMsat, Timestamp};
use clap::Args;

use crate::cli::error::CliError;
use crate::cli::node::Node;
use crate::cli::show;
use crate::clock;
use crate::rpc::flows::{CorrectionReport, FlowReport};
use crate::rpc::{FlowsRpcClient, GridRpcClient};

/// Without a time, the last day is shown.
const DAY_MS: u64 = 86_400_000;
/// As many intervals as a node looks at for one question, and no more.
const PAGE: u64 = 1_000;
/// Most questions: ten years of intervals of five minutes, and some more.
const PAGES_MAX: u64 = 1_100;

/// Which time to show.
#[derive(Debug, Args)]
pub(in crate::cli) struct Span {
    /// From this time on, in Unix milliseconds; without, the last day
    #[arg(long, value_name = "UNIX_MS")]
    from_unix_ms: Option<u64>,
    /// Up to this time, in Unix milliseconds
    #[arg(long, value_name = "UNIX_MS")]
    until_unix_ms: Option<u64>,
    /// As a CSV file, for a spreadsheet
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    node: Node,
}

impl Span {
    fn from(&self) -> u64 {
        self.from_unix_ms.unwrap_or_else(|| now_ms().saturating_sub(DAY_MS))
    }
}

fn now_ms() -> u64 {
    clock::now().to_unix_ms()
}

/// The times from `from` on that are asked for one after the other, since a node looks at so many
/// intervals at once. Where that would be too many, the latest of them.
fn pages(from: u64, until: u64, interval_ms: u64) -> impl Iterator<Item = (u64, u64)> {
    let page_ms = interval_ms.saturating_mul(PAGE).max(1);
    let from = from.max(until.saturating_sub(page_ms.saturating_mul(PAGES_MAX)));
    // Each begins where an interval does, or that interval would be in two of them.
    let next =
        move |at: u64| (at / interval_ms.max(1) * interval_ms.max(1)).saturating_add(page_ms);
    let begins = iter::successors(Some(from), move |at| Some(next(*at)));
    begins.take_while(move |at| *at < until).map(move |at| (at, next(at).min(until)))
}

pub(super) fn flows(span: &Span, out: &mut impl Write) -> Result<(), CliError> {
    let (from, until) = (span.from(), span.until_unix_ms.unwrap_or_else(now_ms));
    let flows = span.node.ask(|it| async move {
        let interval_ms = it.charter().await?.interval_ms;
        let mut all = Vec::new();
        for (from, until) in pages(from, until, interval_ms) {
            all.extend(it.flows(from.to_string(), Some(until.to_string())).await?);
        }
        Ok(all)
    })?;
    if span.node.json {
        return show::json(out, &flows);
    }
    if span.csv {
        writeln!(out, "interval,start_unix_ms,import_mwh,export_mwh,substitute")?;
    } else if flows.is_empty() {
        writeln!(out, "no readings are known of that time")?;
    }
    for it in &flows {
        if span.csv { writeln!(out, "{}", csv(it))? } else { writeln!(out, "{}", line(it))? }
    }
    Ok(())
}

pub(super) fn corrections(span: &Span, out: &mut impl Write) -> Result<(), CliError> {
    let from = span.from().to_string();
    let corrections = span.node.ask(|it| async move { it.corrections(from).await })?;
    if span.node.json {
        return show::json(out, &corrections);
    }
    if span.csv {
        writeln!(
            out,
            "interval,at_unix_ms,was,was_import_mwh,was_export_mwh,is,is_import_mwh,is_export_mwh,\
             more_mwh,supplier_due_msat"
        )?;
    } else if corrections.is_empty() {
        writeln!(out, "nothing that was shown of that time was corrected")?;
    }
    for it in &corrections {
        let text = if span.csv { corrected_csv(it) } else { corrected(it) };
        writeln!(out, "{text}")?;
    }
    Ok(())
}

fn energy(mwh: u64) -> String {
    show::energy(Energy::from_milliwatt_hours(mwh))
}

fn line(it: &FlowReport) -> String {
    let at = show::moment(Timestamp::from_unix_ms(it.start_unix_ms));
    let substitute = it.substitute.as_deref();
    let mark = substitute.map_or_else(String::new, |rule| format!("  SUBSTITUTE ({rule})"));
    format!("{at}  took {}, gave {}{mark}", energy(it.import_mwh), energy(it.export_mwh))
}

fn csv(it: &FlowReport) -> String {
    let substitute = it.substitute.as_deref().unwrap_or_default();
    let FlowReport { interval, start_unix_ms, import_mwh, export_mwh, .. } = it;
    format!("{interval},{start_unix_ms},{import_mwh},{export_mwh},{substitute}")
}

fn corrected(it: &CorrectionReport) -> String {
    let was = match (it.was_import_mwh, it.was_export_mwh) {
        (Some(import), Some(export)) => {
            format!("took {}, gave {} ({})", energy(import), energy(export), it.was)
        }
        (Some(_) | None, _) => "nothing known".to_owned(),
    };
    let sign = if it.more_mwh < 0 { "-" } else { "+" };
    format!(
        "interval {}: was {was}, is took {}, gave {} ({}); {sign}{} on balance, {} from the supplier; {}",
        it.interval,
        energy(it.is_import_mwh),
        energy(it.is_export_mwh),
        it.is,
        energy(it.more_mwh.unsigned_abs()),
        show::money(SignedMsat::from_millisatoshi(it.supplier_due_msat)),
        show::moment(Timestamp::from_unix_ms(it.at_unix_ms)),
    )
}

fn corrected_csv(it: &CorrectionReport) -> String {
    let whole = |it: Option<u64>| it.map_or_else(String::new, |it| it.to_string());
    format!(
        "{},{},{},{},{},{},{},{},{},{}",
        it.interval,
        it.at_unix_ms,
        it.was,
        whole(it.was_import_mwh),
        whole(it.was_export_mwh),
        it.is,
        it.is_import_mwh,
        it.is_export_mwh,
        it.more_mwh,
        it.supplier_due_msat,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(substitute: Option<&str>) -> FlowReport {
        FlowReport {
            interval: 7,
            start_unix_ms: 2_100_000,
            import_mwh: 1_500_000,
            export_mwh: 0,
            substitute: substitute.map(str::to_owned),
        }
    }

    #[test]
    fn a_substitute_is_marked_wherever_it_is_shown() {
        assert!(!line(&flow(None)).contains("SUBSTITUTE"), "{}", line(&flow(None)));
        let shown = line(&flow(Some("shaped")));
        assert!(shown.contains("SUBSTITUTE (shaped)"), "{shown}");
        assert_eq!(csv(&flow(None)), "7,2100000,1500000,0,");
        assert_eq!(csv(&flow(Some("even"))), "7,2100000,1500000,0,even");
    }

    #[test]
    fn all_of_a_time_is_asked_for_page_by_page_and_no_interval_twice() {
        let all = |from, until| pages(from, until, 10).collect::<Vec<_>>();
        let page = PAGE * 10;
        let expected = [(7, page), (page, 2 * page), (2 * page, 2 * page + 3)];
        assert_eq!(all(7, 2 * page + 3), expected);
        assert_eq!((all(5, 5), all(6, 5)), (Vec::new(), Vec::new()));
        // Of more than a node should be asked, the latest.
        let many = all(0, u64::MAX);
        assert_eq!(many.last().map(|(_, until)| *until), Some(u64::MAX));
        assert!(many.len() as u64 <= PAGES_MAX + 1, "{}", many.len());
        assert!(pages(0, 1, 0).count() <= 1);
        assert_eq!(usize::try_from(PAGE), Ok(crate::rpc::checks::PAGE_MAX));
    }

    #[test]
    fn a_correction_shows_old_new_and_difference() {
        let it = CorrectionReport {
            interval: 7,
            at_unix_ms: 2_700_000,
            was: "profile".to_owned(),
            was_import_mwh: Some(1_000_000),
            was_export_mwh: Some(0),
            is: "measured".to_owned(),
            is_import_mwh: 800_000,
            is_export_mwh: 0,
            more_mwh: -200_000,
            supplier_due_msat: 60_000,
        };
        let line = corrected(&it);
        for part in ["profile", "measured", "-200 Wh"] {
            assert!(line.contains(part), "{part} in {line}");
        }
        let csv = corrected_csv(&it);
        assert_eq!(csv, "7,2700000,profile,1000000,0,measured,800000,0,-200000,60000");
        let first = CorrectionReport { was_import_mwh: None, was_export_mwh: None, ..it };
        assert!(corrected(&first).contains("was nothing known"), "{}", corrected(&first));
    }
}
