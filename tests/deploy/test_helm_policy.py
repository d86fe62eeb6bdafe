"""What kube-score thinks of the chart, and why it is not always right."""

import json
import shutil
import subprocess

import pytest

from tests.deploy.chart import KUBERNETES, ROOT, VALUES, rendered

REASONS = {
    "container-image-pull-policy": "tags have versions, and who moves them gives a digest",
    "container-resources": "no limit of CPU: a step that is throttled is an answer that comes late",
    "deployment-replicas": "how many there are the operator says; an engine of `split` has one worker",
    "statefulset-has-host-podantiaffinity": "a node with eight GPUs shall have eight engines",
}
"""The checks that are passed over."""
PASSING = 10


def complaints(values: str) -> set[str]:
    """The checks that something failed in these manifests."""
    score = shutil.which(ROOT / "bin/kube-score") or shutil.which("kube-score")
    if score is None:
        pytest.skip("kube-score is built by: make kubernetes")
    command = [score, "score", "--kubernetes-version", f"v{KUBERNETES}", "--output-format", "json", "-"]
    done = subprocess.run(command, input=rendered(values), capture_output=True, text=True, timeout=100)
    return {
        check["check"]["id"]
        for each in json.loads(done.stdout)
        for check in each["checks"]
        if not check["skipped"] and check["grade"] < PASSING
    }


def test_a_policy_is_broken_for_a_reason_alone() -> None:
    found = set().union(*map(complaints, VALUES))
    assert found == REASONS.keys()
