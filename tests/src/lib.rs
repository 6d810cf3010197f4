//! What needs more than one crate to test: the rules of the house in `tests/house_rules.rs`, fuzz
//! targets in `fuzz/`. This library is empty; the tests are beside it.
