"""Compiles every form of every kernel that Moshi 7B launches; prints the names of those that spill registers,
or want more shared memory than there is, which only a launch would tell.

A process of its own, for where kernels are interpreted they cannot be compiled.
"""

import sys

import numpy as np
import torch

from engine.kernel_report import record
from engine.kernels.compile import compile_launches
from engine.kernels.fused import kernels_everywhere
from engine.kernels.launch import Launch, recorded_launches
from engine.step.capacity import Variant
from engine.step.moshi_step import MoshiStep
from engine.step.prefix import Prefix

MOSHI = "random:moshi-7b"
EXACT = Variant(MOSHI, torch.bfloat16)
INT8 = Variant(MOSHI, torch.bfloat16, "int8", "int8")
# Products of up to 8, 16, 32, 64 and 128 rows are cut in different ways.
STEPS = (
    *((EXACT, batch) for batch in (1, 16, 32)),
    *((INT8, batch) for batch in (1, 16, 32, 64, 80)),
    (Variant(MOSHI, torch.bfloat16, "fp8", "e4m3"), 80),
)

# Of Hopper, for one program.
SHARED_MEMORY = 227 * 2**10


def prefill(variant: Variant) -> list[Launch]:
    """Of 256 positions."""
    step = MoshiStep(*variant.models(), 1, variant.kv)
    prefix = Prefix(np.zeros((1 + step.config.n_q, 512), np.int64))
    with kernels_everywhere(), recorded_launches() as launches:
        step.prefill(0, prefix, range(256))
    return launches


if __name__ == "__main__":
    launches = [launch for variant, batch in STEPS for launch in record(variant, batch).launches]
    launches += prefill(EXACT) + prefill(INT8)
    forms = compile_launches(launches)
    too_large = (form.name for form in forms if form.spilled or form.shared > SHARED_MEMORY)
    sys.stdout.write(" ".join([str(len(forms)), *too_large]))
