import asyncio
from typing import cast

from livekit import rtc

from engine.protocol import FRAME_BYTES
from tests.worker.fakes import FakeSource, FakeTrack
from worker.audio_in import AudioIn, CallerFrame


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
    assert audio.dropped == 0


async def test_a_backlog_loses_its_oldest_frames_and_counts_them() -> None:
    audio = AudioIn(capacity=3)
    for name in b"abcde":
        audio.put(bytes([name]))
    assert [frame.pcm for frame in await take(audio, 3)] == [b"c", b"d", b"e"]
    assert audio.dropped == 2


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
