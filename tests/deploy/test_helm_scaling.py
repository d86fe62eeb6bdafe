"""How many pods the autoscaler wants, asked of a real Prometheus' rule engine."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.chart import NAMESPACE, of_kind
from tests.lacking import lacking

SERIES = dict[str, tuple[int, int, int]]
"""For each pod: its seats, those taken, and whether it goes."""


def query(*settings: str) -> str:
    """What KEDA asks Prometheus."""
    [scaled] = of_kind("ScaledObject", "everything", *settings)
    [trigger] = scaled["spec"]["triggers"]
    # As many pods as the answer says.
    assert (trigger["metricType"], trigger["metadata"]["threshold"]) == ("AverageValue", "1")
    return str(trigger["metadata"]["query"])


def wanted(pods: SERIES, expected: float, folder: Path, *settings: str) -> "subprocess.CompletedProcess[str]":
    """Whether Prometheus' answer for these pods is `expected`, in words."""
    if shutil.which("promtool") is None:
        lacking("promtool is not here: apt install prometheus")
    of = f'{{namespace="{NAMESPACE}",pod="%s"}}'
    series = [
        {"series": name + of % pod, "values": f"{value}x3"}
        for pod, values in pods.items()
        for name, value in zip(
            ("moshi_seats", "moshi_seats_used", "moshi_worker_draining"), values, strict=True
        )
    ]
    rules = {"groups": [{"name": "keda", "rules": [{"record": "pods", "expr": query(*settings)}]}]}
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    asked = {"expr": "pods", "eval_time": "2m", "exp_samples": [{"labels": "pods", "value": expected}]}
    case = {"interval": "1m", "input_series": series, "promql_expr_test": [asked]}
    (folder / "test.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [case]}))
    return subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        # Nobody calls: the 20 seats of head-room alone, at 70 % of 40 seats a pod.
        ({"tea-moshi-a": (40, 0, 0)}, 20 / 28),
        ({"tea-moshi-a": (40, 30, 0), "tea-moshi-b": (40, 34, 0)}, 84 / 28),
        # The calls of a pod that goes are in nobody's way.
        ({"tea-moshi-a": (40, 8, 0), "tea-moshi-b": (40, 30, 1)}, 28 / 28),
        # Other releases have calls of their own.
        ({"tea-moshi-a": (40, 8, 0), "coffee-moshi-a": (40, 40, 0)}, 28 / 28),
    ],
)
def test_pods_are_wanted_for_seats_taken_and_seats_kept_free(
    pods: SERIES, expected: float, tmp_path: Path
) -> None:
    done = wanted(pods, expected, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert wanted(pods, math.ceil(expected) + 1.0, tmp_path).returncode != 0


def test_pods_come_at_once_and_go_slowly() -> None:
    [scaled] = of_kind("ScaledObject", "everything")
    behavior = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 3600
    assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 600}]
    # A Prometheus that is silent takes no pod away.
    assert scaled["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"


def test_what_is_scaled_is_there_and_says_no_number_itself() -> None:
    [scaled], [deployment] = of_kind("ScaledObject", "everything"), of_kind("Deployment", "everything")
    assert scaled["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    assert of_kind("Deployment", "sidecar")[0]["spec"]["replicas"] == 1
