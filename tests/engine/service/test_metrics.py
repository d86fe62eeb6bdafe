import asyncio
import logging
import re

import aiohttp
import numpy as np
import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from engine.client import EngineSession
from engine.errors import EngineFull
from engine.protocol import Audio, Report, SessionRequest
from engine.service.device_memory import DeviceMemory
from engine.service.metrics import FAULTS, Metrics
from engine.service.seats import Seats
from engine.step.frames import Frame, SlotRef, StepResult
from engine.step.measure import StepTimes
from tests.engine.service.conftest import RunningEngine, StartEngine

SILENCE = b"\0" * 3840


async def samples(engine: RunningEngine) -> dict[str, float]:
    """`name{label=value,...}` to value."""
    async with aiohttp.ClientSession() as http, http.get(f"{engine.http}/metrics") as answer:
        return parsed(await answer.text())


def parsed(page: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def talk(session: EngineSession, frames: int) -> None:
    for number in range(frames):
        await session.send(SILENCE)
        async for event in session:
            if isinstance(event, Audio):
                await session.report(Report(number, 21_000, 40_000, 35_000, 1, 2, 3, 250_000))
                break


async def test_a_live_session_shows_its_quantiles_and_takes_them_along(
    engine: RunningEngine,
) -> None:
    session = await engine.client.open(SessionRequest())
    await talk(session, 5)
    async with asyncio.timeout(30):
        while True:
            page = await samples(engine)
            mine = {name: value for name, value in page.items() if f"session={session.ready.session}" in name}
            if len(mine) == 24:
                break
    for stage in ("queue", "step", "answer", "worker", "playout", "jitter"):
        for quantile in ("0.5", "0.95", "0.99"):
            name = f"quantile={quantile},session={session.ready.session},stage={stage}"
            assert f"moshi_session_latency_seconds{{{name}}}" in mine
    worker = f"moshi_session_latency_seconds{{quantile=0.99,session={session.ready.session},stage=worker}}"
    assert mine[worker] == pytest.approx(0.021, rel=0.011)
    assert mine[f"moshi_session_frames_total{{session={session.ready.session}}}"] == 5
    assert page["moshi_seats"] == 2
    assert page["moshi_seats_used"] == 1
    assert page["moshi_frames_total"] == 5
    assert page["moshi_latency_seconds_count{stage=answer}"] == 5
    assert page["moshi_latency_seconds_count{stage=jitter}"] == 5
    assert page["moshi_step_batch_size_count"] == 5
    assert {
        fault: mine[f"moshi_session_{fault}_total{{session={session.ready.session}}}"] for fault in FAULTS
    } == {
        "underruns": 5,
        "late_frames": 10,
        "silent_frames": 15,
        "concealed_seconds": 1.25,
    }

    await session.end()
    async for _ in session:
        pass
    page = await samples(engine)
    assert not [name for name in page if "moshi_session_" in name]
    assert page["moshi_sessions_ended_total{reason=hang_up}"] == 1
    assert page["moshi_seats_used"] == 0
    assert page["moshi_latency_seconds_count{stage=answer}"] == 5
    assert page["moshi_concealed_seconds_total"] == 1.25


async def test_refusals_are_counted_by_reason(engine: RunningEngine) -> None:
    await engine.client.reserve("a")
    await engine.client.reserve("b")
    for attempt in (engine.client.open(SessionRequest()), engine.client.reserve("c")):
        with pytest.raises(EngineFull):
            await attempt
    assert (await samples(engine))["moshi_refusals_total{reason=engine_full}"] == 2


async def test_a_call_leaves_one_line_with_its_numbers(
    engine: RunningEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    session = await engine.client.open(SessionRequest())
    await talk(session, 3)
    await session.end()
    async for _ in session:
        pass
    (line,) = [record for record in caplog.records if record.message == "call ended"]
    values = vars(line)
    assert (values["session"], values["frames"], values["reason"]) == (session.ready.session, 3, "hang_up")
    assert values["worker_p95_ms"] == pytest.approx(21, rel=0.011)
    assert (values["underruns"], values["concealed_seconds"]) == (3, 0.75)
    assert re.fullmatch(r"[0-9a-f]{16}", values["session"])


def test_an_answer_over_80_ms_is_a_miss() -> None:
    now = 10.0
    metrics = Metrics(Seats(1), clock=lambda: now)
    metrics.begin("s")
    frame = Frame(SlotRef(0, 1), 0, np.zeros(1920, np.int16), complete_at=0.0)

    def result() -> StepResult:
        return StepResult(frame, frame.pcm, 3, began_at=0.01, ended_at=0.02)

    for now in (0.079, 0.080, 0.081, 5.0):  # noqa: B007  # the clock reads it
        metrics.answered("s", result())
    assert parsed(metrics.text().decode())["moshi_missed_frames_total"] == 2
    measured = metrics.end("s", "hang_up")
    assert (measured.frames, measured.missed) == (4, 2)


def test_what_comes_late_of_an_ended_session_counts_for_the_fleet_alone() -> None:
    metrics = Metrics(Seats(1))
    metrics.observe("gone", "worker", 0.02)
    page = parsed(metrics.text().decode())
    assert page["moshi_latency_seconds_count{stage=worker}"] == 1
    assert not [name for name in page if "gone" in name]


def test_the_prediction_follows_the_calls_that_are_on() -> None:
    seats = Seats(5)
    metrics = Metrics(seats)
    assert "moshi_predicted_answer_seconds" not in metrics.text().decode()
    metrics.predict(StepTimes({1: 0.010, 5: 0.030}))

    def predicted() -> tuple[float, float]:
        page = parsed(metrics.text().decode())
        name = "moshi_predicted_answer_seconds"
        return page[f"{name}{{sessions=live}}"], page[f"{name}{{sessions=all}}"]

    assert predicted() == pytest.approx((0.020, 0.040))
    for _ in range(3):
        seats.enter(None)
    assert predicted() == pytest.approx((0.030, 0.040))


async def test_what_runs_here_is_shown_and_whether_it_takes_calls(start_engine: StartEngine) -> None:
    async with start_engine(slots=1) as engine:
        page = await samples(engine)
        assert [name for name in page if name.startswith("moshi_build_info{device=cpu,model=fake,version=")]
        assert page["moshi_draining"] == 0
        session = await engine.client.open(SessionRequest())
        engine.shutdown.request()
        async with asyncio.timeout(30):
            while (await samples(engine))["moshi_draining"] != 1:
                await asyncio.sleep(0.01)
        await session.end()


async def test_what_can_happen_is_counted_from_0_so_that_the_first_of_it_is_an_increase(
    engine: RunningEngine,
) -> None:
    page = await samples(engine)
    for name in (
        "moshi_refusals_total{reason=engine_full}",
        "moshi_refusals_total{reason=draining}",
        "moshi_sessions_ended_total{reason=error}",
        "moshi_resumes_total{where=host}",
    ):
        assert page[name] == 0
    await engine.client.open(SessionRequest())
    assert (await samples(engine))["moshi_sessions_begun_total"] == 1


async def test_no_page_says_in_which_room_a_session_is(engine: RunningEngine) -> None:
    await engine.client.open(SessionRequest(room="ada and bob", identity="agent"))
    page = await samples(engine)
    assert page["moshi_seats_used"] == 1
    assert not [name for name in page if "room" in name or "ada" in name]


async def test_whoever_has_the_key_finds_the_session_of_a_room(start_engine: StartEngine) -> None:
    async with start_engine(room_hash_key="a key of the operator") as engine:
        session = await engine.client.open(SessionRequest(room="ada and bob", identity="agent"))
        nobodys = await engine.client.open(SessionRequest())
        page = await samples(engine)
        assert nobodys.ready.session not in str([name for name in page if "room" in name])
        # printf %s "ada and bob" | openssl dgst -sha256 -hmac "a key of the operator"
        known = "df13cc6eb7e8ec65"
        assert page[f"moshi_session_info{{room={known},session={session.ready.session}}}"] == 1
        await session.end()
        async for _ in session:
            pass
        assert not [name for name in await samples(engine) if "moshi_session_info" in name]


def test_memory_of_a_gpu_is_shown_where_there_is_one() -> None:
    metrics = Metrics(Seats(1))
    metrics.add(DeviceMemory(lambda: (80_000, 20_000, 59_000, 50_000)))
    page = parsed(metrics.text().decode())
    assert page["moshi_gpu_memory_bytes"] == 80_000
    assert page["moshi_gpu_memory_free_bytes"] == 20_000
    assert page["moshi_gpu_memory_reserved_bytes"] == 59_000
    assert page["moshi_gpu_memory_used_bytes"] == 50_000
    without = Metrics(Seats(1))
    without.add(DeviceMemory.of(torch.device("cpu")))
    assert not [name for name in parsed(without.text().decode()) if "gpu" in name]
