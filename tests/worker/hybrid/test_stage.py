"""What an AgentSession is told of its answers while the conductor plays them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice.io import PlaybackFinishedEvent

from engine.step.frames import SAMPLE_RATE
from worker.hybrid.conductor import Conductor
from worker.hybrid.stage import AHEAD_S, MOSHI_AHEAD_S, Stage

LEVEL = 9000
SECOND = rtc.AudioFrame(np.full(SAMPLE_RATE, LEVEL, "<i2").tobytes(), SAMPLE_RATE, 1, SAMPLE_RATE)


class Track:
    """Takes all that it is given at once, but never more than `patience` samples."""

    queued_duration = 0.0

    def __init__(self) -> None:
        self.heard = np.zeros(0, np.int16)
        self.patience = 1 << 30
        self._more = asyncio.Event()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        self.heard = np.concatenate([self.heard, np.frombuffer(frame.data, "<i2")])
        while len(self.heard) >= self.patience:
            self._more.clear()
            await self._more.wait()

    def goes_on(self) -> None:
        self.patience = 1 << 30
        self._more.set()


class Queue:
    """Keeps what it is given until somebody lets time pass."""

    queued_duration = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        self.queued_duration += frame.duration


class Played:
    """A stage that plays, and what it told."""

    def __init__(self) -> None:
        self.track = Track()
        self.stage = Stage(Conductor(), clock=lambda: 0.0, wall=lambda: 0.0)
        self.started = 0
        self.finished: list[PlaybackFinishedEvent] = []
        self.stage.on("playback_started", self._count)
        self.stage.on("playback_finished", self.finished.append)
        self.playing = asyncio.create_task(self.stage.play(cast(Any, self.track)))

    def _count(self, _event: object) -> None:
        self.started += 1


@pytest.fixture
async def played() -> AsyncIterator[Played]:
    scene = Played()
    yield scene
    scene.playing.cancel()
    await asyncio.gather(scene.playing, return_exceptions=True)


async def over(played: Played) -> PlaybackFinishedEvent:
    async with asyncio.timeout(60):
        return await played.stage.wait_for_playout()


async def test_an_answer_begins_once_and_is_over_when_all_of_it_was_heard(played: Played) -> None:
    await played.stage.capture_frame(SECOND)
    await played.stage.capture_frame(SECOND)
    played.stage.flush()
    event = await over(played)
    assert (event.playback_position, event.interrupted, played.started) == (2.0, False, 1)
    assert np.array_equal(played.track.heard, np.full(2 * SAMPLE_RATE, LEVEL))


async def test_an_answer_that_is_stopped_is_told_at_once_with_how_far_it_came(played: Played) -> None:
    played.track.patience = SAMPLE_RATE // 4
    await played.stage.capture_frame(SECOND)
    async with asyncio.timeout(60):
        while len(played.track.heard) < played.track.patience:
            await asyncio.sleep(0)
    played.stage.flush()
    played.stage.clear_buffer()
    event = await over(played)
    assert event.interrupted
    assert 0.25 <= event.playback_position < 0.3
    played.stage.clear_buffer()
    assert len(played.finished) == 1, "nothing is stopped twice"


async def test_the_answer_after_one_that_was_stopped_is_heard_whole(played: Played) -> None:
    played.track.patience = SAMPLE_RATE // 4
    await played.stage.capture_frame(SECOND)
    played.stage.flush()
    played.stage.clear_buffer()
    played.track.goes_on()
    played.stage.resume()
    await played.stage.capture_frame(SECOND)
    played.stage.flush()
    event = await over(played)
    assert (event.playback_position, event.interrupted) == (1.0, False)


async def test_an_answer_that_waits_for_the_caller_is_not_over(played: Played) -> None:
    played.stage.pause()
    await played.stage.capture_frame(SECOND)
    played.stage.flush()
    for _ in range(100):
        await asyncio.sleep(0)
    assert not played.finished
    assert not played.track.heard.any()
    played.stage.resume()
    assert (await over(played)).playback_position == 1.0


async def test_the_track_has_less_of_moshi_than_of_an_answer_which_would_have_to_wait_for_it() -> None:
    track, conductor, ahead = Queue(), Conductor(), list[float]()

    async def sleep(seconds: float) -> None:
        track.queued_duration -= seconds
        ahead.append(track.queued_duration)
        await asyncio.sleep(0)

    stage = Stage(conductor, clock=lambda: 0.0, wall=lambda: 0.0, sleep=sleep)
    playing = asyncio.create_task(stage.play(cast(Any, track)))
    conductor.moshi(np.full(SAMPLE_RATE // 4, LEVEL, np.int16), speaks=True)
    stage.wake()
    async with asyncio.timeout(60):
        while len(ahead) < 10:
            await asyncio.sleep(0)
    moshi = max(ahead)
    ahead.clear()
    await stage.capture_frame(SECOND)
    async with asyncio.timeout(60):
        while len(ahead) < 20:
            await asyncio.sleep(0)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    assert moshi == pytest.approx(MOSHI_AHEAD_S)
    assert max(ahead) == pytest.approx(AHEAD_S)


async def test_sound_of_two_channels_is_heard_as_one(played: Played) -> None:
    both = np.stack([np.full(SAMPLE_RATE, 2000), np.full(SAMPLE_RATE, 4000)], axis=1).astype("<i2")
    await played.stage.capture_frame(rtc.AudioFrame(both.tobytes(), SAMPLE_RATE, 2, SAMPLE_RATE))
    played.stage.flush()
    await over(played)
    assert np.array_equal(played.track.heard, np.full(SAMPLE_RATE, 3000))
