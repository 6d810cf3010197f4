//! How a machine misbehaves.

/// What is wrong with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It takes connections and says nothing.
    Silent,
    /// It breaks off in the middle of each answer.
    HalfAnswer,
    /// It answers something that is no language.
    Garbage,
    /// It refuses to be told.
    Refuses,
    /// It says yes and does nothing.
    NoEffect,
    /// It says yes and starts anew.
    Reboots,
}
