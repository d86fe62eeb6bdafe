"""The tokens of one conversation, and what a model makes of them when it is fed nothing else."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.checkpoint import Model
from engine.models.config import KvPrecision
from engine.step.eager_runner import EagerRunner
from engine.step.frames import Sampling
from engine.step.loop import StepOutput
from engine.step.moshi_step import MoshiStep

_GREEDY = Sampling(temperature=0.0, temperature_text=0.0)


class Stream(NamedTuple):
    """What a model heard and said: `fed` int64 [T, 1 + n_q] went in, `text` int64 [T] and `codes` [T, K] came
    out; `answers` are those to the recording.
    """

    fed: Tensor
    text: Tensor
    codes: Tensor
    answers: list[StepOutput]


class Logits(NamedTuple):
    """Of every step of a stream, float32 on the host: text [T, V], codes [T, K, card]."""

    text: Tensor
    codes: Tensor


def listen(model: Model, frames: NDArray[np.int16]) -> Stream:
    """The greedy answer to a recording, and every token on its way."""
    fed: list[Tensor] = []
    text: list[Tensor] = []
    codes: list[Tensor] = []

    def saw_input(_lm: object, arguments: tuple[Any, ...]) -> None:
        fed.append(arguments[0][0, :, 0].clone())

    def saw_output(_depformer: object, arguments: tuple[Any, ...], said: Tensor) -> None:
        text.append(arguments[1][0].clone())
        codes.append(said[0].clone())

    depformer = model.lm.depformer
    assert depformer is not None, "a model that speaks"
    with ExitStack() as watched:
        watched.callback(model.lm.register_forward_pre_hook(saw_input).remove)
        watched.callback(depformer.register_forward_hook(saw_output).remove)
        answers = answer_greedily(model, frames, "exact")
    return Stream(torch.stack(fed), torch.stack(text), torch.stack(codes), answers)


@torch.inference_mode()
def teacher_forced(model: Model, stream: Stream, kv: KvPrecision) -> Logits:
    """What `model` would say at each step of `stream`, whatever it said before."""
    lm, depformer = model.lm, model.lm.depformer
    assert depformer is not None, "a model that speaks"
    slot = torch.zeros(1, dtype=torch.int64, device=lm.device)
    state = lm.new_state(1, kv)
    state.reset(slot)
    text: list[Tensor] = []
    codes: list[Tensor] = []
    for fed, said, own in zip(stream.fed, stream.text, stream.codes, strict=True):
        scores: list[Tensor] = []
        hidden, logits = lm(fed[None, :, None], state, slot)
        depformer(hidden[:, 0], said[None], _forced(own, scores))
        text.append(logits[0, 0].float().cpu())
        codes.append(torch.stack(scores).float().cpu())
    return Logits(torch.stack(text), torch.stack(codes))


def _forced(codes: Tensor, scores: list[Tensor]) -> Callable[[int, Tensor], Tensor]:
    """Picks `codes` int64 [K] whatever the logits are, which go to `scores`."""

    def pick(codebook: int, logits: Tensor) -> Tensor:
        scores.append(logits[0].clone())
        return codes[codebook : codebook + 1]

    return pick


def answer_greedily(model: Model, frames: NDArray[np.int16], kv: KvPrecision) -> list[StepOutput]:
    """The answers to a recording, int16 [T, 1920], without chance."""
    # Step by step and not as a graph, so that what passes through can be seen.
    runner = EagerRunner(MoshiStep(model.mimi, model.lm, 1, kv), model.lm.device)
    runner.join({0: _GREEDY})
    return [runner.step([0], frame[None]) for frame in frames]
