"""A device that fails or hangs: everybody is told, and the process ends so that another can begin."""

import asyncio
import threading
import time

import aiohttp
import pytest

from engine.client import EngineSession
from engine.errors import EngineUnreachable
from engine.protocol import Ended, Event, Failure, SessionRequest
from engine.service.server import Transcriber
from engine.service.transcription import ServedStt
from engine.service.watchdog import hung
from engine.step.frames import Sampling
from engine.step.measure import PromptPart, StepTimes
from engine.transcript_client import TranscriptClient
from tests.engine.fake_runner import FakeRunner
from tests.engine.service.conftest import RunningEngine, StartEngine

FRAME = b"\1\2" * 1920


async def told(session: EngineSession) -> list[Event]:
    return [event async for event in session]


async def status(engine: RunningEngine, path: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(engine.http + path) as answer:
        return answer.status


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_everybody_hears_of_it_and_probes_see_it(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    monkeypatch.setattr("engine.service.server._LAST_WORDS_S", 2.0)
    async with start_engine(slots=3, step_timeout_seconds=0.5) as engine:
        sessions = [await engine.client.open(SessionRequest()) for _ in range(2)]
        paused = await engine.client.open(SessionRequest())
        await paused.pause()
        assert await status(engine, "/readyz") == 200
        if how == "fails":
            engine.runner.broken = "an illegal memory access was encountered"
        else:
            engine.runner.open_gate.clear()
        await sessions[0].send(FRAME)
        for session in (*sessions, paused):
            failure, ended = await asyncio.wait_for(told(session), 10)
            assert isinstance(failure, Failure)
            assert (failure.code, ended) == ("internal", Ended("error"))
        assert [await status(engine, path) for path in ("/readyz", "/healthz")] == [503, 503]
        assert await asyncio.wait_for(engine.served, 60) is False
        with pytest.raises(EngineUnreachable):
            await engine.client.seats()
    assert ("the step hangs" in caplog.text) is (how == "hangs")


def test_a_step_that_ends_after_its_engine_has_is_told_to_nobody(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    monkeypatch.setattr("engine.service.server._LAST_WORDS_S", 0.1)

    async def outlive() -> threading.Event:
        async with start_engine(step_timeout_seconds=0.5) as engine:
            session = await engine.client.open(SessionRequest())
            hanging = engine.runner.open_gate
            hanging.clear()
            await session.send(FRAME)
            assert await asyncio.wait_for(engine.served, 60) is False
            engine.runner.open_gate = threading.Event()
        return hanging

    gate = asyncio.run(outlive())
    [thread] = [thread for thread in threading.enumerate() if thread.name == "step"]
    gate.set()
    thread.join(10)
    assert not thread.is_alive()
    assert raised == []


async def test_a_step_that_is_only_slow_is_no_failure(start_engine: StartEngine) -> None:
    async with start_engine(step_timeout_seconds=2.0) as engine:
        session = await engine.client.open(SessionRequest())
        engine.runner.open_gate.clear()
        await session.send(FRAME)
        await asyncio.sleep(0.6)
        engine.runner.open_gate.set()
        await anext(aiter(session))
        assert await status(engine, "/readyz") == 200


async def test_a_step_of_a_second_model_that_hangs_is_found_as_well(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("engine.service.server._LAST_WORDS_S", 0.1)
    runner = FakeRunner()
    model = ServedStt("fake", 0.5, 0.0, 0, Sampling(), 0, lambda _token: "", lambda _tokens: "")
    runner.open_gate.clear()
    try:
        stt = Transcriber(model, runner, 1)
        async with start_engine(step_timeout_seconds=0.5, stt=stt) as engine:
            async with TranscriptClient(engine.url) as client:
                transcript = await client.open()
                await transcript.send(FRAME)
                told = [event async for event in transcript]
            assert told[-1] == Ended("error")
            assert await asyncio.wait_for(engine.served, 60) is False
    finally:
        runner.open_gate.set()
    assert "the step hangs" in caplog.text


@pytest.mark.parametrize(
    "times",
    [
        StepTimes({1: 0.01, 2: 0.02}, between_s=1.0),
        StepTimes({1: 0.01, 2: 0.02}, prompt=PromptPart(256, 1.0)),
    ],
    ids=["of another model", "of a prompt"],
)
async def test_what_was_measured_to_take_long_is_not_taken_for_hung(
    start_engine: StartEngine, times: StepTimes
) -> None:
    async with start_engine(step_timeout_seconds=0.5, times=times) as engine:
        session = await engine.client.open(SessionRequest())
        engine.runner.open_gate.clear()
        await session.send(FRAME)
        await asyncio.sleep(1.2)
        engine.runner.open_gate.set()
        await anext(aiter(session))
        assert await status(engine, "/readyz") == 200


async def test_steps_that_follow_each_other_without_a_pause_are_no_hung_one() -> None:
    works = iter(range(1, 100))
    watching = asyncio.create_task(hung(lambda: next(works), 0.5))
    await asyncio.sleep(1.5)
    assert not watching.done()
    watching.cancel()


async def test_a_process_that_was_stopped_for_a_while_has_not_hung() -> None:
    watching = asyncio.create_task(hung(lambda: 7, 1.0))
    await asyncio.sleep(0.1)
    time.sleep(1.5)  # noqa: ASYNC251  # the whole process stands still
    await asyncio.sleep(0.3)
    assert not watching.done()
    await asyncio.wait_for(watching, 60)
