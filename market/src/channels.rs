//! Which payment channels a site wants: a pure policy that every node runs for itself.
//!
//! A household trades a few hundred satoshis a day and a channel costs thousands to open, so channels
//! must be few, shared and last. All nodes know the same clearings and read from the same orders who
//! has a channel with whom, so all work out the same graph, and each carries out its own part of it:
//! nobody asks anybody. In short:
//!
//! 1. [`Flows`]: who is expected to pay whom how much a day, whoever the pairing joins.
//! 2. [`Graph`]: the channels there are; two members reach each other directly or over one other.
//! 3. `wanted`: the channels that would bring most value within reach, as long as they pay.
//! 4. `load`: what then goes over each channel, so who fills it and how far.
//! 5. [`plan()`]: what this node does about its own channels, with the reason for each step.
//! 6. [`naming()`]: whom an order names, so that the clearing's pairing follows the channels.
//!
//! The reasons stand in `docs/adr/0013-few-channels-that-last.md`, the numbers in `docs/channels.md`.
//! Not for: carrying a plan out, finding routes, or anything that must be agreed upon: two nodes that
//! see different histories at worst open a channel too many or too few.

mod fees;
mod flows;
mod graph;
mod load;
mod naming;
mod own;
mod plan;
mod reason;
mod wanted;

pub use fees::{Deed, fee};
pub use flows::Flows;
pub use graph::{Graph, Reach};
pub use load::{Load, Loads};
pub use naming::{Named, naming};
pub use own::{ChannelId, ChannelState, Limits, OwnChannel, View};
pub use plan::{Action, Plan, Step, plan};
pub use reason::{Reason, Waiting};
pub use wanted::{Wanted, wanted};
