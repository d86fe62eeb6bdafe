import os
import pkgutil
import subprocess
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from engine import kernels

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in which kernels are compiled, not interpreted."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )


# Without Triton's cache it takes a minute and a half.
@pytest.mark.timeout(900)
def test_every_kernel_of_the_7b_step_compiles_for_hopper_and_fits_a_multiprocessor() -> None:
    done = run("-m", "tests.kernels.compile_all")
    assert done.returncode == 0, done.stderr
    forms, *too_large = done.stdout.split()
    assert int(forms) > 50
    assert too_large == []


def test_forms_that_a_launch_would_not_tell_apart_are_one() -> None:
    script = (
        "import torch; from engine.kernels.compile import compile_launches; "
        "from engine.kernels.launch import recorded_launches; "
        "from engine.kernels.step_attention import step_attention\n"
        "kept = torch.empty(2, 4, 8, 16, device='meta')\n"
        "with recorded_launches() as launches:\n"
        "    for step in range(3): step_attention(torch.empty(2, 1, 192, device='meta'), kept, kept, step)\n"
        "print([form.launches for form in compile_launches(launches)])"
    )
    done = run("-c", script)
    assert done.stdout.strip() == "[3]", done.stderr


def test_the_command_shows_what_a_step_launches_and_what_its_kernels_take() -> None:
    done = run("-m", "engine", "kernels", "--checkpoint", "random:tiny", "--sessions", "2")
    assert done.returncode == 0, done.stderr
    heading, operators, columns, *forms = done.stdout.splitlines()
    assert heading.startswith("random:tiny, a step of 2: ")
    assert "linear" in operators
    assert columns.split() == ["launches", "registers", "spilled", "shared", "kernel"]
    counts = [int(form.split()[0]) for form in forms]
    assert counts == sorted(counts, reverse=True)
    assert f"{sum(counts)} launches of kernels" in heading


def test_what_kernels_call_has_no_defaults() -> None:
    """Triton 3.6 takes a text that is one for no constant, and refuses to compile; newer versions do not."""
    modules = [
        import_module(f"engine.kernels.{module.name}") for module in pkgutil.iter_modules(kernels.__path__)
    ]
    functions = {each.fn for module in modules for each in vars(module).values() if hasattr(each, "fn")}
    assert len(functions) > 30
    for function in functions:
        assert all(each.default is each.empty for each in signature(function).parameters.values()), function
