//! What needs more than one crate of the house: the deterministic simulator, the table of how often
//! and how soon a book is decided, the economy of payment channels, and the test that no funds are lost.

pub mod economy;
pub mod funds;
pub mod sim;
pub mod table;
