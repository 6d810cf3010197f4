#!/bin/sh
# Builds Debian's package: the program, what it says of itself for man and shells, and then all of it in one file.
# Arguments go to cargo-deb. The result is in target/debian, or where CARGO_TARGET_DIR says.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked -p boltgrid
packaging/debian-papers.sh "$target/release/boltgrid" "$target/release/papers"
cargo deb -p boltgrid --no-build "$@"
