//! Who is connected to whom.

use super::dice::Dice;

/// How many neighbours a node has, about: fewer in small grids.
const DEGREE: usize = 8;

/// The neighbours of each node: a ring in random order, so that all are connected, and random links
/// beside it until each has its degree.
pub(super) fn graph(nodes: usize, dice: &mut Dice) -> Vec<Vec<usize>> {
    let degree = DEGREE.min(nodes.saturating_sub(1));
    let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    let mut ring: Vec<usize> = (0..nodes).collect();
    dice.shuffle(&mut ring);
    for (place, &node) in ring.iter().enumerate() {
        link(&mut neighbours, node, ring[(place + 1) % nodes]);
    }
    for node in 0..nodes {
        let mut others: Vec<usize> = (0..nodes).collect();
        dice.shuffle(&mut others);
        // First those that lack links as well, then anyone.
        others.sort_by_key(|other| neighbours[*other].len() >= degree);
        for other in others {
            if neighbours[node].len() >= degree {
                break;
            }
            link(&mut neighbours, node, other);
        }
    }
    neighbours
}

fn link(neighbours: &mut [Vec<usize>], one: usize, other: usize) {
    if one != other && !neighbours[one].contains(&other) {
        neighbours[one].push(other);
        neighbours[other].push(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_about_eight_neighbours_and_they_know_it() {
        for nodes in [1, 2, 5, 20, 200] {
            let graph = graph(nodes, &mut Dice::of(&[1, nodes as u64]));
            for (node, neighbours) in graph.iter().enumerate() {
                let least = DEGREE.min(nodes - 1);
                assert!((least..=least + 6).contains(&neighbours.len()), "{neighbours:?}");
                assert!(neighbours.iter().all(|other| graph[*other].contains(&node)));
            }
        }
    }
}
