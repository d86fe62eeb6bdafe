"""A sound card without hardware: a thread that speaks a recording and keeps what it is given to play."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import numpy as np
from numpy.typing import NDArray

from engine.talk.sound_card import Hear, Play

PIECE_SAMPLES = 480
PIECE_S = 0.02


class FakeCard:
    """Speaks int16 [N], then silence, a piece every `piece_s` seconds; `played` is what came out."""

    def __init__(self, speech: NDArray[np.int16], piece_s: float = PIECE_S) -> None:
        self.is_open = False
        self._speech = speech
        self._piece_s = piece_s
        self._played: list[bytes] = []
        self._closing = Event()

    @property
    def played(self) -> NDArray[np.int16]:
        return np.frombuffer(b"".join(self._played), np.int16)

    @contextmanager
    def __call__(self, hear: Hear, play: Play) -> Iterator[None]:
        thread = Thread(target=self._run, args=(hear, play))
        thread.start()
        self.is_open = True
        try:
            yield
        finally:
            self.is_open = False
            self._closing.set()
            thread.join()

    def _run(self, hear: Hear, play: Play) -> None:
        began_at, piece = time.monotonic(), 0
        while not self._closing.wait(max(0.0, began_at + piece * self._piece_s - time.monotonic())):
            said = self._speech[piece * PIECE_SAMPLES :][:PIECE_SAMPLES]
            hear(np.pad(said, (0, PIECE_SAMPLES - len(said))).tobytes())
            self._played.append(play(PIECE_SAMPLES))
            piece += 1
