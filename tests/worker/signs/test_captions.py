"""What callers say, on `lk.transcription`, by a whole engine whose model says numbers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from livekit import rtc

from engine.errors import NoTranscriber
from engine.transcript_client import TranscriptClient
from tests.worker.fakes import FakeMe, FakeSource, FakeTrack
from tests.worker.transcribing import sound, transcribing, words_of
from tests.worker.waiting import until
from worker.room.audience import Audience
from worker.signs.captions import Captions

pytestmark = pytest.mark.usefixtures("sound_card")


@asynccontextmanager
async def following(
    url: str, track: FakeTrack, audience: Audience, again_s: float = 0.05
) -> AsyncIterator[tuple[FakeMe, asyncio.Task[None]]]:
    me = FakeMe()
    captions = Captions(
        cast(rtc.LocalParticipant, me), lambda: TranscriptClient(url), audience, again_s=again_s
    )
    task = asyncio.create_task(captions.follow(cast(rtc.Track, track), "ann"))
    yield me, task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def speak(track: FakeTrack, seconds: float) -> None:
    pcm = sound(seconds).tobytes()
    track.say(*[pcm[at : at + 3840] for at in range(0, len(pcm), 3840)])


async def test_words_are_written_under_the_name_of_who_says_them(sound_card: FakeSource) -> None:
    track = FakeTrack()
    async with transcribing() as url:
        expected = await words_of(url, sound(2.4))
        async with following(url, track, Audience("ann")) as (me, task):
            speak(track, 2.4)
            track.end()
            await asyncio.wait_for(task, 60)
    assert me.segments
    for segment in me.segments:
        assert (segment.sender, segment.to) == ("ann", ("ann",))
        assert segment.opened["lk.transcription_final"] == "false"
        assert segment.closed is not None
        assert segment.closed["lk.transcription_final"] == "true"
        assert segment.opened["lk.transcribed_track_id"] == "TR_mic"
        assert segment.opened["lk.segment_id"] == segment.closed["lk.segment_id"]
    assert len({segment.opened["lk.segment_id"] for segment in me.segments}) == len(me.segments)
    # Where the model saw a pause, silence was put in: what it says from then on may be something else.
    assert me.segments[0].text.split()[:2] == expected[:2]


async def test_a_full_engine_is_asked_again(sound_card: FakeSource) -> None:
    track = FakeTrack()
    async with transcribing(sessions=1) as url, TranscriptClient(url) as other:
        first = await other.open()
        async with following(url, track, Audience()) as (me, task):
            speak(track, 2.4)
            track.end()
            await asyncio.sleep(0.2)
            assert not task.done()
            await first.close()
            await asyncio.wait_for(task, 60)
            assert me.segments
            assert me.segments[0].to == ()


async def test_an_engine_without_a_model_is_asked_once(
    sound_card: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        transcribing(transcribes=False) as url,
        following(url, FakeTrack(), Audience()) as (_me, task),
    ):
        await asyncio.wait_for(task, 60)
    assert "no captions: this engine transcribes nothing" in caplog.text


async def test_an_engine_that_is_gone_costs_captions_and_no_call(sound_card: FakeSource) -> None:
    track = FakeTrack()
    async with transcribing() as url:
        pass
    async with following(url, track, Audience(), again_s=0.01) as (_me, task):
        speak(track, 0.4)
        await asyncio.sleep(0.2)
        assert not task.done()


async def test_who_has_left_is_followed_no_more(sound_card: FakeSource) -> None:
    track = FakeTrack()
    async with transcribing(sessions=1) as url:
        async with following(url, track, Audience()) as (me, task):
            speak(track, 2.4)
            await until(lambda: me.segments, 60)
        assert task.cancelled()
        async with TranscriptClient(url) as client:
            await _let_in(client)


async def _let_in(client: TranscriptClient) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await client.open()
                return
            except NoTranscriber:
                await asyncio.sleep(0.1)
