//! A scenario: a grid, the devices on it and their measured profiles, read from four CSV files.
//!
//! Loading checks everything, so that what holds a [`Scenario`] never has to. Nothing moves here:
//! the physics is in [`crate::plant`].

mod cable;
mod civil;
mod device;
mod error;
mod grid;
mod profiles;
mod site;
mod splitmix;
mod table;
#[cfg(test)]
mod tests;

use std::{fs, path::Path};

pub use cable::Cable;
pub use civil::CivilTime;
pub use device::{Device, Kind};
pub use error::{ScenarioError, TimeError};
pub use grid::{Grid, Line};
pub use profiles::{ProfileId, Profiles, ROW_S, SHARE_MAX_PPM};
pub use site::{Battery, Pv, Site, Source};
pub use splitmix::splitmix64;

/// The scenario that is built into the program.
pub const RURAL1: &str = "rural1";

/// A grid, the devices on it and their profiles, all checked.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name of a built-in scenario or of its folder.
    pub name: String,
    /// The wires.
    pub grid: Grid,
    /// The devices; at least one.
    pub devices: Vec<Device>,
    /// The profiles.
    pub profiles: Profiles,
}

/// The contents of the four files.
#[derive(Clone, Copy, Debug)]
struct Files<'a> {
    grid: &'a [u8],
    lines: &'a [u8],
    devices: &'a [u8],
    profiles: &'a [u8],
}

impl Scenario {
    /// The built-in scenario `name_or_dir` if there is one, else the folder of that name.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] if there is neither or something in the files is wrong.
    pub fn open(name_or_dir: &str) -> Result<Self, ScenarioError> {
        match Self::builtin(name_or_dir) {
            Err(ScenarioError::Unknown { .. }) if Path::new(name_or_dir).is_dir() => {
                Self::load(Path::new(name_or_dir))
            }
            found_or_wrong => found_or_wrong,
        }
    }

    /// A scenario that is built into the program; [`RURAL1`] is the only one.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::Unknown`] if there is none of that name.
    pub fn builtin(name: &str) -> Result<Self, ScenarioError> {
        if name != RURAL1 {
            return Err(ScenarioError::Unknown { name: name.to_owned(), builtin: RURAL1 });
        }
        let files = Files {
            grid: include_bytes!("../scenarios/rural1/grid.csv"),
            lines: include_bytes!("../scenarios/rural1/lines.csv"),
            devices: include_bytes!("../scenarios/rural1/devices.csv"),
            profiles: include_bytes!("../scenarios/rural1/profiles.csv"),
        };
        Self::read(name.to_owned(), files)
    }

    /// The scenario in the folder `dir`, of the same four files as the built-in one.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] with file, line, column and what would be right.
    pub fn load(dir: &Path) -> Result<Self, ScenarioError> {
        let read = |file| {
            let path = dir.join(file);
            fs::read(&path).map_err(|source| ScenarioError::Read { path, source })
        };
        let (grid, lines) = (read("grid.csv")?, read("lines.csv")?);
        let (devices, profiles) = (read("devices.csv")?, read("profiles.csv")?);
        let files = Files { grid: &grid, lines: &lines, devices: &devices, profiles: &profiles };
        let name = dir.file_name().map_or_else(|| dir.to_string_lossy(), |n| n.to_string_lossy());
        Self::read(name.into_owned(), files)
    }

    fn read(name: String, files: Files<'_>) -> Result<Self, ScenarioError> {
        let grid = Grid::read(files.grid, files.lines)?;
        let profiles = Profiles::read(files.profiles)?;
        let devices = device::read(files.devices, &grid, &profiles)?;
        Ok(Self { name, grid, devices, profiles })
    }
}
