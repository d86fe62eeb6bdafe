"""The STT of livekit-agents over a whole engine, whose model of random weights says numbers."""

import asyncio

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    APIConnectionError,
    APIConnectOptions,
    APIStatusError,
    UserInputTranscribedEvent,
)
from livekit.agents.stt import RecognizeStream, SpeechEvent, SpeechEventType, STTError
from livekit.agents.voice import io
from livekit.plugins import moshi
from numpy.typing import NDArray

from engine.errors import SettingError
from engine.transcript_client import TranscriptClient
from tests.worker.transcribing import sound, transcribing, words_of

START, END = SpeechEventType.START_OF_SPEECH, SpeechEventType.END_OF_SPEECH
INTERIM, FINAL = SpeechEventType.INTERIM_TRANSCRIPT, SpeechEventType.FINAL_TRANSCRIPT
AT_ONCE = APIConnectOptions(max_retry=0, retry_interval=0.0, timeout=10.0)
# No pause is as sure as that.
NEVER = 1.0


def frames(pcm: NDArray[np.int16], rate: int = 24_000, samples: int = 480) -> list[rtc.AudioFrame]:
    pieces = np.split(pcm, range(samples, len(pcm), samples))
    return [rtc.AudioFrame(piece.tobytes(), rate, 1, len(piece)) for piece in pieces]


async def spoken_to(stream: RecognizeStream) -> list[SpeechEvent]:
    async with asyncio.timeout(60):
        return [event async for event in stream]


def words_in(events: list[SpeechEvent], kind: SpeechEventType) -> list[str]:
    return [word for event in events if event.type is kind for word in event.alternatives[0].text.split()]


async def test_what_is_said_until_the_input_ends_is_one_final_transcript() -> None:
    pcm = sound(3.0)
    async with transcribing() as url:
        expected = await words_of(url, pcm)
        model = moshi.STT(engine_url=url, pause_probability=NEVER)
        async with model.stream() as stream:
            for frame in frames(pcm):
                stream.push_frame(frame)
            stream.end_input()
            events = await spoken_to(stream)
    assert len(expected) > 5
    assert [events[0].type, events[1].type] == [START, INTERIM]
    assert [event.type for event in events if event.type in (FINAL, END)] == [FINAL, END]
    assert words_in(events, FINAL) == expected
    (final,) = [event.alternatives[0] for event in events if event.type is FINAL]
    assert final.language == "en"
    assert final.words is not None
    starts = [float(word.start_time or 0.0) for word in final.words]
    assert starts == sorted(starts)
    assert 0 <= final.start_time < final.end_time <= 5.0
    assert (model.model, model.provider) == ("random:tiny-stt", "moshi")


async def test_pauses_that_the_model_sees_end_utterances_and_no_word_is_lost() -> None:
    pcm = sound(4.0)
    async with transcribing() as url:
        expected = await words_of(url, pcm)
        async with moshi.STT(engine_url=url, pause_probability=0.35).stream() as stream:
            for frame in frames(pcm):
                stream.push_frame(frame)
            stream.end_input()
            events = await spoken_to(stream)
    kinds = [event.type for event in events if event.type in (START, FINAL, END)]
    assert kinds[:3] == [START, FINAL, END]
    assert kinds == [START, FINAL, END] * (len(kinds) // 3)
    assert len(kinds) > 3
    # Silence that is heard early, so that words come early, is heard: what is said after it may differ.
    assert words_in(events, FINAL)[:2] == expected[:2]
    used = [event.recognition_usage for event in events if event.recognition_usage]
    assert 0 < sum(one.audio_duration for one in used) <= 4.0


async def test_a_flush_brings_the_final_transcript_though_nothing_more_is_said() -> None:
    async with transcribing() as url, moshi.STT(engine_url=url, pause_probability=NEVER).stream() as stream:
        for frame in frames(sound(1.6)):
            stream.push_frame(frame)
        stream.flush()
        async with asyncio.timeout(60):
            async for event in stream:
                if event.type is FINAL:
                    break
        assert event.alternatives[0].text


async def test_other_rates_are_resampled_by_the_framework() -> None:
    async with transcribing() as url, moshi.STT(engine_url=url, pause_probability=NEVER).stream() as stream:
        for frame in frames(sound(2.0), rate=48_000, samples=960):
            stream.push_frame(frame)
        stream.end_input()
        events = await spoken_to(stream)
    finals = [event.alternatives[0] for event in events if event.type is FINAL]
    assert finals
    # Two seconds at 24 kHz are one at 48 kHz.
    assert finals[-1].start_time <= 1.1


async def test_nobody_at_the_address_is_a_connection_error() -> None:
    async with transcribing() as url:
        pass
    model = moshi.STT(engine_url=url)
    errors: list[STTError] = []
    model.on("error", errors.append)
    async with model.stream(conn_options=AT_ONCE) as stream:
        with pytest.raises(APIConnectionError, match="no engine answers"):
            await spoken_to(stream)
    assert [error.recoverable for error in errors] == [False]


async def test_a_full_engine_is_asked_again_and_one_without_a_model_is_not() -> None:
    async with transcribing(sessions=1) as url, TranscriptClient(url) as client:
        await client.open()
        async with moshi.STT(engine_url=url).stream(conn_options=AT_ONCE) as stream:
            with pytest.raises(APIStatusError, match="--stt-sessions") as full:
                await spoken_to(stream)
    assert (full.value.status_code, full.value.retryable) == (503, True)
    async with transcribing(transcribes=False) as url, moshi.STT(engine_url=url).stream() as stream:
        with pytest.raises(APIStatusError, match="--stt-checkpoint") as none:
            await spoken_to(stream)
    assert (none.value.status_code, none.value.retryable) == (404, False)


async def test_a_lost_engine_is_a_connection_error() -> None:
    async with transcribing() as url:
        stream = moshi.STT(engine_url=url, pause_probability=NEVER).stream(conn_options=AT_ONCE)
        for frame in frames(sound(1.0)):
            stream.push_frame(frame)
        async with asyncio.timeout(60):
            async for event in stream:
                if event.type is INTERIM:
                    break
    with pytest.raises((APIConnectionError, APIStatusError)):
        await spoken_to(stream)
    await stream.aclose()


@pytest.mark.parametrize("wrong", [{"pause_probability": 0.0}, {"pause_head": -1}, {"silence_s": 0}])
def test_what_is_out_of_range_is_an_error_at_once(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give a pause_probability above 0"):
        moshi.STT(engine_url="ws://127.0.0.1:1", **wrong)  # type: ignore[arg-type]


def test_an_engine_has_to_be_named() -> None:
    with pytest.raises(SettingError, match="MoshiSTT needs an engine"):
        moshi.STT()


class Microphone(io.AudioInput):
    """Gives frames, then nothing until it is thrown away."""

    def __init__(self, given: list[rtc.AudioFrame]) -> None:
        super().__init__(label="microphone")
        self._given = iter(given)

    async def __anext__(self) -> rtc.AudioFrame:
        frame = next(self._given, None)
        if frame is None:
            await asyncio.Event().wait()
        assert frame is not None
        return frame


async def test_an_agent_session_hears_words() -> None:
    heard: list[UserInputTranscribedEvent] = []
    async with transcribing() as url:
        session: AgentSession[None] = AgentSession(
            stt=moshi.STT(engine_url=url, pause_probability=0.35),
            vad=None,
            turn_handling={"turn_detection": "stt"},
        )
        session.on("user_input_transcribed", heard.append)
        session.input.audio = Microphone(frames(sound(4.0), samples=1920))
        await session.start(Agent(instructions=""))
        async with asyncio.timeout(60):
            while not any(event.is_final for event in heard):
                await asyncio.sleep(0.02)
        await session.aclose()
    assert not heard[0].is_final
    assert next(event.transcript for event in heard if event.is_final)
