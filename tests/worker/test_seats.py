import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from livekit.agents import AssignmentTimeoutError, JobRequest
from livekit.protocol.agent import Job

from engine.client import EngineClient, SeatCount
from tests.fake_engine import FakeEngine, serving
from tests.worker.waiting import until
from worker import seats as seats_module
from worker.seats import Seats, load_of
from worker.watching.worker_metrics import OFFERS


@dataclass
class FakeRequest:
    """An offered job."""

    id: str = "AJ_1"
    metadata: str = ""
    assigned: bool = True
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def job(self) -> Job:
        return Job(id=self.id, metadata=self.metadata)

    async def accept(self, **public: Any) -> None:
        self.answers.append({"accept": public})
        if not self.assigned:
            raise AssignmentTimeoutError

    async def reject(self, *, terminate: bool) -> None:
        self.answers.append({"reject": terminate})


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with serving(FakeEngine(seats=2)) as engine:
        yield engine


class Announcement:
    """How often LiveKit was told."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False

    async def __call__(self) -> None:
        self.count += 1
        if self.fails:
            raise AttributeError("_refresh_worker_load")


@pytest.fixture
def announcement() -> Announcement:
    return Announcement()


@pytest.fixture
def counted() -> list[str]:
    return []


async def never() -> None:
    pytest.fail("the engine is known")


@pytest.fixture
async def seats(
    engine: FakeEngine,
    announcement: Announcement,
    counted: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Seats]:
    monkeypatch.setattr(seats_module, "REFRESH_S", 0.01)
    seats = Seats(announcement, never, counted.append)
    watching = asyncio.create_task(seats.watch(EngineClient(engine.url)))
    await asyncio.sleep(0)
    yield seats
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def answer(seats: Seats, request: FakeRequest) -> list[dict[str, Any]]:
    await seats.answer(cast(JobRequest, request))
    return request.answers


@pytest.mark.parametrize("seats", range(1, 65))
def test_livekit_goes_on_offering_calls_down_to_the_last_seat(seats: int) -> None:
    loads = [load_of(SeatCount(seats, in_calls, 0)) for in_calls in range(seats)]
    assert loads == sorted(loads)
    assert all(0 <= load < 0.7 for load in loads)
    assert load_of(SeatCount(seats, seats, 0)) == 1.0


def test_a_reserved_seat_is_a_used_one() -> None:
    assert load_of(SeatCount(2, 1, 1)) == 1.0


async def test_an_offer_is_accepted_with_a_seat_reserved_under_the_jobs_id(
    engine: FakeEngine, seats: Seats
) -> None:
    (answered,) = await answer(seats, FakeRequest("AJ_7"))
    assert engine.reserved == {"AJ_7"}
    assert answered["accept"]["name"] == "Moshi"
    assert answered["accept"]["attributes"]["lk.agent.state"] == "initializing"
    assert "machine" in answered["accept"]["attributes"]["moshi.notice"]


async def test_an_offer_that_asks_for_what_no_engine_has_is_refused_for_all_workers(
    engine: FakeEngine, seats: Seats, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = FakeRequest("AJ_1", metadata='{"moshi": {"temperature": "hot"}}')
    assert await answer(seats, wrong) == [{"reject": True}]
    assert "call refused" in caplog.text
    assert engine.reserved == set()


async def test_an_offer_of_a_mode_that_this_worker_has_no_models_for_is_left_to_others(
    engine: FakeEngine, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_URL", engine.url)
    seats = Seats(Announcement(), never, counted.append)
    seats.start()
    await until(lambda: seats.engine_answers)
    asked = FakeRequest("AJ_1", metadata='{"moshi": {"mode": "pipeline"}}')
    assert await answer(seats, asked) == [{"reject": False}]
    assert counted == ["bad_setting"]
    assert set(counted) <= set(OFFERS)
    await seats.stop()


async def test_when_the_last_seat_is_taken_another_worker_may_try(engine: FakeEngine, seats: Seats) -> None:
    assert "accept" in (await answer(seats, FakeRequest("AJ_1")))[0]
    assert "accept" in (await answer(seats, FakeRequest("AJ_2")))[0]
    assert await answer(seats, FakeRequest("AJ_3")) == [{"reject": False}]


async def test_as_many_offers_at_once_as_there_are_seats_are_accepted(
    engine: FakeEngine, seats: Seats
) -> None:
    answers = await asyncio.gather(*(answer(seats, FakeRequest(f"AJ_{n}")) for n in range(5)))
    assert ["accept" in first for (first,) in answers].count(True) == engine.seats


async def test_a_seat_is_given_back_when_livekit_assigns_the_job_to_nobody(
    engine: FakeEngine, seats: Seats
) -> None:
    await answer(seats, FakeRequest("AJ_1", assigned=False))
    assert engine.released == ["AJ_1"]
    assert engine.reserved == set()


async def test_the_load_follows_the_engine(engine: FakeEngine, seats: Seats) -> None:
    await until(lambda: seats.load() == 0.0)
    engine.reserved.add("somebody")
    await until(lambda: seats.load() == 0.69 / 2)
    engine.reserved.add("somebody else")
    await until(lambda: seats.load() == 1.0)
    engine.reserved.clear()
    await until(lambda: seats.load() == 0.0)


async def test_livekit_is_told_at_once_when_the_last_seat_is_taken_or_free_again(
    engine: FakeEngine, seats: Seats, announcement: Announcement
) -> None:
    engine.reserved.add("one")
    await until(lambda: seats.load() == 0.69 / 2)
    assert announcement.count == 0
    engine.reserved.add("two")
    await until(lambda: announcement.count == 1)
    assert seats.load() == 1.0
    engine.reserved.remove("one")
    await until(lambda: announcement.count == 2)
    assert seats.load() == 0.69 / 2


async def test_a_worker_whose_engine_is_gone_is_full_and_comes_back_with_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(seats_module, "REFRESH_S", 0.01)
    seats, engine = Seats(Announcement(), never), FakeEngine()
    async with serving(engine):
        watching = asyncio.create_task(seats.watch(EngineClient(engine.url)))
        await asyncio.sleep(0.05)
        assert seats.load() == 0.0
    await until(lambda: seats.load() == 1.0)
    assert await answer(seats, FakeRequest()) == [{"reject": False}]
    assert caplog.text.count("no more calls") == 1
    async with serving(engine, port=int(engine.url.rsplit(":", 1)[1])):
        await until(lambda: seats.load() == 0.0)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_worker_without_an_engine_takes_no_offer_and_gives_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given_up = asyncio.Event()

    async def give_up() -> None:
        given_up.set()

    seats = Seats(Announcement(), give_up)
    seats.start()
    assert seats.load() == 1.0
    await asyncio.wait_for(given_up.wait(), 1)
    assert await answer(seats, FakeRequest()) == [{"reject": False}]
    (line,) = caplog.records
    assert "ENGINE_URL is not set" in vars(line)["detail"]
    assert line.exc_info is None


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a worker whose calls need no engine, two at a time."""
    models = dict.fromkeys(("WORKER_LLM_URL", "WORKER_STT_URL", "WORKER_TTS_URL"), "http://127.0.0.1:9/v1")
    named = {"WORKER_MODE": "pipeline", "WORKER_LLM_MODEL": "none", "WORKER_PIPELINE_CALLS": "2"}
    for name, value in (models | named).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(seats_module, "REFRESH_S", 0.01)


@pytest.mark.usefixtures("pipeline")
async def test_a_worker_of_pipelines_takes_so_many_without_any_engine(
    announcement: Announcement, counted: list[str]
) -> None:
    jobs: set[str] = set()
    seats = Seats(announcement, never, counted.append, lambda: jobs)
    seats.start()
    assert seats.can_serve
    assert not seats.engine_answers
    assert seats.engine_is_well
    for job in ("AJ_1", "AJ_2"):
        (answered,) = await answer(seats, FakeRequest(job))
        assert answered["accept"]["attributes"]["moshi.mode"] == "pipeline"
        jobs.add(job)
    await until(lambda: seats.load() == 1.0)
    assert await answer(seats, FakeRequest("AJ_3")) == [{"reject": False}]
    jobs.remove("AJ_1")
    await until(lambda: seats.load() == 0.69 / 2)
    assert seats.free == 1
    for mode in ("moshi", "hybrid"):
        asked = FakeRequest("AJ_4", metadata=json.dumps({"moshi": {"mode": mode}}))
        assert await answer(seats, asked) == [{"reject": False}]
    assert counted == ["accepted", "accepted", "worker_full", "bad_setting", "bad_setting"]
    assert set(counted) <= set(OFFERS)
    await seats.stop()


@pytest.mark.usefixtures("pipeline")
async def test_a_pipeline_that_livekit_assigns_to_nobody_leaves_its_seat(announcement: Announcement) -> None:
    seats = Seats(announcement, never)
    seats.start()
    for number in range(5):
        await answer(seats, FakeRequest(f"AJ_{number}", assigned=False))
    assert seats.load() == 0.0
    assert "accept" in (await answer(seats, FakeRequest("AJ_5")))[0]
    await seats.stop()


@pytest.mark.usefixtures("pipeline")
async def test_a_full_engine_refuses_no_pipeline(
    engine: FakeEngine, announcement: Announcement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_URL", engine.url)
    engine.reserved.update({"one", "two"})
    seats = Seats(announcement, never)
    seats.start()
    await until(lambda: seats.engine_answers)
    assert seats.load() == 0.0
    assert "accept" in (await answer(seats, FakeRequest("AJ_1")))[0]
    assert engine.reserved == {"one", "two"}
    assert seats.engine_is_well
    hybrid = FakeRequest("AJ_2", metadata='{"moshi": {"mode": "hybrid"}}')
    assert await answer(seats, hybrid) == [{"reject": False}]
    await seats.stop()


async def test_a_mode_whose_recogniser_the_engine_would_have_to_be_is_left_to_others_where_it_is_none(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_URL", engine.url)
    for name in ("WORKER_LLM_URL", "WORKER_TTS_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/v1")
    monkeypatch.setenv("WORKER_LLM_MODEL", "none")
    seats = Seats(Announcement(), never)
    seats.start()
    asked = FakeRequest("AJ_1", metadata='{"moshi": {"mode": "hybrid"}}')
    assert await answer(seats, asked) == [{"reject": False}]
    assert "accept" in (await answer(seats, FakeRequest("AJ_2")))[0], "calls of Moshi's own are taken"
    await seats.stop()


async def test_a_worker_whose_mode_lacks_its_models_gives_up(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ENGINE_URL", engine.url)
    monkeypatch.setenv("WORKER_MODE", "hybrid")
    given_up = asyncio.Event()

    async def give_up() -> None:
        given_up.set()

    Seats(Announcement(), give_up).start()
    await asyncio.wait_for(given_up.wait(), 60)
    assert "WORKER_LLM_URL" in vars(caplog.records[-1])["detail"]


async def test_a_failing_announcement_does_not_end_the_watch(
    engine: FakeEngine, seats: Seats, announcement: Announcement, caplog: pytest.LogCaptureFixture
) -> None:
    announcement.fails = True
    engine.reserved.update({"one", "two"})
    await until(lambda: announcement.count == 1)
    engine.reserved.clear()
    await until(lambda: announcement.count == 2)
    await until(lambda: seats.load() == 0.0)
    assert "LiveKit was not told" in caplog.text


async def test_an_offer_before_there_is_an_engine_is_left_to_others() -> None:
    assert await answer(Seats(Announcement(), never), FakeRequest()) == [{"reject": False}]


async def test_what_becomes_of_offers_is_counted(
    engine: FakeEngine, seats: Seats, counted: list[str]
) -> None:
    for number in range(3):
        await answer(seats, FakeRequest(f"AJ_{number}"))
    await answer(seats, FakeRequest("AJ_3", metadata='{"moshi": {"temperature": "hot"}}'))
    assert counted == ["accepted", "accepted", "engine_full", "bad_session"]


async def test_whether_the_engine_answers_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats_module, "REFRESH_S", 0.01)
    seats = Seats(Announcement(), never)
    assert not seats.engine_answers
    async with serving(FakeEngine()) as engine:
        watching = asyncio.create_task(seats.watch(EngineClient(engine.url)))
        await until(lambda: seats.engine_answers)
    await until(lambda: not seats.engine_answers)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
