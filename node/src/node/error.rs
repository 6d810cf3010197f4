//! Why a node did not start, or ended.
//!
//! Not for: what to do about it, which each of these errors says itself.

use crate::alerts::AlertsError;
use crate::alerts::outbox::OutboxError;
use crate::dispatcher::KeptError;
use crate::grid::GridError;
use crate::home_assistant::HomeAssistantError;
use crate::http::HttpError;
use crate::instructions::InstructionsError;
use crate::keys::KeyError;
use crate::lightning::{LightningFailure, LightningStartError};
use crate::market_task::MarketError;
use crate::meter_keys::MeterKeyError;
use crate::network::NetworkError;
use crate::site::SiteError;
use crate::store::{JournalError, StoreError};
use crate::stratum::StratumError;
use crate::tasks::TaskError;

/// Why a node did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The meter's key.
    #[error(transparent)]
    MeterKey(#[from] MeterKeyError),
    /// Charter or enrolments.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// The data folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The site's devices.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// Lightning.
    #[error(transparent)]
    Lightning(#[from] LightningStartError),
    /// The port of JSON-RPC.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Home Assistant.
    #[error(transparent)]
    HomeAssistant(#[from] HomeAssistantError),
    /// Alerts.
    #[error(transparent)]
    Alerts(#[from] AlertsError),
    /// The owner's word.
    #[error(transparent)]
    Instructions(#[from] InstructionsError),
    /// What is known of machines.
    #[error(transparent)]
    Machines(#[from] KeptError),
    /// Machines cannot mine through this node.
    #[error(transparent)]
    Stratum(#[from] StratumError),
    /// A task ended that should have run for as long as the node.
    #[error(transparent)]
    Task(#[from] TaskError<TaskFailure>),
}

/// Why a task gave up.
#[derive(Debug, thiserror::Error)]
pub enum TaskFailure {
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The market.
    #[error(transparent)]
    Market(#[from] MarketError),
    /// The site's devices.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// Lightning.
    #[error(transparent)]
    Lightning(#[from] LightningFailure),
    /// What was decided about an escrow could not be stored.
    #[error("what binds this node in an escrow cannot be stored: {0}")]
    Escrow(#[from] JournalError),
    /// Alerts cannot be kept.
    #[error(transparent)]
    Alerts(#[from] OutboxError),
}
