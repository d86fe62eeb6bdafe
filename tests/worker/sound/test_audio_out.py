import asyncio
import math
from collections.abc import AsyncIterator
from typing import cast

import pytest
from livekit import rtc

from engine.protocol import FRAME_BYTES, Audio
from engine.trim import REST_S, WATCHED_FRAMES
from tests.worker.fakes import FakeMe, FakeSource
from worker.sound.audio_out import AudioOut, Played

SILENT, LOUD = -math.inf, -20.0


def answer(number: int) -> Audio:
    return Audio(number, 0, 0, bytes([number % 100, 0]) * (FRAME_BYTES // 2))


async def take(played: AsyncIterator[Played], count: int) -> list[Played]:
    return [await anext(played) for _ in range(count)]


@pytest.fixture
async def audio_out(sound_card: FakeSource) -> AudioOut:
    return await AudioOut.publish(cast(rtc.LocalParticipant, FakeMe()))


async def test_answers_are_played_whole_and_in_order(audio_out: AudioOut, sound_card: FakeSource) -> None:
    for number in range(3):
        audio_out.put(answer(number), LOUD)
    played = await take(audio_out.play(), 3)
    assert [each.frame for each in played] == [0, 1, 2]
    assert sound_card.played == [answer(number).pcm for number in range(3)]
    assert audio_out.left_out_s == 0


async def test_what_is_queued_too_long_is_left_out_of_silence(
    audio_out: AudioOut, sound_card: FakeSource
) -> None:
    sound_card.queued_duration = REST_S + 0.020
    playing = audio_out.play()
    for number in range(WATCHED_FRAMES):
        audio_out.put(answer(number), SILENT)
        await take(playing, 1)
    assert audio_out.left_out_s == pytest.approx(0.020)
    assert len(sound_card.played[-1]) == FRAME_BYTES - round(0.020 * 24_000) * 2


async def test_answers_that_wait_for_room_in_the_track_count_as_queued(
    audio_out: AudioOut, sound_card: FakeSource
) -> None:
    playing = audio_out.play()
    for number in range(WATCHED_FRAMES + 1):
        audio_out.put(answer(number), SILENT)
    await take(playing, WATCHED_FRAMES)
    assert audio_out.left_out_s == pytest.approx(0.08 - REST_S)


async def test_while_the_track_is_full_nothing_else_waits_for_it(
    audio_out: AudioOut, sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_frame: rtc.AudioFrame) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(sound_card, "capture_frame", full)
    playing = asyncio.create_task(take(audio_out.play(), 1))
    for number in range(100):
        audio_out.put(answer(number), LOUD)
        await asyncio.sleep(0)
    assert not playing.done()
    playing.cancel()


async def test_an_answer_that_comes_after_silence_began_is_an_underrun(
    sound_card: FakeSource,
) -> None:
    now = 100.0
    audio_out = AudioOut(cast(rtc.AudioSource, sound_card), "TR", clock=lambda: now)
    playing = audio_out.play()
    sound_card.queued_duration = 0.0
    for number, arrives_at in enumerate((100.0, 100.08, 100.18, 100.26)):
        now = arrives_at
        audio_out.put(answer(number), LOUD)
        await take(playing, 1)
    assert audio_out.underruns == 1
