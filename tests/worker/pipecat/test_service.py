"""Moshi in a pipeline of Pipecat, with an engine that repeats the frame before."""

import asyncio
import time

import numpy as np
import pytest
from loguru import logger
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.utils.errors import ErrorCategory

from engine.errors import SessionError, SettingError
from engine.protocol import Ended, SessionRequest
from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE
from tests.fake_engine import FakeEngine, serving
from tests.worker.pipecat.pipeline import UPSTREAM, Talk, sound, talking, until
from worker.pipecat import MoshiService

LOUD, SOFT, SILENT = 3000, 200, 0
HELD = 8
PAUSE = [SILENT] * (HELD + 2)


def told_events(talk: Talk) -> list[str]:
    """What the service tells of its connection."""
    told = []

    def listen(name: str) -> None:
        @talk.service.event_handler(name)
        async def on_event(_service: MoshiService, session: str) -> None:
            told.append(f"{name} {session}")

    for name in ("on_connected", "on_disconnected", "on_reconnected"):
        listen(name)
    return told


async def test_what_the_model_says_is_played_and_the_silence_around_it_is_not(engine: FakeEngine) -> None:
    engine.words = {1: " Hello"}
    async with talking(engine) as talk:
        await talk.say(SOFT, SOFT, LOUD, *PAUSE)
        await until(lambda: talk.seen(BotStoppedSpeakingFrame))
        assert talk.speakers.levels == [SOFT, LOUD] + [SILENT] * (HELD - 1)
        assert {frame.sample_rate for frame in talk.told(TTSAudioRawFrame)} == {SAMPLE_RATE}


@pytest.mark.parametrize("rate", [16_000, 48_000])
async def test_sound_is_resampled_both_ways(engine: FakeEngine, rate: int) -> None:
    async with talking(engine, rate=rate) as talk:
        # What the resampler holds back: with it each 80 ms give a frame at once.
        await talk.worker.queue_frame(InputAudioRawFrame(sound(LOUD, rate).audio[: rate // 50 * 2], rate, 1))
        await talk.say(*[LOUD] * 8)
        assert {len(frame) for frame in engine.frames} == {2 * FRAME_SAMPLES}
        assert abs(float(np.frombuffer(engine.frames[4], "<i2").mean()) - LOUD) < 30
        await until(lambda: len(talk.speakers.levels) > 4)
        assert abs(talk.speakers.levels[4] - LOUD) < 60


async def test_the_parameters_reach_the_engine(engine: FakeEngine) -> None:
    async with talking(engine, temperature=0.5, seed=7, voice="NATF0.pt"):
        await until(lambda: engine.requests)
        assert engine.requests == [SessionRequest(temperature=0.5, seed=7, voice="NATF0.pt")]


async def test_the_model_hears_nothing_before_its_caller_and_silence_when_they_send_none(
    engine: FakeEngine,
) -> None:
    async with talking(engine, clock=time.monotonic) as talk:
        await until(lambda: engine.sockets)
        await asyncio.sleep(0.2)
        assert engine.frames == []
        await talk.say(LOUD)
        await until(lambda: len(engine.frames) > 2)
        assert set(engine.frames[-1]) == {0}


async def test_the_words_come_as_text_and_begin_each_stretch_without_a_space(engine: FakeEngine) -> None:
    engine.words = {0: " How", 1: " are", 2: " you", HELD + 12: " Well"}
    async with talking(engine) as talk:
        await talk.say(*[SILENT] * (HELD + 14))
        await until(lambda: len(talk.told(TTSTextFrame)) == 4)
        assert [frame.text for frame in talk.told(TTSTextFrame)] == ["How", " are", " you", "Well"]
        assert [frame.text for frame in talk.told(LLMTextFrame)] == ["How", " are", " you", "Well"]


async def test_the_pipeline_is_told_when_the_bot_speaks_once_for_each_stretch(engine: FakeEngine) -> None:
    async with talking(engine) as talk:
        await talk.say(LOUD, LOUD, *PAUSE, LOUD, *PAUSE)
        await until(lambda: len(talk.seen(BotStoppedSpeakingFrame)) == 2)
        assert len(talk.seen(BotStartedSpeakingFrame)) == 2
        assert len(talk.told(TTSStartedFrame)) == len(talk.told(TTSStoppedFrame)) == 2


async def test_in_the_usual_pipeline_a_caller_who_speaks_is_seen_and_interrupts_nothing(
    engine: FakeEngine,
) -> None:
    """As Pipecat's users write it: a user aggregator before, an assistant aggregator after the output."""
    engine.words = {0: " I", 2: " hear", HELD + 20: " Yes"}
    context = LLMContext()
    user, assistant = LLMContextAggregatorPair(
        context,
        user_params=LLMUserAggregatorParams(
            user_turn_strategies=ExternalUserTurnStrategies(enable_interruptions=False)
        ),
    )
    async with talking(engine, [user], [assistant]) as talk:
        await talk.say(SILENT, LOUD, LOUD, *[SILENT] * (HELD + 20), *PAUSE)
        await until(lambda: len(talk.told(TTSStoppedFrame)) == 2)
        await until(lambda: len(context.get_messages()) == 2)
        assert [message["content"] for message in context.get_messages()] == ["I hear", "Yes"]
        assert {message["role"] for message in context.get_messages()} == {"assistant"}
        assert len(talk.seen(UserStartedSpeakingFrame)) == len(talk.seen(UserStoppedSpeakingFrame)) == 1
        assert talk.seen(InterruptionFrame) == talk.seen(InterruptionFrame, UPSTREAM) == []
        assert talk.speakers.levels[:4] == [SILENT, LOUD, LOUD, SILENT]


async def test_who_interrupts_takes_what_waits_to_be_played_and_the_model_goes_on(engine: FakeEngine) -> None:
    async with talking(engine) as talk:
        await talk.say(LOUD, LOUD, LOUD)
        await until(lambda: talk.seen(BotStartedSpeakingFrame))
        await talk.worker.queue_frame(InterruptionFrame())
        await until(lambda: talk.told(TTSStoppedFrame))
        await talk.say(LOUD, LOUD)
        await until(lambda: len(talk.seen(BotStartedSpeakingFrame)) == 2)
        assert len(talk.told(TTSStartedFrame)) == 2


@pytest.mark.parametrize("last", [EndFrame, CancelFrame])
async def test_the_seat_is_free_when_the_pipeline_ends(
    engine: FakeEngine, last: type[EndFrame | CancelFrame]
) -> None:
    async with talking(engine) as talk:
        await talk.say(LOUD, LOUD)
        await until(lambda: talk.told(TTSStartedFrame))
        await talk.worker.queue_frame(last())
        await until(lambda: not engine.in_calls)
        assert engine.ends == ["hang_up"]
        await until(talk.worker.has_finished)
        assert len(talk.told(TTSStartedFrame)) == 1
        assert last is CancelFrame or len(talk.told(TTSStoppedFrame)) == 1


async def test_a_connection_that_is_lost_is_brought_back(engine: FakeEngine) -> None:
    async with talking(engine) as talk:
        told = told_events(talk)
        await talk.say(1, 2)
        await engine.drop()
        await until(lambda: len(told) == 3)
        await talk.say(LOUD, LOUD)
        await until(lambda: talk.speakers.pcm)
        assert told == ["on_connected s1", "on_disconnected s1", "on_reconnected s1"]
        assert engine.resumes == 1
        assert [error.category for error in talk.errors] == [ErrorCategory.CONNECTIVITY]
        assert talk.service.is_usable


async def test_a_conversation_that_moves_to_another_engine_is_followed_and_nobody_is_troubled(
    engine: FakeEngine,
) -> None:
    async with serving(FakeEngine()) as other, talking(engine, engine_peers=f"b={other.url}") as talk:
        await talk.say(LOUD, LOUD)
        await until(lambda: len(talk.told(TTSAudioRawFrame)) == 1)
        await engine.hand_over(other, "b")
        await until(lambda: other.resumes)
        await talk.worker.queue_frame(sound(LOUD))
        await until(lambda: len(talk.told(TTSAudioRawFrame)) == 2)
        assert talk.errors == []
        assert talk.told(TTSStoppedFrame) == []


async def test_a_model_that_has_forgotten_everything_is_no_secret(engine: FakeEngine) -> None:
    async with talking(engine) as talk:
        await talk.say(LOUD)
        engine.forget()
        await engine.drop()
        await until(lambda: len(talk.errors) == 2)
        assert "remembers nothing" in talk.errors[-1].error
        assert talk.service.is_usable


async def test_a_full_engine_is_asked_again_until_a_seat_is_free(engine: FakeEngine) -> None:
    engine.seats = 0
    async with talking(engine) as talk:
        await until(lambda: talk.errors)
        assert talk.errors[0].category is ErrorCategory.SERVER
        assert "all 0 seats are taken" in talk.errors[0].error
        engine.seats = 1
        await talk.say(LOUD)
        assert talk.service.is_usable


async def test_an_engine_that_stays_away_is_given_up(engine: FakeEngine) -> None:
    async with talking(engine, engine_url="ws://127.0.0.1:9", patience_s=0.2, clock=time.monotonic) as talk:
        await until(lambda: not talk.service.is_usable)
        await until(lambda: len(talk.errors) == 2)
        assert {error.category for error in talk.errors} == {ErrorCategory.CONNECTIVITY}


async def test_what_the_engine_does_not_take_is_a_permanent_error(engine: FakeEngine) -> None:
    engine.refuses = SessionError("this model takes no voice")
    async with talking(engine, voice="NATF0.pt") as talk:
        await until(lambda: talk.errors)
        assert talk.errors[0].error == "this model takes no voice"
        assert talk.errors[0].category is ErrorCategory.INVALID_REQUEST
        assert not talk.service.is_usable


async def test_a_session_that_somebody_else_has_taken_over_is_not_fought_for(engine: FakeEngine) -> None:
    async with talking(engine) as talk:
        await talk.say(LOUD)
        await engine.say(Ended("taken_over"))
        await until(lambda: talk.errors)
        assert "over another connection" in talk.errors[0].error
        assert not talk.service.is_usable


async def test_text_for_a_model_that_reads_goes_no_further_and_the_log_says_so(engine: FakeEngine) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    context = LLMContext([{"role": "system", "content": "You are a pirate."}])
    try:
        async with talking(engine) as talk:
            for frame in (LLMContextFrame(context), LLMContextFrame(context), TTSSpeakFrame("Ahoy")):
                await talk.worker.queue_frame(frame)
            await until(lambda: len(lines) == 2)
            assert talk.told(LLMContextFrame) == talk.told(TTSSpeakFrame) == []
    finally:
        logger.remove(sink)
    assert [line.strip() for line in lines] == [
        "Moshi hears only sound: what a LLMContextFrame holds is not told to it",
        "Moshi hears only sound: what a TTSSpeakFrame holds is not told to it",
    ]


def test_without_an_engine_there_is_no_service() -> None:
    with pytest.raises(SettingError, match="MoshiService needs an engine: give engine_url"):
        MoshiService()


def test_a_parameter_out_of_its_range_is_refused_at_once() -> None:
    with pytest.raises(SessionError, match="temperature"):
        MoshiService(engine_url="ws://127.0.0.1:9", temperature=11)
