//! Stratum V1 between a machine and its pool: what passes, what of it is work, and which difficulty fits.
//!
//! Whoever stands between the two could send the machine's work elsewhere, so nothing here can: a line
//! passes as it came or ends the connection, and no function returns a changed one. What is asked for
//! beside that is a share difficulty, which is a wish that a pool may ignore.
//!
//! | part | what |
//! |---|---|
//! | [`Session`] | one connection: which submits the pool took, and at what difficulty |
//! | [`Account`] | all that one worker proved, held against what its machine says that it hashes |
//! | [`Difficulty`] | how hard a share is, and how many hashes it stands for |
//!
//! Messages are read by `sv1_api`; of a line that it does not understand (an id that is text, an
//! extension) nothing is counted, and it passes all the same.
//! Not for: sockets (the node), or jobs and shares themselves: whether a share is good the pool says.

mod account;
mod difficulty;
mod session;
#[cfg(test)]
mod tests;

pub use account::{Account, Proof};
pub use difficulty::Difficulty;
pub use session::{Event, Heard, Rejected, Session, Side};

/// The longest line, in bytes; a job with a full coinbase takes some thousands.
pub const LINE_MAX: usize = 16_384;
/// The longest name of a worker that is counted, in bytes.
pub const WORKER_MAX: usize = 256;
