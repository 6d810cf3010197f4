//! Tests of the bytes: that they stay what they are, that they mean one thing only, and that nothing
//! but their author's own bytes ever counts as a message of that author.

mod fixture;
mod forgery;
mod golden;
mod limits;
mod round_trip;
mod strategies;
