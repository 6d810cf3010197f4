//! The node: everything of Boltgrid that knows sockets, clock and disk together.
//!
//! | task | file | takes | gives |
//! |---|---|---|---|
//! | http | `http`, [`rpc`] | requests of people and programs | snapshots of history, site and network |
//! | site | [`site`] | samples of the devices, set points | site state, signed readings |
//! | market | `market_task` | messages, readings, the clock | signed messages, set points, notices |
//! | dispatcher | [`dispatcher`] | samples of the site's meter, targets of the market task | set points of machines, their bids |
//! | decisions | `decisions` | what machines are told | the same into the archive |
//! | stratum | [`stratum`] | lines of machines and their pools | the same, and what they prove |
//! | catch-up | [`catch_up`] | questions and answers about history | the same, what it learnt into the archive |
//! | lightning | [`lightning`] | requests to pay, invoice, open, close | events, balances, channels |
//! | channels | [`channels`] | books, balances | opens and closes channels, whom orders name |
//! | settling | `settling` | what the market wants of Lightning, its events | what happened |
//! | service | `service` | each round of the market task | word to the service manager, where there is one |
//! | network | [`network`] | gossip, questions of members | verified messages, answers |
//!
//! [`node::run`] opens everything that can fail and then starts the tasks, in the order in which they
//! stop. Channels are bounded; whoever finds one full drops and says so. The command line
//! ([`cli`]) is part of the library so that a testnet can run nodes as processes of its own binary.

pub mod access;
pub mod alerts;
pub mod anomalies;
#[cfg(test)]
mod broker_for_tests;
pub mod catch_up;
mod chain_source;
pub mod channels;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dashboard;
mod decisions;
pub mod dispatcher;
pub mod escrow;
pub mod feeders;
pub mod first_files;
#[cfg(test)]
#[expect(dead_code, reason = "the sample grid has more to it than these tests need")]
#[path = "../../protocol/tests/wire/fixture.rs"]
mod fixture;
pub mod grid;
pub mod history;
pub mod home_assistant;
pub mod http;
pub mod instructions;
pub mod keys;
pub mod lightning;
pub mod live;
pub mod logging;
mod market_task;
pub mod meter_keys;
mod metrics;
pub mod network;
pub mod node;
pub mod openings;
mod planner;
mod private_file;
pub mod rpc;
mod service;
mod settling;
pub mod site;
pub mod status;
pub mod store;
pub mod stratum;
pub mod substitutes;
mod tasks;
#[cfg(test)]
mod tls_for_tests;
pub mod trading;
