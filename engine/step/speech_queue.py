"""What waits for the step thread of a model that speaks a text: who begins, what they say, who leaves."""

from dataclasses import dataclass, field
from threading import Condition
from typing import TYPE_CHECKING

from engine.step.frames import Sampling, SlotRef

if TYPE_CHECKING:
    from engine.checkpoint.tts_voices import TtsVoice


@dataclass(frozen=True, slots=True)
class Begin:
    """A stretch of speech from nothing: what the slot spoke before is forgotten.

    cfg: how closely the voice is followed; None: as the model usually does.
    """

    slot: SlotRef
    voice: "TtsVoice | None"
    sampling: Sampling
    cfg: float | None


@dataclass(frozen=True, slots=True)
class More:
    """Text of the stretch, cut anywhere."""

    slot: SlotRef
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Whole:
    """The stretch has no more text."""

    slot: SlotRef


@dataclass(frozen=True, slots=True)
class Leave:
    """Nobody listens to the slot any more."""

    slot: SlotRef


Order = Begin | More | Whole | Leave


class SpeechQueue:
    """Filled from the event loop, emptied by the step thread."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._orders: list[Order] = []
        self._closed = False

    def put(self, order: Order) -> None:
        """Orders are followed as they come. Of a slot that is left nothing else is done."""
        with self._changed:
            if isinstance(order, Leave):
                self._orders = [other for other in self._orders if other.slot != order.slot]
            self._orders.append(order)
            self._changed.notify()

    def close(self) -> None:
        """Let `take` return None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self, wait_s: float | None) -> list[Order] | None:
        """All that has come; [] when nothing has for `wait_s` seconds, None once the queue is closed."""
        with self._changed:
            if not self._orders and not self._closed:
                self._changed.wait(wait_s)
            if self._closed:
                return None
            orders, self._orders = self._orders, []
            return orders
