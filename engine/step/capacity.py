"""How many sessions a device has memory for."""

import torch

from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.step.moshi_step import MoshiStep

_CPU_SLOTS = 8
_MOST_SLOTS = 1024
_RESERVED_BYTES = 2 * 2**30
"""For what a step needs beside the sessions: activations, workspaces, the driver."""


def fitting_slots(mimi: Mimi, lm: LM) -> int:
    """Slots that fit beside a loaded model, at least 1; 8 where no GPU's memory is the limit, but time."""
    if lm.device.type != "cuda":
        return _CPU_SLOTS
    free, _total = torch.cuda.mem_get_info(lm.device)
    return max(1, min(_MOST_SLOTS, (free - _RESERVED_BYTES) // bytes_per_slot(mimi, lm)))


def bytes_per_slot(mimi: Mimi, lm: LM) -> int:
    """What one session keeps between its frames, in bytes."""
    return sum(tensor.nbytes for tensor in MoshiStep(mimi, lm, slots=1).state.tensors())
