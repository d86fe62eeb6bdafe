"""One call of the ready-made worker with an LLM, in a fake room, with a session that only takes note."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from livekit import rtc
from livekit.agents import AgentSession

from tests.worker.calls import ANEW, FakeClip, tone
from tests.worker.fakes import FakeMe, FakePerson, FakeRoom
from tests.worker.waiting import until
from worker.conversation.sentences import NEW
from worker.hybrid.call import HybridCall
from worker.hybrid.hybrid import Hybrid
from worker.room.call import CallLimits
from worker.room.disclosure import Disclosure
from worker.room.reasons import Reason
from worker.room.welcome import NO_WELCOME, Welcome
from worker.sound.clips import Clip

SENTENCE = "This is a machine."


@dataclass
class FakeSession:
    said: list[str] = field(default_factory=list)

    def on(self, _event: str, _told: Callable[..., None]) -> None:
        pass

    def say(self, text: str, **_options: Any) -> "FakeSession":
        self.said.append(text)
        return self

    async def wait_for_playout(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class FakeHybrid:
    """Greets before it has started."""

    async def start(self, *_args: Any, first: Callable[[], Awaitable[None]], **_options: Any) -> None:
        await first()

    async def heard(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class Unread(FakeMe):
    """Sends no text."""

    async def send_text(self, *_args: Any, **_options: Any) -> None:
        raise RuntimeError("no handle")


def call_in(room: FakeRoom, session: FakeSession, max_s: float, welcome: Welcome = NO_WELCOME) -> HybridCall:
    return HybridCall(
        "job1",
        cast(rtc.Room, room),
        cast(Hybrid, FakeHybrid()),
        cast(AgentSession[Any], session),
        "",
        CallLimits(max_s),
        welcome,
    )


async def test_a_notice_that_cannot_be_sent_ends_no_call() -> None:
    room = FakeRoom(FakePerson("ada"))
    room.local_participant = Unread()
    assert await call_in(room, FakeSession(), max_s=0.0).run() is Reason.MAX_TIME


async def test_who_is_told_of_the_machine_and_of_a_new_conversation_reads_both() -> None:
    session, clip = FakeSession(), cast(Clip, FakeClip(tone(ANEW)))
    welcome = Welcome(Disclosure.ALL, SENTENCE, (clip,), lost=frozenset({"ada"}))
    call = call_in(FakeRoom(FakePerson("ada")), session, 3600, welcome)
    running = asyncio.create_task(call.run())
    await until(lambda: session.said, 60)
    call.hang_up(Reason.CALLER_LEFT)
    assert await running is Reason.CALLER_LEFT
    assert session.said == [f"{SENTENCE} {NEW}"]
