//! The binary `boltgrid`: everything is in the library, so that others can be a node as well.

use std::process::ExitCode;

fn main() -> ExitCode {
    boltgrid::cli::main(std::env::args_os())
}
