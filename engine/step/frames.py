"""Plain data on its way through the step. Knows no tensor and no socket."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 24_000
FRAME_SAMPLES = 1_920
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one session draws its tokens (Moshi paper 3.4.1; defaults of `LMGen`). Temperature 0 is greedy."""

    temperature: float = 0.8
    top_k: int = 250
    temperature_text: float = 0.7
    top_k_text: int = 25
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SlotRef:
    """A slot as one session holds it: a later session in the same slot has another generation."""

    index: int
    generation: int


@dataclass(frozen=True, slots=True, eq=False)
class OwnFrame:
    """What the model is to take for its own words in a frame: `pcm` int16 [1920], and a text token."""

    pcm: NDArray[np.int16]
    text_token: int


@dataclass(frozen=True, slots=True)
class Frame:
    """80 ms of one session's sound, complete at `complete_at` (monotonic seconds).

    `pcm` is int16 [1920]; `number` counts the session's frames from 0. `own`: what the model itself says
    meanwhile; None: what it likes.
    """

    slot: SlotRef
    number: int
    pcm: NDArray[np.int16]
    complete_at: float
    own: OwnFrame | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """The answer to one `Frame`: the sound to play for it, and the word said with it.

    `pcm` is int16 [1920], empty of a model that only listens; `began_at` and `ended_at` (monotonic seconds)
    bound the step; `pauses` as in `StepOutput`.
    """

    frame: Frame
    pcm: NDArray[np.int16]
    text_token: int
    began_at: float
    ended_at: float
    pauses: tuple[float, ...] = ()
