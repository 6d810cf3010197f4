//! `boltgrid peer`: which members are within reach of the running node.
//! Not for: who is a member at all ([`super::grid`]).

use std::io::Write;

use clap::Subcommand;

use super::error::CliError;
use super::node::Node;
use super::show;
use crate::rpc::PeerRpcClient;
use crate::rpc::peer::PeerReport;

/// Who is within reach.
#[derive(Debug, Subcommand)]
pub(super) enum Peer {
    /// Show all other members: connected or not, since when, and where they were last
    List(Node),
}

impl Peer {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let Self::List(node) = self;
        let peers = node.ask(|it| async move { it.peers().await })?;
        if node.json { show::json(out, &peers) } else { table(out, &peers) }
    }
}

fn table(out: &mut impl Write, peers: &[PeerReport]) -> Result<(), CliError> {
    if peers.is_empty() {
        writeln!(out, "this grid has no other members now; see `boltgrid grid members`")?;
    }
    for it in peers {
        writeln!(out, "{}  {}", it.participant, state(it))?;
    }
    Ok(())
}

fn state(it: &PeerReport) -> String {
    let at = it.addresses.first().map_or_else(|| "nowhere yet".to_owned(), Clone::clone);
    let Some(for_ms) = it.connected_for_ms else {
        return format!("NOT CONNECTED  was last at {at}");
    };
    let way = if it.is_dialled { "dialled" } else { "called" };
    let pinned = if it.is_pinned { "  (kept before others)" } else { "" };
    let score = it.score.map(|score| format!("  score {score}")).unwrap_or_default();
    format!("connected for {} ({way})  {at}{score}{pinned}", show::seconds(for_ms / 1_000 * 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_one_line_and_one_out_of_reach_stands_out() {
        let mut peer = PeerReport {
            participant: "ab".repeat(32),
            peer_id: "12D3".to_owned(),
            addresses: vec!["/ip4/192.0.2.7/tcp/9333".to_owned()],
            connected_for_ms: Some(61_234),
            is_dialled: true,
            is_pinned: false,
            score: Some(3),
        };
        assert_eq!(state(&peer), "connected for 61 s (dialled)  /ip4/192.0.2.7/tcp/9333  score 3");
        peer.connected_for_ms = None;
        assert_eq!(state(&peer), "NOT CONNECTED  was last at /ip4/192.0.2.7/tcp/9333");
    }
}
