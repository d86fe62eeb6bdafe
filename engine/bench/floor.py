"""What a full step must read whatever computes it: the step cannot be faster than memory brings it."""

import math
import re
from collections.abc import Iterator

import torch

from engine.checkpoint.names import mimi_entries
from engine.models.config import KvPrecision
from engine.models.embedding import Embedding, StackedEmbeddings
from engine.models.lm import LM
from engine.models.mimi import Mimi, MimiDecoderState, MimiEncoderState
from engine.state.ring_cache import TransformerState
from engine.step.tts_step import SPEAKERS, USUAL_VOICE

_BY_SET = re.compile(r"depformer\..*\b(?:in_projs|out_projs|gating)\.(\d+)\.")
_BY_STEP = re.compile(r"depformer\.(?:linears|depformer_norms)\.(\d+)\.")

_IN = ("encoder", "downsample.", ".input_proj.")
_OUT = ("decoder", "upsample.", ".output_proj.")
"""What names of Mimi's tensors contain, of its way from sound to codes and of that back."""


def step_bytes(mimi: Mimi, lm: LM, kv: KvPrecision, sessions: int, positions: int) -> int:
    """Bytes that a step of `sessions` reads when each has `positions` frames behind it.

    Weights once, scales included; keys, values and the codec's state for each session, those of the ways that
    the model takes. Not counted: the few rows that are looked up in tables of embeddings, what is written,
    and what lies between the layers. On the meta device nothing is allocated.
    """
    heard, speaks = lm.config.heard_codebooks, lm.depformer is not None
    weights = sum(lm_bytes_read(lm)) + codec_bytes_read(mimi, heard, speaks=speaks)
    ways: list[MimiEncoderState | MimiDecoderState] = []
    if heard:
        ways.append(mimi.new_ears(1).encoder)
    if speaks:
        ways.append(mimi.new_mouth(1).decoder)
    session = _filled(lm.new_state(1, kv), positions)
    for way in ways:
        ring = way.transformer
        session += sum(tensor.nbytes for tensor in way.tensors())
        session += _filled(ring, positions * mimi.config.downsampling) - _filled(ring, ring.capacity)
    if lm.conditions:
        session += sum(tensor.nbytes for tensor in lm.new_told(1, SPEAKERS * USUAL_VOICE).tensors())
    return weights + sessions * session


def lm_bytes_read(lm: LM) -> Iterator[int]:
    """Bytes of every tensor that a step reads in full: all but tables, heads that calls do not use, what
    belongs to codebooks that are not said, and what a session is told when it begins.
    """
    tables = {id(part.weight) for part in lm.modules() if isinstance(part, Embedding | StackedEmbeddings)}
    depformer = lm.config.depformer
    steps = range(depformer.run) if depformer else range(0)
    sets = {depformer.schedule[step] for step in steps} if depformer else set()
    for name, tensor in (*lm.named_parameters(), *lm.named_buffers()):
        of_set, of_step = _BY_SET.match(name), _BY_STEP.match(name)
        unread = (
            id(tensor) in tables
            or name.startswith("conditions.")
            or ".cross_attention.key_value_proj." in name
            or (name.startswith("extra_heads.") and depformer is not None)
            or (of_set is not None and int(of_set[1]) not in sets)
            or (of_step is not None and int(of_step[1]) not in steps)
        )
        if not unread:
            yield tensor.nbytes


def codec_bytes_read(mimi: Mimi, heard: int, *, speaks: bool = True) -> int:
    """Bytes of the codec's official tensors, of the ways that are taken, and of the codebooks those that are
    heard: however they are laid out here.
    """
    read = (*(_IN if heard else ()), *(_OUT if speaks else ()))
    weights = sum(
        math.prod(shape)
        for entry in mimi_entries(mimi)
        for name, shape in entry.sources.items()
        if "_codebook." not in name and any(part in name for part in read)
    )
    quantizer = mimi.config.quantizer
    return torch.float32.itemsize * (weights + heard * quantizer.bins * quantizer.dimension)


def _filled(state: TransformerState, positions: int) -> int:
    """Bytes of one slot's rings that hold the last of `positions`."""
    whole = sum(tensor.nbytes for tensor in state.tensors() if tensor is not state.offsets)
    return whole * min(positions, state.capacity) // state.capacity
