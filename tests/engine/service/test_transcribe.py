"""Speech to text over real sockets: a model of random weights beside conversations with a fake one."""

import asyncio
import re
import textwrap
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.checkpoint import Model, load
from engine.errors import EngineDraining, NoTranscriber, NotServed, Unauthorized
from engine.protocol import Audio, Ended, Failure, SessionRequest
from engine.service.server import Transcriber
from engine.service.timeline import Timeline
from engine.service.transcription import ServedStt
from engine.service.words import Words
from engine.step.build import make_stt_runner
from engine.step.frames import FRAME_S
from engine.transcript_client import Transcript, TranscriptClient
from engine.transcript_protocol import TranscriptEvent, Turn, Word, WordEnd
from tests.engine.service.conftest import RunningEngine, StartEngine

Start = Callable[..., AbstractAsyncContextManager[RunningEngine]]
PAGE = Path(__file__).parents[3] / "docs" / "transcribe.md"
TOKEN = "a-secret-of-some-length"
# The tiny model's words come 0.5 s late: 6.25 frames, a whole one more, and the last word's padding.
DELAY_FRAMES = 8
TAIL_FRAMES = DELAY_FRAMES + 13


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny-stt", torch.device("cpu"))


@pytest.fixture
def start(start_engine: StartEngine, model: Model) -> Start:
    def begin(sessions: int = 2, **options: Any) -> AbstractAsyncContextManager[RunningEngine]:
        stt = Transcriber(ServedStt.of(model), make_stt_runner(model, sessions), sessions)
        return start_engine(stt=stt, **options)

    return begin


def sound(frames: int, seed: int = 0) -> NDArray[np.int16]:
    """int16 [T, 1920], louder and softer."""
    generator = np.random.default_rng(seed)
    return (generator.normal(0, 3000, (frames, 1920)) * generator.random((frames, 1))).astype(np.int16)


async def all_of(transcript: Transcript) -> list[TranscriptEvent]:
    async with asyncio.timeout(60):
        return [event async for event in transcript]


async def turns_of(transcript: Transcript, count: int) -> list[Turn]:
    """The next `count`."""
    turns: list[Turn] = []
    async with asyncio.timeout(60):
        async for event in transcript:
            if isinstance(event, Turn):
                turns.append(event)
                if len(turns) == count:
                    break
    return turns


def by_hand(model: Model, frames: NDArray[np.int16]) -> list[TranscriptEvent]:
    """What the model says of these frames and of the silence after them, without any service."""
    runner = make_stt_runner(model, 1)
    runner.join({0: model.sampling})
    words, timeline = Words(0, model.tokenizer.piece, model.tokenizer.text), Timeline()
    timeline.insert(len(frames) * FRAME_S, TAIL_FRAMES * FRAME_S)
    heard = [*frames, *np.zeros((TAIL_FRAMES, 1920), np.int16)]
    events: list[TranscriptEvent] = []
    for number, frame in enumerate(heard):
        out = runner.step([0], frame[None])
        assert out.pauses is not None
        told_s = timeline.sound_s(number * FRAME_S - 0.5)
        heard_s = timeline.sound_s((number + 1) * FRAME_S)
        events += words.take(int(out.text[0]), told_s)
        if number == len(heard) - 1:
            events += words.finish(heard_s)
            told_s = heard_s
        pauses = tuple(round(pause, 3) for pause in out.pauses[0].tolist())
        events.append(Turn(round(heard_s, 3), round(told_s, 3), pauses))
    return events


@pytest.mark.parametrize("piece_bytes", [640, 3840, 50_001])
async def test_words_and_pauses_are_those_of_the_model(start: Start, model: Model, piece_bytes: int) -> None:
    frames = sound(30)
    pcm = frames.tobytes()
    async with start() as running, TranscriptClient(running.url) as client:
        transcript = await client.open()
        ready = transcript.ready
        assert (ready.model, ready.delay_s, ready.heads) == ("random:tiny-stt", 0.5, 4)
        for at in range(0, len(pcm), piece_bytes):
            await transcript.send(pcm[at : at + piece_bytes])
        await transcript.end()
        events = await all_of(transcript)
    assert events == [*by_hand(model, frames), Ended("hang_up")]
    words = [event for event in events if isinstance(event, Word)]
    assert len({word.text for word in words}) > 3
    assert len(words) == sum(isinstance(event, WordEnd) for event in events)


async def test_a_model_that_wants_silence_first_gets_it_and_times_begin_with_the_sound(
    start_engine: StartEngine, model: Model
) -> None:
    served = replace(ServedStt.of(model), delay_s=2.5, prefix_s=1.0)
    stt = Transcriber(served, make_stt_runner(model, 1), 1)
    async with start_engine(stt=stt) as running, TranscriptClient(running.url) as client:
        transcript = await client.open()
        await transcript.send(sound(3).tobytes())
        await transcript.end()
        turns = [event for event in await all_of(transcript) if isinstance(event, Turn)]
    # 13 frames of silence, 3 of sound, 33 until all is told, a second more.
    assert [turn.heard_s for turn in turns] == [0.0] * 13 + [0.08, 0.16] + [0.24] * (1 + 33 + 13)
    assert turns[-1].told_s == 0.24


async def test_a_flush_tells_at_once_what_was_said_and_the_time_goes_on(start: Start) -> None:
    async with start() as running, TranscriptClient(running.url) as client:
        transcript = await client.open()
        await transcript.send(sound(10).tobytes())
        await transcript.flush()
        turns = await turns_of(transcript, 10 + DELAY_FRAMES)
        assert (turns[-1].heard_s, turns[-1].told_s) == (0.8, 0.8)
        assert turns[9].told_s < 0.4
        # Nothing was said since: nothing has to be told sooner.
        await transcript.flush()
        await transcript.send(sound(12).tobytes())
        await transcript.end()
        rest = [event for event in await all_of(transcript) if isinstance(event, Turn)]
    assert [turn.heard_s for turn in rest[:12]] == [round(0.08 * n, 3) for n in range(11, 23)]
    assert len(rest) == 12 + TAIL_FRAMES
    assert all(now.told_s >= before.told_s for before, now in pairwise(turns + rest))


async def test_what_is_no_whole_frame_is_heard_at_the_end(start: Start) -> None:
    async with start() as running, TranscriptClient(running.url) as client:
        transcript = await client.open()
        await transcript.send(b"\x01\x00" * 100)
        await transcript.end()
        turns = [event for event in await all_of(transcript) if isinstance(event, Turn)]
    assert len(turns) == 1 + TAIL_FRAMES
    assert turns[0].heard_s == 0.08


async def test_speakers_and_conversations_are_served_side_by_side(start: Start, model: Model) -> None:
    spoken = [sound(12, seed) for seed in range(2)]
    async with start() as running, TranscriptClient(running.url) as client:
        call = await running.client.open(SessionRequest())
        transcripts = [await client.open() for _ in spoken]
        for transcript, frames in zip(transcripts, spoken, strict=True):
            await transcript.send(frames.tobytes())
            await transcript.end()
            await call.send(frames.tobytes())
        told = await asyncio.gather(*map(all_of, transcripts))
        answered: list[int] = []
        async with asyncio.timeout(60):
            async for event in call:
                answered += [event.frame] if isinstance(event, Audio) else []
                if len(answered) == 24:
                    break
    assert answered == list(range(24))
    assert told == [[*by_hand(model, frames), Ended("hang_up")] for frames in spoken]


async def test_one_more_than_there_are_seats_is_refused_until_somebody_leaves(start: Start) -> None:
    async with start(sessions=1) as running, TranscriptClient(running.url) as client:
        first = await client.open()
        with pytest.raises(NoTranscriber, match="--stt-sessions"):
            await client.open()
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(running.http + "/v1/transcribe")
            assert refused.value.status == 503
            assert refused.value.headers is not None
            assert refused.value.headers["Retry-After"] == "3"
            async with http.get(running.http + "/v1/transcribe") as plain:
                assert (plain.status, (await plain.json())["error"]) == (400, "bad_session")
            with pytest.raises(aiohttp.WSServerHandshakeError) as asked:
                await http.ws_connect(running.http + "/v1/transcribe?seed=1")
            assert asked.value.status == 400
        await first.close()
        async with asyncio.timeout(60):
            while True:
                try:
                    await client.open()
                    break
                except NoTranscriber:
                    await asyncio.sleep(0.2)


async def test_an_engine_without_a_model_says_so(start_engine: StartEngine) -> None:
    async with start_engine() as running, TranscriptClient(running.url) as client:
        with pytest.raises(NotServed, match="--stt-checkpoint"):
            await client.open()
        assert (await running.client.model()).transcribes is None


async def test_the_card_names_the_model(start: Start) -> None:
    async with start() as running:
        assert (await running.client.model()).transcribes == "random:tiny-stt"


async def test_without_the_token_nobody_is_written_down(start: Start) -> None:
    async with start(token=TOKEN) as running:
        async with TranscriptClient(running.url) as client:
            with pytest.raises(Unauthorized):
                await client.open()
        async with TranscriptClient(running.url, TOKEN) as client:
            await client.open()


async def test_a_draining_engine_lets_who_is_on_finish_and_nobody_else_in(start: Start) -> None:
    async with start() as running, TranscriptClient(running.url) as client:
        transcript = await client.open()
        call = await running.client.open(SessionRequest())
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
        await call.end()
        await transcript.send(sound(2).tobytes())
        await transcript.end()
        assert (await all_of(transcript))[-1] == Ended("hang_up")


@pytest.mark.parametrize(
    ("message", "said"),
    [("{}", "one of these types: flush, end"), ('{"type": "end", "x": 1}', "a end message has")],
)
async def test_a_client_that_breaks_the_rules_ends_its_own_transcription(
    start: Start, message: str, said: str
) -> None:
    async with start() as running, TranscriptClient(running.url) as client:
        other = await client.open()
        async with aiohttp.ClientSession() as http, http.ws_connect(running.http + "/v1/transcribe") as raw:
            await raw.receive_json(timeout=30)
            await raw.send_str(message)
            failure, ended = await raw.receive_json(timeout=30), await raw.receive_json(timeout=30)
        assert (failure["type"], failure["code"]) == ("error", "bad_session")
        assert said in failure["message"]
        assert ended == {"type": "ended", "reason": "error"}
        await other.end()
        assert (await all_of(other))[-1] == Ended("hang_up")


async def test_a_device_that_fails_is_told_to_everybody_and_ends_the_engine(start: Start) -> None:
    async with start() as running, TranscriptClient(running.url) as client:
        transcript, call = await client.open(), await running.client.open(SessionRequest())
        running.runner.broken = "no more"
        await call.send(sound(1).tobytes())
        failure, ended = (await all_of(transcript))[-2:]
        assert isinstance(failure, Failure)
        assert "the engine failed" in failure.message
        assert ended == Ended("error")
        assert not await asyncio.wait_for(asyncio.shield(running.served), 30)


async def test_what_is_transcribed_is_counted(start: Start) -> None:
    async with start(sessions=3) as running, TranscriptClient(running.url) as client:
        transcript = await client.open()
        await transcript.send(sound(2).tobytes())
        await turns_of(transcript, 2)
        page = await running.client.metrics()
        assert "moshi_stt_seats 3.0" in page
        assert "moshi_stt_seats_used 1.0" in page
        await transcript.end()
        await all_of(transcript)
        page = await running.client.metrics()
        assert f"moshi_stt_frames_total {2 + TAIL_FRAMES}.0" in page
        # Nobody waits for the silence after the last word.
        assert "moshi_stt_latency_seconds_count 2.0" in page


async def test_the_example_of_the_page_prints_words(
    start: Start, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = sound(30)
    (example,) = re.findall(r"^```python\n(from engine.*?)^```", PAGE.read_text(), re.M | re.S)
    async with start() as running:
        code = textwrap.indent(example.replace("ws://127.0.0.1:8998", running.url), "    ")
        names: dict[str, Any] = {}
        exec(compile(f"async def main(pcm):\n{code}", str(PAGE), "exec"), names)
        await names["main"](frames.tobytes())
    words = [event for event in by_hand(model, frames) if isinstance(event, Word)]
    assert capsys.readouterr().out.splitlines() == [f"{word.start_s} {word.text}" for word in words]
