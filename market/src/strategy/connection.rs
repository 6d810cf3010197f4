//! The grid connection: whether it has room for more export, and who gives way when it has none.

use boltgrid_protocol::units::{Energy, MILLION, Power, Price, scale_floor};

use crate::GridPower;

/// The connection counts as full from this part of its capacity on.
const FULL_PERCENT: u128 = 98;
/// While it is full, a site lets a quarter less of its unsold surplus out from step to step …
const DECREASED_PPM: u64 = 750_000;
/// … and else a twentieth of all of it more.
const INCREASE_PPM: u64 = 50_000;

/// The part of a site's surplus for which there would be no room if everyone exported all they
/// could: every site bears the same share of what is too much.
pub(super) fn without_room(grid: &GridPower, surplus: Energy, capacity: Power) -> Energy {
    let export = magnitude_of_export(grid.potential_mw);
    let excess = export.saturating_sub(capacity.to_milliwatts().unsigned_abs());
    let [excess, export] = [excess, export].map(Energy::from_milliwatt_hours);
    surplus.share_floor(excess, export).unwrap_or_default()
}

/// Whether what flows now comes close to the most that the connection can carry outwards.
fn is_full(grid: &GridPower, capacity: Power) -> bool {
    let export = u128::from(magnitude_of_export(grid.power_mw));
    let capacity = u128::from(capacity.to_milliwatts().unsigned_abs());
    export > 0 && export.saturating_mul(100) >= capacity.saturating_mul(FULL_PERCENT)
}

fn magnitude_of_export(power: Power) -> u64 {
    if power.to_milliwatts() < 0 { power.to_milliwatts().unsigned_abs() } else { 0 }
}

/// How much of its unsold surplus a site lets out; all of it at first.
///
/// All sites that can turn down follow the same rule on the same readings: close by a share while
/// the connection is full, open slowly while it is not. So they share what room there is and nobody
/// has to tell them how. Invariant: at most a million parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    open_ppm: u64,
}

impl Throttle {
    /// All of the surplus goes out.
    pub const OPEN: Self = Self { open_ppm: MILLION };

    /// What follows from a new sum of readings; to be called once for each.
    ///
    /// While the feed-in price is negative no unsold surplus is let out anyway
    /// ([`super::dispatch()`]), so readings say nothing about how much of it there is room for and
    /// nothing follows.
    #[must_use]
    pub fn after(self, grid: &GridPower, export_capacity: Power, feed_in: Price) -> Self {
        let open_ppm = if feed_in.is_negative() {
            self.open_ppm
        } else if is_full(grid, export_capacity) {
            scale_floor(self.open_ppm, DECREASED_PPM, MILLION).unwrap_or(0)
        } else {
            self.open_ppm.saturating_add(INCREASE_PPM).min(MILLION)
        };
        Self { open_ppm }
    }

    /// The part of an unsold surplus that may go out.
    pub(super) fn let_out(self, surplus: Energy) -> Energy {
        let [open, all] = [self.open_ppm, MILLION].map(Energy::from_milliwatt_hours);
        surplus.share_floor(open, all).unwrap_or_default()
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::OPEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Power = Power::from_milliwatts(160_000);

    fn grid(power_mw: i64, potential_mw: i64) -> GridPower {
        GridPower {
            power_mw: Power::from_milliwatts(power_mw),
            potential_mw: Power::from_milliwatts(potential_mw),
            members: 1,
        }
    }

    #[test]
    fn every_site_bears_the_same_share_of_what_is_too_much() {
        let surplus = Energy::from_milliwatt_hours(1000);
        let without_room = |potential| without_room(&grid(0, potential), surplus, CAPACITY);
        assert_eq!(without_room(-160_000), Energy::ZERO);
        assert_eq!(without_room(-320_000), Energy::from_milliwatt_hours(500));
        assert_eq!(without_room(500_000), Energy::ZERO, "import is no export");
    }

    fn let_out_after(steps: usize, from: Throttle, power_mw: i64, feed_in: i64) -> (Throttle, u64) {
        let feed_in = Price::from_msat_per_kwh(feed_in);
        let grid = grid(power_mw, -300_000);
        let throttle =
            (0..steps).fold(from, |throttle, _| throttle.after(&grid, CAPACITY, feed_in));
        (throttle, throttle.let_out(Energy::from_milliwatt_hours(1600)).to_milliwatt_hours())
    }

    #[test]
    fn a_full_connection_throttles_and_one_with_room_opens_again() {
        let (throttle, let_out) = let_out_after(2, Throttle::OPEN, -157_000, 80_000);
        assert_eq!(let_out, 900, "three quarters of three quarters");
        let (_, let_out) = let_out_after(2, throttle, -156_000, 80_000);
        assert_eq!(let_out, 1060, "a tenth of all more");
        assert_eq!(let_out_after(20, throttle, -156_000, 80_000).0, Throttle::OPEN);
    }

    #[test]
    fn nothing_is_learnt_while_nothing_is_let_out() {
        let (throttle, before) = let_out_after(5, Throttle::OPEN, -200_000, 80_000);
        assert_eq!(let_out_after(5, throttle, -20_000, -1).1, before);
    }

    #[test]
    fn a_grid_that_imports_is_never_full() {
        assert!(!is_full(&grid(500_000, 500_000), CAPACITY));
        assert!(!is_full(&grid(0, 0), Power::ZERO));
        assert!(is_full(&grid(-1, -1), Power::ZERO));
    }
}
