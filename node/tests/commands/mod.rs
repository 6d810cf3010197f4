//! The program's commands and what nodes of a test need of this machine, for tests that then run nodes in their
//! own process.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// What a command prints, run in a folder; it must go well.
pub(crate) fn boltgrid(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_boltgrid"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("BOLTGRID_CONFIG")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A port that nobody listens at.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
