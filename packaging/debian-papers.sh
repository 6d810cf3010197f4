#!/bin/sh
# Writes what Debian's package brings along beside the program: manual pages and what shells complete.
# Usage: debian-papers.sh PROGRAM FOLDER; the assets in node/Cargo.toml name the files.
set -eu
program=$1
papers=$2
rm -rf "$papers"
"$program" man "$papers/man1"
for shell in bash zsh fish; do
    "$program" completions "$shell" >"$papers/boltgrid.$shell"
done
