#!/usr/bin/env bash
# Builds a folder of web code (worker/page, unless another is named) into its dist from exactly what its package-lock.json
# pins. Registries and proxies are those of the machine.
set -euo pipefail
folder="${1:-worker/page}"
cd "$(dirname "$0")/../$folder"

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 2
}

wanted="install Node.js 20.19, 22.12 or newer, with npm"
command -v node >/dev/null || fail "there is no Node.js to build $folder with: $wanted"
version=$(node --version)
IFS=. read -r major minor _ <<<"${version#v}"
((major > 22 || (major == 22 && minor >= 12) || (major == 20 && minor >= 19))) ||
    fail "Node.js $version is too old to build $folder with: $wanted"
command -v npm >/dev/null || fail "there is no npm to build $folder with: $wanted"

# Who sets this up wants to hear of the page, not of newer versions of npm.
export npm_config_update_notifier=false
if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
    echo "setup: installing what builds $folder into $folder/node_modules" >&2
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
    touch node_modules/.package-lock.json
fi
npm run --silent build -- --logLevel warn >&2
touch dist/index.html
