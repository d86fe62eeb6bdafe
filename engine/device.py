"""Which device the model runs on, and with how many threads; waiting for it, and its memory given back."""

import ctypes
import gc
import os
from typing import TYPE_CHECKING

import torch

from engine.checkpoint import default_dtype
from engine.errors import SettingError

if TYPE_CHECKING:
    # load_tests/gpu times steps where pydantic may be missing.
    from engine.settings import Device, Dtype

# Of malloc.h. Blocks of more than 32 MB, which only loading needs, cannot be kept.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 2**26


def choose_device(name: "Device") -> torch.device:
    """The device called `name`; auto: CUDA if there is one, else the CPU. Raises SettingError.

    On the CPU torch gets one thread unless OMP_NUM_THREADS says otherwise: the small models that a CPU can
    run in real time are slower with more, and far slower on cores that others use too.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingError(
            "--device cuda: torch finds no CUDA device; look at nvidia-smi, or take --device cpu"
        )
    if name == "mps" and not torch.backends.mps.is_available():
        raise SettingError("--device mps: torch finds no Apple GPU; take --device cpu")
    if name == "cpu":
        _keep_freed_memory()
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(1)
    return torch.device(name)


def _keep_freed_memory() -> None:
    """Lets the C library keep the tensors that a step frees for the next one.

    By default glibc gives a few megabytes back to the system at once, and to fault them in again took a third
    of a step with 32 sessions. Other C libraries have no such switch.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES // 2)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def release(device: torch.device) -> None:
    """Give memory that nothing holds any more back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def choose_dtype(name: "Dtype | None", device: torch.device) -> torch.dtype:
    """What the language model computes in; None: `default_dtype`."""
    chosen: torch.dtype = getattr(torch, name) if name else default_dtype(device)
    return chosen
