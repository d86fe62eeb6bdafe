"""What callers say, on `lk.transcription`, by a whole engine whose model says numbers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from livekit import rtc

from engine.errors import NoTranscriber
from engine.protocol import Ended
from engine.transcript_client import TranscriptClient
from engine.transcript_protocol import TranscriptEvent, Word
from tests.worker.fakes import FakeMe, FakeSource, FakeStream, FakeStreamWriter, FakeTrack
from tests.worker.transcribing import sound, transcribing, words_of
from tests.worker.waiting import until
from worker.room.audience import Audience
from worker.signs.captions import Captions, Opening

pytestmark = pytest.mark.usefixtures("sound_card")


@asynccontextmanager
async def following(
    opening: Opening, track: FakeTrack, audience: Audience, me: FakeMe | None = None
) -> AsyncIterator[tuple[FakeMe, asyncio.Task[None]]]:
    me = me or FakeMe()
    captions = Captions(cast(rtc.LocalParticipant, me), opening, audience, again_s=0.01)
    task = asyncio.create_task(captions.follow(cast(rtc.Track, track), "ann"))
    yield me, task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Engine:
    """Opens clients of the engine at an address, and counts them."""

    def __init__(self, url: str) -> None:
        self.openings = 0
        self._url = url

    def __call__(self) -> TranscriptClient:
        self.openings += 1
        return TranscriptClient(self._url)


def speak(track: FakeTrack, seconds: float) -> None:
    pcm = sound(seconds).tobytes()
    track.say(*[pcm[at : at + 3840] for at in range(0, len(pcm), 3840)])


async def test_words_are_written_under_the_name_of_who_says_them(sound_card: FakeSource) -> None:
    track = FakeTrack()
    async with transcribing() as url:
        expected = await words_of(url, sound(2.4))
        async with following(Engine(url), track, Audience("ann")) as (me, task):
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
        async with following(Engine(url), track, Audience()) as (me, task):
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
        following(Engine(url), FakeTrack(), Audience()) as (_me, task),
    ):
        await asyncio.wait_for(task, 60)
    assert "no captions: this engine transcribes nothing" in caplog.text


async def test_an_engine_that_is_gone_costs_captions_and_no_call(sound_card: FakeSource) -> None:
    track = FakeTrack()
    async with transcribing() as url:
        pass
    engine = Engine(url)
    async with following(engine, track, Audience()) as (_me, task):
        speak(track, 0.4)
        await until(lambda: engine.openings >= 3, 60)
        assert not task.done()


async def test_a_track_that_cannot_be_heard_is_tried_again(
    sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = ["the first"]

    def stream(*args: Any, **options: Any) -> FakeStream:
        if broken:
            broken.pop()
            raise RuntimeError("no handle")
        return FakeStream(*args, **options)

    monkeypatch.setattr(rtc, "AudioStream", stream)
    track = FakeTrack()
    async with transcribing() as url, following(Engine(url), track, Audience()) as (me, task):
        speak(track, 2.4)
        track.end()
        await asyncio.wait_for(task, 60)
    assert me.segments


async def test_what_never_ends_is_logged_once(
    sound_card: FakeSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    met: list[type[Exception]] = []

    def stream(*_args: Any, **_options: Any) -> FakeStream:
        met.append(OSError if len(met) % 3 == 2 else RuntimeError)
        raise met[-1]("no handle")

    monkeypatch.setattr(rtc, "AudioStream", stream)
    async with transcribing() as url, following(Engine(url), FakeTrack(), Audience()):
        await until(lambda: len(met) >= 8, 60)
    lost = [each.exc_info for each in caplog.records if each.message == "captions were lost"]
    assert [each[0] for each in lost if each] == [RuntimeError, OSError]


async def test_a_room_that_takes_no_words_is_complained_of_once(
    sound_card: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    class Me(FakeMe):
        async def stream_text(self, **_options: Any) -> FakeStreamWriter:
            asked.append("for a stream")
            raise RuntimeError("no handle")

    track = FakeTrack()
    async with transcribing() as url:
        engine = Engine(url)
        async with following(engine, track, Audience(), Me()) as (_me, task):
            speak(track, 2.4)
            track.end()
            await asyncio.wait_for(task, 60)
    assert len(asked) > 1
    assert caplog.text.count("a caption was lost") == 1
    assert engine.openings == 1


async def test_a_stream_that_cannot_be_ended_costs_nothing_else(sound_card: FakeSource) -> None:
    class Broken(FakeStreamWriter):
        async def aclose(self, *, attributes: dict[str, str]) -> None:
            raise RuntimeError("no handle")

    class Me(FakeMe):
        async def stream_text(self, **options: Any) -> FakeStreamWriter:
            self.segments.append(Broken(options["attributes"]))
            return self.segments[-1]

    track = FakeTrack()
    async with transcribing() as url:
        engine = Engine(url)
        async with following(engine, track, Audience(), Me()) as (me, task):
            speak(track, 2.4)
            track.end()
            await asyncio.wait_for(task, 60)
    assert me.segments
    assert engine.openings == 1


async def test_an_engine_that_goes_down_is_asked_again_and_so_is_said_where_it_was_well_before(
    sound_card: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    down, well = [Ended("drain")], [Word("hello", 0.2), Ended("drain")]
    told = [down, down, down, well, down, [Ended("hang_up")]]
    async with following(lambda: _Telling(told), FakeTrack(), Audience()) as (me, task):
        await asyncio.wait_for(task, 60)
    assert told == []
    assert [segment.text for segment in me.segments] == ["hello"]
    assert caplog.text.count("no captions for now: the engine ended the transcription: drain") == 2


async def test_who_has_left_is_followed_no_more(sound_card: FakeSource) -> None:
    track = FakeTrack()
    async with transcribing(sessions=1) as url:
        async with following(Engine(url), track, Audience()) as (me, task):
            speak(track, 2.4)
            await until(lambda: me.segments, 60)
        assert task.cancelled()
        assert [each for each in me.segments if each.closed is None] == []
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


class _Telling(TranscriptClient):
    """Of an engine that tells the next of these, and no more."""

    def __init__(self, told: list[Any]) -> None:
        super().__init__("ws://127.0.0.1:1")
        self._told = told

    async def open(self) -> Any:
        return _Told(self._told.pop(0))


class _Told:
    def __init__(self, events: list[TranscriptEvent]) -> None:
        self._events = events

    async def flush(self) -> None: ...

    async def __aiter__(self) -> AsyncIterator[TranscriptEvent]:
        for event in self._events:
            yield event
