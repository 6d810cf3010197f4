//! What needs more than one crate of the house: the deterministic simulator, and the table of how
//! often and how soon a book is decided.

pub mod sim;
pub mod table;
