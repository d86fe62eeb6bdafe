"""A model that speaks texts and needs no device: a frame of sound for each word, after one without."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event

import numpy as np

from engine.checkpoint.tts_voices import TtsVoice
from engine.step.frames import FRAME_S, FRAME_SAMPLES, Sampling
from engine.step.tts_runner import SpokenWord, TtsFrame


@dataclass
class _Text:
    rest: str = ""
    words: list[str] = field(default_factory=list)
    is_whole: bool = False
    is_done: bool = False
    steps: int = 0


class FakeSpeaker:
    """Samples are as large as their word has letters. A text without a word is a frame of silence.

    `opened` and `batches` hold what was asked of it; `stepping` is set once a step has begun, and while
    `open_gate` is clear it does not end.
    """

    def __init__(self) -> None:
        self.opened: list[tuple[int, str | None, Sampling, float | None]] = []
        self.batches: list[list[int]] = []
        self.open_gate = Event()
        self.open_gate.set()
        self.stepping = Event()
        self.broken: str | None = None
        self._texts: dict[int, _Text] = {}

    def open(self, slot: int, voice: TtsVoice | None, sampling: Sampling, cfg: float | None = None) -> None:
        self.opened.append((slot, voice.name if voice else None, sampling, cfg))
        self._texts[slot] = _Text()

    def say(self, slot: int, text: str) -> None:
        held = self._texts[slot]
        assert not held.is_whole
        *words, held.rest = (held.rest + text).replace("\n", " ").split(" ")
        held.words += filter(None, words)

    def end(self, slot: int) -> None:
        held = self._texts[slot]
        held.is_whole = True
        held.words += filter(None, [held.rest])

    def ready(self, slot: int) -> bool:
        held = self._texts[slot]
        return not held.is_done and bool(held.words or held.is_whole)

    def step(self, slots: Sequence[int]) -> list[TtsFrame]:
        self.stepping.set()
        assert self.open_gate.wait(60)
        if self.broken:
            raise RuntimeError(self.broken)
        self.batches.append(list(slots))
        return [self._frame(self._texts[slot]) for slot in slots]

    def _frame(self, text: _Text) -> TtsFrame:
        text.steps += 1
        if text.steps == 1:
            return TtsFrame(np.zeros(0, np.int16), (), done=False)
        word = text.words.pop(0) if text.words else ""
        text.is_done = text.is_whole and not text.words
        words = (SpokenWord(word, (text.steps - 2) * FRAME_S),) if word else ()
        return TtsFrame(np.full(FRAME_SAMPLES, len(word), np.int16), words, text.is_done)
