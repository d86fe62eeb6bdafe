import asyncio
from typing import cast

import numpy as np
import pytest
from livekit import rtc

from engine.protocol import FRAME_BYTES
from tests.worker.fakes import FakeSource, FakeTrack
from worker.sound import pacemaker
from worker.sound.audio_in import AudioIn
from worker.sound.frames_in import CallerFrame

SILENT, LOUD = bytes(FRAME_BYTES), b"\1" * FRAME_BYTES


async def take(audio: AudioIn, count: int) -> list[CallerFrame]:
    taken = []
    async for frame in audio:
        taken.append(frame)
        if len(taken) == count:
            break
    return taken


async def test_frames_come_out_in_order_with_their_time() -> None:
    now = iter([1.0, 1.08])
    audio = AudioIn(clock=lambda: next(now))
    audio.put(b"a")
    audio.put(b"b")
    assert await take(audio, 2) == [CallerFrame(b"a", 1.0), CallerFrame(b"b", 1.08)]
    assert audio.late == 0


async def test_a_short_stall_costs_nothing() -> None:
    audio = AudioIn(capacity=3)
    for name in b"abc":
        audio.put(bytes([name]))
    assert [frame.pcm for frame in await take(audio, 3)] == [b"a", b"b", b"c"]
    assert audio.late == 0


async def test_what_came_during_a_long_stall_is_not_replayed() -> None:
    audio = AudioIn(capacity=3)
    for name in b"abcde":
        audio.put(bytes([name]))
    assert [frame.pcm for frame in await take(audio, 1)] == [b"e"]
    assert audio.late == 4
    audio.put(b"f")
    audio.put(b"g")
    assert [frame.pcm for frame in await take(audio, 2)] == [b"f", b"g"]


async def test_silence_is_heard_where_a_track_fell_silent(
    sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacemaker, "FIRST_S", 0.1)
    monkeypatch.setattr(pacemaker, "STALL_S", 10)
    audio, track = AudioIn(), FakeTrack()
    work = [asyncio.create_task(audio.read(cast(rtc.Track, track))), asyncio.create_task(audio.fill())]
    audio.expect()
    track.say(LOUD)
    assert [frame.pcm for frame in await take(audio, 4)] == [LOUD, SILENT, SILENT, SILENT]
    audio.rest()
    filled = audio.filled
    await asyncio.sleep(2 * pacemaker.MISSING_S)
    assert audio.filled == filled, "nobody is there whose sound could be missing"
    for task in work:
        task.cancel()


async def test_two_tracks_are_heard_as_one(sound_card: FakeSource) -> None:
    audio, ada, bob = AudioIn(), FakeTrack(), FakeTrack()
    work = [asyncio.create_task(audio.read(cast(rtc.Track, track))) for track in (ada, bob)]
    await asyncio.sleep(0)
    bob.say(np.full(FRAME_BYTES // 2, 200, "<i2").tobytes())
    await asyncio.sleep(0)
    ada.say(np.full(FRAME_BYTES // 2, 100, "<i2").tobytes())
    (frame,) = await take(audio, 1)
    assert set(np.frombuffer(frame.pcm, "<i2")) == {300}
    for task in work:
        task.cancel()


async def test_a_frame_that_comes_while_somebody_waits_is_passed_on() -> None:
    audio = AudioIn()
    waiting = asyncio.create_task(take(audio, 1))
    await asyncio.sleep(0)
    audio.put(b"a")
    assert [frame.pcm for frame in await waiting] == [b"a"]


async def test_a_track_is_read_to_its_end(sound_card: FakeSource) -> None:
    audio, track = AudioIn(), FakeTrack()
    track.say(bytes(FRAME_BYTES), bytes(FRAME_BYTES))
    track.end()
    await audio.read(cast(rtc.Track, track))
    assert [frame.pcm for frame in await take(audio, 2)] == [bytes(FRAME_BYTES)] * 2
