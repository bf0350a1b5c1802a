#!/bin/sh
# Starts the agents of an inventory by ssh, one a host, and waits for them: they leave after one measurement, or when this
# script is interrupted. `agents.sh --dry-run agents.ini` prints what it would do.
set -eu
SSH=ssh
if [ "${1:-}" = "--dry-run" ]; then
    SSH="echo ssh"
    shift
fi
if [ $# -ne 1 ] || [ ! -r "$1" ]; then
    echo "usage: $0 [--dry-run] INVENTORY" >&2
    exit 2
fi

# The keys and values of a section, without comments.
section() {
    sed -e 's/[[:space:]]*#.*$//' "$1" | awk -v wanted="[$2]" '
        /^\[/ { here = ($0 == wanted); next }
        here && /=/ { sub(/[[:space:]]*=[[:space:]]*/, " "); print }'
}

nats=$(section "$1" lab | awk '$1 == "nats" { print $2 }')
program=$(section "$1" lab | awk '$1 == "program" { print $2 }')
if [ -z "$nats" ]; then
    echo "$1: [lab] names no nats = URL" >&2
    exit 2
fi
trap 'kill 0' INT TERM
agents=$(section "$1" agents)
if [ -z "$agents" ]; then
    echo "$1: [agents] names no host" >&2
    exit 2
fi
while read -r name host address; do
    # -tt: an agent ends with its session.
    $SSH -tt -o BatchMode=yes "$host" "${program:-hpb}" lab agent --once --nats "$nats" \
        --name "$name" ${address:+--address "$address"} </dev/null &
done <<HOSTS
$agents
HOSTS
wait
