import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in which kernels are compiled, not interpreted."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )


# Without Triton's cache it takes most of a minute.
@pytest.mark.timeout(400)
def test_every_kernel_of_the_7b_step_compiles_for_hopper_and_spills_no_register() -> None:
    done = run("tests.kernels.compile_all")
    assert done.returncode == 0, done.stderr
    forms, *spilling = done.stdout.split()
    assert int(forms) > 50
    assert spilling == []


def test_the_command_shows_what_a_step_launches_and_what_its_kernels_take() -> None:
    done = run("engine", "kernels", "--checkpoint", "random:tiny", "--sessions", "2")
    assert done.returncode == 0, done.stderr
    heading, operators, columns, *forms = done.stdout.splitlines()
    assert heading.startswith("random:tiny, a step of 2: ")
    assert "linear" in operators
    assert columns.split() == ["launches", "registers", "spilled", "shared", "kernel"]
    counts = [int(form.split()[0]) for form in forms]
    assert counts == sorted(counts, reverse=True)
    assert f"{sum(counts)} launches of kernels" in heading
