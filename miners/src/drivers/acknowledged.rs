//! A machine's word that it was told.

/// That a machine, or its relay, took a command. Its watts say whether it does it: see
/// [`crate::effect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged;
