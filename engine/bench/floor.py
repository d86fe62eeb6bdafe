"""What a full step must read whatever computes it: the step cannot be faster than memory brings it."""

import math
import re
from collections.abc import Iterator

import torch

from engine.checkpoint.names import mimi_entries
from engine.models.config import KvPrecision
from engine.models.embedding import Embedding, StackedEmbeddings
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.state.ring_cache import TransformerState

_BY_SET = re.compile(r"depformer\..*\b(?:in_projs|out_projs|gating)\.(\d+)\.")
_BY_STEP = re.compile(r"depformer\.(?:linears|depformer_norms)\.(\d+)\.")


def step_bytes(mimi: Mimi, lm: LM, kv: KvPrecision, sessions: int, positions: int) -> int:
    """Bytes that a step of `sessions` reads when each has `positions` frames behind it.

    Weights once, scales included; keys, values and the codec's state for each session. Not counted: the few
    rows that are looked up in tables of embeddings, what is written, and what lies between the layers. On the
    meta device nothing is allocated.
    """
    weights = sum(lm_bytes_read(lm)) + codec_bytes_read(mimi, lm.config.heard_codebooks)
    codec = mimi.new_state(1)
    rings = (codec.encoder.transformer, codec.decoder.transformer)
    session = sum(tensor.nbytes for tensor in codec.tensors())
    for ring in rings:
        session += _filled(ring, positions * mimi.config.downsampling) - _filled(ring, ring.capacity)
    session += _filled(lm.new_state(1, kv), positions)
    return weights + sessions * session


def lm_bytes_read(lm: LM) -> Iterator[int]:
    """Bytes of every tensor that a step reads in full: all but tables, heads that calls do not use, and what
    belongs to codebooks that are not said.
    """
    tables = {id(part.weight) for part in lm.modules() if isinstance(part, Embedding | StackedEmbeddings)}
    depformer = lm.config.depformer
    steps = range(depformer.run) if depformer else range(0)
    sets = {depformer.schedule[step] for step in steps} if depformer else set()
    for name, tensor in (*lm.named_parameters(), *lm.named_buffers()):
        of_set, of_step = _BY_SET.match(name), _BY_STEP.match(name)
        unread = (
            id(tensor) in tables
            or name.startswith("extra_heads.")
            or (of_set is not None and int(of_set[1]) not in sets)
            or (of_step is not None and int(of_step[1]) not in steps)
        )
        if not unread:
            yield tensor.nbytes


def codec_bytes_read(mimi: Mimi, heard: int) -> int:
    """Bytes of the codec's official tensors, of the codebooks those that are heard: however they are laid out
    here.
    """
    shapes = [entry.sources for entry in mimi_entries(mimi)]
    weights = sum(
        math.prod(shape) for sources in shapes for name, shape in sources.items() if "_codebook." not in name
    )
    quantizer = mimi.config.quantizer
    return torch.float32.itemsize * (weights + heard * quantizer.bins * quantizer.dimension)


def _filled(state: TransformerState, positions: int) -> int:
    """Bytes of one slot's rings that hold the last of `positions`."""
    whole = sum(tensor.nbytes for tensor in state.tensors() if tensor is not state.offsets)
    return whole * min(positions, state.capacity) // state.capacity
