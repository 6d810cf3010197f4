//! A grid on which as much is traded as can be: every other site has photovoltaics and the others a
//! load, all of another size, the same all day, so that every interval has one trade less than nodes.
//! Not for: anything that looks like a village.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// The folder's name, and so the scenario's.
const NAME: &str = "payments";
/// What the smallest site has, in watts: some tens of watt-hours in ten seconds.
const RATED_MIN_W: usize = 10_000;
/// How much more each next one has.
const RATED_STEP_W: usize = 500;

/// Writes the scenario for so many sites into `folder`, and says how to name it.
///
/// # Errors
///
/// What the operating system says.
pub(crate) fn write(folder: &Path, sites: usize) -> io::Result<String> {
    let folder = folder.join(NAME);
    fs::create_dir(&folder)?;
    let grid = "grid,slack_bus,transformer_va,nominal_v\npayments,slack,100000000,400\n";
    let mut lines = "from,to,length_m,r_mohm,x_mohm,rated_a\n".to_owned();
    let mut devices = "bus,device,profile,rated_w,capacity_wh,efficiency\n".to_owned();
    for site in 1..=sites {
        let (device, profile) = if site % 2 == 0 { ("load", "USE") } else { ("pv", "SUN") };
        let rated_w = RATED_MIN_W + RATED_STEP_W * site;
        writeln!(lines, "slack,bus{site},10,1,1,1000").map_err(io::Error::other)?;
        writeln!(devices, "bus{site},{device},{profile},{rated_w},,").map_err(io::Error::other)?;
    }
    let profiles = "time,USE,SUN\n2016-05-25T09:00:00+01:00,0.9,0.9\n";
    let files = [
        ("grid.csv", grid),
        ("lines.csv", &lines),
        ("devices.csv", &devices),
        ("profiles.csv", profiles),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text)?;
    }
    Ok(folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn it_is_a_valid_scenario_of_so_many_sites() {
        let folder = tempfile::tempdir().unwrap();
        let scenario = Scenario::open(&write(folder.path(), 30).unwrap()).unwrap();
        assert_eq!(scenario.devices.len(), 30);
        assert_eq!(scenario.grid.buses.len(), 31);
    }
}
