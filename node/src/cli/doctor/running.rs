//! What the running node says of itself; and what is known of one that does not run.

use std::fs;
use std::path::Path;

use boltgrid_protocol::units::Timestamp;
use jsonrpsee::core::client::Error;

use super::Finding;
use crate::cli::error::CliError;
use crate::cli::node::Node;
use crate::cli::show;
use crate::config::Config;
use crate::dispatcher::DispatchStatus;
use crate::rpc::code::Code;
use crate::rpc::grid::CharterReport;
use crate::rpc::meter::MeterReport;
use crate::rpc::wallet::{ChannelReport, ChannelStage};
use crate::rpc::{
    ChannelRpcClient, DispatchListRpcClient, GridRpcClient, MeterRpcClient, NodeRpcClient,
};
use crate::status::{ClockStatus, NodeStatus, SiteStatus};

/// A view of the chain that is older than this is stale, in seconds: a bitcoind is asked every few seconds, and
/// blocks come every ten minutes.
const CHAIN_STALE_S: u64 = 3_600;
/// Where systemd says that it keeps the clock.
const CLOCK_IS_KEPT: &str = "/run/systemd/timesync/synchronized";

/// What a running node answers.
struct Seen {
    status: NodeStatus,
    charter: CharterReport,
    meters: Vec<MeterReport>,
    machines: DispatchStatus,
    /// None without Lightning.
    channels: Option<Vec<ChannelReport>>,
}

/// Asks the node.
pub(super) fn look(node: &Node, config: &Config) -> Vec<Finding> {
    let seen = node.ask(|it| async move {
        let channels = match it.channels().await {
            Err(Error::Call(why)) if why.code() == Code::NoLightning.number() => None,
            answer => Some(answer?),
        };
        Ok(Seen {
            status: it.status().await?,
            charter: it.charter().await?,
            meters: it.meters().await?,
            machines: DispatchListRpcClient::list(&it).await?,
            channels,
        })
    });
    match seen {
        Ok(seen) => of_running(&seen),
        Err(error @ CliError::NoNode { .. }) => of_stopped(&config.data_dir, &error),
        Err(error) => {
            let advice =
                "run this as the user that the node runs as, or show a token by --token-file";
            vec![Finding::trouble("node", error.to_string(), advice)]
        }
    }
}

fn of_stopped(data_dir: &Path, error: &CliError) -> Vec<Finding> {
    let holder = fs::read_to_string(data_dir.join("lock")).unwrap_or_default();
    let holder = holder.trim();
    let node = if holder.is_empty() {
        Finding::warning("node", "it does not run", "start it with `boltgrid run`")
    } else if Path::new("/proc").join(holder).exists() {
        Finding::trouble(
            "node",
            format!(
                "process {holder} has the data folder, but its JSON-RPC does not answer: {error}"
            ),
            "see its log; stop and start it if it says nothing; or name its address by --rpc",
        )
    } else {
        Finding::warning(
            "node",
            "it does not run, and ended without putting everything away",
            "see its log for why; start it with `boltgrid run`, which reads its archive through",
        )
    };
    vec![node, kept_clock(Path::new(CLOCK_IS_KEPT).exists())]
}

/// What is known of the clock when no other node can be asked for its own.
fn kept_clock(is_kept: bool) -> Finding {
    if is_kept {
        return Finding::ok("clock", "systemd-timesyncd keeps it");
    }
    let advice =
        "check `timedatectl` or `chronyc tracking`; a running node compares it with other nodes'";
    Finding::warning("clock", "whether anything keeps it right is not known", advice)
}

fn of_running(seen: &Seen) -> Vec<Finding> {
    let status = &seen.status;
    let since = show::moment(Timestamp::from_unix_ms(status.started_at_unix_ms));
    let mut findings = vec![match &status.abstains {
        None => Finding::ok("node", format!("version {} runs since {since}", status.version)),
        Some(it) => Finding::trouble("node", format!("abstains: {}", it.why), it.advice.clone()),
    }];
    let clocks = (status.clock_test_offset_ms, status.peer_clocks.as_ref());
    findings.push(clock(clocks, seen.charter.clock_skew_max_ms));
    let others = status.members.saturating_sub(u32::from(status.is_member));
    findings.push(peers(status.network.members_connected, others));
    if let Some(lightning) = &status.lightning {
        let seen = (lightning.synced_at_unix_s, lightning.height_blocks);
        findings.push(chain(seen, status.now_unix_ms / 1_000));
    }
    findings.extend(seen.channels.as_ref().map(|it| channels(it)));
    findings.push(meters(status.site.as_ref(), &seen.meters));
    findings.push(miners(&seen.machines));
    findings
}

fn clock(
    (test_offset_ms, peers): (Option<i64>, Option<&ClockStatus>),
    skew_max_ms: u64,
) -> Finding {
    let of = "clock";
    let advice = "let a time service keep the clock: `timedatectl set-ntp true`, or chrony";
    if let Some(offset_ms) = test_offset_ms {
        let found = format!("it is set off by {offset_ms} ms, which is for tests only");
        return Finding::trouble(of, found, "start the node without --clock-offset-file");
    }
    let Some(peers) = peers else {
        let found = "no other node could be asked for its own yet";
        return Finding::warning(of, found, "ask again once there are peers");
    };
    let (off_ms, count) = (peers.median_offset_ms, peers.peers);
    let found =
        format!("the median of {count} peers is {off_ms} ms off; {skew_max_ms} ms are allowed");
    match off_ms.unsigned_abs() {
        off if off > skew_max_ms => Finding::trouble(of, found, advice),
        off if off > skew_max_ms / 2 => Finding::warning(of, found, advice),
        _ => Finding::ok(of, found),
    }
}

fn peers(connected: u32, others: u32) -> Finding {
    let of = "peers";
    let found = format!("{connected} of {others} other members are connected");
    let advice = "check `network.bootstrap`, and that the firewall lets `network.listen` through; \
                  `boltgrid peer list` shows where each was last";
    if others > 0 && connected == 0 {
        Finding::trouble(of, found, advice)
    } else if connected < others.div_ceil(2) {
        Finding::warning(of, found, advice)
    } else {
        Finding::ok(of, found)
    }
}

fn chain((synced_at_s, height): (Option<u64>, u32), now_s: u64) -> Finding {
    let of = "chain view";
    let advice = "check that the server of `[lightning]` runs and is itself up to date";
    let Some(at_s) = synced_at_s else {
        return Finding::trouble(of, "the chain was not seen since the start", advice);
    };
    let ago_s = now_s.saturating_sub(at_s);
    let found = format!("block {height}, looked at {ago_s} s ago");
    if ago_s > CHAIN_STALE_S {
        return Finding::trouble(of, found, advice);
    }
    Finding::ok(of, found)
}

fn channels(channels: &[ChannelReport]) -> Finding {
    let of = "channels";
    let usable = channels.iter().filter(|it| it.state == ChannelStage::Usable).count();
    let sum = |of: fn(&ChannelReport) -> u64| channels.iter().map(of).fold(0, u64::saturating_add);
    let (send, receive) = (sum(|it| it.sendable_msat), sum(|it| it.receivable_msat));
    let sat = show::msat_as_sat;
    let found = format!(
        "{usable} of {} usable; can send {} sat and receive {} sat",
        channels.len(),
        sat(send),
        sat(receive)
    );
    if channels.is_empty() {
        let advice = "send bitcoin to `boltgrid wallet address`; the node then opens what it needs, or \
                      `boltgrid channel open` does";
        return Finding::warning(of, "there are none: nothing can be paid or received", advice);
    }
    if usable == 0 {
        let advice =
            "see `boltgrid channel list`: new ones wait for blocks, others for their members";
        return Finding::trouble(of, found, advice);
    }
    if usable < channels.len() || send == 0 || receive == 0 {
        let advice =
            "see `boltgrid channel list`, and `boltgrid channel plan` for what the node will do";
        return Finding::warning(of, found, advice);
    }
    Finding::ok(of, found)
}

fn meters(site: Option<&SiteStatus>, meters: &[MeterReport]) -> Finding {
    let of = "meters";
    let advice = "see `boltgrid meter list`; `boltgrid meter test NAME` tries one out";
    if !meters.iter().any(|it| it.settles) {
        let found = "no meter settles: nothing is signed, so nothing can be traded";
        return Finding::trouble(
            of,
            found,
            "name the grid's meter under `[site]`; see docs/meters.md",
        );
    }
    let stale: Vec<String> = meters
        .iter()
        .filter_map(|it| Some(format!("{}: {}", it.name, it.stale.as_ref()?)))
        .collect();
    let of_site = site.and_then(|it| it.stale.clone());
    if !stale.is_empty() || of_site.is_some() {
        let found = if stale.is_empty() { of_site.into_iter().collect() } else { stale };
        return Finding::trouble(of, found.join("; "), advice);
    }
    if site.is_none() {
        return Finding::trouble(of, "the site was not measured yet", advice);
    }
    Finding::ok(of, format!("all {} are read", meters.len()))
}

fn miners(machines: &DispatchStatus) -> Finding {
    let of = "miners";
    match machines.trouble() {
        Some(trouble) => Finding::trouble(
            of,
            trouble,
            "see `boltgrid miner list`; `boltgrid miner test` tries one out",
        ),
        None if machines.machines.is_empty() => Finding::ok(of, "there are none"),
        None => Finding::ok(of, format!("all {} do as they are told", machines.machines.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::dispatcher::MachineStatus;

    #[test]
    fn a_node_that_died_is_told_from_one_that_was_stopped_and_one_that_hangs() {
        let folder = tempfile::tempdir().unwrap();
        let error =
            CliError::NoNode { address: "127.0.0.1:1".parse().unwrap(), problem: "no".to_owned() };
        let of = |holder: &str| {
            fs::write(folder.path().join("lock"), holder).unwrap();
            of_stopped(folder.path(), &error).remove(0)
        };
        assert!(of("").found == "it does not run");
        assert!(of("999999999\n").found.contains("without putting everything away"));
        let hangs = of(&format!("{}\n", std::process::id()));
        assert_eq!(hangs.verdict, Verdict::Trouble);
        assert!(hangs.found.contains("does not answer"), "{hangs:?}");
    }

    #[test]
    fn a_chain_that_is_not_looked_at_is_trouble() {
        let of = |synced, now| chain((synced, 7), now).verdict;
        assert_eq!(of(None, 5_000), Verdict::Trouble);
        assert_eq!(of(Some(1_400), 5_000), Verdict::Ok);
        assert_eq!(of(Some(1_399), 5_000), Verdict::Trouble);
    }

    fn channel(state: ChannelStage, sendable_msat: u64, receivable_msat: u64) -> ChannelReport {
        ChannelReport {
            channel: "01".repeat(16),
            counterparty: "02".repeat(33),
            participant: None,
            state,
            funding: None,
            is_outbound: true,
            size_sat: 100_000,
            sendable_msat,
            receivable_msat,
            reserve_sat: 0,
            confirmations: 6,
            close_delay_blocks: None,
        }
    }

    #[test]
    fn channels_must_be_usable_in_both_directions() {
        let usable = |send, receive| channel(ChannelStage::Usable, send, receive);
        let waits = channel(ChannelStage::Pending, 0, 0);
        for (has, verdict) in [
            (vec![], Verdict::Warning),
            (vec![waits.clone()], Verdict::Trouble),
            (vec![waits, usable(5, 5)], Verdict::Warning),
            (vec![usable(5, 0)], Verdict::Warning),
            (vec![usable(5, 0), usable(0, 5)], Verdict::Ok),
        ] {
            assert_eq!(channels(&has).verdict, verdict, "{has:?}");
        }
    }

    #[test]
    fn a_clock_is_judged_by_those_of_others_and_by_what_the_charter_allows() {
        let of = |offset, peers: Option<i64>| {
            let peers = peers.map(|median_offset_ms| ClockStatus { median_offset_ms, peers: 3 });
            clock((offset, peers.as_ref()), 1_000).verdict
        };
        assert_eq!(of(None, None), Verdict::Warning, "nobody knows");
        assert_eq!(of(None, Some(500)), Verdict::Ok);
        assert_eq!(of(None, Some(-501)), Verdict::Warning);
        assert_eq!(of(None, Some(-1_000)), Verdict::Warning);
        assert_eq!(of(None, Some(1_001)), Verdict::Trouble);
        assert_eq!(of(Some(1), Some(0)), Verdict::Trouble, "set off for a test");
    }

    #[test]
    fn a_node_that_reaches_nobody_is_in_trouble_and_one_that_reaches_few_is_warned() {
        let of = |connected, others| peers(connected, others).verdict;
        assert_eq!(of(0, 0), Verdict::Ok, "a member alone");
        assert_eq!(of(0, 5), Verdict::Trouble);
        assert_eq!(of(2, 5), Verdict::Warning);
        assert_eq!(of(3, 5), Verdict::Ok);
    }

    fn meter(name: &str, settles: bool, stale: Option<&str>) -> MeterReport {
        MeterReport {
            name: name.to_owned(),
            role: "grid".to_owned(),
            is_virtual: false,
            settles,
            at_unix_ms: None,
            stale: stale.map(str::to_owned),
            power_mw: None,
            import_register_mwh: None,
            export_register_mwh: None,
            voltage_mv: None,
            frequency_mhz: None,
            phases: Vec::new(),
            gas_register_ml: None,
            charge_milli_percent: None,
        }
    }

    #[test]
    fn every_meter_must_be_read_and_one_must_settle() {
        let site = |stale: Option<&str>| SiteStatus {
            at_unix_ms: 1,
            stale: stale.map(str::to_owned),
            power_mw: 0,
            load_mw: 0,
            pv_mw: 0,
            pv_potential_mw: 0,
            battery_mw: None,
            stored_mwh: None,
        };
        let (grid, roof) = (meter("meter", true, None), meter("roof", false, None));
        let well = meters(Some(&site(None)), &[grid.clone(), roof.clone()]);
        assert_eq!(well.verdict, Verdict::Ok, "{well:?}");
        let silent = meter("roof", false, Some("no answer"));
        for (site, has, found) in [
            (Some(site(None)), vec![roof], "no meter settles"),
            (Some(site(None)), vec![grid.clone(), silent], "roof: no answer"),
            (Some(site(Some("it is late"))), vec![grid.clone()], "it is late"),
            (None, vec![grid], "was not measured yet"),
        ] {
            let it = meters(site.as_ref(), &has);
            assert!(it.verdict == Verdict::Trouble && it.found.contains(found), "{it:?}");
        }
    }

    #[test]
    fn a_machine_that_does_not_do_as_it_is_told_is_trouble() {
        let machine = |trouble: Option<&str>| MachineStatus {
            name: "cellar".to_owned(),
            trouble: trouble.map(str::to_owned),
            ..MachineStatus::default()
        };
        let of = |machines| miners(&DispatchStatus { machines, ..DispatchStatus::default() });
        assert_eq!(of(vec![]).verdict, Verdict::Ok);
        assert_eq!(of(vec![machine(None)]).verdict, Verdict::Ok);
        let it = of(vec![machine(None), machine(Some("it refuses"))]);
        assert!(
            it.verdict == Verdict::Trouble && it.found.contains("cellar: it refuses"),
            "{it:?}"
        );
    }
}
