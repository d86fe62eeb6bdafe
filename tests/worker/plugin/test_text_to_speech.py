"""The TTS of livekit-agents over a whole engine, whose model says each word in one frame."""

import asyncio
from contextlib import suppress

import numpy as np
import pytest
from livekit.agents import (
    Agent,
    AgentSession,
    APIConnectionError,
    APIConnectOptions,
    APIStatusError,
)
from livekit.agents.metrics import TTSMetrics
from livekit.agents.tts import SynthesizedAudio, SynthesizeStream, TTSError
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.agents.voice import io
from livekit.plugins import moshi
from livekit.rtc import AudioFrame

from engine.errors import NoSpeaker, SessionError, SettingError
from engine.speech_client import SpeechClient
from tests.engine.fake_speaker import FakeSpeaker
from tests.worker.speaking import speaking
from tests.worker.waiting import until

AT_ONCE = APIConnectOptions(max_retry=0, retry_interval=0.0, timeout=10.0)
AGAIN = APIConnectOptions(max_retry=50, retry_interval=0.05, timeout=10.0)


async def spoken(stream: SynthesizeStream) -> list[SynthesizedAudio]:
    async with asyncio.timeout(60):
        return [event async for event in stream]


def levels(frames: list[AudioFrame]) -> list[int]:
    """Of each 80 ms: how long its word is. Behind them the framework may put 10 ms of silence."""
    samples = np.concatenate([np.frombuffer(frame.data, np.int16) for frame in frames])
    whole = len(samples) // 1920 * 1920
    assert len(samples) - whole in (0, 240)
    return [int(level) for level in samples[:whole:1920]]


def words_in(frames: list[AudioFrame]) -> list[tuple[str, float]]:
    timed = [word for frame in frames for word in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])]
    return [(str(word), word.start_time) for word in timed]


async def test_text_that_is_still_written_is_spoken_with_the_times_of_its_words() -> None:
    metrics: list[TTSMetrics] = []
    async with speaking() as url:
        model = moshi.TTS(engine_url=url)
        model.on("metrics_collected", metrics.append)
        async with model.stream() as stream:
            for token in ("Good", " mor", "ning", ", dear", " all"):
                stream.push_text(token)
            stream.end_input()
            events = await spoken(stream)
    frames = [event.frame for event in events]
    assert levels(frames) == [4, 8, 4, 3]
    assert words_in(frames) == [("Good ", 0.0), ("morning, ", 0.08), ("dear ", 0.16), ("all ", 0.24)]
    assert [event.is_final for event in events] == [False] * (len(events) - 1) + [True]
    assert (model.model, model.provider) == ("fake-tts", "moshi")
    assert (frames[0].sample_rate, frames[0].num_channels) == (24_000, 1)
    assert [(each.streamed, each.characters_count) for each in metrics] == [(True, 22)]
    assert metrics[0].audio_duration == pytest.approx(0.32, abs=0.011)


async def test_a_whole_text_is_spoken_too(speaker: FakeSpeaker) -> None:
    async with speaking(speaker) as url:
        model = moshi.TTS(engine_url=url, voice="bob", temperature=0.5, seed=3, cfg=2.0)
        async with model.synthesize("Good morning") as stream:
            frame = await asyncio.wait_for(stream.collect(), 60)
    assert levels([frame]) == [4, 7]
    ((_slot, voice, sampling, cfg),) = speaker.opened
    assert (voice, sampling.temperature, sampling.temperature_text, sampling.seed, cfg) == (
        "bob",
        0.5,
        0.5,
        3,
        2.0,
    )


@pytest.fixture
def speaker() -> FakeSpeaker:
    return FakeSpeaker()


async def test_who_is_interrupted_leaves_the_seat(speaker: FakeSpeaker) -> None:
    async with speaking(speaker, sessions=1) as url, SpeechClient(url) as others:
        stream = moshi.TTS(engine_url=url).stream(conn_options=AT_ONCE)
        stream.push_text("word " * 1000)
        async with asyncio.timeout(60):
            await anext(aiter(stream))
        with pytest.raises(NoSpeaker):
            await others.open()
        await stream.aclose()
        async with asyncio.timeout(60):
            while True:
                with suppress(NoSpeaker):
                    await others.open()
                    break
                await asyncio.sleep(0.5)
    # Far from all that was to be said.
    assert len(speaker.batches) < 500


async def test_a_stream_with_nothing_to_say_takes_no_seat(speaker: FakeSpeaker) -> None:
    async with (
        speaking(speaker, sessions=1) as url,
        SpeechClient(url) as others,
        moshi.TTS(engine_url=url).stream() as stream,
    ):
        await others.open()
        stream.end_input()
        assert await spoken(stream) == []


async def test_nobody_at_the_address_is_a_connection_error() -> None:
    async with speaking() as url:
        pass
    model, errors = moshi.TTS(engine_url=url), list[TTSError]()
    model.on("error", errors.append)
    async with model.stream(conn_options=AT_ONCE) as stream:
        stream.push_text("hello")
        stream.end_input()
        with pytest.raises(APIConnectionError, match="no engine answers") as nobody:
            await spoken(stream)
    assert nobody.value.retryable
    assert [error.recoverable for error in errors] == [False]


async def test_a_full_engine_is_asked_again_until_there_is_a_seat() -> None:
    async with speaking(sessions=1) as url, SpeechClient(url) as others:
        other = await others.open()
        model, errors = moshi.TTS(engine_url=url), list[TTSError]()
        model.on("error", errors.append)
        async with model.stream(conn_options=AGAIN) as stream:
            stream.push_text("hello")
            stream.end_input()
            await until(lambda: errors)
            await other.close()
            assert levels([event.frame for event in await spoken(stream)]) == [5]
    assert isinstance(errors[0].error, APIStatusError)
    assert (errors[0].error.status_code, errors[0].error.retryable, errors[0].recoverable) == (
        503,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("speaks", "voice", "status", "said"),
    [(False, None, 404, "--tts-checkpoint"), (True, "eve", 400, "no voice 'eve'")],
)
async def test_what_the_engine_has_not_is_not_asked_for_again(
    speaks: bool, voice: str | None, status: int, said: str
) -> None:
    async with speaking(speaks=speaks) as url:
        model = moshi.TTS(engine_url=url, voice=voice)
        async with model.stream() as stream:
            stream.push_text("hello")
            stream.end_input()
            with pytest.raises(APIStatusError, match=said) as refused:
                await spoken(stream)
        async with model.synthesize("hello") as whole:
            with pytest.raises(APIStatusError, match=said):
                await whole.collect()
    assert (refused.value.status_code, refused.value.retryable) == (status, False)


async def test_an_engine_that_is_lost_in_the_middle_is_an_error() -> None:
    async with speaking() as url:
        stream = moshi.TTS(engine_url=url).stream(conn_options=AT_ONCE)
        stream.push_text("word " * 1000)
        async with asyncio.timeout(60):
            await anext(aiter(stream))
    with pytest.raises((APIConnectionError, APIStatusError)):
        await spoken(stream)
    await stream.aclose()


def test_what_is_out_of_range_is_an_error_at_once() -> None:
    with pytest.raises(SessionError, match=r"temperature='-1' is not a number from 0 to 10"):
        moshi.TTS(engine_url="ws://127.0.0.1:1", temperature=-1)


def test_an_engine_has_to_be_named() -> None:
    with pytest.raises(SettingError, match="MoshiTTS needs an engine"):
        moshi.TTS()


class Loudspeaker(io.AudioOutput):
    """Plays at once whatever comes."""

    def __init__(self) -> None:
        super().__init__(label="loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False))
        self.frames: list[AudioFrame] = []
        self._position_s = 0.0

    async def capture_frame(self, frame: AudioFrame) -> None:
        await super().capture_frame(frame)
        self.frames.append(frame)
        self._position_s += frame.duration

    def flush(self) -> None:
        super().flush()
        self.on_playback_finished(playback_position=self._position_s, interrupted=False)

    def clear_buffer(self) -> None:
        self.on_playback_finished(playback_position=self._position_s, interrupted=True)


async def test_an_agent_session_says_it() -> None:
    async with speaking() as url:
        session: AgentSession[None] = AgentSession(tts=moshi.TTS(engine_url=url), vad=None)
        loudspeaker = session.output.audio = Loudspeaker()
        await session.start(Agent(instructions=""))
        handle = session.say("Good morning, dear all")
        await asyncio.wait_for(handle.wait_for_playout(), 60)
        await session.aclose()
    assert levels(loudspeaker.frames) == [4, 8, 4, 3]
    (said,) = handle.chat_items
    assert (said.type, said.type == "message" and said.text_content) == ("message", "Good morning, dear all")
