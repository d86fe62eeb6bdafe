"""Both speakers as one track: what the caller hears of each, by the rules of `worker/hybrid/floor.py`."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import SAMPLE_RATE
from worker.hybrid import floor
from worker.hybrid.floor import BRIDGE_S, FADE_S, HANDOVER_S, Answer, Scene
from worker.hybrid.lane import Lane
from worker.hybrid.own_voice import OwnVoice
from worker.hybrid.ramp import glide

PIECE_S = 0.02
PIECE_SAMPLES = round(PIECE_S * SAMPLE_RATE)
MOST_BEHIND = round(0.4 * SAMPLE_RATE)
"""Samples of Moshi's that wait, at most: a stall costs sound, or all that follows would be late."""
_FULL = (1 << 15) - 1


@dataclass(frozen=True, slots=True)
class Piece:
    """What is heard next, PCM s16le mono 24 kHz [PIECE_SAMPLES]; so many samples of it are the answer's."""

    pcm: bytes
    answer_samples: int


class Conductor:
    """Tell it what happens, and `take` what is heard, piece by piece. Times in monotonic seconds. Pure.

    Nothing is to be heard of Moshi but speech: with its silence the lag goes that a stall has left. bridge_s:
    for how long it may speak while an answer is on its way.
    """

    def __init__(self, bridge_s: float = BRIDGE_S) -> None:
        self._bridge_s = bridge_s
        self._moshi, self._answer, self._dropped = Lane(), Lane(), Lane()
        self._moshi_gain = self._answer_gain = 1.0
        self._moshi_speaks = self._moshi_goes_on = False
        self._caller_speaks = False
        self._coming_since = math.inf
        self._answering = self._ended = self._held = False
        self.moshi_is_heard = True
        """Whether Moshi has the floor."""
        self.own_voice = OwnVoice()
        """What Moshi is to take for its own words: what is heard of the answer."""

    def moshi(self, pcm: NDArray[np.int16], *, speaks: bool) -> None:
        """Moshi's next frame, int16 [N], and whether it belongs to speech."""
        self._moshi_goes_on &= speaks
        self._moshi_speaks = speaks
        if speaks:
            self._moshi.put(pcm)
            self._moshi.take(len(self._moshi) - MOST_BEHIND)

    def moshi_is_gone(self) -> None:
        """Nothing comes from Moshi for a while."""
        self._moshi_speaks = self._moshi_goes_on = False

    def caller(self, *, speaks: bool) -> None:
        """The caller begins to speak, or ceases to."""
        self._caller_speaks = speaks

    def expect_answer(self, now: float) -> None:
        """The caller's turn is over: an answer is being made."""
        self._coming_since = min(self._coming_since, now)

    def expect_nothing(self) -> None:
        """No answer is being made any more."""
        self._coming_since = math.inf

    def answer(self, pcm: NDArray[np.int16]) -> None:
        """The answer's next samples, int16 [N], long before they are heard perhaps."""
        if not self._answering:
            self._answering, self._ended = True, False
            # Nobody has heard it louder.
            self._answer_gain = floor.answer_gain(self._scene(0.0))
        self._answer.put(pcm)

    def end_answer(self) -> None:
        """All of the answer is here."""
        self._ended = True

    def hold_answer(self) -> None:
        """The caller has the floor: the answer waits where it is."""
        self._held = True

    def go_on(self) -> None:
        """They did not want it: the answer goes on."""
        self._held = False

    def drop_answer(self) -> None:
        """The caller wants to hear no more of it."""
        faded = self._answer.take(PIECE_SAMPLES)
        gains = glide(self._answer_gain, 0.0, len(faded), FADE_S)
        self._dropped.put((faded * gains).astype(np.int16))
        self._answer.clear()
        self.own_voice.stop()
        self.close_answer()

    def close_answer(self) -> None:
        """The answer was heard."""
        self._answering = self._ended = False
        self.own_voice.end()

    @property
    def is_answering(self) -> bool:
        """Whether there is an answer to be heard, or one that waits for the caller."""
        return self._answering

    @property
    def answer_is_over(self) -> bool:
        """Whether nothing of an answer is left that has ended."""
        return self._answering and self._ended and not self._answer

    def take(self, now: float) -> Piece | None:
        """What is heard next; None while there is nothing."""
        scene = self._scene(now)
        self.moshi_is_heard = floor.moshi_is_heard(scene, self.moshi_is_heard, self._bridge_s)
        self._moshi_goes_on = self._moshi_speaks
        if not self.moshi_is_heard and not self._moshi_gain:
            self._moshi.clear()
        said = self._take_answer(floor.answer_gain(scene))
        if self._answering:
            self.own_voice.play(np.rint(said).astype(np.int16))
        dropped = self._dropped.take(PIECE_SAMPLES).astype(np.float64)
        parts = [self._take_moshi(), said, dropped]
        if not any(len(part) for part in parts):
            return None
        total = np.zeros(PIECE_SAMPLES)
        for part in parts:
            total[: len(part)] += part
        pcm = np.clip(np.rint(total), -_FULL - 1, _FULL).astype("<i2").tobytes()
        return Piece(pcm, len(said))

    def _scene(self, now: float) -> Scene:
        answer, coming_s = Answer.NONE, 0.0
        if self._answering:
            answer = Answer.HELD if self._held else Answer.PLAYING
        elif self._coming_since <= now:
            answer, coming_s = Answer.COMING, now - self._coming_since
        return Scene(answer, coming_s, self._caller_speaks, self._moshi_goes_on)

    def _take_moshi(self) -> NDArray[np.float64]:
        pcm = self._moshi.take(PIECE_SAMPLES)
        target = float(self.moshi_is_heard)
        faded, self._moshi_gain = _faded(pcm, self._moshi_gain, target, FADE_S if target else HANDOVER_S)
        return faded

    def _take_answer(self, target: float) -> NDArray[np.float64]:
        # Of an answer that waits, the end of what was heard still fades out.
        silent = not target and not self._answer_gain
        whole = len(self._answer) >= PIECE_SAMPLES or self._ended
        pcm = self._answer.take(PIECE_SAMPLES if whole and not silent else 0)
        faded, self._answer_gain = _faded(pcm, self._answer_gain, target, FADE_S)
        return faded


def _faded(
    pcm: NDArray[np.int16], gain: float, target: float, fade_s: float
) -> tuple[NDArray[np.float64], float]:
    """The samples with their gain, and the gain after them. Where there are none, nobody hears it change."""
    if not len(pcm):
        return np.zeros(0), target
    gains = glide(gain, target, len(pcm), fade_s)
    return pcm * gains, float(gains[-1])
