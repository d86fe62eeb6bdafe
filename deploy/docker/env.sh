#!/usr/bin/env bash
# Writes .env, which compose.yaml reads: secrets that nobody knows, the address that callers reach, and the name of the page.
#     ./env.sh 203.0.113.7 calls.example.org     # for the world: the name has to lead to this machine
#     ./env.sh 127.0.0.1                         # for a browser on this machine
set -euo pipefail
cd "$(dirname "$0")"

fail() {
    printf 'env.sh: %s\n' "$1" >&2
    exit 2
}

[ $# -ge 1 ] && [ $# -le 2 ] || fail "give the address that callers reach, and the name of the page if it has one"
[[ $1 =~ ^[0-9]+(\.[0-9]+){3}$ || $1 == *:*:* ]] || fail "$1 is no IP address"
[ ! -e .env ] || fail ".env is there already: change it by hand, or take it away first"

secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
cat >.env <<ENV
PUBLIC_IP=$1
DOMAIN=${2:-localhost}
COMPOSE_PROFILES=${2:+public}
LIVEKIT_API_SECRET=$(secret)
ENGINE_TOKEN=$(secret)
WORKER_CALL_SECRET=$(secret)
GRAFANA_PASSWORD=$(secret)
ENV
echo "env.sh: wrote $PWD/.env" >&2
