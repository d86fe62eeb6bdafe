"""Time on a device, without what launching costs."""

import time
from collections.abc import Callable

import numpy as np
import torch

from engine.device import wait
from engine.step.cuda_graph import CudaGraphs

_TIMES = 20


@torch.inference_mode()
def replay_s(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that `work` takes as a graph on CUDA, the median of twenty."""

    def run() -> None:
        work()

    replay = CudaGraphs(device).capture(run) if device.type == "cuda" else run
    took = []
    for _ in range(1 + _TIMES):
        wait(device)
        began = time.perf_counter()
        replay()
        wait(device)
        took.append(time.perf_counter() - began)
    return float(np.median(took[1:]))
