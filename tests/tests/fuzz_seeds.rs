//! Every reader of what strangers and devices send takes good inputs, and survives spoilt ones and all
//! that fuzzing has ever found worth keeping.
//!
//! These are the fuzz targets of `tests/fuzz` without the fuzzer, so that an input that once broke a
//! reader is tried in every test run. Not for: searching; `cargo fuzz` does that.

#![expect(clippy::panic, reason = "a target that nobody knows fails the test")]

#[allow(unreachable_pub, reason = "it is a crate of its own for the fuzzer")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::path::Path;

use fuzz::{TARGETS, seeds};

/// So often a good input is offered.
const TRIES_MAX: usize = 100;
/// So many bytes of a good input are spoilt, one at a time and evenly spread.
const SPOILT: usize = 64;
/// At so many places a good input is cut off.
const CUT: usize = 16;
/// Longest input that is kept as a file.
const KEPT_BYTES_MAX: usize = 4096;
/// Most inputs that are kept of one target.
const KEPT_MAX: usize = 64;

/// What is kept of a target, by name.
fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let files = fs::read_dir(&folder).expect("every target has a folder of inputs");
    let mut kept: Vec<_> = files
        .map(|file| {
            let path = file.expect("an entry of the folder").path();
            (path.display().to_string(), fs::read(&path).expect("an input that can be read"))
        })
        .collect();
    kept.sort();
    kept
}

fn evenly(length: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length.div_ceil(count).max(1))
}

#[test]
fn every_target_takes_its_good_inputs_and_none_of_their_halves() {
    for (name, target) in TARGETS {
        for (number, seed) in seeds::of(name).iter().enumerate() {
            // A device has milliseconds to answer, which a busy machine does not always give it.
            let taken = (0..TRIES_MAX).any(|_| target(seed));
            assert!(taken, "{name} does not take its good input number {number}");
            let half = &seed[..seed.len() / 2];
            assert!(!target(half), "{name} takes half of its good input number {number}");
        }
    }
}

#[test]
fn every_target_survives_its_good_inputs_cut_off_and_spoilt() {
    for (name, target) in TARGETS.iter().filter(|(name, _)| *name != "sunspec") {
        for seed in seeds::of(name) {
            for length in evenly(seed.len(), CUT) {
                target(&seed[..length]);
            }
            for place in evenly(seed.len(), SPOILT) {
                for change in [1, 0x80, 0xFF] {
                    let mut spoilt = seed.clone();
                    spoilt[place] ^= change;
                    target(&spoilt);
                }
            }
        }
    }
}

#[test]
fn every_target_survives_what_fuzzing_has_found() {
    for (name, target) in TARGETS {
        let kept = kept(name);
        assert!((1..=KEPT_MAX).contains(&kept.len()), "{name} has {} inputs", kept.len());
        for (file, bytes) in kept {
            assert!(bytes.len() <= KEPT_BYTES_MAX, "{file} is too long to be kept");
            target(&bytes);
        }
    }
}
