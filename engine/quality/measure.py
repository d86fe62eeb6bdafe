"""The same model beside itself in exact float32, on one recording."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engine.device import release
from engine.errors import CheckpointError
from engine.memory import load_into
from engine.quality.spectrum import spectral_distance_db
from engine.quality.stream import answer_greedily, listen, teacher_forced
from engine.step.capacity import Variant
from engine.step.loop import StepOutput


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of logits with those of float32: cosine of each position, largest error of any logit, and the share of
    positions whose largest logit is the same.
    """

    cosine_mean: float
    cosine_min: float
    max_error: float
    greedy: float

    @classmethod
    def of(cls, logits: Tensor, exact: Tensor) -> Self:
        """Both [..., V]."""
        cosine = F.cosine_similarity(logits, exact, dim=-1)
        same = logits.argmax(dim=-1) == exact.argmax(dim=-1)
        error = (logits - exact).abs().max()
        return cls(float(cosine.mean()), float(cosine.min()), float(error), float(same.float().mean()))

    def __str__(self) -> str:
        return (
            f"cosine mean {self.cosine_mean:.6f}, least {self.cosine_min:.6f}; "
            f"largest error {self.max_error:.4f}; greedy agreement {100 * self.greedy:.2f} %"
        )


@dataclass(frozen=True, slots=True)
class Quality:
    """A precision beside float32: its logits when both are fed the same tokens, and its greedy answer when it
    is left alone: the shares of text tokens and codes that are the same, and how far apart the sounds are.
    """

    checkpoint: str
    dtype: str
    weights: str
    kv: str
    steps: int
    text: Agreement
    codes: Agreement
    same_text: float
    same_codes: float
    spectral_distance_db: float

    def __str__(self) -> str:
        same_text, same_codes = 100 * self.same_text, 100 * self.same_codes
        return (
            f"{self.checkpoint}: {self.dtype}, weights {self.weights}, keys and values {self.kv}, "
            f"beside float32\nfed the same tokens, {self.steps} steps\n"
            f"  text   {self.text}\n  codes  {self.codes}\nleft alone\n"
            f"  same tokens  text {same_text:.2f} %, codes {same_codes:.2f} %\n"
            f"  sound  {self.spectral_distance_db:.2f} dB apart (log-spectral distance)"
        )


def measure_quality(variant: Variant, device: torch.device, frames: NDArray[np.int16]) -> Quality:
    """`variant` on a recording, int16 [T, 1920]; one with an adapter beside the same one with it.

    One model is in memory at a time. Raises CheckpointError; SettingError where one of them does not fit.
    """
    _, lm = variant.models()
    if lm.config.depformer is None:
        raise CheckpointError(
            f"{variant.checkpoint} only listens, and what a model says is compared; take one such as "
            "kyutai/moshiko-pytorch-bf16"
        )
    model = load_into(replace(variant, dtype=torch.float32, weights="exact", kv="exact"), device)
    stream = listen(model, frames)
    exact = teacher_forced(model, stream, "exact")
    del model
    release(device)
    model = load_into(variant, device)
    logits = teacher_forced(model, stream, variant.kv)
    answers = answer_greedily(model, frames, variant.kv)
    return Quality(
        checkpoint=model.name,
        dtype=str(variant.dtype).removeprefix("torch."),
        weights=variant.weights,
        kv=variant.kv,
        steps=len(stream.fed),
        text=Agreement.of(logits.text, exact.text),
        codes=Agreement.of(logits.codes, exact.codes),
        same_text=_same([a.text for a in answers], [a.text for a in stream.answers]),
        same_codes=_same([a.codes for a in answers], [a.codes for a in stream.answers]),
        spectral_distance_db=spectral_distance_db(_sound(answers), _sound(stream.answers)),
    )


def _sound(answers: list[StepOutput]) -> NDArray[np.int16]:
    return np.concatenate([answer.pcm[0] for answer in answers])


def _same(tokens: list[NDArray[np.int64]], exact: list[NDArray[np.int64]]) -> float:
    return float((np.concatenate(tokens) == np.concatenate(exact)).mean())
