//! Where the power flows: line loading, transformer loading and a plausible voltage at every bus.
//!
//! A linear model of a balanced three-phase tree at unity power factor: each phase carries a third
//! of the power, the drop along a line is R·P/U at nominal voltage, and lines lose nothing. Good for
//! seeing overloads and for meters that report a believable voltage; not for network planning.

use boltgrid_protocol::units::{Energy, Power};

use super::register::Register;
use crate::scenario::Grid;

/// Phases of the grid.
const PHASES: i64 = 3;

/// Flows through all copies of one grid. The copies share the slack busbar, on which one
/// transformer per copy runs in parallel.
#[derive(Clone, Debug)]
pub(super) struct Wires {
    grid: Grid,
    /// Phase voltage of the slack busbar.
    nominal_phase_uv: i64,
    /// What each line may carry at nominal voltage.
    line_limits_mw: Vec<i64>,
    copies: Vec<GridCopy>,
    transformer_mw: i64,
    transformer_limit_mw: i64,
    pub(super) transformer_peak_mw: i64,
    pub(super) transformer_overload_ticks: u64,
    pub(super) imported: Register,
    pub(super) exported: Register,
}

/// One copy of the grid, by bus.
#[derive(Clone, Debug)]
struct GridCopy {
    /// What flows into the bus and all that it feeds.
    flow_mw: Vec<i64>,
    phase_uv: Vec<i64>,
    /// By line: ticks above rated current so far.
    overload_ticks: Vec<u64>,
    /// By line: taken from its end towards the transformer, and given to it.
    passed: Vec<(Register, Register)>,
}

impl Wires {
    /// Wires that carry nothing yet.
    pub(super) fn new(grid: &Grid, copies: usize) -> Self {
        let nominal_uv = i128::from(grid.nominal_mv) * 1000;
        let nominal_phase_uv = i64::try_from((nominal_uv * nominal_uv / 3).isqrt())
            .expect("the nominal voltage is bounded when the scenario is read");
        let limit_mw = |rated_ma: i64| PHASES * (nominal_phase_uv / 1000) * rated_ma / 1000;
        let copy = GridCopy {
            flow_mw: vec![0; grid.buses.len()],
            phase_uv: vec![nominal_phase_uv; grid.buses.len()],
            overload_ticks: vec![0; grid.lines.len()],
            passed: vec![(Register::new(), Register::new()); grid.lines.len()],
        };
        let transformers = i64::try_from(copies).expect("copies are counted in memory");
        Self {
            nominal_phase_uv,
            line_limits_mw: grid.lines.iter().map(|line| limit_mw(line.rated_ma)).collect(),
            copies: vec![copy; copies],
            transformer_mw: 0,
            transformer_limit_mw: grid.transformer.to_milliwatts() * transformers,
            transformer_peak_mw: 0,
            transformer_overload_ticks: 0,
            imported: Register::new(),
            exported: Register::new(),
            grid: grid.clone(),
        }
    }

    /// Phase voltage at the transformers.
    pub(super) const fn nominal_phase_mv(&self) -> i64 {
        self.nominal_phase_uv / 1000
    }

    /// Takes the net import of every site as (copy, bus, mW) and lets it flow.
    pub(super) fn flow(&mut self, imports: impl Iterator<Item = (usize, usize, i64)>) {
        for copy in &mut self.copies {
            copy.flow_mw.fill(0);
        }
        for (copy, bus, mw) in imports {
            self.copies[copy].flow_mw[bus] += mw;
        }
        for copy in &mut self.copies {
            for (index, line) in self.grid.lines.iter().enumerate().rev() {
                copy.flow_mw[line.upstream] += copy.flow_mw[index + 1];
            }
            for (index, line) in self.grid.lines.iter().enumerate() {
                let mw = copy.flow_mw[index + 1];
                let drop_uv = drop_uv(line.resistance_uohm, mw, self.nominal_phase_uv);
                copy.phase_uv[index + 1] = copy.phase_uv[line.upstream] - drop_uv;
            }
        }
        self.transformer_mw = self.copies.iter().map(|copy| copy.flow_mw[0]).sum();
    }

    /// Counts what flowed for `ms`, one tick.
    pub(super) fn count_tick(&mut self, ms: u64) {
        self.imported.add(self.transformer_mw, ms);
        self.exported.add(-self.transformer_mw, ms);
        self.transformer_peak_mw = self.transformer_peak_mw.max(self.transformer_mw.abs());
        if self.transformer_mw.abs() > self.transformer_limit_mw {
            self.transformer_overload_ticks += 1;
        }
        for copy in &mut self.copies {
            for (index, limit_mw) in self.line_limits_mw.iter().enumerate() {
                let mw = copy.flow_mw[index + 1];
                if mw.abs() > *limit_mw {
                    copy.overload_ticks[index] += 1;
                }
                let (taken, given) = &mut copy.passed[index];
                taken.add(mw, ms);
                given.add(-mw, ms);
            }
        }
    }

    /// What flows into a line at its end towards the transformer.
    pub(super) fn line_flow(&self, copy: usize, line: usize) -> Power {
        Power::from_milliwatts(self.copies[copy].flow_mw[line + 1])
    }

    /// What a line took at its end towards the transformer, and what it gave there, `ms` into the tick.
    pub(super) fn line_registers(&self, (copy, line): (usize, usize), ms: u64) -> (Energy, Energy) {
        let (taken, given) = &self.copies[copy].passed[line];
        let mw = self.copies[copy].flow_mw[line + 1];
        (taken.shown_after(mw, ms), given.shown_after(-mw, ms))
    }

    /// What the transformers took, and what they gave back, `ms` into the tick.
    pub(super) fn transformer_registers(&self, ms: u64) -> (Energy, Energy) {
        let mw = self.transformer_mw;
        (self.imported.shown_after(mw, ms), self.exported.shown_after(-mw, ms))
    }

    /// Phase voltage of a bus in mV.
    pub(super) fn phase_mv(&self, copy: usize, bus: usize) -> i64 {
        self.copies[copy].phase_uv[bus] / 1000
    }

    /// Lowest and highest phase voltage in mV.
    pub(super) fn phase_mv_range(&self) -> (i64, i64) {
        let voltages = || self.copies.iter().flat_map(|copy| &copy.phase_uv);
        let nominal = &self.nominal_phase_uv;
        let lowest = voltages().min().unwrap_or(nominal);
        (lowest / 1000, voltages().max().unwrap_or(nominal) / 1000)
    }

    /// The current of the most loaded line, in ppm of its rated current.
    pub(super) fn line_load_max_ppm(&self) -> i64 {
        let loads = self.copies.iter().flat_map(|copy| {
            let flows = copy.flow_mw.iter().skip(1).zip(&self.line_limits_mw);
            flows.map(|(mw, limit_mw)| mw.abs().saturating_mul(1_000_000) / limit_mw)
        });
        loads.max().unwrap_or(0)
    }

    /// Copy, name and overload ticks of every line that was overloaded.
    pub(super) fn overloaded_lines(&self) -> impl Iterator<Item = (usize, String, u64)> {
        self.copies.iter().enumerate().flat_map(move |(number, copy)| {
            let lines = copy.overload_ticks.iter().enumerate().filter(|(_, ticks)| **ticks > 0);
            lines.map(move |(line, ticks)| (number, self.grid.line_name(line), *ticks))
        })
    }

    /// What flows through the transformers into the grid.
    pub(super) const fn transformer(&self) -> Power {
        Power::from_milliwatts(self.transformer_mw)
    }

    /// What the transformers may carry together.
    pub(super) const fn transformer_limit(&self) -> Power {
        Power::from_milliwatts(self.transformer_limit_mw)
    }
}

/// The phase voltage lost along a line that carries `mw` in all phases.
fn drop_uv(resistance_uohm: i64, mw: i64, nominal_phase_uv: i64) -> i64 {
    // µΩ · mW / mV = µV
    let drop_uv =
        i128::from(resistance_uohm) * i128::from(mw / PHASES) / i128::from(nominal_phase_uv / 1000);
    // Wires so bad that this matters have melted long before.
    let nominal = i128::from(nominal_phase_uv);
    i64::try_from(drop_uv.clamp(-nominal, nominal)).expect("clamped to 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Line;

    /// b0 -(100 mΩ, 10 A)- b1 -(200 mΩ, 5 A)- b2, 10 kVA, 400 V.
    fn wires(copies: usize) -> Wires {
        let line =
            |upstream, resistance_uohm, rated_ma| Line { upstream, resistance_uohm, rated_ma };
        let grid = Grid {
            name: "G".to_owned(),
            transformer: Power::from_milliwatts(10_000_000),
            nominal_mv: 400_000,
            buses: ["b0", "b1", "b2"].map(str::to_owned).to_vec(),
            lines: vec![line(0, 100_000, 10_000), line(1, 200_000, 5000)],
        };
        Wires::new(&grid, copies)
    }

    #[test]
    fn voltage_falls_with_import_and_rises_with_export_along_the_tree() {
        let mut wires = wires(1);
        wires.flow([(0, 1, 3_000_000), (0, 2, 3_000_000)].into_iter());
        // 2 kW a phase through 100 mΩ at 231 V are 0.866 V, then 1 kW through 200 mΩ the same.
        let volts = |wires: &Wires| [0, 1, 2].map(|bus| wires.phase_mv(0, bus));
        assert_eq!(volts(&wires), [230_940, 230_074, 229_208]);
        assert_eq!(wires.phase_mv_range(), (229_208, 230_940));
        wires.flow([(0, 2, -6_000_000)].into_iter());
        assert_eq!(volts(&wires), [230_940, 231_806, 233_538]);
        assert_eq!(wires.transformer(), Power::from_milliwatts(-6_000_000));
    }

    #[test]
    fn a_line_counts_what_passes_it_each_way() {
        let mut wires = wires(2);
        wires.flow([(1, 1, 3_600_000), (1, 2, 1_800_000)].into_iter());
        wires.count_tick(1000);
        wires.flow([(1, 1, 1_800_000), (1, 2, -7_200_000)].into_iter());
        wires.count_tick(1000);
        let passed = |copy, line| {
            let (taken, given) = wires.line_registers((copy, line), 0);
            // Less what was on the registers before.
            [taken, given].map(|it| it.to_milliwatt_hours() - 1_000_000)
        };
        assert_eq!([passed(1, 0), passed(1, 1)], [[1_500, 1_500], [500, 2_000]]);
        assert_eq!(passed(0, 0), [0, 0]);
        assert_eq!(wires.line_flow(1, 0), Power::from_milliwatts(-5_400_000));
    }

    #[test]
    fn overloads_are_counted_by_tick_and_line() {
        let mut wires = wires(1);
        // 5 A at 400 V are 3.464 kW.
        wires.flow([(0, 2, -3_464_000)].into_iter());
        wires.count_tick(1000);
        assert_eq!(wires.overloaded_lines().count(), 0);
        assert_eq!(wires.line_load_max_ppm(), 999_971);
        wires.flow([(0, 2, -3_465_000), (0, 0, -6_600_000)].into_iter());
        wires.count_tick(1000);
        wires.count_tick(1000);
        assert_eq!(wires.overloaded_lines().collect::<Vec<_>>(), [(0, "b1-b2".to_owned(), 2)]);
        assert_eq!((wires.transformer_overload_ticks, wires.transformer_peak_mw), (2, 10_065_000));
    }

    #[test]
    fn copies_share_the_transformers_but_not_the_lines() {
        let mut wires = wires(2);
        wires.flow([(0, 1, 6_000_000), (1, 1, 6_000_000)].into_iter());
        wires.count_tick(1000);
        assert_eq!(wires.transformer_limit(), Power::from_milliwatts(20_000_000));
        assert_eq!((wires.transformer_overload_ticks, wires.transformer_peak_mw), (0, 12_000_000));
        assert_eq!(wires.overloaded_lines().count(), 0);
    }
}
