//! The wires: a radial low-voltage grid behind one transformer.

use std::collections::{BTreeMap, VecDeque};

use boltgrid_protocol::units::Power;

use super::error::ScenarioError;
use super::table::{Decimal, Row, Table};

/// The file with the transformer.
const GRID_FILE: &str = "grid.csv";
/// The file with the wires.
const LINES_FILE: &str = "lines.csv";

const TRANSFORMER: Decimal = Decimal {
    min: 1.0,
    max: 1e9,
    per_unit: 1e3,
    expected: "the transformer's rated apparent power in VA, from 1 to 1e9",
};
const NOMINAL: Decimal = Decimal {
    min: 100.0,
    max: 1000.0,
    per_unit: 1e3,
    expected: "the voltage between phases in V, from 100 to 1000",
};
const LENGTH: Decimal =
    Decimal { min: 0.0, max: 1e6, per_unit: 1e3, expected: "a length in m, from 0 to 1e6" };
const IMPEDANCE: Decimal =
    Decimal { min: 0.0, max: 1e6, per_unit: 1e3, expected: "an impedance in mΩ, from 0 to 1e6" };
const CURRENT: Decimal =
    Decimal { min: 1.0, max: 1e5, per_unit: 1e3, expected: "a current in A, from 1 to 1e5" };

/// A radial grid.
///
/// Invariant: bus 0 is the slack bus, and line `i` feeds bus `i + 1` from a bus with a smaller
/// number. So one walk backwards sums the flows and one walk forwards spreads the voltages.
#[derive(Clone, Debug)]
pub struct Grid {
    /// What the grid is called.
    pub name: String,
    /// What the transformer may carry, at unity power factor.
    pub transformer: Power,
    /// Nominal voltage between phases in mV.
    pub nominal_mv: i64,
    /// The buses, the slack bus first.
    pub buses: Vec<String>,
    /// The lines, each after the one that feeds it.
    pub lines: Vec<Line>,
}

/// A line of the tree.
#[derive(Clone, Debug)]
pub struct Line {
    /// Index of the bus at the end towards the transformer.
    pub upstream: usize,
    /// Resistance in µΩ.
    pub resistance_uohm: i64,
    /// Rated current in mA.
    pub rated_ma: i64,
}

impl Grid {
    /// Reads `grid.csv` and `lines.csv`.
    pub(super) fn read(grid: &[u8], lines: &[u8]) -> Result<Self, ScenarioError> {
        let columns = ["grid", "slack_bus", "transformer_va", "nominal_v"];
        let mut table = Table::open(GRID_FILE, grid, &columns)?;
        let one_row = |rows| ScenarioError::Rows { file: GRID_FILE, rows, expected: "one" };
        let row = table.next_row()?.ok_or(one_row(0))?;
        let name = row.name("grid")?.to_owned();
        let slack_bus = row.name("slack_bus")?.to_owned();
        let transformer = Power::from_milliwatts(row.number("transformer_va", TRANSFORMER)?);
        let nominal_mv = row.number("nominal_v", NOMINAL)?;
        if table.next_row()?.is_some() {
            return Err(one_row(2));
        }
        let (buses, lines) = grow_tree(slack_bus, read_wires(lines)?)?;
        Ok(Self { name, transformer, nominal_mv, buses, lines })
    }

    /// The index of the bus with this name.
    #[must_use]
    pub fn bus(&self, name: &str) -> Option<usize> {
        self.buses.iter().position(|bus| bus == name)
    }

    /// The line through which the slack bus feeds a bus, if it is another one.
    #[must_use]
    pub fn cable_of(&self, bus: usize) -> Option<usize> {
        let mut line = bus.checked_sub(1)?;
        // Every line hangs on one with a smaller number.
        while let Some(above) = self.lines.get(line)?.upstream.checked_sub(1) {
            line = above;
        }
        Some(line)
    }

    /// The name of a line: its two ends, the one towards the transformer first.
    #[must_use]
    pub fn line_name(&self, line: usize) -> String {
        format!("{}-{}", self.buses[self.lines[line].upstream], self.buses[line + 1])
    }
}

/// A row of `lines.csv`.
#[derive(Debug)]
struct Wire {
    file_line: u64,
    ends: [String; 2],
    resistance_uohm: i64,
    rated_ma: i64,
}

fn read_wires(bytes: &[u8]) -> Result<Vec<Wire>, ScenarioError> {
    let columns = ["from", "to", "length_m", "r_mohm", "x_mohm", "rated_a"];
    let mut table = Table::open(LINES_FILE, bytes, &columns)?;
    let mut wires = Vec::new();
    let mut islands = Islands::default();
    while let Some(row) = table.next_row()? {
        let wire = read_wire(row)?;
        let [from, to] = &wire.ends;
        if !islands.join(from, to) {
            let (from, to) = (from.clone(), to.clone());
            return Err(ScenarioError::Loop { line: wire.file_line, from, to });
        }
        wires.push(wire);
    }
    Ok(wires)
}

fn read_wire(row: Row<'_>) -> Result<Wire, ScenarioError> {
    // Checked though not used: at unity power factor neither length nor reactance matters.
    row.number("length_m", LENGTH)?;
    row.number("x_mohm", IMPEDANCE)?;
    Ok(Wire {
        file_line: row.line(),
        ends: [row.name("from")?.to_owned(), row.name("to")?.to_owned()],
        resistance_uohm: row.number("r_mohm", IMPEDANCE)?,
        rated_ma: row.number("rated_a", CURRENT)?,
    })
}

/// Which buses are joined already.
#[derive(Debug, Default)]
struct Islands {
    island_of: BTreeMap<String, usize>,
}

impl Islands {
    /// Joins two buses; `false` if they were joined before.
    fn join(&mut self, from: &str, to: &str) -> bool {
        let (from, to) = (self.island(from), self.island(to));
        for island in self.island_of.values_mut().filter(|island| **island == to) {
            *island = from;
        }
        from != to
    }

    fn island(&mut self, bus: &str) -> usize {
        let fresh = self.island_of.len();
        *self.island_of.entry(bus.to_owned()).or_insert(fresh)
    }
}

/// Orders buses and lines from the slack bus outwards.
fn grow_tree(
    slack_bus: String,
    mut wires: Vec<Wire>,
) -> Result<(Vec<String>, Vec<Line>), ScenarioError> {
    let mut buses = vec![slack_bus];
    let mut lines = Vec::new();
    let mut frontier = VecDeque::from([0]);
    while let Some(upstream) = frontier.pop_front() {
        let near = |wire: &mut Wire| wire.ends.contains(&buses[upstream]);
        let found: Vec<Wire> = wires.extract_if(.., near).collect();
        for Wire { ends: [from, to], resistance_uohm, rated_ma, .. } in found {
            let downstream = if from == buses[upstream] { to } else { from };
            frontier.push_back(buses.len());
            buses.push(downstream);
            lines.push(Line { upstream, resistance_uohm, rated_ma });
        }
    }
    match wires.into_iter().next() {
        None => Ok((buses, lines)),
        Some(Wire { file_line: line, ends: [bus, _], .. }) => {
            let slack_bus = buses.swap_remove(0);
            Err(ScenarioError::Unreachable { file: LINES_FILE, line, bus, slack_bus })
        }
    }
}
