#!/usr/bin/env bash
# Programs that only tests need: a browser for the web page, a voice and a network of their own for load tests, a Redis
# for LiveKit servers with telephones, a Prometheus that reads metrics, rules and dashboard.
# Where CI lacks one, this installs it; elsewhere it says how.
set -euo pipefail

has_one_of() {
    for name in "$@"; do
        if command -v "$name" >/dev/null; then return 0; fi
    done
    return 1
}

missing=()
has_one_of ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome || missing+=(chromium)
has_one_of espeak-ng || missing+=(espeak-ng)
has_one_of ip || missing+=(iproute2)
has_one_of redis-server || missing+=(redis-server)
has_one_of promtool || missing+=(prometheus)
has_one_of caddy || missing+=(caddy)
if [ ${#missing[@]} = 0 ]; then exit 0; fi

if [ -n "${CI:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "test: installing ${missing[*]}" >&2
    apt-get update --quiet=2
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}" >/dev/null
else
    echo "test: some tests need what is not here: apt install ${missing[*]} (or name a browser in CHROMIUM)" >&2
fi
