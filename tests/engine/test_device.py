import subprocess
import sys

import pytest
import torch

from engine.device import choose_device
from engine.errors import SettingError


@pytest.fixture
def no_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("no_accelerators")
def test_without_an_accelerator_auto_is_the_cpu() -> None:
    assert choose_device("auto") == torch.device("cpu")


def test_with_one_auto_is_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")


@pytest.mark.usefixtures("no_accelerators")
@pytest.mark.parametrize(("name", "says"), [("cuda", "nvidia-smi"), ("mps", "no Apple GPU")])
def test_a_missing_device_is_an_error_with_a_remedy(name: str, says: str) -> None:
    with pytest.raises(SettingError, match=f"--device {name}: .*{says}.*--device cpu"):
        choose_device(name)  # type: ignore[arg-type]  # parametrised names of devices


@pytest.mark.usefixtures("no_accelerators")
def test_the_cpu_gets_one_thread_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    choose_device("cpu")
    monkeypatch.delenv("OMP_NUM_THREADS")
    choose_device("cpu")
    assert asked == [1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux how often memory came from it")
def test_on_the_cpu_memory_that_was_freed_is_used_again() -> None:
    """In a process of its own, for the C library is told once and for all."""
    program = """
import resource, torch
from engine.device import choose_device
choose_device("cpu")
for _ in range(20):
    tensors = [torch.ones(500_000) for _ in range(12)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del tensors
    tensors = [torch.ones(500_000) for _ in range(12)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(run.stdout) < 100
