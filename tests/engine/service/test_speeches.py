"""Text to speech over real sockets, with a fake model beside a fake one of conversations."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
import torch
from aiohttp import web

from engine.checkpoint.tts_voices import TtsVoice
from engine.errors import EngineDraining, NoSpeaker, NotServed, SessionError, Unauthorized
from engine.protocol import Audio, Ended, Failure, SessionRequest
from engine.service.server import Speaker
from engine.service.speeches import ServedTts
from engine.speech_client import Speech, SpeechClient
from engine.speech_protocol import Sound, SpeechEvent, SpeechRequest, Spoken, Word
from engine.step.frames import Sampling
from engine.step.lead import LEAD_S
from tests.engine.fake_speaker import FakeSpeaker
from tests.engine.service.conftest import RunningEngine, StartEngine

Start = Callable[..., AbstractAsyncContextManager[RunningEngine]]
TOKEN = "a-secret-of-some-length"
VOICES = {name: TtsVoice(name, torch.zeros(2, 16)) for name in ("ann", "kyutai/bob.wav")}


def check_cfg(cfg: float | None) -> None:
    if cfg not in (None, 1.0, 2.0):
        raise SessionError("cfg is 1 or 2")


SERVED = ServedTts("fake-tts", VOICES, Sampling(0.6, 250, 0.6, 25), check_cfg)


@pytest.fixture
def speaker() -> FakeSpeaker:
    return FakeSpeaker()


@pytest.fixture
def start(start_engine: StartEngine, speaker: FakeSpeaker) -> Start:
    def begin(
        sessions: int = 2, served: ServedTts = SERVED, **options: Any
    ) -> AbstractAsyncContextManager[RunningEngine]:
        return start_engine(tts=Speaker(served, speaker, sessions), **options)

    return begin


async def all_of(speech: Speech) -> list[SpeechEvent]:
    async with asyncio.timeout(60):
        return [event async for event in speech]


def sound_of(word: str) -> Sound:
    return Sound(len(word).to_bytes(2, "little") * 1920)


async def free(client: SpeechClient) -> Speech:
    """A speech, as soon as there is a seat."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await client.open()
            except NoSpeaker:
                # Openings are limited, refused ones too.
                await asyncio.sleep(0.5)


@pytest.mark.parametrize("pieces", [["good morning"], ["go", "od mor", "ning"], [*"good morning", " "]])
async def test_words_and_their_sound_are_those_of_the_text_whatever_its_pieces(
    start: Start, pieces: list[str]
) -> None:
    async with start() as running, SpeechClient(running.url) as client:
        speech = await client.open(SpeechRequest(seed=7))
        assert (speech.ready.model, speech.ready.voice, speech.ready.seed) == ("fake-tts", "ann", 7)
        assert (speech.ready.sample_rate, speech.ready.frame_samples) == (24_000, 1920)
        for piece in pieces:
            await speech.say(piece)
        await speech.end()
        told = await all_of(speech)
    assert told[-1] == Ended("hang_up")
    assert [event for event in told if isinstance(event, Word)] == [Word("good", 0.0), Word("morning", 0.08)]
    sounds = [event for event in told if isinstance(event, Sound)]
    assert sounds[:2] == [sound_of("good"), sound_of("morning")]


async def test_a_flush_is_spoken_to_its_end_and_more_can_be_said_after_it(
    start: Start, speaker: FakeSpeaker
) -> None:
    async with start() as running, SpeechClient(running.url) as client:
        speech = await client.open(SpeechRequest(seed=7, voice="kyutai/bob.wav", temperature=0.2, cfg=1.0))
        await speech.say("wait")
        await speech.flush()
        told: list[SpeechEvent] = []
        async with asyncio.timeout(60):
            async for event in speech:
                told.append(event)
                if isinstance(event, Spoken):
                    break
        assert told == [Word("wait", 0.0), sound_of("wait"), Spoken(0.08)]
        await speech.say("a moment")
        await speech.end()
        rest = await all_of(speech)
    assert [event for event in rest if isinstance(event, Word)] == [Word("a", 0.08), Word("moment", 0.16)]
    sampling = replace(SERVED.sampling, temperature=0.2, temperature_text=0.2, seed=7)
    assert speaker.opened == [(0, "kyutai/bob.wav", sampling, 1.0)] * 2


async def test_long_texts_go_in_several_messages(start: Start) -> None:
    words = [f"word-{number}" for number in range(1000)]
    async with start() as running, SpeechClient(running.url) as client:
        speech = await client.open()
        await speech.say(" ".join(words))
        told: list[Word] = []
        async with asyncio.timeout(60):
            async for event in speech:
                told += [event] if isinstance(event, Word) else []
                if len(told) == 50:
                    break
        assert [word.text for word in told] == words[:50]
        assert all(now.start_s > before.start_s for before, now in pairwise(told))


async def test_voices_and_conversations_are_served_side_by_side(start: Start, speaker: FakeSpeaker) -> None:
    async with start() as running, SpeechClient(running.url) as client:
        call = await running.client.open(SessionRequest())
        speeches = [await client.open() for _ in range(2)]
        for number, speech in enumerate(speeches):
            await speech.say(f"this is number {number}")
            await speech.end()
        await call.send(b"\1\2" * 1920 * 4)
        told = await asyncio.gather(*map(all_of, speeches))
        answered = 0
        async with asyncio.timeout(60):
            async for event in call:
                answered += isinstance(event, Audio)
                if answered == 4:
                    break
    for number, events in enumerate(told):
        words = [event.text for event in events if isinstance(event, Word)]
        assert words == ["this", "is", "number", str(number)]
    assert {slot for slot, *_ in speaker.opened} == {0, 1}


async def test_one_more_than_there_are_seats_is_refused_until_somebody_leaves(start: Start) -> None:
    async with start(sessions=1) as running, SpeechClient(running.url) as client:
        first = await client.open()
        await first.say("a word " * 500)
        with pytest.raises(NoSpeaker, match="--tts-sessions"):
            await client.open()
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(running.http + "/v1/speech")
            assert refused.value.status == 503
            assert refused.value.headers is not None
            assert refused.value.headers["Retry-After"] == "3"
            async with http.get(running.http + "/v1/speech") as plain:
                assert (plain.status, (await plain.json())["error"]) == (400, "bad_session")
        # Nothing is finished first: who hangs up is not spoken for any more.
        await first.close()
        second = await free(client)
        await second.say("and I")
        await second.end()
        words = [event.text for event in await all_of(second) if isinstance(event, Word)]
        assert words == ["and", "I"]


async def test_whoever_loses_the_connection_leaves_the_seat(start: Start) -> None:
    async with start(sessions=1) as running, SpeechClient(running.url) as client:
        lost = await client.open()
        await lost.say("one two three ")
        lost._socket._conn.transport.abort()  # type: ignore[union-attr]  # as a cable that is pulled
        await free(client)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (SpeechRequest(voice="eve"), "no voice 'eve': this engine has ann, kyutai/bob.wav"),
        (SpeechRequest(voice="../../etc/passwd"), "no voice '../../etc/passwd'"),
        (SpeechRequest(cfg=1.25), "cfg is 1 or 2"),
        (SpeechRequest(temperature=11.0), "temperature='11.0' is not a number from 0 to 10"),
    ],
)
async def test_what_the_model_has_not_is_refused_and_takes_no_seat(
    start: Start, request_: SpeechRequest, said: str
) -> None:
    async with start(sessions=1) as running, SpeechClient(running.url) as client:
        with pytest.raises(SessionError, match=said):
            await client.open(request_)
        await client.open()


async def test_an_engine_without_voices_speaks_in_the_models_own(start: Start, speaker: FakeSpeaker) -> None:
    async with start(served=replace(SERVED, voices={})) as running, SpeechClient(running.url) as client:
        with pytest.raises(SessionError, match="this engine has none"):
            await client.open(SpeechRequest(voice="ann"))
        speech = await client.open()
        assert speech.ready.voice == ""
        await speech.say("hello")
        await speech.end()
        await all_of(speech)
    assert speaker.opened[0][1] is None


async def test_an_engine_without_a_model_says_so(start_engine: StartEngine) -> None:
    async with start_engine() as running, SpeechClient(running.url) as client:
        with pytest.raises(NotServed, match="--tts-checkpoint"):
            await client.open()
        card = await running.client.model()
        assert (card.speaks, card.speech_voices) == (None, ())


async def test_the_card_names_the_model_and_its_voices(start: Start) -> None:
    async with start() as running:
        card = await running.client.model()
    assert (card.speaks, card.speech_voices) == ("fake-tts", ("ann", "kyutai/bob.wav"))


async def test_without_the_token_nobody_is_spoken_for(start: Start) -> None:
    async with start(token=TOKEN) as running:
        async with SpeechClient(running.url) as client:
            with pytest.raises(Unauthorized):
                await client.open()
        async with SpeechClient(running.url, TOKEN) as client:
            await client.open()


async def test_a_draining_engine_lets_who_is_on_finish_and_nobody_else_in(start: Start) -> None:
    async with start() as running, SpeechClient(running.url) as client:
        speech = await client.open()
        await speech.say("to the ")
        running.shutdown.request()
        async with asyncio.timeout(60):
            while True:
                try:
                    await running.client.reserve("a-seat", 1)
                except EngineDraining:
                    break
                await asyncio.sleep(0.05)
        with pytest.raises(EngineDraining):
            await client.open()
        await speech.say("end")
        await speech.end()
        told = await all_of(speech)
        assert [event.text for event in told if isinstance(event, Word)] == ["to", "the", "end"]
        assert told[-1] == Ended("hang_up")
        assert await asyncio.wait_for(asyncio.shield(running.served), 60)


async def test_an_engine_in_a_hurry_ends_what_is_on(start: Start) -> None:
    async with start() as running, SpeechClient(running.url) as client:
        speech = await client.open()
        await speech.say("to the ")
        for _ in range(2):
            running.shutdown.request()
        assert (await all_of(speech))[-1] == Ended("drain")


@pytest.mark.parametrize(
    ("message", "said"),
    [("{}", "one of these types: text, flush, end"), (b"sound", "text comes as JSON in text messages")],
)
async def test_a_client_that_breaks_the_rules_ends_its_own_speech(
    start: Start, message: str | bytes, said: str
) -> None:
    async with start() as running, SpeechClient(running.url) as client:
        other = await client.open()
        async with aiohttp.ClientSession() as http, http.ws_connect(running.http + "/v1/speech") as raw:
            await raw.receive_json(timeout=30)
            await (raw.send_str(message) if isinstance(message, str) else raw.send_bytes(message))
            failure, ended = await raw.receive_json(timeout=30), await raw.receive_json(timeout=30)
        assert (failure["type"], failure["code"]) == ("error", "bad_session")
        assert said in failure["message"]
        assert ended == {"type": "ended", "reason": "error"}
        await other.say("still here")
        await other.end()
        assert (await all_of(other))[-1] == Ended("hang_up")


async def test_a_client_that_does_not_read_is_ended_and_its_seat_is_free(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.service.speech._MAX_UNSENT_EVENTS", 10)
    monkeypatch.setattr("engine.service.speech_socket._HEARTBEAT_S", None)
    monkeypatch.setattr("engine.service.speech_socket._LAST_SOUND_S", 0.1)
    monkeypatch.setattr("engine.step.lead.LEAD_S", 1e6)
    async with start(sessions=1) as running, SpeechClient(running.url) as client:
        deaf = await client.open()
        await deaf.say("a " * 8000)
        await free(client)


async def test_a_client_that_reads_as_fast_as_it_plays_is_no_dead_line(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = []
    prepared = web.WebSocketResponse

    def noting(*, heartbeat: float, **options: Any) -> web.WebSocketResponse:
        sockets.append(heartbeat)
        return prepared(heartbeat=heartbeat, **options)

    monkeypatch.setattr("engine.service.speech_socket.web.WebSocketResponse", noting)
    async with start() as running, SpeechClient(running.url) as client:
        await client.open()
    # aiohttp waits for an answer half as long, and one comes once what leads has been played.
    assert sockets[0] / 2 > 2 * LEAD_S


async def test_flushes_that_nobody_reads_the_ends_of_are_too_many_some_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.service.speech._MAX_UNSENT_EVENTS", 10)
    async with start(sessions=1) as running, SpeechClient(running.url) as client:
        speech = await client.open()
        await speech.say("word ")
        for _ in range(100):
            await speech.flush()
        events = await all_of(speech)
        assert any(isinstance(event, Failure) and "does not read" in event.message for event in events)


async def test_a_device_that_fails_is_told_to_everybody_and_ends_the_engine(
    start: Start, speaker: FakeSpeaker
) -> None:
    async with start() as running, SpeechClient(running.url) as client:
        speech, call = await client.open(), await running.client.open(SessionRequest())
        speaker.broken = "no more"
        await speech.say("a word ")
        failure, ended = await all_of(speech)
        assert isinstance(failure, Failure)
        assert "the engine failed" in failure.message
        assert ended == Ended("error")
        async with asyncio.timeout(60):
            assert [event async for event in call][-1] == Ended("error")
        assert not await asyncio.wait_for(asyncio.shield(running.served), 60)


async def test_a_device_that_hangs_in_speech_ends_the_engine(start: Start, speaker: FakeSpeaker) -> None:
    async with start(step_timeout_seconds=0.5) as running, SpeechClient(running.url) as client:
        speech = await client.open()
        speaker.open_gate.clear()
        await speech.say("a word ")
        try:
            assert (await all_of(speech))[-1] == Ended("error")
            assert not await asyncio.wait_for(asyncio.shield(running.served), 60)
        finally:
            speaker.open_gate.set()


async def test_what_is_spoken_is_counted(start: Start) -> None:
    async with start(sessions=3) as running, SpeechClient(running.url) as client:
        speech = await client.open()
        await speech.say("four words in all")
        await speech.flush()
        async with asyncio.timeout(60):
            async for event in speech:
                if isinstance(event, Spoken):
                    break
        page = await running.client.metrics()
    assert "moshi_tts_seats 3.0" in page
    assert "moshi_tts_seats_used 1.0" in page
    assert "moshi_tts_frames_total 4.0" in page
    assert "moshi_tts_first_sound_seconds_count 1.0" in page
