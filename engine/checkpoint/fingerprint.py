"""Whether two processes have the same model: without reading all of it, and wherever its files are."""

from hashlib import sha256

import torch
from torch import Tensor

from engine.checkpoint.load import Model
from engine.models.config import KvPrecision

_SAMPLED = 256


def fingerprint(model: Model, kv: KvPrecision = "exact") -> str:
    """64 hexadecimal digits: of both configurations, of every weight's name, type, shape and a sample of its
    values, and of the precision of keys and values.
    """
    digest = sha256(f"{kv} {model.lm.config} {model.mimi.config}".encode())
    for part in (model.lm, model.mimi):
        for name, weight in (*part.named_parameters(), *part.named_buffers()):
            digest.update(f"{name} {weight.dtype} {list(weight.shape)}".encode())
            digest.update(_sample(weight.detach()))
    return digest.hexdigest()


def _sample(weight: Tensor) -> bytes:
    """Bytes of up to 256 values, spread over all of them: a model that was tuned differs in nearly each."""
    values = weight.reshape(-1)
    step = max(1, values.numel() // _SAMPLED)
    return values[::step][:_SAMPLED].contiguous().cpu().view(torch.uint8).numpy().tobytes()
