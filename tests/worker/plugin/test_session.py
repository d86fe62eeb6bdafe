"""A session of somebody's own AgentSession, with an engine that repeats the frame before."""

import asyncio

import numpy as np
import pytest
from livekit.agents import APIConnectionError, APIStatusError, llm

from engine.errors import SessionError
from engine.protocol import FRAME_BYTES, OwnWords, SessionRequest
from tests.fake_engine import FakeEngine, serving
from tests.worker.plugin.conftest import Begin, Talk
from tests.worker.waiting import until
from worker.plugin.gate import MarkGate

LOUD, SOFT, SILENT = 3000, 200, 0
HELD = 8


def levels(talk: Talk) -> list[int]:
    """What came back, as the level of each frame."""
    return [int(np.frombuffer(answer.frame.data, "<i2")[0]) for answer in talk.answers]


def played(talk: Talk) -> list[bool]:
    gate = MarkGate()
    return [gate.update(answer.frame) for answer in talk.answers]


def recoverable(talk: Talk) -> list[bool]:
    return [error.recoverable for error in talk.errors]


async def test_every_frame_is_answered_in_order_on_the_engines_clock(begin: Begin) -> None:
    talk = await begin()
    await talk.say(1, 2, 3)
    assert levels(talk) == [0, 1, 2]
    assert [answer.start_ms for answer in talk.answers] == [0, 80, 160]


async def test_with_each_frame_the_engine_is_told_what_the_model_is_to_take_for_its_own_words(
    begin: Begin, engine: FakeEngine
) -> None:
    words = OwnWords(bytes(FRAME_BYTES), "Good day")
    own = iter([None, words])
    talk = await begin()
    talk.session.ask_for_words(lambda: next(own, None))
    await talk.say(1, 2, 3)
    assert engine.own_words == {1: words}


async def test_the_parameters_reach_the_engine(begin: Begin, engine: FakeEngine) -> None:
    talk = await begin(temperature=0.5, seed=7, voice="NATF0.pt")
    await talk.say(LOUD)
    assert engine.requests == [SessionRequest(temperature=0.5, seed=7, voice="NATF0.pt")]


async def test_nothing_is_opened_before_the_framework_has_configured_the_session(
    begin: Begin, engine: FakeEngine
) -> None:
    talk = await begin(configured=False)
    await asyncio.sleep(0.05)
    assert engine.requests == []
    await talk.session._update_session(instructions="", chat_ctx=llm.ChatContext.empty(), tools=[])
    await until(lambda: engine.requests)


async def test_the_model_hears_nothing_before_its_caller_and_silence_when_they_send_none(
    begin: Begin, engine: FakeEngine
) -> None:
    talk = await begin()
    await until(lambda: engine.sockets)
    await asyncio.sleep(0.2)
    assert engine.frames == []
    await talk.say(LOUD)
    await until(lambda: len(engine.frames) > 2)
    assert set(engine.frames[-1]) == {0}


async def test_a_soft_onset_is_played_from_its_word_on_and_the_silence_after_it_is_not(
    begin: Begin, engine: FakeEngine
) -> None:
    engine.words = {1: " Hello"}
    talk = await begin()
    await talk.say(SOFT, SOFT, SOFT, *[SILENT] * (HELD + 2))
    assert levels(talk)[:4] == [0, SOFT, SOFT, SOFT]
    assert played(talk)[:4] == [False, False, True, True]
    assert played(talk)[-1] is False
    assert [(word.text, word.start_ms) for word in talk.words] == [("Hello", 80)]


async def test_an_utterance_begins_with_its_first_word_and_the_next_one_too(
    begin: Begin, engine: FakeEngine
) -> None:
    engine.words = {0: " How", 1: " are", 3: "?", HELD + 8: " Well"}
    talk = await begin()
    await talk.say(*[SILENT] * (HELD + 10))
    assert [word.text for word in talk.words] == ["How", " are", "?", "Well"]


async def test_the_framework_is_told_when_the_caller_speaks(begin: Begin) -> None:
    talk = await begin()
    await talk.say(SILENT, LOUD, LOUD)
    assert talk.caller == ["speaks"]
    await talk.say(*[SILENT] * HELD)
    assert talk.caller == ["speaks", "listens"]


async def test_a_connection_that_is_lost_is_brought_back_and_the_framework_is_told(
    begin: Begin, engine: FakeEngine
) -> None:
    talk = await begin()
    await talk.say(1, 2)
    await engine.drop()
    await until(lambda: talk.reconnected)
    await talk.say(3)
    assert levels(talk)[:3] == [0, 1, 2], "the conversation goes on where it was"
    assert engine.resumes == 1
    assert recoverable(talk) == [True]
    assert isinstance(talk.errors[0].error, APIConnectionError)


async def test_a_conversation_that_moves_to_another_engine_is_followed_and_nobody_is_troubled(
    begin: Begin, engine: FakeEngine
) -> None:
    async with serving(FakeEngine()) as other:
        talk = await begin(engine_peers=f"b={other.url}")
        await talk.say(1, 2)
        await engine.hand_over(other, "b")
        await until(lambda: other.resumes)
        await talk.say(3)
        assert levels(talk)[:3] == [0, 1, 2]
        assert (talk.errors, talk.reconnected) == ([], 0)
        await talk.session.aclose()


async def test_a_model_that_has_forgotten_everything_is_no_secret(begin: Begin, engine: FakeEngine) -> None:
    talk = await begin()
    await talk.say(LOUD)
    engine.forget()
    await engine.drop()
    await until(lambda: talk.reconnected)
    await until(lambda: len(talk.errors) == 2)
    assert "remembers nothing" in str(talk.errors[-1].error)
    assert recoverable(talk) == [True, True]
    assert talk.answers[-1].start_ms == 0
    await talk.say(LOUD)


async def test_a_full_engine_is_asked_again_until_a_seat_is_free(begin: Begin, engine: FakeEngine) -> None:
    engine.seats = 0
    talk = await begin()
    await until(lambda: talk.errors)
    assert recoverable(talk) == [True]
    error = talk.errors[0].error
    assert isinstance(error, APIStatusError)
    assert error.status_code == 503
    assert isinstance(error.body, dict)
    assert error.body["error"] == "engine_full"
    engine.seats = 1
    await talk.say(LOUD)


async def test_an_engine_that_nobody_finds_is_given_up_in_the_end(begin: Begin) -> None:
    talk = await begin(engine_url="ws://127.0.0.1:9", patience_s=0.2)
    await until(lambda: talk.ended)
    assert recoverable(talk) == [True, False]
    assert "no engine answers at ws://127.0.0.1:9" in str(talk.errors[-1].error)


async def test_what_the_engine_refuses_for_good_is_not_asked_again(begin: Begin, engine: FakeEngine) -> None:
    engine.refuses = SessionError("this model takes no voice")
    talk = await begin(voice="somebody")
    await until(lambda: talk.ended)
    assert recoverable(talk) == [False]
    error = talk.errors[0].error
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.retryable) == (400, False)


async def test_closing_hangs_up_and_frees_the_seat(begin: Begin, engine: FakeEngine) -> None:
    talk = await begin()
    await talk.say(LOUD)
    await talk.session.aclose()
    assert engine.ends == ["hang_up"]
    assert engine.in_calls == 0
    assert talk.errors == []


async def test_closing_before_it_was_configured_opens_nothing(begin: Begin, engine: FakeEngine) -> None:
    talk = await begin(configured=False)
    await talk.session.aclose()
    assert engine.requests == []


async def test_metrics_say_how_long_the_connection_took_and_what_was_used(
    begin: Begin, engine: FakeEngine
) -> None:
    engine.words = {0: " Hi"}
    talk = await begin()
    await talk.say(SILENT, *[SILENT] * HELD)
    await talk.session.aclose()
    connected, *used = talk.metrics
    assert connected.acquire_time > 0
    assert connected.metadata
    assert connected.metadata.model_name == "fake"
    assert sum(each.input_token_details.audio_tokens for each in used) >= HELD + 1
    assert sum(each.output_token_details.audio_tokens for each in used) == HELD - 1
    assert sum(each.output_token_details.text_tokens for each in used) == 1
    assert used[0].duration == pytest.approx((HELD - 1) * 0.08)
    assert {each.request_id for each in used} == {"s1"}


async def test_tools_are_refused_with_one_clear_error(begin: Begin) -> None:
    @llm.function_tool
    async def weather() -> str:
        """Look at the sky."""
        return "fine"

    talk = await begin(configured=False)
    with pytest.raises(llm.RealtimeError, match="calls no function tools"):
        await talk.session._update_session(instructions="", chat_ctx=llm.ChatContext.empty(), tools=[weather])


async def test_what_moshi_cannot_read_is_named_once_and_nothing_breaks(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="We spoke yesterday.")
    talk = await begin(configured=False)
    await talk.session._update_session(instructions="Be brief.", chat_ctx=context, tools=[])
    assert [record.message[:20] for record in caplog.records if record.levelname == "WARNING"] == [
        "Moshi takes no instr",
        "Moshi hears only sou",
    ]
    with pytest.raises(llm.RealtimeError, match="takes no instructions"):
        await talk.session._update_instructions("Be brief after all.")
    with pytest.raises(llm.RealtimeError, match="decides for itself when to speak"):
        talk.session._generate_reply(instructions="Say hello.")
