//! Walks through every state that a model can reach, in the order of distance from the start.
//!
//! States are compared, not their hashes, so that none is taken for another. What breaks a property is
//! reached by a shortest path, which is told. Not for: infinite models, or properties of whole paths.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// More states than this are a mistake in the model: it was meant to be small.
const STATES_MAX: usize = 20_000_000;

/// Something with states that follow from each other.
pub(crate) trait Model {
    type State: Copy + Eq + Hash;
    type Action: Copy + Debug;

    fn start(&self) -> Self::State;
    /// What can happen in a state, and the state after it; one that changes nothing may be among it.
    fn steps(&self, state: &Self::State, step: &mut impl FnMut(Self::Action, Self::State));
}

/// What holds in every state, or in some.
pub(crate) struct Property<M: Model> {
    pub(crate) name: &'static str,
    /// Whether it must hold in all states; if not, in one at least.
    pub(crate) always: bool,
    pub(crate) holds: fn(&M, &M::State) -> bool,
}

/// All states that were found.
pub(crate) struct Explored<A> {
    pub(crate) states: usize,
    /// The first state found that breaks a property that must always hold: which, and how to get there.
    pub(crate) broken: Option<(&'static str, Vec<A>)>,
    /// The properties that hold in some state, of those that needn't in all.
    pub(crate) possible: Vec<&'static str>,
}

/// Explores until everything is seen, or until a property that must always hold does not.
pub(crate) fn explore<M: Model>(model: &M, properties: &[Property<M>]) -> Explored<M::Action> {
    let start = model.start();
    // Each state in the order of discovery, with the state it was reached from and how.
    let mut found: Vec<(M::State, usize, Option<M::Action>)> = vec![(start, 0, None)];
    let mut known = HashSet::from([start]);
    let mut explored = Explored { states: 0, broken: None, possible: Vec::new() };
    while let Some((state, ..)) = found.get(explored.states).copied() {
        for property in properties {
            let holds = (property.holds)(model, &state);
            if property.always && !holds {
                explored.broken = Some((property.name, path(&found, explored.states)));
                return explored;
            }
            if !property.always && holds && !explored.possible.contains(&property.name) {
                explored.possible.push(property.name);
            }
        }
        model.steps(&state, &mut |action, next| {
            if known.insert(next) {
                found.push((next, explored.states, Some(action)));
            }
        });
        explored.states += 1;
        assert!(found.len() <= STATES_MAX, "the model was meant to be small");
    }
    explored
}

fn path<S, A: Copy>(found: &[(S, usize, Option<A>)], mut place: usize) -> Vec<A> {
    let mut path = Vec::new();
    while let (_, before, Some(action)) = &found[place] {
        path.push(*action);
        place = *before;
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up by one or two, to seven at most.
    struct Steps;

    impl Model for Steps {
        type State = u8;
        type Action = u8;

        fn start(&self) -> u8 {
            0
        }

        fn steps(&self, state: &u8, step: &mut impl FnMut(u8, u8)) {
            for up in [1, 2] {
                step(up, (state + up).min(7));
            }
        }
    }

    fn property(always: bool, holds: fn(&Steps, &u8) -> bool) -> [Property<Steps>; 1] {
        [Property { name: "it", always, holds }]
    }

    #[test]
    fn every_state_is_seen_once_and_the_shortest_path_is_told() {
        let all = explore(&Steps, &property(true, |_, state| *state <= 7));
        assert_eq!((all.states, all.broken), (8, None));
        let broken = explore(&Steps, &property(true, |_, state| *state != 5));
        let (name, path) = broken.broken.unwrap();
        assert_eq!((name, path.len(), path.iter().sum::<u8>()), ("it", 3, 5));
    }

    #[test]
    fn what_is_possible_is_found_and_what_is_not_is_not() {
        assert_eq!(explore(&Steps, &property(false, |_, state| *state == 7)).possible, ["it"]);
        assert!(explore(&Steps, &property(false, |_, state| *state == 8)).possible.is_empty());
    }
}
