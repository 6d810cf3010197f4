//! A process that is nothing but a Lightning node: the library as it is in a Boltgrid node, with the
//! same store, chain source, channel terms and threads, and nothing around it.
//!
//! It does what the lines on its standard input say, and ends with it. Not for: measuring; it only
//! says when something happened.

use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr as _;
use std::sync::Arc;
use std::thread;

use boltgrid::clock;
use boltgrid::lightning::prepare_store;
use ldk_node::bitcoin::Network;
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::config::ChannelConfig;
use ldk_node::lightning::ln::msgs::SocketAddress;
use ldk_node::lightning::routing::router::RouteParametersConfig;
use ldk_node::lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescription, Description};
use ldk_node::liquidity::LSPS2ServiceConfig;
use ldk_node::logger::{LogRecord, LogWriter};
use ldk_node::{Builder, Event, Node};

use super::said::{Answer, Ask, Asked, End, Told};

/// The hidden command under which this program is a bare Lightning node.
pub const BARE_COMMAND: &str = "bare";
/// How long invoices are good for, as those of a node are.
const EXPIRY_S: u32 = 3_600;
/// As in a node.
const CLTV_EXPIRY_DELTA_MAX: u32 = 432;
/// As in a node.
const PARTS_MAX: u8 = 4;

/// What a bare node is given.
#[derive(Clone, Debug, clap::Args)]
pub struct PeerOptions {
    /// Where its store is
    #[arg(long)]
    pub dir: PathBuf,
    /// Where it listens on 127.0.0.1
    #[arg(long)]
    pub port: u16,
    /// Where its bitcoind is
    #[arg(long)]
    pub chain_host: String,
    /// The port of that
    #[arg(long)]
    pub chain_port: u16,
    /// Its user
    #[arg(long)]
    pub chain_user: String,
    /// The user's password, which is worth nothing
    #[arg(long)]
    pub chain_password: String,
}

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Is a bare Lightning node until its standard input ends.
#[must_use]
pub fn be_a_peer(options: &PeerOptions) -> ExitCode {
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where even that cannot be said, the exit code still tells.
            drop(writeln!(io::stderr(), "bare Lightning node: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &PeerOptions) -> Result<(), Problem> {
    let node = Arc::new(build(options)?);
    node.start()?;
    let telling = Arc::clone(&node);
    // It ends with the process.
    thread::Builder::new().name("events".to_owned()).spawn(move || tell_events(&telling))?;
    for line in io::stdin().lock().lines() {
        let Asked { number, ask } = serde_json::from_str(&line?)?;
        let node = Arc::clone(&node);
        // As many at once as are asked: whoever asks bounds that.
        thread::Builder::new().spawn(move || {
            let answer = answer(&node, ask).map_err(|problem| problem.to_string());
            say(&Told::Answer { number, answer });
        })?;
    }
    node.stop()?;
    Ok(())
}

/// Says nothing: what the library logs costs time that a node's does not.
struct Silent;

impl LogWriter for Silent {
    fn log(&self, _: LogRecord<'_>) {}
}

fn build(options: &PeerOptions) -> Result<Node, Problem> {
    let PeerOptions { dir, port, chain_host, chain_port, chain_user, chain_password } = options;
    let listen = SocketAddress::from_str(&format!("127.0.0.1:{port}"))
        .map_err(|error| format!("{error:?}"))?;
    let mut builder = Builder::new();
    builder.set_network(Network::Regtest);
    builder.set_storage_dir_path(dir.display().to_string());
    builder.set_listening_addresses(vec![listen])?;
    builder.set_custom_logger(Arc::new(Silent));
    let (user, password) = (chain_user.clone(), chain_password.clone());
    builder.set_chain_source_bitcoind_rpc(chain_host.clone(), *chain_port, user, password);
    // As in a node that passes payments on: it sells no channels.
    builder.set_liquidity_provider_lsps2(LSPS2ServiceConfig {
        require_token: Some("nobody knows it".to_owned()),
        advertise_service: false,
        channel_opening_fee_ppm: 0,
        channel_over_provisioning_ppm: 0,
        min_channel_opening_fee_msat: 0,
        min_channel_lifetime: 1,
        max_client_to_self_delay: 1,
        min_payment_size_msat: 0,
        max_payment_size_msat: 0,
        client_trusts_lsp: true,
    });
    // On disk as durably as a node's is, or the two could not be compared.
    prepare_store(dir)?;
    Ok(builder.build()?)
}

fn channel_config() -> ChannelConfig {
    ChannelConfig {
        forwarding_fee_proportional_millionths: 0,
        forwarding_fee_base_msat: 0,
        accept_underpaying_htlcs: false,
        ..ChannelConfig::default()
    }
}

fn answer(node: &Node, ask: Ask) -> Result<Answer, Problem> {
    Ok(match ask {
        Ask::Address => Answer::Address(node.onchain_payment().new_address()?.to_string()),
        Ask::Open { node_id, address, size_sat, push_msat } => {
            let (key, at) = (PublicKey::from_str(&node_id)?, SocketAddress::from_str(&address));
            let at = at.map_err(|error| format!("{error:?}"))?;
            node.open_channel(key, at, size_sat, Some(push_msat), Some(channel_config()))?;
            Answer::Done
        }
        Ask::State => Answer::State {
            node_id: node.node_id().to_string(),
            onchain_sat: node.list_balances().total_onchain_balance_sats,
            channels_usable: node.list_channels().iter().filter(|it| it.is_usable).count(),
        },
        Ask::Invoice { amount_msat } => {
            let description = Description::new("energy".to_owned())?;
            let description = Bolt11InvoiceDescription::Direct(description);
            let made = node.bolt11_payment().receive(amount_msat, &description, EXPIRY_S)?;
            let payment_hash = made.payment_hash().to_string();
            Answer::Invoice { bolt11: made.to_string(), payment_hash }
        }
        Ask::Pay { bolt11, fee_max_msat } => {
            let invoice = Bolt11Invoice::from_str(&bolt11).map_err(|error| error.to_string())?;
            let limits = RouteParametersConfig {
                max_total_routing_fee_msat: Some(fee_max_msat),
                max_total_cltv_expiry_delta: CLTV_EXPIRY_DELTA_MAX,
                max_path_count: PARTS_MAX,
                ..RouteParametersConfig::default()
            };
            node.bolt11_payment().send(&invoice, Some(limits))?;
            Answer::Done
        }
    })
}

/// Tells what happens, each time before the library may forget it.
fn tell_events(node: &Node) {
    loop {
        let event = node.wait_next_event();
        let at_unix_ms = clock::now().to_unix_ms();
        set_up(node, &event);
        let told = if let Event::PaymentSuccessful { payment_hash, .. } = &event {
            Some((payment_hash, End::Sent))
        } else if let Event::PaymentReceived { payment_hash, .. } = &event {
            Some((payment_hash, End::Received))
        } else if let Event::PaymentFailed { payment_hash: Some(payment_hash), .. } = &event {
            Some((payment_hash, End::Failed))
        } else {
            None
        };
        if let Some((payment_hash, end)) = told {
            let payment_hash = payment_hash.to_string();
            say(&Told::Payment { payment_hash, end, at_unix_ms });
        }
        if let Err(error) = node.event_handled() {
            drop(writeln!(io::stderr(), "bare Lightning node: {error}"));
            std::process::exit(1);
        }
    }
}

/// Puts a new channel on the same terms, whoever opened it.
fn set_up(node: &Node, event: &Event) {
    let new = if let Event::ChannelPending { user_channel_id, counterparty_node_id, .. } = event {
        Some((user_channel_id, Some(*counterparty_node_id)))
    } else if let Event::ChannelReady { user_channel_id, counterparty_node_id, .. } = event {
        Some((user_channel_id, *counterparty_node_id))
    } else {
        None
    };
    if let Some((channel, Some(with))) = new
        && let Err(error) = node.update_channel_config(channel, with, channel_config())
    {
        drop(writeln!(io::stderr(), "bare Lightning node: a channel keeps its fees: {error}"));
    }
}

fn say(told: &Told) {
    let line = serde_json::to_string(told).expect("what is told is plain data");
    let mut out = io::stdout().lock();
    // Whoever does not listen any more ends this process soon.
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}
