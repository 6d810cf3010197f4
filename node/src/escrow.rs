//! Escrow between engine and world: members' questions and answers, Lightning, readings and the owner.
//!
//! ```text
//!   market task ── questions, answers ──► EscrowTask ──► network
//!   settling ────── payments held ───────►   │   ▲
//!   rpc ─────────── the owner's wishes ──►   │   └── what Lightning and the archive say
//!                                            └── journal, before anything leaves (P21)
//! ```
//!
//! Not for: deciding anything; that is [`boltgrid_market::escrow`].

mod carry;
mod desk;
mod task;

pub use desk::{EscrowDesk, EscrowNotDone, Proposal};
pub(crate) use task::{EscrowAround, EscrowEnds, EscrowTask};
