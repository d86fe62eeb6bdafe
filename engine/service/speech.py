"""One voice that speaks a text: text in pieces of any length becomes stretches, frames become events."""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable

from engine.errors import SessionError
from engine.protocol import End, Ended, Failure
from engine.service.rate_limit import RateLimit
from engine.speech_protocol import (
    MAX_UNSPOKEN_CHARACTERS,
    Flush,
    Say,
    Sound,
    SpeechEvent,
    SpeechMessage,
    Spoken,
    Word,
)
from engine.step.frames import FRAME_S
from engine.step.speech_loop import SpokenFrame
from engine.step.speech_queue import Begin, More, Order, Whole

_MESSAGES_PER_SECOND = 250.0
_BURST_MESSAGES = 2500.0
# Far more than sound may lead: who has so much to come does not read it.
_MAX_UNSENT_EVENTS = round(30.0 / FRAME_S)


# Of it comes no word.
_UNSPOKEN = re.compile(r"[\s():]+")


class Speech:
    """A session in its slot: `put` takes what its model is to do, `events` holds what its client is to hear.

    A stretch is what is spoken in one breath, up to a flush; the next one begins after it from nothing, as
    `begin` says. `is_over` is set with the last event.
    """

    def __init__(
        self,
        session: str,
        begin: Begin,
        put: Callable[[Order], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = session
        self.slot = begin.slot
        self.events: asyncio.Queue[SpeechEvent] = asyncio.Queue()
        self.is_over = asyncio.Event()
        self._begin = begin
        self._put = put
        self._clock = clock
        self._messages = RateLimit(_MESSAGES_PER_SECOND, _BURST_MESSAGES, clock)
        self._later: deque[SpeechMessage] = deque()
        self._unspoken = 0
        self._frames = 0
        self._began_at: float | None = None
        self._began_s = 0.0
        self._is_open = False
        self._closed_by: Flush | End | None = None
        self._takes_more = True

    def count_message(self) -> None:
        """A message has come. Raises SessionError when they come too fast."""
        if not self._messages.take(1):
            raise SessionError(
                f"more than {_MESSAGES_PER_SECOND:g} messages a second: send text in words or sentences"
            )

    def receive(self, message: SpeechMessage) -> bool:
        """What the client sent; whether all has been said with it. What comes after the end is lost.

        Raises SessionError when more waits than may.
        """
        if not self._takes_more:
            return False
        if self.events.qsize() + len(self._later) > _MAX_UNSENT_EVENTS:
            raise SessionError("the client does not read its speech")
        if isinstance(message, Say):
            self._unspoken += _to_be_spoken(message.text)
            if self._unspoken > MAX_UNSPOKEN_CHARACTERS:
                raise SessionError(
                    f"more than {MAX_UNSPOKEN_CHARACTERS} characters wait to be spoken: send the rest when "
                    "these have been"
                )
        elif not isinstance(message, Flush):
            self._takes_more = False
        before = self._later[-1] if self._later else None
        if isinstance(before, Say) and isinstance(message, Say):
            self._later[-1] = Say(before.text + message.text)
        else:
            self._later.append(message)
        return self._go_on()

    def answer(self, spoken: SpokenFrame) -> tuple[bool, float | None]:
        """What one frame brings; whether it was the last, and after which time the first sound of a stretch
        came, if it is that. Raises SessionError if nobody reads it.
        """
        if self.events.qsize() > _MAX_UNSENT_EVENTS:
            raise SessionError("the client does not read its speech")
        for word in spoken.frame.words:
            self._unspoken = max(0, self._unspoken - _to_be_spoken(word.text))
            self.events.put_nowait(Word(word.text, round(self._began_s + word.start_s, 3)))
        first_s = None
        if len(spoken.frame.pcm):
            self.events.put_nowait(Sound(spoken.frame.pcm.astype("<i2").tobytes()))
            self._frames += 1
            if self._began_at is not None:
                first_s, self._began_at = spoken.ended_at - self._began_at, None
        return spoken.frame.done and self._end_stretch(), first_s

    def end(self, reason: str, failure: Failure | None = None) -> None:
        """The last events: why, and that it is over."""
        self._takes_more = False
        self._later.clear()
        if failure is not None:
            self.events.put_nowait(failure)
        self.events.put_nowait(Ended(reason))
        self.is_over.set()

    @property
    def _now_s(self) -> float:
        """Seconds of sound so far."""
        return round(self._frames * FRAME_S, 3)

    def _go_on(self) -> bool:
        """Whatever has not to wait for the end of a stretch; whether all has been said."""
        while self._later and self._closed_by is None:
            message = self._later.popleft()
            if isinstance(message, Say):
                self._say(message.text)
            elif self._is_open:
                self._closed_by = message
                self._put(Whole(self.slot))
            elif isinstance(message, Flush):
                self.events.put_nowait(Spoken(self._now_s))
            else:
                return True
        return False

    def _say(self, text: str) -> None:
        if not self._is_open:
            if not text.strip():
                return
            self._is_open = True
            self._began_at, self._began_s = self._clock(), self._now_s
            self._put(self._begin)
        self._put(More(self.slot, text))

    def _end_stretch(self) -> bool:
        """All of it has been spoken; whether that was all."""
        closed_by, self._closed_by = self._closed_by, None
        self._is_open = False
        self._unspoken = sum(
            _to_be_spoken(message.text) for message in self._later if isinstance(message, Say)
        )
        if isinstance(closed_by, Flush):
            self.events.put_nowait(Spoken(self._now_s))
            return self._go_on()
        return True


def _to_be_spoken(text: str) -> int:
    """How many characters of words are in it."""
    return len(_UNSPOKEN.sub("", text))
