from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit.agents import JobContext

from worker import entrypoint as job
from worker.reasons import Reason


class FakeEngine:
    def __init__(self) -> None:
        self.released: list[str] = []
        self.is_closed = False

    async def release(self, seat: str) -> None:
        self.released.append(seat)

    async def close(self) -> None:
        self.is_closed = True


class FakeRoom:
    @property
    async def sid(self) -> str:
        return "RM_made_by_our_coming"


class FakeContext:
    """A job for a room that was closed meanwhile."""

    def __init__(self) -> None:
        self.job = SimpleNamespace(id="AJ_1", dispatch_id="AD_1", room=SimpleNamespace(sid="RM_of_the_job"))
        self.room = FakeRoom()
        self.reason = ""

    async def connect(self, **_options: Any) -> None:
        pass

    def shutdown(self, reason: str) -> None:
        self.reason = reason


async def test_a_job_that_comes_too_late_for_its_room_gives_its_seat_back_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, context = FakeEngine(), FakeContext()
    monkeypatch.setattr(job, "open_engine", lambda _settings: engine)
    monkeypatch.setattr("worker.logs.hide_names_in", lambda _room: None)
    await job.entrypoint(cast(JobContext, context))
    assert engine.released == ["AJ_1"]
    assert engine.is_closed
    assert context.reason == Reason.ROOM_CLOSED
