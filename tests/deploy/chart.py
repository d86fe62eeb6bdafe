"""The Helm chart, as Helm renders it, and the tools that look at what comes out."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.lacking import lacking

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/moshi"
TOOLS = ROOT / ".cache/tools"
KUBERNETES = "1.36"
NAMESPACE = "calls"

Manifest = dict[str, Any]
VALUES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*.yaml"))}
"""The sets of values that are rendered, by name."""


def tools(*names: str) -> Path:
    """The folder with these tools; skips, or fails in CI, where they cannot be had."""
    if why_not := _fetched(*names):
        lacking(f"deploy/tools.sh {' '.join(names)}: {why_not}")
    return TOOLS


@cache
def _fetched(*names: str) -> str:
    """What was in the way of fetching them, which nobody tries twice."""
    try:
        done = subprocess.run([ROOT / "deploy/tools.sh", *names], capture_output=True, text=True, timeout=110)
    except subprocess.TimeoutExpired as late:
        return str(late)
    return (done.stderr or "it failed") if done.returncode else ""


def helm(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What Helm did."""
    command = [str(tools("helm") / "bin/helm"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=100, env=os.environ | environment, cwd=ROOT
    )


def options(values: str, *settings: str) -> list[str]:
    """How Helm is told a set of values, and single ones beside it."""
    return ["--values", str(VALUES[values]), *(word for each in settings for word in ("--set", each))]


@cache
def rendered(values: str, *settings: str) -> str:
    """All manifests, as one text."""
    done = helm("template", "tea", CHART, "--namespace", NAMESPACE, *options(values, *settings))
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def manifests(values: str, *settings: str) -> list[Manifest]:
    """All manifests, the same objects every time."""
    return [each for each in yaml.load_all(rendered(values, *settings), yaml.CSafeLoader) if each]


def of_kind(kind: str, values: str, *settings: str) -> list[Manifest]:
    """Those of one kind, by name."""
    found = [each for each in manifests(values, *settings) if each["kind"] == kind]
    return sorted(found, key=lambda each: str(each["metadata"]["name"]))


@dataclass(frozen=True, slots=True)
class Container:
    """One container, and the pod that it is in."""

    spec: Manifest
    pod: Manifest

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def environment(self) -> dict[str, str | None]:
        """Its variables; None for those that come from a Secret."""
        return {each["name"]: each.get("value") for each in self.spec.get("env", [])}


def pods(values: str, *settings: str) -> list[Manifest]:
    """The pod templates of all workloads."""
    owners = [each for each in manifests(values, *settings) if each["kind"] in ("Deployment", "StatefulSet")]
    return [owner["spec"]["template"] for owner in owners]


def containers(values: str, *settings: str, name: str = "") -> Iterator[Container]:
    """All containers of all pods, or those with one name."""
    for pod in pods(values, *settings):
        spec = pod["spec"]
        for each in (*spec.get("initContainers", []), *spec["containers"]):
            if name in ("", each["name"]):
                yield Container(each, pod)


def faults(text: str) -> str:
    """An error of Helm without the notes on linked files."""
    return re.sub(r"^level=INFO .*\n", "", text, flags=re.M)
