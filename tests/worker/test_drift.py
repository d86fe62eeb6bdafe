"""An hour in virtual time: clocks that differ, and stalls, do not add up to lag."""

import math
from collections.abc import Iterator
from typing import cast

import pytest
from livekit import rtc

from engine.protocol import FRAME_BYTES, Audio
from engine.step.frames import FRAME_S, SAMPLE_RATE
from engine.trim import MOST_S
from tests.worker.fakes import FakeSource
from worker.sound.audio_in import AudioIn
from worker.sound.audio_out import QUEUE_MS, AudioOut

HOUR_S = 3600.0
SPEECH_DB, PAUSE_DB = -20.0, -math.inf
PHRASE_FRAMES, PAUSE_FRAMES = 40, 6
"""The model speaks for 3.2 s at a time, and then for half a second does not."""
STEP_S = 0.03


class DrainingSource(FakeSource):
    """Plays what was captured, at its own clock's pace."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._empty_at = 0.0

    @property
    def queued_duration(self) -> float:
        return max(0.0, self._empty_at - self.now)

    @queued_duration.setter
    def queued_duration(self, _seconds: float) -> None:
        pass

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        self._empty_at = max(self._empty_at, self.now) + frame.samples_per_channel / SAMPLE_RATE


class Hour:
    """A call whose caller's clock is off by `ppm`; `stalls`: when, and for how long, nothing arrives."""

    def __init__(self, ppm: float, stalls: dict[float, float]) -> None:
        self.source = DrainingSource()
        self.audio_in = AudioIn(clock=lambda: self.source.now)
        self.audio_out = AudioOut(cast(rtc.AudioSource, self.source), "TR", clock=lambda: self.source.now)
        self._frame_s = FRAME_S * (1 - ppm / 1e6)
        self._stalls = stalls

    def arrivals(self) -> Iterator[float]:
        for number in range(1, round(HOUR_S / self._frame_s)):
            due = number * self._frame_s
            late = (begin + length for begin, length in self._stalls.items() if begin <= due < begin + length)
            yield max(due, *late, 0.0)

    async def pass_by(self) -> list[float]:
        """How much sound is queued in front of each answer, in seconds."""
        lags = []
        self.audio_in.expect()
        hearing, playing = aiter(self.audio_in), self.audio_out.play()
        for number, arrival in enumerate(self.arrivals()):
            self.source.now = max(arrival, self.source.now - STEP_S)
            self.audio_in.put(bytes(FRAME_BYTES))
            await anext(hearing)
            self.source.now += STEP_S
            speaks = number % (PHRASE_FRAMES + PAUSE_FRAMES) < PHRASE_FRAMES
            self.audio_out.put(Audio(number, 0, 0, bytes(FRAME_BYTES)), SPEECH_DB if speaks else PAUSE_DB)
            lags.append((await anext(playing)).queued_s)
        return lags


@pytest.mark.parametrize("ppm", [-200, 0, 200])
async def test_clocks_that_differ_add_no_lag(ppm: float) -> None:
    hour = Hour(ppm, {})
    lags = await hour.pass_by()
    assert max(lags) <= 0.05
    assert hour.audio_in.late == 0, "no sound of the caller is lost by it"
    assert hour.audio_out.underruns == 0
    # A fast one says 0.72 s more than is played, which is left out where the model is silent.
    assert hour.audio_out.left_out_s == pytest.approx(0.72 if ppm > 0 else 0.0, abs=0.06)


async def test_what_stalls_add_is_given_back_within_seconds_all_hour_long() -> None:
    stalls = {60.0 * minute: 0.3 for minute in range(1, 60)}
    lags = await Hour(200, stalls).pass_by()
    for begin in stalls:
        after, before_next = round((begin + 20) / FRAME_S), round((begin + 55) / FRAME_S)
        assert max(lags[after:before_next]) <= MOST_S + 0.02
    assert max(lags) <= QUEUE_MS / 1000 + FRAME_S + 0.3
