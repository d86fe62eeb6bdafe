"""The shell scripts of deploy/, read by ShellCheck."""

import subprocess
from pathlib import Path

from tests.deploy.chart import ROOT, tools

SCRIPTS = sorted((ROOT / "deploy").rglob("*.sh"))


def shellcheck(*scripts: Path) -> "subprocess.CompletedProcess[str]":
    command = [tools("python") / "python/bin/shellcheck", *scripts]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_shellcheck_finds_nothing() -> None:
    assert ROOT / "deploy/docker/env.sh" in SCRIPTS
    done = shellcheck(*SCRIPTS)
    assert (done.returncode, done.stdout) == (0, "")


def test_shellcheck_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.sh"
    wrong.write_text("#!/bin/sh\nrm -r $1\n")
    done = shellcheck(wrong)
    assert done.returncode == 1
    assert "SC2086" in done.stdout
