#!/usr/bin/env bash
# Writes the requirement files from pyproject.toml and the .in files: every version with its hashes, for each platform and
# Python that the project runs on. Versions that still fit stay; `make lock UPGRADE=1` takes the newest.
set -euo pipefail
cd "$(dirname "$0")"

lock() {
    ../../.venv/bin/uv pip compile "$@" ${UPGRADE:+--upgrade} --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --custom-compile-command "make lock" --quiet
}

lock ../../pyproject.toml --extra all -o all.txt
lock dev.in -c all.txt -o dev.txt
lock reference.in --no-deps -o reference.txt
lock pipecat.in --no-deps -o pipecat.txt
lock installer.in -o installer.txt
# Parts of what is above, at the same versions: what a container image needs.
lock ../../pyproject.toml --extra engine -c all.txt -o engine.txt
lock ../../pyproject.toml --extra worker -c all.txt -o worker.txt
lock build.in -c dev.txt -o build.txt
lock tools.in -o tools.txt
