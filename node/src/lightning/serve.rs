//! Carrying out what is asked, by the library's blocking calls. Runs on Lightning's own threads only.

use std::collections::BTreeSet;

use boltgrid_protocol::lightning::{LightningId, PaymentHash, Preimage};
use ldk_node::bitcoin::Address;
use ldk_node::bitcoin::address::NetworkUnchecked;
use ldk_node::bitcoin::hashes::{Hash, sha256};
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::config::ChannelConfig;
use ldk_node::lightning::ln::channelmanager::PaymentId;
use ldk_node::lightning::routing::router::RouteParametersConfig;
use ldk_node::lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescription, Description};
use ldk_node::payment::{PaymentDetails, PaymentKind};
use ldk_node::{ChannelDetails, Node, UserChannelId, lightning_types};

use super::begun::{Begun, Note};
use super::channel::{Channel, ChannelId, ChannelTerms};
use super::convert;
use super::fundings::Fundings;
use super::handle::{LightningError, Reply, Request, Sending};
use super::hold::{self, NodeKey};
use super::payment::{
    Direction, Invoice, InvoiceTerms, KnownPayment, PaymentOrder, PaymentState, Transaction,
};
use super::status::{Balances, LightningStatus};

/// Longest description of an invoice, in bytes (BOLT 11).
const DESCRIPTION_MAX: usize = 639;
/// Most hops of a payment together may hold it for so many blocks, about three days.
const CLTV_EXPIRY_DELTA_MAX: u32 = 432;
/// Most parts of one payment.
const PARTS_MAX: u8 = 4;

/// Carries out one request and answers it.
pub(super) fn carry_out(
    node: &Node,
    (key, begun, fundings): (Option<&NodeKey>, &Begun, &Fundings),
    request: Request,
) {
    match request {
        Request::Invoice(terms, reply) => {
            answer(reply, invoice(node, terms, None).map(|it| convert::invoice(&it)));
        }
        Request::HoldInvoice(terms, hash, reply) => {
            answer(reply, invoice(node, terms, Some(hash)).map(|it| convert::invoice(&it)));
        }
        Request::LongHoldInvoice(terms, hash, blocks, reply) => {
            answer(reply, long_hold_invoice((node, key), terms, hash, blocks));
        }
        Request::PayDirect(bolt11, reply) => answer(reply, hold::pay_direct(node, begun, &bolt11)),
        Request::Claim(preimage, reply) => answer(reply, claim(node, preimage)),
        Request::Refuse(hash, reply) => {
            let refused = node.bolt11_payment().fail_for_hash(to_hash(hash));
            answer(reply, refused.map_err(convert::error));
        }
        Request::Pay(order, reply) => answer(reply, pay(node, begun, &order)),
        Request::Payment(hash, reply) => answer(reply, Ok(payment(node, begun, hash))),
        Request::Payments(hashes, reply) => {
            let known = hashes.into_iter().map(|hash| payment(node, begun, hash));
            answer(reply, Ok(known.collect()));
        }
        Request::Transactions(reply) => answer(reply, Ok(transactions(node))),
        Request::Address(reply) => {
            let address = node.onchain_payment().new_address();
            answer(reply, address.map(|it| it.to_string()).map_err(convert::error));
        }
        Request::SendOnchain(sending, reply) => answer(reply, send_onchain(node, &sending)),
        Request::Channels(reply) => {
            answer(reply, Ok(node.list_channels().iter().map(convert::channel).collect()));
        }
        Request::OpenChannel(terms, reply) => answer(reply, open_channel(node, fundings, &terms)),
        Request::CloseChannel { channel, force, reply } => {
            answer(reply, close_channel(node, channel, force));
        }
        Request::SpliceIn(channel, amount_sat, reply) => {
            let splice = || splice_in(node, channel, amount_sat);
            answer(reply, fundings.splice(node, splice));
        }
        Request::SpliceOut(channel, amount_sat, reply) => {
            answer(reply, splice_out(node, channel, amount_sat));
        }
        Request::Connect(id, address, reply) => answer(reply, connect(node, &id, &address)),
        Request::Sign(message, reply) => answer(reply, Ok(node.sign_message(&message))),
        Request::Refresh(reply) => answer(reply, Ok(status(node))),
        Request::Follow(reply) => {
            let followed = node.sync_wallets().map_err(convert::error);
            answer(reply, followed.map(|()| status(node)));
        }
    }
}

/// Whoever asked and has gone away misses the answer.
fn answer<T>(reply: Reply<T>, result: Result<T, LightningError>) {
    drop(reply.send(result));
}

fn to_hash(hash: PaymentHash) -> lightning_types::payment::PaymentHash {
    lightning_types::payment::PaymentHash(*hash.as_bytes())
}

fn invoice(
    node: &Node,
    terms: InvoiceTerms,
    hash: Option<PaymentHash>,
) -> Result<Bolt11Invoice, LightningError> {
    let InvoiceTerms { amount, description, expiry } = terms;
    let bad = |problem: String| LightningError::BadParameter(problem);
    if description.len() > DESCRIPTION_MAX {
        return Err(bad(format!("an invoice's description has {DESCRIPTION_MAX} bytes at most")));
    }
    let description = Description::new(description).map_err(|error| bad(error.to_string()))?;
    let description = Bolt11InvoiceDescription::Direct(description);
    let expiry_s = u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX).max(1);
    let (amount, payments) = (amount.to_millisatoshi(), node.bolt11_payment());
    let made = match hash {
        None => payments.receive(amount, &description, expiry_s),
        Some(hash) => payments.receive_for_hash(amount, &description, expiry_s, to_hash(hash)),
    };
    made.map_err(convert::error)
}

fn long_hold_invoice(
    (node, key): (&Node, Option<&NodeKey>),
    terms: InvoiceTerms,
    hash: PaymentHash,
    final_cltv_blocks: u32,
) -> Result<Invoice, LightningError> {
    let key = key.ok_or_else(|| {
        let problem = "this version of Lightning derives its keys in another way than expected";
        LightningError::Failed(problem.to_owned())
    })?;
    let made = invoice(node, terms, Some(hash))?;
    Ok(convert::invoice(&key.lengthen(&made, final_cltv_blocks)?))
}

fn claim(node: &Node, preimage: Preimage) -> Result<(), LightningError> {
    let hash = sha256::Hash::hash(preimage.as_bytes()).to_byte_array();
    let known = node.payment(&PaymentId(hash));
    let amount = known.and_then(|it| it.amount_msat).ok_or_else(|| {
        LightningError::BadParameter("no payment is held for this preimage".to_owned())
    })?;
    let preimage = lightning_types::payment::PaymentPreimage(*preimage.as_bytes());
    let hash = lightning_types::payment::PaymentHash(hash);
    node.bolt11_payment().claim_for_hash(hash, amount, preimage).map_err(convert::error)
}

/// What is known of a payment. What was begun is under way, unless its end is known.
fn payment(node: &Node, begun: &Begun, payment_hash: PaymentHash) -> Option<KnownPayment> {
    // Looked at first: the note goes only after the library knows the end.
    let note = begun.note(&payment_hash);
    let known = node.payment(&PaymentId(*payment_hash.as_bytes()));
    let known = known.and_then(|details| convert::payment(&details));
    let state = |note| match note {
        Note::UnderWay => PaymentState::Pending,
        Note::Paid { preimage, fee } => PaymentState::Done { preimage: Some(preimage), fee },
        Note::Failed => PaymentState::Failed,
    };
    let noted = note.map(|note| KnownPayment {
        payment_hash,
        direction: Direction::Outgoing,
        amount: None,
        state: state(note),
    });
    known.or(noted)
}

/// Keeps that a payment has ended, and how, where the library does not know it. Blocks.
pub(super) fn keep_end(
    node: &Node,
    begun: &Begun,
    (hash, end): (PaymentHash, Note),
) -> ldk_node::lightning::io::Result<()> {
    if begun.note(&hash).is_some() && node.payment(&PaymentId(*hash.as_bytes())).is_none() {
        begun.keep_end(&hash, end)
    } else {
        begun.strike_out(&hash)
    }
}

fn pay(node: &Node, begun: &Begun, order: &PaymentOrder) -> Result<PaymentHash, LightningError> {
    let invoice = convert::read_bolt11(&order.bolt11)?;
    let bad = |problem: &str| Err(LightningError::BadParameter(problem.to_owned()));
    if invoice.network() != node.config().network {
        return bad("the invoice is of another bitcoin network");
    }
    if invoice.amount_milli_satoshis().is_none() {
        return bad("the invoice names no amount");
    }
    if invoice.is_expired() {
        return bad("the invoice has expired");
    }
    let limits = RouteParametersConfig {
        max_total_routing_fee_msat: Some(order.fee_max.to_millisatoshi()),
        max_total_cltv_expiry_delta: CLTV_EXPIRY_DELTA_MAX,
        max_path_count: PARTS_MAX,
        ..RouteParametersConfig::default()
    };
    send(node, begun, &invoice, limits)
}

/// Begins a payment, unless it is under way or done; noted before the library is told of it.
pub(super) fn send(
    node: &Node,
    begun: &Begun,
    invoice: &Bolt11Invoice,
    limits: RouteParametersConfig,
) -> Result<PaymentHash, LightningError> {
    let hash = convert::payment_hash(invoice);
    let failed = |error: ldk_node::lightning::io::Error| LightningError::Failed(error.to_string());
    let known = payment(node, begun, hash).map(|known| known.state);
    let is_over = known.is_none_or(|state| state == PaymentState::Failed);
    if !is_over || !begun.begin(hash).map_err(failed)? {
        return Err(LightningError::PaidBefore);
    }
    let sent = node.bolt11_payment().send(invoice, Some(limits)).map_err(convert::error);
    if matches!(sent, Err(LightningError::NoRoute | LightningError::BadParameter(_))) {
        // It was not noted before, so nothing of it is under way.
        begun.strike_out(&hash).map_err(failed)?;
    }
    sent.map(|_| hash)
}

fn transactions(node: &Node) -> Vec<Transaction> {
    let is_onchain = |it: &&PaymentDetails| matches!(it.kind, PaymentKind::Onchain { .. });
    let found = node.list_payments_with_filter(is_onchain);
    let mut found: Vec<Transaction> = found.iter().filter_map(convert::transaction).collect();
    found.sort_by(|one, other| (other.at, &other.txid).cmp(&(one.at, &one.txid)));
    found
}

fn send_onchain(node: &Node, sending: &Sending) -> Result<String, LightningError> {
    let network = node.config().network;
    let address: Result<Address<NetworkUnchecked>, _> = sending.address.parse();
    let address =
        address.ok().and_then(|it| it.require_network(network).ok()).ok_or_else(|| {
            LightningError::BadParameter(format!("{:?} is no {network} address", sending.address))
        })?;
    let wallet = node.onchain_payment();
    let sent = match sending.amount_sat {
        Some(amount) => wallet.send_to_address(&address, amount, None),
        None => wallet.send_all_to_address(&address, true, None),
    };
    sent.map(|txid| txid.to_string()).map_err(convert::error)
}

/// How all our channels are set up: payments between others are passed on at no fee, where they are
/// passed on at all.
pub(super) fn channel_config() -> ChannelConfig {
    ChannelConfig {
        forwarding_fee_proportional_millionths: 0,
        forwarding_fee_base_msat: 0,
        accept_underpaying_htlcs: false,
        ..ChannelConfig::default()
    }
}

fn open_channel(
    node: &Node,
    fundings: &Fundings,
    terms: &ChannelTerms,
) -> Result<ChannelId, LightningError> {
    let (key, address) = (convert::key(&terms.counterparty)?, convert::address(&terms.address)?);
    let push = Some(terms.push.to_millisatoshi()).filter(|push| *push > 0);
    let open = || node.open_channel(key, address, terms.size_sat, push, Some(channel_config()));
    let opened = fundings.open(node, || open().map_err(convert::error))?;
    Ok(ChannelId::from_number(opened.0))
}

/// Connects to another node, and remembers its address. Blocks.
pub(super) fn connect(node: &Node, id: &LightningId, address: &str) -> Result<(), LightningError> {
    let (key, at) = (convert::key(id)?, convert::address(address)?);
    node.connect(key, at, true).map_err(convert::error)
}

/// Our channels, and whom we are connected with.
pub(super) fn partners(node: &Node) -> (Vec<Channel>, BTreeSet<LightningId>) {
    let channels = node.list_channels().iter().map(convert::channel).collect();
    let connected = node.list_peers().into_iter().filter(|peer| peer.is_connected);
    (channels, connected.map(|peer| convert::id(&peer.node_id)).collect())
}

fn find(node: &Node, channel: ChannelId) -> Result<ChannelDetails, LightningError> {
    let id = UserChannelId(channel.to_number());
    let found = node.list_channels().into_iter().find(|it| it.user_channel_id == id);
    found.ok_or(LightningError::NoSuchChannel)
}

pub(super) fn close_channel(
    node: &Node,
    channel: ChannelId,
    force: bool,
) -> Result<(), LightningError> {
    let ChannelDetails { user_channel_id, counterparty_node_id: with, .. } = find(node, channel)?;
    let closed = if force {
        node.force_close_channel(&user_channel_id, with, Some("closed by its owner".to_owned()))
    } else {
        node.close_channel(&user_channel_id, with)
    };
    closed.map_err(convert::error)
}

fn splice_in(node: &Node, channel: ChannelId, amount_sat: u64) -> Result<(), LightningError> {
    let ChannelDetails { user_channel_id, counterparty_node_id: with, .. } = find(node, channel)?;
    node.splice_in(&user_channel_id, with, amount_sat).map_err(convert::error)
}

fn splice_out(node: &Node, channel: ChannelId, amount_sat: u64) -> Result<(), LightningError> {
    let ChannelDetails { user_channel_id, counterparty_node_id: with, .. } = find(node, channel)?;
    let address = node.onchain_payment().new_address().map_err(convert::error)?;
    node.splice_out(&user_channel_id, with, &address, amount_sat).map_err(convert::error)
}

/// How Lightning is now.
pub(super) fn status(node: &Node) -> LightningStatus {
    let (status, balances) = (node.status(), node.list_balances());
    let peers = node.list_peers().into_iter().filter(|peer| peer.is_connected).count();
    let closing_sat = balances
        .pending_balances_from_channel_closures
        .iter()
        .map(closing)
        .fold(0, u64::saturating_add);
    LightningStatus {
        synced_at_unix_s: status.latest_onchain_wallet_sync_timestamp,
        height: status.current_best_block.height,
        balances: Balances {
            onchain_sat: balances.total_onchain_balance_sats,
            spendable_sat: balances.spendable_onchain_balance_sats,
            reserve_sat: balances.total_anchor_channels_reserve_sats,
            channels_sat: balances.total_lightning_balance_sats,
            closing_sat,
        },
        channels: node.list_channels().iter().map(convert::channel).collect(),
        peers,
    }
}

fn closing(pending: &ldk_node::PendingSweepBalance) -> u64 {
    use ldk_node::PendingSweepBalance as It;
    match pending {
        It::PendingBroadcast { amount_satoshis, .. }
        | It::BroadcastAwaitingConfirmation { amount_satoshis, .. } => *amount_satoshis,
        // The library remembers it for a month. It is in the wallet by then, and would count twice.
        It::AwaitingThresholdConfirmations { .. } => 0,
    }
}

/// Puts a channel that somebody else opened, or that was opened by an earlier version, on our terms.
pub(super) fn set_up(node: &Node, channel: UserChannelId, with: PublicKey) {
    if let Err(error) = node.update_channel_config(&channel, with, channel_config()) {
        tracing::warn!(%error, %channel, "the channel's fees could not be set; it may charge some");
    }
}
