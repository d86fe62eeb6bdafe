"""One conversation: sound of any length becomes frames of 80 ms, answers become events."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.errors import SessionError
from engine.protocol import FRAME_BYTES, Audio, Ended, Event, Failure, Text
from engine.service.own_words import OwnWords, WordTokens
from engine.service.pace import Pace
from engine.service.places import Place
from engine.step.frames import Frame, StepResult

_MAX_UNSENT_EVENTS = 500
_SILENCE = bytes(FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a session is, as it was opened: a lost one comes back to nobody else."""

    room: str | None = None
    identity: str | None = None
    seat: str | None = None

    def is_same(self, other: "Owner") -> bool:
        """Whether `other` may have this one's session back."""
        return (self.room, self.identity) == (other.room, other.identity)


class Listener:
    """One connection of a session: `events` holds what it is to hear, `over` is set with the last of it."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[Event, StepResult | None]] = asyncio.Queue()
        self.over = asyncio.Event()

    def tell(self, event: Event, result: StepResult | None = None) -> None:
        """An event, and the step that it comes from if that is to be measured."""
        self.events.put_nowait((event, result))

    def part(self, reason: str, failure: Failure | None = None) -> None:
        """The last events: why, and that it is over."""
        self.over.set()
        if failure is not None:
            self.tell(failure)
        self.tell(Ended(reason))


class Session:
    """A session in its place: `put` takes its complete frames, `listener` what its client is to hear.

    Without a connection it is stepped no more, and what is still answered is lost. While it is `frozen` what
    it hears waits. `follows` names the engines to which its client follows it; `frames`: how many it has
    heard elsewhere. `was_fetched`: somebody has had a connection to it here;
    `asked_at`: when its client last asked to come back and found no seat, in the event loop's seconds.
    tokens: how its model writes its own words, None if it cannot be given any.
    """

    def __init__(
        self,
        place: Place,
        seed: int,
        owner: Owner,
        put: Callable[[Frame], None],
        piece: Callable[[int], str],
        clock: Callable[[], float] = time.monotonic,
        frames: int = 0,
        tokens: WordTokens | None = None,
    ) -> None:
        self.id = place.session
        self.place = place
        self.seed = seed
        self.owner = owner
        self.listener = Listener()
        self.connected = True
        self.was_fetched = True
        self.claimed = False
        self.asked_at = -math.inf
        self.follows: tuple[str, ...] = ()
        self.frozen = False
        self.answered_at = clock()
        self._put = put
        self._piece = piece
        self._clock = clock
        self._sound = bytearray()
        self._own = OwnWords(tokens) if tokens else None
        self._frames = frames
        self._heard_from = self._answered = frames
        self._pace = Pace(clock)

    @property
    def events(self) -> "asyncio.Queue[tuple[Event, StepResult | None]]":
        """Of the connection that is there now, or was there last."""
        return self.listener.events

    @property
    def ended(self) -> asyncio.Event:
        """Set when that connection has been told that it is over."""
        return self.listener.over

    @property
    def next_frame(self) -> int:
        """The number of the next frame that becomes complete."""
        return self._frames

    @property
    def unanswered(self) -> int:
        """How many frames wait for their answer."""
        return self._frames - self._answered

    @property
    def facts(self) -> dict[str, int]:
        """What another engine has to know, beside its owner and its state."""
        return {"seed": self.seed, "frames": self._frames}

    def count_message(self) -> None:
        """A message has come. Raises SessionError when they come too fast."""
        self._pace.message()

    def receive(self, pcm: bytes) -> None:
        """PCM s16le mono 24 kHz, any length; lost after the end.

        Raises SessionError when it comes much faster than real time.
        """
        if self.ended.is_set():
            return
        self._pace.sound(len(pcm))
        self._sound += pcm
        if self.frozen:
            return
        assert self.place.slot is not None, "who speaks is not away"
        complete_at = self._clock()
        while len(self._sound) >= FRAME_BYTES:
            frame = np.frombuffer(bytes(self._sound[:FRAME_BYTES]), "<i2")
            del self._sound[:FRAME_BYTES]
            own = self._own.take() if self._own else None
            self._put(Frame(self.place.slot, self._frames, frame, complete_at, own))
            self._frames += 1

    def say(self, sound: bytes, text: str) -> None:
        """What the model is to take for its own words in the next frame that has none yet; lost after
        the end.

        sound: PCM [FRAME_BYTES]. Raises SessionError for a model that cannot, and for more than is heard.
        """
        if self.ended.is_set():
            return
        if self._own is None:
            raise SessionError(
                "this model takes no words for its own: send own_words where ready says that it does"
            )
        self._own.put(sound, text, len(self._sound) // FRAME_BYTES)

    def answer(self, result: StepResult) -> None:
        """Hand an answer on: the sound, then its word. Raises SessionError if nobody reads them."""
        self.answered_at, self._answered = result.ended_at, result.frame.number + 1
        if not self.connected or result.frame.number < self._heard_from:
            return
        if self.events.qsize() > _MAX_UNSENT_EVENTS:
            raise SessionError("the client does not read its answers")
        number = result.frame.number
        queue_us = round((result.began_at - result.frame.complete_at) * 1e6)
        step_us = round((result.ended_at - result.began_at) * 1e6)
        own = result.frame.own is not None
        # Its client has that sound, and these words, already.
        pcm = _SILENCE if own else result.pcm.astype("<i2").tobytes()
        self.listener.tell(Audio(number, queue_us, step_us, pcm), result)
        piece = "" if own else self._piece(result.text_token)
        if piece:
            self.listener.tell(Text(number, piece))

    def thaw(self) -> None:
        """Hear again, what has waited too."""
        if self.frozen:
            self.frozen = False
            if self.place.slot is not None:
                self.receive(b"")

    def pause(self) -> None:
        """The caller is away: what is no whole frame yet never becomes one."""
        del self._sound[len(self._sound) // FRAME_BYTES * FRAME_BYTES :]
        self._stop_saying()

    def disconnect(self, reason: str, failure: Failure | None = None) -> None:
        """Part from the connection; the session may go on over another."""
        self._sound.clear()
        self._stop_saying()
        self.connected = False
        self.listener.part(reason, failure)

    def connect(self) -> None:
        """Another connection, which takes the place of one that is still there."""
        if self.connected:
            self.disconnect("taken_over")
        self.listener = Listener()
        self.connected, self.was_fetched, self.claimed = True, True, False
        self._heard_from = self._frames

    def _stop_saying(self) -> None:
        if self._own is not None:
            self._own.clear()
