//! The wallet as its owner meets it at the command line, with no chain at hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a command said, and whether it did as asked.
fn boltgrid(folder: &Path, arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_boltgrid"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("BOLTGRID_CONFIG")
        .env_remove("BOLTGRID_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn words(folder: &Path) -> String {
    fs::read_to_string(folder.join("boltgrid/wallet.seed")).unwrap().trim().to_owned()
}

/// A config that names a bitcoind where none is.
fn set_lightning(folder: &Path, network: &str) {
    let path = folder.join("boltgrid/config.toml");
    let text = fs::read_to_string(&path).unwrap();
    let lightning = format!(
        "[lightning]\nnetwork = \"{network}\"\nbitcoind_url = \"http://127.0.0.1:1\"\n\
         bitcoind_cookie_file = \"none\"\n"
    );
    fs::write(&path, text.replace("[lightning]\n", &lightning)).unwrap();
}

#[test]
fn init_makes_a_seed_for_its_owner_only_and_shows_its_words_once() {
    let dir = tempfile::tempdir().unwrap();
    let (done, said) = boltgrid(dir.path(), &["init", "--non-interactive"], "");
    assert!(done, "{said}");
    let path = dir.path().join("boltgrid/wallet.seed");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let seed = words(dir.path());
    assert_eq!(seed.split(' ').count(), 24);
    let shown: Vec<&str> = said
        .lines()
        .filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()))
        .take(4)
        .flat_map(str::split_whitespace)
        .filter(|word| word.parse::<u8>().is_err())
        .collect();
    assert_eq!(shown.join(" "), seed);

    fs::remove_file(dir.path().join("boltgrid/config.toml")).unwrap();
    let (done, said) = boltgrid(dir.path(), &["init", "--non-interactive"], "");
    assert!(done && !said.contains(seed.split(' ').next().unwrap()), "{said}");
    assert_eq!(words(dir.path()), seed, "a seed is never overwritten");
}

#[test]
fn restore_sets_up_a_wallet_from_its_words_and_nothing_from_anything_else() {
    let dir = tempfile::tempdir().unwrap();
    boltgrid(dir.path(), &["init", "--non-interactive"], "");
    let seed = words(dir.path());
    let restore = |input: &str| boltgrid(dir.path(), &["wallet", "restore"], input);
    let (done, said) = restore(&seed);
    assert!(!done && said.contains("says nothing of Lightning"), "{said}");
    set_lightning(dir.path(), "regtest");
    let (done, said) = restore("abandon ability");
    assert!(!done && said.contains("2 words were given"), "{said}");
    let other = format!("{}art", "abandon ".repeat(23));
    let (done, said) = restore(&other);
    assert!(!done && said.contains("never overwritten"), "{said}");
    assert!(!dir.path().join("boltgrid/data/lightning").exists());

    let (done, said) = restore(&seed.to_uppercase());
    assert!(done && said.contains("channels is not in it"), "{said}");
    let (done, said) = restore(&seed);
    assert!(!done && said.contains("not overwritten"), "{said}");
    assert_eq!(words(dir.path()), seed);
}

#[test]
fn mainnet_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    boltgrid(dir.path(), &["init", "--non-interactive"], "");
    set_lightning(dir.path(), "mainnet");
    for arguments in [["wallet", "restore"], ["run", "--log=warn"]] {
        let (done, said) = boltgrid(dir.path(), &arguments, &words(dir.path()));
        assert!(!done && said.contains("accept_mainnet = true"), "{said}");
    }
    assert!(!dir.path().join("boltgrid/data").exists());
}
