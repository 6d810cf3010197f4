//! What needs more than one crate of the house: the deterministic simulator, the table of how often
//! and how soon a book is decided, and the economy of payment channels.

pub mod economy;
pub mod sim;
pub mod table;
