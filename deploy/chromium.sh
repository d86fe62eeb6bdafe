#!/usr/bin/env bash
# The web page is tested in Chromium. Where CI lacks one, this installs it; elsewhere it says how.
set -euo pipefail

for name in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ -n "${CI:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "test: installing Chromium for the tests of the web page" >&2
    apt-get update --quiet=2
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends chromium >/dev/null
else
    echo "test: there is no Chromium to test the web page in: apt install chromium, or name one in CHROMIUM" >&2
fi
