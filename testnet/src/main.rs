//! The binary `boltgrid-testnet`: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    boltgrid_testnet::cli::main(std::env::args_os())
}
