from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit import api, rtc
from livekit.agents import JobContext
from livekit.protocol.agent import Job
from livekit.protocol.agent_dispatch import AgentDispatchState
from livekit.protocol.models import Room

from engine.protocol import SessionRequest
from worker import entrypoint as job
from worker.dispatches import saying_anew
from worker.room.call import CallManner
from worker.room.disclosure import Disclosure
from worker.room.reasons import Reason
from worker.room.returning import Returning
from worker.room.wishes import Wishes
from worker.watching.diary import Diary, Event
from worker.watching.line import JobLine
from worker.watching.watch import Watch


class FakeEngine:
    def __init__(self) -> None:
        self.released: list[str] = []
        self.is_closed = False

    async def release(self, seat: str) -> None:
        self.released.append(seat)

    async def close(self) -> None:
        self.is_closed = True


class FakeRoom:
    departure_timeout = 20
    metadata = '{"moshi": {"seed": 8, "voice": "ann"}}'

    def __init__(self, sid: str) -> None:
        self.name = "lobby"
        self.remote_participants = {
            "ada": SimpleNamespace(kind=rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD)
        }
        self._sid = sid

    @property
    async def sid(self) -> str:
        return self._sid


class FakeDispatches:
    """LiveKit's API, as far as it tells of dispatches: one began with job AJ_1, another with AJ_2."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.agent_dispatch = self

    async def list_dispatch(self, _room: str) -> list[api.AgentDispatch]:
        return [
            api.AgentDispatch(id=f"AD_{number}", state=AgentDispatchState(jobs=[Job(id=f"AJ_{number}")]))
            for number in (1, 2)
        ]

    async def delete_dispatch(self, dispatch_id: str, _room: str) -> None:
        self.deleted.append(dispatch_id)


class FakeContext:
    """A job for a room that is open, if it has this id."""

    def __init__(self, room: str = "RM_1") -> None:
        self.api = FakeDispatches()
        self.job = Job(id="AJ_1", dispatch_id="AD_1", room=Room(sid="RM_1"))
        self.room = FakeRoom(room)
        self.reason = ""

    async def enter(self) -> None:
        """Do the job, and end it."""
        await job.entrypoint(cast(JobContext, self))
        await self.stop("")

    async def connect(self, **_options: Any) -> None:
        pass

    def shutdown(self, reason: str) -> None:
        self.reason = reason

    def add_shutdown_callback(self, stop: Callable[[str], Awaitable[None]]) -> None:
        self.stop = stop


class FakeCall:
    """Keeps what it is built with, and is over at once."""

    is_over = True
    is_held = False

    def __init__(self, call_id: str, *built_with: Any, manner: CallManner, diary: Diary) -> None:
        self.call_id, self.built_with, self.manner, self.diary = call_id, built_with, manner, diary

    @property
    def wishes(self) -> Wishes:
        (wishes,) = [each for each in self.built_with if isinstance(each, Wishes)]
        return wishes

    async def run(self) -> Reason:
        return Reason.CALLER_LEFT


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """What every job finds. Of the names in its room this process' log has seen none."""
    engine = FakeEngine()
    monkeypatch.setattr(job, "open_engine", lambda _settings: engine)
    monkeypatch.setattr("worker.logs.hide_names_in", lambda _room: None)
    return engine


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[FakeCall]:
    """Those that jobs have built."""
    built: list[FakeCall] = []

    def build(*args: Any, **options: Any) -> FakeCall:
        built.append(FakeCall(*args, **options))
        return built[-1]

    monkeypatch.setattr(job, "Call", build)
    return built


async def test_a_job_that_comes_too_late_for_its_room_gives_its_seat_back_at_once(
    engine: FakeEngine,
) -> None:
    context = FakeContext("RM_made_by_our_coming")
    await job.entrypoint(cast(JobContext, context))
    assert engine.released == ["AJ_1"]
    assert engine.is_closed
    assert context.reason == Reason.ROOM_CLOSED


async def test_a_call_that_goes_on_keeps_its_parameters_and_welcomes_only_who_was_not_there(
    monkeypatch: pytest.MonkeyPatch, calls: list[FakeCall]
) -> None:
    monkeypatch.setenv("WORKER_DISCLOSURE", "all")
    context = FakeContext()
    returning = Returning("AJ_0", {"AJ_0": "token"}, '{"moshi": {"seed": 7}}', "ada")
    context.job = Job(id="AJ_9", room=returning.hidden_in(Room(sid="RM_1")))
    await context.enter()
    (call,) = calls
    assert call.call_id == "AJ_0"
    assert call.wishes.by_app == SessionRequest(seed=7, voice="ann")
    assert call.manner.welcome.who is Disclosure.ALL
    assert call.manner.welcome.known == {"ada"}
    assert call.manner.awaited == "ada"


class FailingCall(FakeCall):
    async def run(self) -> Reason:
        raise RuntimeError("no sound card")


@pytest.mark.parametrize(
    ("socket", "is_held", "is_hung_up"),
    [(None, True, True), ("/run/engine.admin", True, False), ("/run/engine.admin", False, True)],
    ids=["nobody brings it back", "it is brought back", "there is nothing to bring back"],
)
async def test_telephones_of_a_job_that_fails_are_hung_up_where_no_other_job_takes_over(
    monkeypatch: pytest.MonkeyPatch, socket: str | None, is_held: bool, is_hung_up: bool
) -> None:
    hung_up: list[object] = []

    async def hang_up(room: object, _switchboard: object) -> None:
        hung_up.append(room)

    if socket:
        monkeypatch.setenv("ENGINE_ADMIN_SOCKET", socket)
    monkeypatch.setattr(FailingCall, "is_held", is_held)
    monkeypatch.setattr(job, "Call", FailingCall)
    monkeypatch.setattr(job, "hang_up_those_left_in", hang_up)
    context = FakeContext()
    await context.enter()
    assert hung_up == ([context.room] if is_hung_up else [])
    assert context.reason == Reason.FAILED


@pytest.mark.parametrize(
    ("ends", "deleted"), [(FakeCall, ["AD_1"]), (FailingCall, [])], ids=["it is over", "it failed"]
)
async def test_nobody_is_sent_again_to_those_who_stay_in_the_room_of_a_call_that_is_over(
    monkeypatch: pytest.MonkeyPatch, ends: type[FakeCall], deleted: list[str]
) -> None:
    monkeypatch.setattr(job, "Call", ends)
    context = FakeContext()
    await context.enter()
    assert context.api.deleted == deleted


@pytest.mark.parametrize(
    ("reason", "are_seen", "deleted"),
    [
        (Reason.REMOVED, False, ["AD_1"]),
        (Reason.NOBODY_CAME, True, ["AD_1"]),
        (Reason.NOBODY_CAME, False, []),
        (Reason.CONNECTION_LOST, False, []),
        (Reason.WORKER_STOPPED, True, []),
    ],
)
async def test_nobody_is_sent_again_where_the_agent_was_removed_or_had_nobody_to_talk_to(
    monkeypatch: pytest.MonkeyPatch, reason: Reason, are_seen: bool, deleted: list[str]
) -> None:
    class Ending(FakeCall):
        async def run(self) -> Reason:
            return reason

    monkeypatch.setattr(job, "Call", Ending)
    context = FakeContext()
    if not are_seen:
        context.room.remote_participants.clear()
    await context.enter()
    assert context.api.deleted == deleted


async def test_who_is_left_without_a_conversation_hears_that_this_is_a_new_one(
    calls: list[FakeCall],
) -> None:
    context = FakeContext()
    context.job.metadata = saying_anew('{"moshi": {"seed": 7}}')
    await context.enter()
    (call,) = calls
    assert call.manner.welcome.lost == {"ada"}
    assert not call.manner.welcome.known, "nobody knows whether they were welcomed"
    assert call.wishes.by_app.seed == 7


async def test_a_job_that_fails_before_its_call_begins_says_so_and_is_not_taken_for_a_killed_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(*_args: Any, **_options: Any) -> FakeCall:
        raise RuntimeError("no sound card")

    told: list[tuple[Event, object]] = []
    watch = Watch(JobLine(None), None)
    watch.diary = Diary(lambda event, facts: told.append((event, facts["reason"])))

    async def begin(_call_id: str) -> Watch:
        return watch

    monkeypatch.setattr(Watch, "begin", begin)
    monkeypatch.setattr(job, "Call", build)
    with pytest.raises(RuntimeError):
        await FakeContext().enter()
    assert told == [(Event.ENDED, Reason.FAILED)]
