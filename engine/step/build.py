"""From a loaded model to what steps it on its device."""

from engine.checkpoint import Model
from engine.models.config import KvPrecision
from engine.step.cuda_graph import CudaGraphs
from engine.step.eager_runner import EagerRunner
from engine.step.graph_runner import GraphRunner
from engine.step.moshi_step import MoshiStep


def make_runner(model: Model, slots: int, kv: KvPrecision = "exact") -> EagerRunner:
    """A `Runner` over `slots` sessions: graphs on CUDA, captured here, and op by op elsewhere.

    Raises `torch.OutOfMemoryError`, and `CheckpointError` for a model that does not both listen and speak.
    """
    device = model.lm.device
    step = MoshiStep(model.mimi, model.lm, slots, kv)
    if device.type != "cuda":
        return EagerRunner(step, device)
    return GraphRunner(step, device, CudaGraphs(device))
