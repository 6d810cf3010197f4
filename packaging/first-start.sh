#!/bin/sh
# What a container starts with where nobody has its command line: at the first start it writes config
# file and keys, then it waits for the grid's charter, and then it becomes the node.
#
# usage: boltgrid-first-start [LINE OF THE CONFIG FILE]...
#   BOLTGRID_CONFIG  the config file (/data/config.toml); the charter and the enrolments are beside it
#   BOLTGRID_STATE   folder of keys, wallet and journal (/data)
set -eu
umask 077

config=${BOLTGRID_CONFIG:-/data/config.toml}
state=${BOLTGRID_STATE:-/data}
folder=$(dirname "$config")
export BOLTGRID_CONFIG="$config"

if [ ! -e "$config" ]; then
    set -- "data_dir = \"$state/node\"" \
        "participant_key_file = \"$state/participant.key\"" \
        "meter_key_file = \"$state/meter.key\"" \
        "lightning.seed_file = \"$state/wallet.seed\"" "$@"
    left=$#
    while [ "$left" -gt 0 ]; do
        set -- "$@" --set "$1"
        shift
        left=$((left - 1))
    done
    # What it prints has the wallet's words in it, which no log should keep; they are in wallet.seed too.
    boltgrid init --non-interactive --dir "$folder" "$@" > "$state/first-start.txt"
    echo "first start: wrote $config and keys; the wallet's 24 words are in $state/wallet.seed: copy them" \
        "to paper, and delete $state/first-start.txt"
fi

said=no
until [ -e "$folder/charter.toml" ]; do
    if [ "$said" = no ]; then
        echo "waiting for the grid's charter: put it beside the config file as charter.toml, and the" \
            "members' enrolments into the folder enrolments"
        said=yes
    fi
    sleep 5
done
exec boltgrid run
