//! No funds lost: real nodes' Lightning in processes of their own that are killed, cut off, cheated and
//! run out of disk, on a chain that changes its mind; and in the end everybody's money is counted.
//!
//! ```text
//!   seed ─► Plan ─► World: chain, links ─────┬─► finish ─► check
//!                     └─ purse, purse, …  ◄──┘   close, mine until final
//!                        (a process each: boltgrid::lightning, a journal, a book in it)
//! ```
//!
//! What is modelled and what is not: `docs/funds.md`. Not for: who owes what; the market's tests do that.

mod book;
mod check;
mod counts;
mod finish;
mod line;
mod link;
mod plan;
mod power;
mod process;
mod purse;
mod step;
mod trace;
mod world;

pub use book::{Bill, Stand};
pub use check::Violation;
pub use counts::Counts;
pub use plan::{Opening, Plan};
pub use purse::{PurseArguments, be_a_purse};
pub use step::Step;
pub use world::{Flaw, Options, Trouble};

use world::World;

/// What came of a plan.
#[derive(Debug)]
pub struct Outcome {
    /// What must not be, and was.
    pub violations: Vec<Violation>,
    /// Why it could not be judged.
    pub trouble: Option<Trouble>,
    /// What was done.
    pub counts: Counts,
    /// What happened, line by line.
    pub story: Vec<String>,
}

/// Carries out a plan.
pub async fn run(plan: &Plan, options: &Options) -> Outcome {
    let counts = Counts { seeds: 1, nodes: plan.nodes as u64, ..Counts::default() };
    let mut world = match World::found(plan.clone(), options.clone()).await {
        Ok(world) => world,
        Err(trouble) => {
            let counts = Counts { troubles: 1, ..counts };
            let (violations, story) = (Vec::new(), Vec::new());
            return Outcome { violations, trouble: Some(trouble), counts, story };
        }
    };
    world.counts.add(&counts);
    let trouble = carry_out(&mut world).await.err();
    world.counts.troubles += u64::from(trouble.is_some());
    world.counts.violations += world.violations.len() as u64;
    let is_fine = trouble.is_none() && world.violations.is_empty();
    world.end(!is_fine && options.keeps).await;
    let World { violations, counts, story, .. } = world;
    Outcome { violations, trouble, counts, story }
}

async fn carry_out(world: &mut World) -> Result<(), Trouble> {
    for step in world.plan.steps.clone() {
        world.step(&step).await?;
    }
    world.finish().await
}
