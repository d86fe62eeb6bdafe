#!/usr/bin/env bash
# Builds bin/kube-apiserver, the version that go.mod names: for the tests that install the Helm chart for real.
# It takes some minutes and a gigabyte of disk, so nothing builds it unless it is asked for: `make kubernetes`.
set -euo pipefail
cd "$(dirname "$0")"

fail() {
    printf 'apiserver: %s\n' "$1" >&2
    exit 2
}

command -v go >/dev/null || fail "there is no Go to build it with: install Go 1.21 or newer"
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
about=k8s.io/component-base/version
IFS=. read -r major minor _ <<<"${version#v}"
echo "apiserver: building kube-apiserver $version (once, some minutes)" >&2
# Clients read the version that a server says it has, and refuse one that says nothing.
CGO_ENABLED=0 go build -trimpath -o ../../bin/kube-apiserver \
    -ldflags "-s -w -X $about.gitVersion=$version -X $about.gitMajor=$major -X $about.gitMinor=$minor" \
    k8s.io/kubernetes/cmd/kube-apiserver 2>&1 | sed "/^go: downloading/d" >&2
touch ../../bin/kube-apiserver
