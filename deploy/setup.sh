#!/usr/bin/env bash
# Puts exactly what deploy/requirements/ pins into .venv, the reference package into .reference, Pipecat into .pipecat, and
# the project into .venv in editable mode. Indexes and proxies are those of the machine.
set -euo pipefail
cd "$(dirname "$0")/.."
requirements=deploy/requirements

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 2
}

# A venv that was begun without the ensurepip module has a Python but no pip.
usable() {
    "$1" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

if ! usable .venv/bin/python; then
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null ||
        fail "there is no $python: install Python 3.11 or newer, or name one: make setup PYTHON=/path/to/python3"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version) is too old: install Python 3.11 or newer, or name one: make setup PYTHON=/path/to/python3"
    "$python" -m venv --clear .venv ||
        fail "$python cannot make an environment in .venv: on Debian and Ubuntu, apt install python3-venv"
fi

# uv reads none of pip's settings: hand on the index that this machine's pip uses, and trust whom the machine trusts.
index=$(.venv/bin/python -m pip config list | sed -n "s/^\(global\|:env:\)\.index-url='\(.*\)'$/\2/p" | tail -n 1)
[ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}
export VIRTUAL_ENV=$PWD/.venv

echo "setup: installing into .venv (PyTorch with its CUDA libraries among it: some gigabytes the first time)" >&2
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $requirements/installer.txt
# Compiled now, because the first call waits for whatever is compiled later.
.venv/bin/uv pip sync --quiet --no-build --compile-bytecode --require-hashes $requirements/{all,dev,installer}.txt
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
for apart in reference pipecat; do
    rm -rf ".$apart"
    .venv/bin/uv pip install --quiet --no-build --no-deps --require-hashes --target ".$apart" -r "$requirements/$apart.txt"
done
touch .venv/ready
