//! One of the two nodes while its past is made: its engine, its data folder, its Lightning.
//! Not for: what goes between the two; see [`super::pair`].

use std::sync::Arc;

use boltgrid::config::lightning::BitcoinNetwork;
use boltgrid::config::{Config, RawConfig};
use boltgrid::grid::Grid;
use boltgrid::keys;
use boltgrid::lightning::{self, Lightning, LightningEvents, LightningFailure, LightningHandle};
use boltgrid::network::LightningContacts;
use boltgrid::store::{BookRecord, ClearingRecord, Store};
use boltgrid_market::effect::{JournalEntry, Slot};
use boltgrid_market::payments::{Bolt11, Happened, Means, Payments};
use boltgrid_market::settlement::Settlement;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::{BookHash, ClearingDigest, ParticipantId};
use boltgrid_protocol::message::{Gatekeeper, Message};
use boltgrid_protocol::peer::LightningContact;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::{Energy, Interval, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::PastError;
use crate::run::founding::Place;

/// Members of the grid whose readings and orders a node would keep.
const MEMBERS: u8 = 13;
/// Bytes of a signed order, as most are.
const ORDER_BYTES: usize = 500;
/// Bytes of any other signed message.
const MESSAGE_BYTES: usize = 250;
/// Bytes of a certificate among so many.
const CERTIFICATE_BYTES: usize = 1_500;

/// A node.
pub(super) struct Side {
    pub(super) engine: Payments,
    pub(super) charter: Arc<Charter>,
    pub(super) rosters: Rosters,
    pub(super) participant: ParticipantId,
    pub(super) handle: LightningHandle,
    pub(super) events: LightningEvents,
    pub(super) listens_at: String,
    gate: Gatekeeper,
    lightning: Option<Lightning>,
    running: JoinSet<Result<(), LightningFailure>>,
    stop: CancellationToken,
    // Last, so that the journal outlives Lightning.
    pub(super) store: Store,
}

impl Side {
    /// Opens everything that a node opens which its payments rest on.
    pub(super) async fn open(place: &Place) -> Result<Self, PastError> {
        let config = Config::load(&place.config, RawConfig::default())?;
        let key = keys::read(&config.keys.participant_key_file)?;
        let Grid { charter, rosters } = Grid::load(&config.grid)?;
        let store = Store::open(&config.data_dir)?;
        let no_lightning = || PastError::NoLightning(place.name.clone());
        let wanted = config.lightning.ok_or_else(no_lightning)?;
        let listens_at = wanted.listen.first().cloned().ok_or_else(no_lightning)?;
        let (lightning, handle, events) =
            Lightning::open(wanted, &config.data_dir, store.journal()).await?;
        let (means, participant) = (Means::Lightning(config.owner.credit), key.participant_id());
        let grid = || (Arc::clone(&charter), rosters.clone());
        let (engine, _) = Payments::new(means, grid().0, grid().1, key, Vec::new());
        Ok(Self {
            engine,
            gate: Gatekeeper::new(grid().0, grid().1),
            charter,
            rosters,
            participant,
            handle,
            events,
            listens_at,
            lightning: Some(lightning),
            running: JoinSet::new(),
            stop: CancellationToken::new(),
            store,
        })
    }

    /// Who this is on Lightning.
    pub(super) fn contact(&self) -> (ParticipantId, LightningContact) {
        let lightning = self.lightning.as_ref().expect("it is told before it runs");
        let binding = LightningContact::binding(&self.rosters.grid(), &self.participant);
        (self.participant, lightning.contact(&binding))
    }

    /// Begins to serve; channels with these contacts are no strangers'.
    pub(super) fn run(mut self, contacts: &LightningContacts) -> Self {
        let lightning = self.lightning.take().expect("it is run once");
        let (_, contacts) = watch::channel(Arc::clone(contacts));
        self.running.spawn(lightning.run(self.stop.clone(), contacts));
        self
    }

    /// What an invoice means that the other side sent.
    pub(super) fn asked(&mut self, invoice: Arc<[u8]>, now: Timestamp) -> Option<Happened> {
        let Ok(Message::Invoice(invoice)) = self.gate.admit(invoice, now) else { return None };
        let read = lightning::read(&invoice.body().bolt11, BitcoinNetwork::Regtest);
        let read = read.map(|read| Bolt11 {
            payment_hash: read.payment_hash,
            amount_msat: read.amount,
            expires_at: read.expires_at,
        });
        Some(Happened::Asked { invoice: Box::new(invoice), read, token: 0 })
    }

    /// What else a node keeps of an interval, in its size.
    pub(super) async fn write_rest(&self, settlement: &Settlement) -> Result<(), PastError> {
        let interval = settlement.interval;
        let message = |length: usize| -> Arc<[u8]> { vec![0; length].into() };
        let slots = [
            (Slot::Order(interval), ORDER_BYTES),
            (Slot::Ack(interval), MESSAGE_BYTES),
            (Slot::Prevote(interval, 0), MESSAGE_BYTES),
            (Slot::Precommit(interval, 0), MESSAGE_BYTES),
            (Slot::Reading(interval), MESSAGE_BYTES),
        ];
        let trades = settlement.trades.iter().map(|trade| trade.terms.index);
        let confirms = trades.flat_map(|trade| {
            [Slot::Confirm(interval, trade), Slot::Countersigned(interval, trade)]
                .map(|slot| (slot, MESSAGE_BYTES))
        });
        let entries = slots.into_iter().chain(confirms);
        let entries =
            entries.map(|(slot, length)| JournalEntry { slot, bytes: message(length) }).collect();
        self.store.journal().record(entries).await?;
        let archive = self.store.archive();
        for member in 0..MEMBERS {
            let member = ParticipantId::from_bytes([member; 32]);
            archive.put_reading(interval, &member, &message(MESSAGE_BYTES))?;
        }
        let orders = (0..MEMBERS).map(|_| message(ORDER_BYTES)).collect();
        let book = BookRecord { certificate: message(CERTIFICATE_BYTES), orders };
        archive.put_book(interval, &book)?;
        archive.put_clearing(interval, &clearing(interval, settlement))?;
        archive.put_settlement(interval, settlement)?;
        Ok(())
    }

    /// Stops Lightning in order, and closes the data folder.
    pub(super) async fn stop(mut self) -> Result<(), PastError> {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.map_err(|_| PastError::NotReady("Lightning's end"))??;
        }
        self.store.archive().flush()?;
        Ok(())
    }
}

fn clearing(interval: Interval, settlement: &Settlement) -> ClearingRecord {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&interval.to_number().to_be_bytes());
    let trades = u32::try_from(settlement.trades.len()).unwrap_or(u32::MAX);
    ClearingRecord {
        view: 0,
        decide_ms: 1_000,
        book: BookHash::from_bytes(hash),
        clearing: ClearingDigest::from_bytes(hash),
        price_msat_per_kwh: settlement.trades.first().map(|it| it.terms.price_msat_per_kwh),
        volume_mwh: settlement
            .trades
            .iter()
            .map(|it| it.terms.energy_mwh)
            .fold(Energy::ZERO, Energy::saturating_add),
        orders: u32::from(MEMBERS),
        trades,
    }
}
