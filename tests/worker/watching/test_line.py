import asyncio
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from tests.worker.waiting import until
from worker.watching.diary import Diary, Event
from worker.watching.line import VARIABLE, JobLine, listening
from worker.watching.worker_metrics import WorkerMetrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> WorkerMetrics:
    return WorkerMetrics(registry)


@pytest.fixture
def value(registry: CollectorRegistry) -> Callable[..., float | None]:
    return lambda name, **labels: registry.get_sample_value(name, labels)


async def test_what_happens_in_a_job_is_counted_in_its_worker(
    metrics: WorkerMetrics, value: Callable[..., float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(metrics) as socket:
        monkeypatch.setenv(VARIABLE, str(socket))
        line = await JobLine.open()
        diary = Diary(line.tell)
        diary.note(Event.JOINED)
        diary.note(Event.CALLER_AWAY)
        await until(lambda: value("moshi_worker_call_events_total", event="caller_away") == 1)
        diary.note(Event.ENDED, reason="caller_left", seconds=61.5, session="a1", wait_p50_ms=80)
        await line.close()
        await until(lambda: value("moshi_worker_calls_ended_total", reason="caller_left") == 1)
        assert value("moshi_worker_call_duration_seconds_sum") == 61.5
        assert value("moshi_worker_calls_ended_total", reason="lost") == 0


async def test_a_job_that_is_gone_without_a_word_is_a_lost_call(
    metrics: WorkerMetrics, value: Callable[..., float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(metrics) as socket:
        monkeypatch.setenv(VARIABLE, str(socket))
        line = await JobLine.open()
        line.tell(Event.JOINED, {})
        await line.close()
        await until(lambda: value("moshi_worker_calls_ended_total", reason="lost") == 1)
        assert value("moshi_worker_call_duration_seconds_count") == 0


async def test_a_worker_that_goes_waits_for_no_job_and_counts_none_as_lost(
    metrics: WorkerMetrics, value: Callable[..., float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(metrics) as socket:
        monkeypatch.setenv(VARIABLE, str(socket))
        line = await JobLine.open()
        line.tell(Event.CALLER_AWAY, {})
        await until(lambda: value("moshi_worker_call_events_total", event="caller_away") == 1)
    assert value("moshi_worker_calls_ended_total", reason="lost") == 0
    line.tell(Event.ENDED, {"reason": "caller_left"})
    await line.close()


@pytest.mark.parametrize("named", ["", "/nowhere/calls.sock"])
async def test_a_job_that_has_nobody_to_tell_goes_on(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, named)
    line = await JobLine.open()
    line.tell(Event.JOINED, {})
    await line.close()


async def test_nonsense_on_the_line_ends_that_line_alone(
    metrics: WorkerMetrics, value: Callable[..., float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(metrics) as socket:
        _reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(b'{"event": "birthday"}\n')
        monkeypatch.setenv(VARIABLE, str(socket))
        line = await JobLine.open()
        line.tell(Event.ENDED, {"reason": "idle", "seconds": 1.0})
        await line.close()
        await until(lambda: value("moshi_worker_calls_ended_total", reason="idle") == 1)
        assert await _reader.read() == b""
        writer.close()
        await writer.wait_closed()
