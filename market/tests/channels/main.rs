//! What the channel policy does in situations that people know, and what must hold in all others.

mod known;
mod whatever_comes;
mod world;
