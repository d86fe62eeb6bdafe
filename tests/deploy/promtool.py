"""Prometheus' own tool, which knows whether rules and expressions are any."""

import shutil
import subprocess
from collections.abc import Sequence

import pytest

from tests.lacking import lacking


def promtool(*arguments: str, given: str = "") -> str:
    """What it says, with `given` on its standard input; the test fails where it does."""
    if shutil.which("promtool") is None:
        lacking("no promtool: apt install prometheus")
    done = subprocess.run(
        ["promtool", *arguments], input=given, capture_output=True, text=True, timeout=60, check=False
    )
    said = done.stdout + done.stderr
    if done.returncode:
        pytest.fail(said)
    return said


def as_rules(expressions: Sequence[str]) -> dict[str, object]:
    """A rule file of which every rule is one of these."""
    rules = [{"record": f"expression:{n}", "expr": each} for n, each in enumerate(expressions)]
    return {"groups": [{"name": "expressions", "rules": rules}]}
