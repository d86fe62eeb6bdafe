"""One call of the ready-made worker with an LLM, in a fake room, with a session that only takes note."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from livekit import rtc
from livekit.agents import AgentSession, ConversationItemAddedEvent, UserStateChangedEvent
from livekit.agents.llm import ChatMessage, ChatRole
from livekit.agents.voice.events import UserState

from tests.worker.calls import ANEW, FakeClip, tone
from tests.worker.fakes import FakeMe, FakePerson, FakeRoom
from tests.worker.waiting import until
from worker.conversation.sentences import NEW
from worker.hybrid.call import HybridCall
from worker.hybrid.hybrid import Hybrid
from worker.keeping.kept import Keeping, Kept
from worker.room.call import CallLimits
from worker.room.disclosure import Disclosure
from worker.room.reasons import Reason
from worker.room.welcome import NO_WELCOME, Welcome
from worker.sound.clips import Clip

SENTENCE = "This is a machine."


@dataclass
class FakeSession:
    said: list[str] = field(default_factory=list)
    told: dict[str, Callable[..., None]] = field(default_factory=dict)

    def on(self, event: str, told: Callable[..., None]) -> None:
        self.told[event] = told

    def caller(self, old: UserState, new: UserState) -> None:
        self.told["user_state_changed"](UserStateChangedEvent(old_state=old, new_state=new))

    def adds(self, role: ChatRole, text: str, at: float) -> None:
        item = ChatMessage(role=role, content=[text], created_at=at)
        self.told["conversation_item_added"](ConversationItemAddedEvent(item=item))

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


class Read(FakeMe):
    """Whose lines somebody reads."""

    async def send_text(self, text: str, **_options: Any) -> None:
        self.lines = [*getattr(self, "lines", []), text]


class Unread(FakeMe):
    """Sends no text."""

    async def send_text(self, *_args: Any, **_options: Any) -> None:
        raise RuntimeError("no handle")


def lines_in(folder: Path) -> list[dict[str, Any]]:
    """Those of the only file there."""
    (file,) = folder.iterdir()
    return [json.loads(line) for line in file.read_text().splitlines()]


def call_in(
    room: FakeRoom,
    session: FakeSession,
    max_s: float = 3600,
    welcome: Welcome = NO_WELCOME,
    *,
    idle_s: float = 0.0,
    kept: Kept | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> HybridCall:
    return HybridCall(
        "job1",
        cast(rtc.Room, room),
        cast(Hybrid, FakeHybrid()),
        cast(AgentSession[Any], session),
        "",
        CallLimits(max_s, idle_s=idle_s),
        welcome,
        kept=kept,
        clock=clock,
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


async def test_who_says_nothing_is_told_and_then_hung_up_on() -> None:
    room = FakeRoom(FakePerson("ada"))
    room.local_participant = me = Read()
    assert await call_in(room, FakeSession(), idle_s=0.02).run() is Reason.IDLE
    (line,) = me.lines
    assert "I hear nobody" in line


async def test_who_speaks_or_types_is_not_idle_and_who_is_only_away_from_the_keyboard_is() -> None:
    now = 100.0
    session = FakeSession()
    call = call_in(FakeRoom(FakePerson("ada")), session, idle_s=1e6, clock=lambda: now)
    running = asyncio.create_task(call.run())
    await until(lambda: call.silent_s == 0.0 and call.is_awaited, 60)
    now += 40
    session.caller("listening", "away")
    assert call.silent_s == 40
    session.caller("away", "speaking")
    now += 40
    assert call.silent_s == 0
    session.caller("speaking", "listening")
    now += 7
    assert call.silent_s == 7
    session.adds("user", "typed", at=0.0)
    assert call.silent_s == 0
    session.adds("assistant", "An answer.", at=0.0)
    now += 5
    assert call.silent_s == 5
    call.hang_up(Reason.CALLER_LEFT)
    await running


async def test_what_everybody_said_is_kept_with_who_said_it(tmp_path: Path) -> None:
    kept = Keeping(transcripts=tmp_path, of_callers=True).of("job1")
    assert kept.transcript is not None
    session, clip = FakeSession(), cast(Clip, FakeClip(tone(ANEW)))
    welcome = Welcome(Disclosure.ALL, SENTENCE, (clip,))
    call = call_in(FakeRoom(FakePerson("ada")), session, welcome=welcome, kept=kept)
    running = asyncio.create_task(call.run())
    await until(lambda: session.said, 60)
    session.adds("user", "My number is 5551234.", at=1.0)
    kept.transcript.write("Mm-hm.", ends=True)
    session.adds("assistant", "Thank you.", at=2.0)
    session.adds("system", "Be brief.", at=2.0)
    call.hang_up(Reason.CALLER_LEFT)
    await running
    lines = lines_in(tmp_path)
    assert [(line["who"], line["text"]) for line in lines] == [
        ("worker", SENTENCE),
        ("caller", "My number is [number]."),
        ("model", "Mm-hm."),
        ("answer", "Thank you."),
    ]
    assert [line["time_s"] for line in lines[1::2]] == [1.0, 2.0]
