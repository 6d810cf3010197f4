//! `boltgrid meter open|openings`: what this site shows an arbiter, and what others showed this node.

use std::io::Write;

use boltgrid_metering::feeder::PERSISTENT_INTERVALS;
use boltgrid_protocol::units::Energy;
use clap::Args;

use crate::cli::error::CliError;
use crate::cli::node::Node;
use crate::cli::show;
use crate::rpc::OpeningRpcClient;
use crate::rpc::opening::{GivenOutcome, GivenReport, RulingInterval, RulingReport};

const ABOUT: &str = "\
Where readings are masked, nobody but those it trades with sees what a site took; so when a feeder's gap
stands, or a sum is spoilt, nobody can say whose it is. The sites of the feeder can open their
shares of some intervals to one member whom they choose, the arbiter, who then reckons whose meter the
gap comes from, once all of them have.

The arbiter sees what this site took in each of the intervals, and keeps it for two weeks; of an
interval whose sum is spoilt it sees the site's masks too, which are also its neighbours'. Whatever it
learns it may tell. Without --yes nothing is sent, and what would be given away is shown.

A gap is told from its neighbours best if the last ten intervals before it are opened too.

  boltgrid meter open --to MEMBER --intervals 5933320..5933334
  boltgrid meter open --to MEMBER --intervals 5933320..5933334 --yes";

/// What to open, and to whom.
#[derive(Debug, Args)]
#[command(after_long_help = ABOUT)]
pub(in crate::cli) struct Open {
    /// The arbiter, by its participant id
    #[arg(long, value_name = "MEMBER")]
    to: String,
    /// The first and the last interval, by their numbers, at most 24
    #[arg(long, value_name = "A..B", value_parser = span)]
    intervals: (u64, u64),
    /// Send it, not only show what would be given away
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    node: Node,
}

/// Two numbers of intervals, or one.
fn span(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let number = |it: &str| it.parse::<u64>();
    match (number(first), number(last)) {
        (Ok(first), Ok(last)) if first <= last => Ok((first, last)),
        (Ok(_) | Err(_), _) => Err("two interval numbers such as 5933320..5933334".to_owned()),
    }
}

pub(super) fn open(it: &Open, out: &mut impl Write) -> Result<(), CliError> {
    let (to, (first, last)) = (it.to.clone(), it.intervals);
    let (first, last, is_dry) = (first.to_string(), last.to_string(), Some(!it.yes));
    let ask = OpeningRpcClient::open;
    let given = it.node.ask(|node| async move { ask(&node, to, first, last, is_dry).await })?;
    if it.node.json {
        return show::json(out, &given);
    }
    for interval in &given {
        writeln!(out, "{}", line(interval, it.yes))?;
    }
    if !it.yes {
        writeln!(
            out,
            "nothing was sent: with --yes, {} sees the above, keeps it for two weeks, and may tell it",
            it.to
        )?;
    }
    match left(&given) {
        left if it.yes && left > 0 => Err(CliError::NotOpened { left, all: given.len() }),
        _ => Ok(()),
    }
}

/// How many intervals could be opened and have not come to the arbiter.
fn left(given: &[GivenReport]) -> usize {
    let is_left = |it: &&GivenReport| {
        let never_came = [GivenOutcome::NotSent, GivenOutcome::NotAnswered].contains(&it.outcome);
        it.net_mwh.is_some() && never_came
    };
    given.iter().filter(is_left).count()
}

fn line(it: &GivenReport, is_sent: bool) -> String {
    let Some(net_mwh) = it.net_mwh else {
        let why = it.why.as_deref().unwrap_or("unknown");
        return format!("interval {}: can't be opened, {why}", it.interval);
    };
    let masks = match it.masks {
        0 => String::new(),
        masks => format!(" and {masks} masks, since the sum is spoilt"),
    };
    let given = format!("interval {}: {}{masks}", it.interval, net(net_mwh));
    if !is_sent {
        return given;
    }
    let why = it.why.as_deref().unwrap_or("unknown");
    let shows = || {
        let ppm = it.shows_ppm.unwrap_or_default();
        format!(", as if it showed {ppm} ppm of the truth")
    };
    let became = match it.outcome {
        GivenOutcome::NotSent => {
            "not sent, since the arbiter did not answer, or took too long, before".to_owned()
        }
        GivenOutcome::NotAnswered => "the arbiter does not answer; open it again later".to_owned(),
        GivenOutcome::Refused => format!("NOT kept: {why}"),
        GivenOutcome::Waits => "kept; the arbiter waits for others".to_owned(),
        GivenOutcome::NoGap => "kept; no gap stands in what is open".to_owned(),
        GivenOutcome::Cleared => "kept; a gap stands, and it is not this site's".to_owned(),
        GivenOutcome::Suspected => {
            format!("kept; a gap stands that this site's meter alone would explain{}", shows())
        }
        GivenOutcome::Located => format!("kept; the gap comes from this site's meter{}", shows()),
        GivenOutcome::Differs => format!(
            "kept; the sum is spoilt, and {} tells another mask than this site",
            it.neighbour.as_deref().unwrap_or("a neighbour")
        ),
    };
    format!("{given}: {became}")
}

fn net(mwh: i64) -> String {
    let energy = show::energy(Energy::from_milliwatt_hours(mwh.unsigned_abs()));
    if mwh < 0 { format!("gave {energy}") } else { format!("took {energy}") }
}

pub(super) fn openings(node: &Node, out: &mut impl Write) -> Result<(), CliError> {
    let rulings = node.ask(|it| async move { it.openings().await })?;
    if node.json {
        return show::json(out, &rulings);
    }
    if rulings.is_empty() {
        writeln!(out, "nobody has opened anything to this node")?;
    }
    for it in &rulings {
        writeln!(out, "{}: {}", it.feeder, ruling(it))?;
        for differing in &it.differing {
            let (one, other) = (&differing.one, &differing.other);
            let interval = differing.interval;
            writeln!(out, "  interval {interval}: {one} and {other} tell different masks")?;
        }
        for interval in &it.intervals {
            writeln!(out, "  {}", opened(interval))?;
        }
    }
    Ok(())
}

fn ruling(it: &RulingReport) -> String {
    let reckoned = format!("{} intervals are open in full", it.reckoned);
    let needed = u64::try_from(PERSISTENT_INTERVALS).unwrap_or(u64::MAX);
    match &it.gap {
        None if it.reckoned < needed => format!("{reckoned}, and {needed} are needed"),
        None => format!("{reckoned}, and no gap stands"),
        Some(gap) => format!("{reckoned}{}", super::checks::gap(gap, None)),
    }
}

fn opened(it: &RulingInterval) -> String {
    let open = it.open.iter().map(|it| format!("{} {}", it.participant, net(it.net_mwh)));
    let mut said = format!("interval {}: {}", it.interval, open.collect::<Vec<_>>().join(", "));
    if let Some(feeder_mwh) = it.feeder_mwh {
        said += &format!("; the feeder {}", net(feeder_mwh));
    }
    if it.spoilt {
        said += "; the sum is spoilt";
    }
    if !it.missing.is_empty() {
        said += &format!("; not open: {}", it.missing.join(", "));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(outcome: GivenOutcome) -> GivenReport {
        GivenReport {
            interval: 7,
            net_mwh: Some(-1_500_000),
            masks: 0,
            outcome,
            why: None,
            shows_ppm: None,
            neighbour: None,
        }
    }

    #[test]
    fn a_span_is_two_numbers_or_one() {
        assert_eq!(span("5..7"), Ok((5, 7)));
        assert_eq!(span("5"), Ok((5, 5)));
        for wrong in ["7..5", "..", "5..", "a..b", "-1..2", "5...7"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_given_away_is_said_before_and_what_came_of_it_after() {
        let it = given(GivenOutcome::NotSent);
        let line_of = |it: &GivenReport| line(it, false);
        assert_eq!(line_of(&it), "interval 7: gave 1500 Wh");
        let spoilt = GivenReport { masks: 8, ..it.clone() };
        assert!(line_of(&spoilt).contains("and 8 masks"), "{}", line_of(&spoilt));
        let unknown = GivenReport { net_mwh: None, why: Some("no share".to_owned()), ..it };
        assert_eq!(line_of(&unknown), "interval 7: can't be opened, no share");
        let located = GivenReport { shows_ppm: Some(500_000), ..given(GivenOutcome::Located) };
        let said = line(&located, true);
        assert!(said.contains("from this site's meter, as if it showed 500000 ppm"), "{said}");
        let refused = GivenReport { why: Some("x".to_owned()), ..given(GivenOutcome::Refused) };
        assert!(line(&refused, true).contains("NOT kept: x"), "{}", line(&refused, true));
    }

    #[test]
    fn what_never_came_to_the_arbiter_is_counted_and_what_cannot_be_opened_is_not() {
        use GivenOutcome::{Cleared, NotAnswered, NotSent, Refused, Waits};
        let all = [Cleared, Waits, NotAnswered, NotSent, Refused, NotSent].map(given);
        assert_eq!(left(&all), 3);
        assert_eq!(left(&[GivenReport { net_mwh: None, ..given(NotSent) }]), 0);
        let error = CliError::NotOpened { left: 3, all: 6 };
        assert!(error.to_string().contains("run the same again") && error.exit_code() == 1);
    }

    #[test]
    fn the_arbiters_owner_sees_who_opened_who_did_not_and_whose_it_is() {
        let it = RulingInterval {
            interval: 7,
            feeder_mwh: Some(2_000),
            spoilt: true,
            open: vec![crate::rpc::opening::OpenSite {
                participant: "ab".to_owned(),
                net_mwh: 1_500_000,
            }],
            missing: vec!["cd".to_owned()],
        };
        let said = opened(&it);
        for part in ["ab took 1500 Wh", "the sum is spoilt", "not open: cd"] {
            assert!(said.contains(part), "{said}");
        }
        let waits = RulingReport {
            feeder: "mill lane".to_owned(),
            reckoned: 2,
            gap: None,
            differing: Vec::new(),
            intervals: vec![it],
        };
        assert!(ruling(&waits).contains("3 are needed"), "{}", ruling(&waits));
        let none = RulingReport { reckoned: 5, ..waits };
        assert!(ruling(&none).contains("no gap stands"), "{}", ruling(&none));
    }
}
