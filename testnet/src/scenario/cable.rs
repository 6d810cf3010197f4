//! Cables: what leaves the slack busbar, each to the sites behind it. A distribution board can meter
//! each of them.

use std::num::NonZeroUsize;

use super::{Scenario, Site};

/// One cable of the busbar and the sites that it feeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cable {
    /// Its two ends, with the number of the copy from the second on: `bus4-bus1`, `bus4-bus1-2`.
    pub name: String,
    /// Which copy of the grid it is in; 0 is the original.
    pub copy: usize,
    /// Its index in [`super::Grid::lines`]; none for all that leaves the busbar.
    pub line: Option<usize>,
    /// The sites behind it, by their place among all; never empty.
    pub sites: Vec<usize>,
}

impl Scenario {
    /// The cables that feed the first `nodes` sites, in the order of their first sites. A site on the
    /// busbar itself is behind none.
    #[must_use]
    pub fn cables(&self, nodes: NonZeroUsize, seed: u64) -> Vec<Cable> {
        let mut cables: Vec<Cable> = Vec::new();
        for (place, Site { bus, copy, .. }) in self.sites(nodes, seed).into_iter().enumerate() {
            let Some(line) = self.grid.cable_of(bus) else { continue };
            match cables.iter_mut().find(|cable| (cable.copy, cable.line) == (copy, Some(line))) {
                Some(cable) => cable.sites.push(place),
                None => {
                    let original = self.grid.line_name(line);
                    let name = match copy {
                        0 => original,
                        _ => format!("{original}-{}", copy + 1),
                    };
                    cables.push(Cable { name, copy, line: Some(line), sites: vec![place] });
                }
            }
        }
        cables
    }

    /// All of them as one, with the sites on the busbar itself: what the transformers feed.
    #[must_use]
    pub fn busbar(nodes: NonZeroUsize) -> Cable {
        Cable { name: BUSBAR.to_owned(), copy: 0, line: None, sites: (0..nodes.get()).collect() }
    }
}

/// The name of what the transformers feed.
const BUSBAR: &str = "busbar";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_site_is_behind_the_cable_that_leaves_the_busbar_towards_it() {
        let scenario = Scenario::builtin("rural1").unwrap();
        let nodes = NonZeroUsize::new(14).unwrap();
        let names: Vec<_> = scenario.sites(nodes, 1).into_iter().map(|site| site.name).collect();
        let cables = scenario.cables(nodes, 1);
        let told: Vec<_> = cables
            .iter()
            .map(|cable| {
                let sites: Vec<_> = cable.sites.iter().map(|site| &*names[*site]).collect();
                format!("{}: {}", cable.name, sites.join(" "))
            })
            .collect();
        assert_eq!(
            told,
            [
                "bus4-bus1: bus1",
                "bus4-bus2: bus2 bus9 bus13",
                "bus4-bus8: bus3 bus8 bus10 bus11",
                "bus4-bus7: bus5 bus6 bus7 bus12 bus14",
                "bus4-bus1-2: bus1-2",
            ]
        );
    }
}
