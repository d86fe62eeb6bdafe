"""A session of the engine that outlives its connection, and if need be its engine.

async for event in link:  # Opened, Audio, Text, Followed; Interrupted, then Resumed or StartedAnew
    ...
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from engine.client import EngineClient, EngineSession
from engine.errors import (
    EngineError,
    EngineFull,
    EngineUnreachable,
    Refused,
    SessionGone,
    SessionMoved,
    UserError,
    error_from_wire,
)
from engine.protocol import Audio, Ended, Failure, Moved, OwnWords, Ready, Report, SessionRequest, Text

log = logging.getLogger(__name__)

PATIENCE_S = 60.0
UNANSWERED_FRAMES = 5
"""As many frames the engine may owe us. If it is further behind, sound is lost: else it would stay behind."""
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Opened:
    """The session has begun."""

    ready: Ready


@dataclass(frozen=True, slots=True)
class Interrupted:
    """There is no session now; it is being brought back. Told again when the error is of another kind."""

    error: EngineError


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session goes on as if nothing had been."""

    ready: Ready


@dataclass(frozen=True, slots=True)
class Followed:
    """The session goes on at another engine. Nothing of it was lost."""

    ready: Ready
    engine: str


@dataclass(frozen=True, slots=True)
class StartedAnew:
    """The session of before is lost. This one knows nothing of it."""

    ready: Ready


@dataclass(frozen=True, slots=True)
class _Sent:
    """A frame, its number, and the model's own words in it."""

    number: int
    pcm: bytes
    words: OwnWords | None


Event = Opened | Audio | Text | Interrupted | Resumed | Followed | StartedAnew


class EngineLink:
    """Build it, iterate over it, and `send` meanwhile; nobody listens before `Opened` or after `Interrupted`.

    It follows its session to the engines that `engine` has as peers, and to no others. What is begun anew
    is begun at home, at `engine`, unless the last one still answers.
    resume: a token that brings back a session of an earlier job; choose: waited for before the first session
    that is no earlier one, says how it is to speak, or raises SessionError.
    The iteration ends after `end`, or when the session goes on elsewhere; it raises EngineError when there
    was none for `patience_s`, or can be none.
    """

    def __init__(
        self,
        engine: EngineClient,
        wanted: SessionRequest,
        resume: str = "",
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        choose: Callable[[], Awaitable[SessionRequest]] | None = None,
    ) -> None:
        self._home = engine
        self._engine = engine
        self._following = ""
        self._wanted = replace(wanted, follows=engine.peers)
        self._choose = choose
        self._resume = resume
        self._patience_s = patience_s
        self._clock = clock
        self._session: EngineSession | None = None
        self._had_one = bool(resume)
        self._paused = False
        self._ending = False
        self._next_frame = 0
        self._unanswered = 0
        self._sent: deque[_Sent] = deque(maxlen=UNANSWERED_FRAMES)
        self._grace_s = 0.0
        self._moved = asyncio.Event()
        self._opened_at = 0.0
        self._failing_since: float | None = None
        self._delay_s = FIRST_RETRY_S
        self.session_id = ""

    @property
    def is_open(self) -> bool:
        """Whether there is a session now."""
        return self._session is not None

    @property
    def is_held(self) -> bool:
        """Whether the engine keeps a session of ours for a while when the connection is lost."""
        return bool(self._resume)

    async def turn(self) -> int:
        """Wait until there is a session and it owes few enough answers.

        The number of the frame that may be sent now, at once.
        """
        while self._session is None or self._unanswered >= UNANSWERED_FRAMES:
            self._moved.clear()
            await self._moved.wait()
        return self._next_frame

    async def send(self, pcm: bytes, words: OwnWords | None = None) -> None:
        """One frame, PCM s16le mono [FRAME_SAMPLES], at one's turn. It ends a pause.

        words: what the model is to take for its own in this frame, if it can.
        """
        if self._session is not None:
            self._paused = False
            sent = _Sent(self._next_frame, pcm, words)
            self._sent.append(sent)
            self._next_frame += 1
            self._unanswered += 1
            await _send(self._session, sent)

    async def report(self, report: Report) -> None:
        """Tell the engine what became of one of its answers."""
        if self._session is not None:
            await self._session.report(report)

    async def pause(self) -> None:
        """The caller is away, until something is sent again."""
        self._paused = True
        if self._session is not None:
            await self._session.pause()

    async def end(self) -> None:
        """Hang up. Nothing else does. A session that is being opened, or brought back, is ended then."""
        self._ending = True
        if self._session is not None:
            await self._session.end()

    async def close(self) -> None:
        """Close the connection, as a lost network would: the engine holds the session for a while."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        lost: EngineError | None = None
        while True:
            async for news in self._connect(lost):
                yield news
            assert self._session is not None
            lost = EngineError("the engine ended the session and did not say why")
            moved = None
            try:
                async for event in self._session:
                    match event:
                        case Audio():
                            self._unanswered = max(0, self._next_frame - event.frame - 1)
                            self._moved.set()
                            yield event
                        case Text():
                            yield event
                        case Moved():
                            moved = event
                            break
                        case Failure():
                            lost = _error(event)
                        case Ended("hang_up" | "taken_over"):
                            return
                        case Ended(reason) if reason != "held":
                            self._resume = ""
            except EngineUnreachable as gone:
                lost = gone
            await self.close()
            if self._clock() - self._opened_at > LAST_RETRY_S:
                self._failing_since = None
            if moved is not None:
                self._follow(moved.engine, moved.resume)
                self._failing_since = lost = None
                continue
            log.warning("the engine was lost", extra={"session": self.session_id, **facts(lost)})
            yield Interrupted(lost)

    async def _connect(self, lost: EngineError | None) -> AsyncIterator[Event]:
        """Until there is a session again: what is to be told meanwhile, and how it goes on."""
        while True:
            if self._failing_since is None:
                self._failing_since, self._delay_s = self._clock(), FIRST_RETRY_S
            else:
                if lost is not None and self._clock() - self._failing_since >= self._patience_s:
                    raise lost
                await asyncio.sleep(self._delay_s)
                self._delay_s = min(2 * self._delay_s, LAST_RETRY_S)
            if self._ending and not self._resume:
                raise lost or EngineError("hung up")
            try:
                yield await self._open()
            except UserError:
                raise
            except EngineError as error:
                if type(error) is not type(lost):
                    log.warning("no session", extra=facts(error))
                    yield Interrupted(error)
                lost = error
                self._following = ""
                self._go_home_if_lost(self._failing_since)
            else:
                return

    async def _open(self) -> Event:
        """Bring back the session of before if it is held, else open a new one."""
        while self._resume:
            try:
                session = await self._engine.open(self._wanted, self._resume)
            except SessionMoved as moved:
                self._follow(moved.engine, moved.resume)
            except SessionGone:
                self._resume = ""
            else:
                following = self._following
                return await self._begin(
                    session, partial(Followed, engine=following) if following else Resumed
                )
        if self._choose is not None:
            mine = self._wanted
            chosen = replace(await self._choose(), seat=mine.seat, room=mine.room, identity=mine.identity)
            self._wanted, self._choose = replace(chosen, follows=mine.follows), None
        first = not self._had_one
        return await self._begin(await self._engine.open(self._wanted), Opened if first else StartedAnew)

    def _follow(self, engine: str, resume: str) -> None:
        """Bring the session back at another engine; to one that nobody has named here it is lost."""
        if engine not in self._home.peers:
            log.warning("moved to an engine that is not in ENGINE_PEERS", extra={"engine": engine})
            self._resume = ""
            return
        self._engine, self._resume, self._following = self._home.peer(engine), resume, engine

    def _go_home_if_lost(self, failing_since: float) -> None:
        """Where it was moved to it is held no more, and nobody begins another one."""
        over = not self._resume or self._clock() - failing_since >= self._grace_s
        if over and self._engine is not self._home:
            self._engine, self._resume = self._home, ""

    def _unheard(self, frame: int) -> list[_Sent]:
        """What was sent while the session moved."""
        if not self._following or self._paused:
            return []
        return [sent for sent in self._sent if sent.number >= frame]

    async def _begin(self, session: EngineSession, how: Callable[[Ready], Event]) -> Event:
        ready = session.ready
        self.session_id, self._resume, self._grace_s = ready.session, ready.resume, ready.grace_s
        self._opened_at, self._had_one = self._clock(), True
        unheard = self._unheard(ready.frame)
        self._sent.clear()
        self._sent.extend(unheard)
        self._next_frame, self._unanswered, self._following = ready.frame + len(unheard), len(unheard), ""
        for sent in unheard:
            await _send(session, sent)
        self._session = session
        self._moved.set()
        if self._ending:
            await session.end()
        elif self._paused:
            await session.pause()
        return how(ready)


async def _send(session: EngineSession, sent: _Sent) -> None:
    if sent.words is not None and session.ready.own_words:
        await session.say(sent.words)
    await session.send(sent.pcm)


def facts(error: EngineError) -> dict[str, str]:
    """An error for a log line."""
    return {"reason": error.code, "detail": str(error)}


def _error(failure: Failure) -> EngineError:
    """What the engine said before it gave up."""
    if failure.code == EngineFull.code:
        return Refused(failure.message)
    return error_from_wire({"error": failure.code, "message": failure.message})
