//! The dispatcher's task: which machines of the site run at what power, from a meter's sample to the
//! command that follows from it.
//!
//! | part | what |
//! |---|---|
//! | [`task`] | the loop: a sample comes, the plan is made, machines are told |
//! | `aim` | what the site is to do |
//! | `member` | what is known of one machine |
//! | `gas` | the site's well: its generator and its flare |
//! | `hand` | the one who speaks to it, checks what it does, and learns |
//! | `bids` | what the machines make of the site's next order |
//! | `hashprice`, `feed` | what hashing earns, by the chain or by somebody's word |
//! | `places`, `thermometer` | what they warm, and how warm it is |
//! | `reaction` | how soon commands follow samples |
//! | `kept` | what is known of machines from before the node was started |
//! | `ruling` | what the owner's rules come to |
//! | `desk` | the owner's word, and what is shown |
//!
//! Two clocks drive it: every sample of the site's meter, and the edge of an interval, before which
//! machines that need time are told what the next one wants.
//! Not for: which machine is best (`boltgrid_miners::plan`), or how one is spoken to
//! (`boltgrid_miners::drivers`).

mod aim;
mod bids;
mod config;
mod desk;
mod feed;
mod gas;
mod hand;
mod hashprice;
mod kept;
mod member;
mod places;
mod reaction;
mod ruling;
mod task;
#[cfg(test)]
mod tests;
mod thermometer;

pub(crate) use aim::{Aim, NextHour, Targets};
pub(crate) use bids::Mining;
pub use config::{HashpriceSource, MinerConfig, MiningConfig, Owned};
pub use desk::{DispatchDesk, DispatchStatus, Log, MachineStatus, Refused};
pub use feed::{FeedUnit, HashpriceFeed};
pub use gas::{
    AssumedReport, CurvePoint, EmissionsConfig, GasBurnt, GasConfig, GasDay, GasStatus,
    GeneratorConfig, SourcedReport,
};
pub use kept::KeptError;
pub(crate) use member::STARTS_MAX;
pub use places::{PlaceConfig, PlaceStatus};
pub(crate) use task::{Dispatcher, DispatcherEnds};
pub use thermometer::{HttpThermometer, MqttThermometer, ThermometerConfig};
