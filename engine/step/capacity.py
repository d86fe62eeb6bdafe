"""How much memory a model and its sessions take on a device, and how many sessions fit."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Self

import torch
from torch import Tensor

from engine.checkpoint import outline
from engine.models.config import KvPrecision, WeightPrecision
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.step.moshi_step import MoshiStep
from engine.step.stt_step import SttStep
from engine.step.tts_step import TtsStep

MOST_SLOTS = 1024
DRIVER_BYTES = 700_000_000
"""What a CUDA process takes before it computes anything: context and modules. An estimate, as are these:"""
GRAPH_BYTES = 400_000_000
"""Graphs of all batch sizes, and the memory between their kernels."""
SLACK_BYTES = 650_000_000
"""Workspaces of the libraries, and what is lost between allocations."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes: `lm` and `mimi` are weights; `kv` and `rest` what one session keeps, the language model's keys
    and values and all else.
    """

    lm: int
    mimi: int
    kv: int
    rest: int

    @classmethod
    def of(cls, mimi: Mimi, lm: LM, kv: KvPrecision) -> Self:
        """Of models on any device; on the meta device nothing is allocated."""
        keys_and_values = _bytes(lm.new_state(1, kv).tensors())
        step = _step(mimi, lm, kv)
        own_ears = _bytes(step.own_ears.tensors()) if isinstance(step, MoshiStep) else 0
        return cls(
            lm=_weights(lm),
            mimi=_weights(mimi),
            kv=keys_and_values,
            rest=_bytes(step.state.tensors()) - keys_and_values + own_ears,
        )

    @property
    def weights(self) -> int:
        """Of both models."""
        return self.lm + self.mimi

    @property
    def slot(self) -> int:
        """What one session keeps between its frames."""
        return self.kv + self.rest

    def slots_in(self, memory: int) -> int:
        """Slots that fit beside the weights into the memory that a step leaves, 0 to 1024."""
        return max(0, min(MOST_SLOTS, (memory - self.weights) // self.slot))


@dataclass(frozen=True, slots=True)
class Variant:
    """A checkpoint in one of its precisions. lora: an adapter; fused, it takes no room of its own."""

    checkpoint: str
    dtype: torch.dtype
    weights: WeightPrecision = "exact"
    kv: KvPrecision = "exact"
    lora: str | None = None

    def models(self) -> tuple[Mimi, LM]:
        """Its models on the meta device, by the configuration alone. Raises `CheckpointError`."""
        return _models(self.checkpoint, self.dtype, self.weights)

    def sizes(self) -> Sizes:
        """What it takes. Raises `CheckpointError`."""
        return Sizes.of(*self.models(), self.kv)

    def smaller(self) -> Iterator[Self]:
        """Itself, then with 8 bits where it has more: keys and values, which cost least in quality, first."""
        of_weights: tuple[WeightPrecision, ...] = (self.weights,)
        of_kv: tuple[KvPrecision, ...] = (self.kv,)
        if self.weights == "exact":
            of_weights += ("int8",)
        if self.kv == "exact":
            of_kv += ("int8",)
        for weights in of_weights:
            for kv in of_kv:
                yield replace(self, weights=weights, kv=kv)

    def options(self) -> str:
        """How the commands are told; empty for both exact."""
        chosen = {"--weights": self.weights, "--kv": self.kv}
        return " ".join(f"{name} {value}" for name, value in chosen.items() if value != "exact")


@dataclass(frozen=True, slots=True)
class Beside:
    """Another model on the same device, for up to so many sessions."""

    variant: Variant
    sessions: int

    @property
    def taken(self) -> int:
        """Bytes of its weights and of what its sessions keep. Raises `CheckpointError`."""
        sizes = self.variant.sizes()
        return sizes.weights + self.sessions * sizes.slot


# Reading a configuration can mean downloading it.
_models = cache(outline)


def _step(mimi: Mimi, lm: LM, kv: KvPrecision) -> MoshiStep | SttStep | TtsStep:
    """Of one session, whatever the model does."""
    if lm.conditions:
        return TtsStep(mimi, lm, 1, delay=0, kv=kv)
    return MoshiStep(mimi, lm, 1, kv) if lm.depformer else SttStep(mimi, lm, 1, kv)


def _weights(module: torch.nn.Module) -> int:
    return _bytes((*module.parameters(), *module.buffers()))


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def as_text(size: int) -> str:
    """Bytes as a person reads them."""
    return f"{size / 2**30:.2f} GiB" if size > 2**30 // 10 else f"{size / 2**20:.2f} MiB"
