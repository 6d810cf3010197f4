#!/bin/sh
# The add-on's start: gives the folders to the node's own user and becomes that user.
# The node listens where Home Assistant's Supervisor asks for pages of an add-on in the host's network,
# and nowhere else.
set -eu
chown -R boltgrid:boltgrid /data /config
exec setpriv --reuid boltgrid --regid boltgrid --init-groups --no-new-privs \
    boltgrid-first-start 'rpc.listen = "172.30.32.1:8733"'
