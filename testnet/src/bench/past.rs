//! A past for two nodes that have none: so many payments between them, each through the engine, the
//! journal, the archive and Lightning of a real node, as fast as Lightning goes while the engines
//! believe that days pass.
//!
//! What else a node of a grid writes for every interval stands beside them, in messages of its size
//! whose content nobody looks at. Not for: measuring anything but what comes after it.

mod pair;
mod side;

use std::sync::Arc;
use std::time::Duration;

use bitcoin::{Address, Amount, Network};
use boltgrid::clock;
use boltgrid::config::ConfigError;
use boltgrid::grid::GridError;
use boltgrid::keys::KeyError;
use boltgrid::lightning::{
    ChannelState, ChannelTerms, LightningError, LightningFailure, LightningStartError,
};
use boltgrid::store::{ArchiveError, JournalError, StoreError};
use boltgrid_market::settlement::{
    Contract, Delivery, Metered, Settlement, SettlementError, settle,
};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::units::{Energy, Interval, Msat, Price};
use tokio::time::{Instant, sleep};

use crate::chain::{Faucet, FaucetError};
use crate::run::display::Display;
use crate::run::founding::Place;
use crate::run::money::CONFIRMATIONS;
use pair::Pair;
use side::Side;

/// Trades between the two in every interval: nearly as many as a channel carries at once, so that the
/// past is soon made.
const TRADES: u32 = 40;
/// What each of them delivers: less than a tranche.
const DELIVERED: Energy = Energy::from_milliwatt_hours(100_000);
/// At this price, or at its opposite in every other interval, so that the channel stays in balance.
const PRICE: i64 = 80_000;
/// Coins of each.
const COINS: Amount = Amount::from_sat(2_000_000);
/// What is in the channel, half of it on either side.
const SIZE_SAT: u64 = 1_000_000;
/// How long anything may take that is not a payment.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Intervals of which a node takes up again what it has signed; what nobody looks at is not among it.
const INTERVALS_OPEN: u64 = 8;
/// How many payments are told of at once.
const TELL_EVERY: u32 = 1_000;

/// Why there is no past.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// A config.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The grid's files.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// A data folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The faucet.
    #[error(transparent)]
    Faucet(#[from] FaucetError),
    /// Lightning at its start.
    #[error(transparent)]
    Start(#[from] LightningStartError),
    /// Lightning later.
    #[error(transparent)]
    Lightning(#[from] LightningError),
    /// Lightning at its end.
    #[error(transparent)]
    Failure(#[from] LightningFailure),
    /// What is to be settled.
    #[error(transparent)]
    Settlement(#[from] SettlementError),
    /// A config without Lightning.
    #[error("the config of {0} says nothing of Lightning, though the testnet wrote it")]
    NoLightning(String),
    /// Something does not happen.
    #[error("not in time: {0}")]
    NotReady(&'static str),
}

/// Gives the nodes at two places that are yet to be started so many payments between them, the last
/// of them just now. Returns how many there are really: those of whole intervals.
///
/// # Errors
///
/// [`PastError`].
pub(super) async fn make(
    places: [&Place; 2],
    payments: u32,
    faucet: &mut Faucet,
    display: &Display,
) -> Result<u32, PastError> {
    let [first, second] = places;
    let sides = [Side::open(first).await?, Side::open(second).await?];
    let contacts = Arc::new(sides.iter().map(Side::contact).collect());
    let mut pair = Pair::new(sides.map(|side| side.run(&contacts)));
    fund(&pair, faucet).await?;
    let intervals = payments.div_ceil(TRADES);
    let charter = Arc::clone(pair.charter());
    let current = charter.interval.interval_at(clock::now());
    let first = current.minus(u64::from(intervals));
    for (made, interval) in (0..intervals).map(|it| (it, first.plus(u64::from(it)))) {
        let price = if made.is_multiple_of(2) { PRICE } else { -PRICE };
        let settlements = settlements(&pair, &charter, interval, price)?;
        pair.settle(charter.interval.schedule(interval).readings_by, &settlements).await?;
        if interval.plus(INTERVALS_OPEN) < current {
            pair.write_rest(&settlements).await?;
        }
        let (before, now) = (made * TRADES, (made + 1) * TRADES);
        if before / TELL_EVERY != now / TELL_EVERY {
            display.row(&format!("{now} of {} payments were made", intervals * TRADES));
        }
    }
    pair.stop().await?;
    Ok(intervals * TRADES)
}

/// Coins for both, and a channel with half of it on either side.
async fn fund(pair: &Pair, faucet: &mut Faucet) -> Result<(), PastError> {
    let handles = pair.handles();
    let mut payees = Vec::new();
    for handle in handles {
        let address = handle.address().await?.parse::<Address<_>>();
        let address = address.ok().and_then(|it| it.require_network(Network::Regtest).ok());
        payees.push((address.ok_or(PastError::NotReady("an address of regtest"))?, COINS));
    }
    faucet.fill(COINS * 4).await?;
    faucet.pay(&payees).await?;
    let [opener, acceptor] = handles;
    for handle in handles {
        until("coins", async || {
            Ok(handle.refresh().await?.balances.spendable_sat >= COINS.to_sat())
        })
        .await?;
    }
    let terms = ChannelTerms {
        counterparty: acceptor.node_id(),
        address: pair.listens_at(1).to_owned(),
        size_sat: SIZE_SAT,
        push: Msat::from_millisatoshi(SIZE_SAT / 2 * 1_000).unwrap_or_default(),
    };
    opener.open_channel(terms).await?;
    for handle in handles {
        until("a usable channel", async || {
            let waiting = faucet.client().call("getmempoolinfo", serde_json::json!([])).await;
            if waiting.is_ok_and(|it| it["size"].as_u64().unwrap_or(0) > 0) {
                faucet.mine(CONFIRMATIONS).await?;
            }
            let channels = handle.channels().await?;
            Ok(channels.iter().any(|it| it.state == ChannelState::Usable))
        })
        .await?;
    }
    Ok(())
}

async fn until(
    what: &'static str,
    mut holds: impl AsyncFnMut() -> Result<bool, PastError>,
) -> Result<(), PastError> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await? {
        if Instant::now() >= deadline {
            return Err(PastError::NotReady(what));
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// What an interval came to for either of the two, of which the first sells.
fn settlements(
    pair: &Pair,
    charter: &Charter,
    interval: Interval,
    price: i64,
) -> Result<[Settlement; 2], PastError> {
    let places = pair.places(interval);
    let total = (0..TRADES).fold(Energy::ZERO, |sum, _| sum.saturating_add(DELIVERED));
    let seller = Metered { import: Energy::ZERO, export: total };
    let buyer = Metered { import: total, export: Energy::ZERO };
    let settlement = |me: usize| {
        let contract = |index| Contract {
            terms: TradeTerms {
                index,
                seller: places[0],
                buyer: places[1],
                energy_mwh: DELIVERED,
                price_msat_per_kwh: Price::from_msat_per_kwh(price),
            },
            counterparty: pair.participant(1 - me),
            seller_total: total,
            buyer_total: total,
            seller_committed: Energy::ZERO,
            buyer_committed: Energy::ZERO,
            seller: Some(seller),
            buyer: Some(buyer),
        };
        let contracts: Vec<Contract> = (0..TRADES).map(contract).collect();
        let delivery = Delivery {
            interval,
            me: places[me],
            metered: Some([seller, buyer][me]),
            prices: charter.tariff.at(charter.interval.start_of(interval)),
            loss_ppm: 0,
        };
        settle(&delivery, &contracts, &[])
    };
    Ok([settlement(0)?, settlement(1)?])
}
