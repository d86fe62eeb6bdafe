"""Which device the model runs on, and with how many threads."""

import os

import torch

from engine.errors import SettingError
from engine.settings import Device


def choose_device(name: Device) -> torch.device:
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
    if name == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    return torch.device(name)
