#!/usr/bin/env bash
# Builds bin/compose-spec, which tests check the compose files with: the version that go.mod names.
set -euo pipefail
cd "$(dirname "$0")"

command -v go >/dev/null || {
    echo "test: there is no Go to build compose-spec with: install Go 1.21 or newer" >&2
    exit 2
}
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o ../../bin/compose-spec . 2>&1 | sed "/^go: downloading/d" >&2
touch ../../bin/compose-spec
