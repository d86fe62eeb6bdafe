"""What the chart renders is what Kubernetes and the operators around it know, to the last field."""

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.chart import (
    CHART,
    KUBERNETES,
    ROOT,
    VALUES,
    Manifest,
    faults,
    helm,
    manifests,
    options,
    rendered,
    tools,
)


def test_the_chart_has_no_fault_that_helm_knows_of() -> None:
    done = helm("lint", "--strict", CHART, *options("everything"))
    assert done.returncode == 0, done.stdout


def test_kubernetes_knows_every_field(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.yaml" for name in VALUES]
    for name, file in zip(VALUES, files, strict=True):
        file.write_text(rendered(name))
    files.append(tmp_path / "wrong.yaml")
    files[-1].write_text(rendered("sidecar").replace("  replicas: 1\n", "  replicaz: 1\n"))
    validate = [str(tools("python") / "python/bin/kubernetes-validate"), "--strict", "-k", KUBERNETES]
    done = subprocess.run([*validate, *map(str, files)], capture_output=True, text=True, timeout=100)
    said = (done.stdout + done.stderr).splitlines()
    wrong = [line for line in said if "ERROR" in line]
    assert len(wrong) == 1, said
    assert "wrong.yaml" in wrong[0]
    assert "replicaz" in wrong[0]
    unknown = {line.split("for kind ")[1].split()[0] for line in said if "Couldn't find schema" in line}
    assert unknown == {"HTTPRoute", "PodMonitor", "PrometheusRule", "ScaledObject"}


@pytest.mark.parametrize("kind", ["HTTPRoute", "PodMonitor", "PrometheusRule", "ScaledObject"])
def test_operators_know_every_field_of_their_kinds(kind: str, tmp_path: Path) -> None:
    definition = _definition(kind)
    [manifest] = [each for each in manifests("everything") if each["kind"] == kind]
    group, _, version = manifest["apiVersion"].partition("/")
    assert group == definition["spec"]["group"]
    [schema] = [
        each["schema"]["openAPIV3Schema"]
        for each in definition["spec"]["versions"]
        if each["name"] == version and each["served"]
    ]
    wrong = manifest | {"spec": manifest["spec"] | {"nonsense": 1}}
    said = _judged(_strict(schema), {"right": manifest, "wrong": wrong}, tmp_path)
    assert "[SUCCESS]===(" + str(tmp_path / "right.json") in said, said
    assert "'nonsense' was unexpected" in said


def test_rules_and_dashboard_are_those_of_the_project() -> None:
    [rule] = [each for each in manifests("everything") if each["kind"] == "PrometheusRule"]
    assert rule["spec"] == yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
    [dashboard] = [each for each in manifests("everything") if each["kind"] == "ConfigMap"]
    source = (ROOT / "deploy/grafana/dashboards/moshi.json").read_text()
    assert json.loads(dashboard["data"]["moshi.json"]) == json.loads(source)


def test_a_packed_chart_brings_them_along(tmp_path: Path) -> None:
    done = helm("package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    [package] = tmp_path.glob("moshi-*.tgz")
    with tarfile.open(package) as packed:
        names = packed.getnames()
        rules = packed.extractfile("moshi/files/rules.yml")
        assert rules is not None
        assert rules.read() == (ROOT / "deploy/prometheus/rules.yml").read_bytes()
    assert "moshi/files/dashboard.json" in names
    assert [name for name in names if "/ci/" in name] == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("engine.checkpiont=parrot", "checkpiont"),
        ("replica=2", "replica"),
        ("worker.settings.WORKER_IDLE_SECOND=5", "WORKER_IDLE_SECOND"),
        ("engine.settings.ENGINE_HOST=::1", "ENGINE_HOST"),
        ("secret.data.ENGINE_TOKE=x", "ENGINE_TOKE"),
        ("engine.weights=int4", "weights"),
        ("mode=both", "mode"),
        ("engine.image.tag=latest", "tag"),
        ("livekit.url=calls.example.org", "livekit"),
        ("livekit.url=", "livekit.url: give the address of the LiveKit server"),
        ("secret.create=true", "secret.data.LIVEKIT_API_KEY"),
    ],
)
def test_a_typo_is_an_error_that_names_it(setting: str, said: str) -> None:
    done = helm("template", "tea", CHART, *options("sidecar", setting))
    assert done.returncode != 0
    assert said in faults(done.stderr)


def test_no_object_of_the_schema_takes_names_that_it_does_not_know() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    free = {"global", "affinity", "items"}
    assert [path for path in _open(schema) if path.rpartition(".")[2] not in free] == []


def test_every_value_is_in_the_schema_and_the_other_way_round() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert _names(schema, schema) - {"global"} == _leaves(values, schema, schema)


def _definition(kind: str) -> Any:
    for path in (tools("crds") / "crds").glob("*.yaml"):
        definition = yaml.load(path.read_text(), yaml.CSafeLoader)
        if definition["spec"]["names"]["kind"] == kind:
            return definition
    raise AssertionError(f"there is no definition of {kind}")


def _strict(schema: Any) -> Any:
    """The schema with nothing allowed that it does not name; Kubernetes drops what it does not know."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(each) for key, each in schema.items()}
    if str(schema.get("pattern", "")).startswith("^(?i)"):
        strict["pattern"] = "(?i)^" + schema["pattern"].removeprefix("^(?i)")  # as Python writes it
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        if schema["properties"].keys() >= {"apiVersion", "kind", "metadata"}:
            strict["properties"]["metadata"] = {"type": "object"}
        strict.setdefault("additionalProperties", False)
    return strict


def _judged(schema: Any, instances: dict[str, Manifest], folder: Path) -> str:
    """What a validator of JSON schemas says of each instance, under the name of its file."""
    (folder / "schema").write_text(json.dumps(schema))
    command = [str(tools("python") / "python/bin/jsonschema"), "--output", "pretty"]
    for name, instance in instances.items():
        (folder / f"{name}.json").write_text(json.dumps(instance))
        command += ["-i", str(folder / f"{name}.json")]
    done = subprocess.run([*command, str(folder / "schema")], capture_output=True, text=True, timeout=100)
    return done.stdout + done.stderr


def _open(schema: Any, path: str = "") -> list[str]:
    """Where names are allowed that nobody knows."""
    if not isinstance(schema, dict):
        return []
    found = [path] if "object" in schema.get("type", ()) and "additionalProperties" not in schema else []
    for key in ("properties", "definitions"):
        for name, each in schema.get(key, {}).items():
            found += _open(each, f"{path}.{name}")
    return found + (_open(schema["items"], f"{path}.items") if "items" in schema else [])


def _resolved(schema: Any, root: Any) -> Any:
    reference = schema.get("$ref", "")
    return root["definitions"][reference.rpartition("/")[2]] if reference else schema


def _names(schema: Any, root: Any, path: str = "") -> set[str]:
    """Every value that the schema knows by name."""
    known = _resolved(schema, root).get("properties", {})
    if not known:
        return {path}
    return {leaf for name, each in known.items() for leaf in _names(each, root, f"{path}.{name}".strip("."))}


def _leaves(values: Any, schema: Any, root: Any, path: str = "") -> set[str]:
    """Every value that values.yaml has, as deep as the schema goes."""
    known = _resolved(schema, root).get("properties", {})
    if not known or not isinstance(values, dict):
        return {path}
    return {
        leaf
        for name, each in values.items()
        for leaf in _leaves(each, known.get(name, {}), root, f"{path}.{name}".strip("."))
    }
