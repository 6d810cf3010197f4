//! `boltgrid completions` and `boltgrid man`: what shells and `man` want to know of the commands, made of the
//! commands themselves.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use serde::Serialize;

use super::error::CliError;
use super::show;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// For which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The folder to write boltgrid.1 and a page for each command into, such as ~/.local/share/man/man1; it
    /// is made where there is none
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print the names of all pages as JSON
    #[arg(long)]
    json: bool,
}

/// What was written, for a program.
#[derive(Debug, Serialize)]
struct Written<'a> {
    folder: &'a Path,
    pages: &'a [String],
}

impl Completions {
    /// Prints the script of a shell.
    pub(super) fn run(&self, mut command: Command, out: &mut impl Write) -> Result<(), CliError> {
        let mut script = Vec::new();
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        Ok(out.write_all(&script)?)
    }
}

impl Man {
    /// Writes a page for the program and for each of its commands.
    pub(super) fn run(&self, mut command: Command, out: &mut impl Write) -> Result<(), CliError> {
        let failed = |source| CliError::Write { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        command.build();
        let mut written = Vec::new();
        pages(&command, &self.folder, &mut written).map_err(failed)?;
        if self.json {
            return show::json(out, &Written { folder: &self.folder, pages: &written });
        }
        Ok(writeln!(out, "wrote {} pages into {}", written.len(), self.folder.display())?)
    }
}

/// Writes the page of a command and those of all under it, and notes their names.
fn pages(command: &Command, folder: &Path, written: &mut Vec<String>) -> io::Result<()> {
    if command.is_hide_set() || command.get_name() == "help" {
        return Ok(());
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).render(&mut page)?;
    let file = format!("{name}.1");
    fs::write(folder.join(&file), page)?;
    written.push(file);
    command.get_subcommands().try_for_each(|it| pages(it, folder, written))
}
