#!/usr/bin/env bash
# Builds bin/livekit-server, the version that go.mod names.
set -euo pipefail
cd "$(dirname "$0")"

fail() {
    printf 'setup: %s\n' "$1" "or put a livekit-server on the PATH, or set LIVEKIT_URL to a server that runs" >&2
    exit 2
}

command -v go >/dev/null || fail "there is no Go to build a LiveKit server with: install Go 1.21 or newer,"
# From 1.21 on, Go fetches the version that go.mod names by itself.
case $(go version) in
    *" go1."[0-9][." "]* | *" go1.1"[0-9]* | *" go1.20"*)
        fail "$(go version) is too old: install Go 1.21 or newer,"
        ;;
esac
echo "setup: building livekit-server (once, a minute or two)" >&2
# Without cgo: it needs no C compiler.
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o ../../bin/livekit-server \
    github.com/livekit/livekit-server/cmd/server 2>&1 | sed "/^go: downloading/d" >&2
touch ../../bin/livekit-server  # go build leaves a file that is up to date alone, and make looks at its time
