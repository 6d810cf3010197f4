//! What needs more than one crate of the house: the deterministic simulator, the table of how often
//! and how soon a book is decided, the economy of payment channels, the test that no funds are lost, and a year of mining.

pub mod economy;
pub mod funds;
pub mod sim;
pub mod table;
mod village;
pub mod year;
