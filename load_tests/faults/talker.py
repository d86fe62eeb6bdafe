"""A caller who talks all the time, and comes back whenever they are not in the room."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from livekit import rtc
from livekit.rtc import SimulateScenarioKind
from numpy.typing import NDArray

from load_tests.callers.recorded import PIECE_SAMPLES
from load_tests.faults.tape import Tape
from worker.caller.caller import Caller, NoConnection, new_room, token
from worker.settings import LiveKitSettings

_TRIES_AGAIN_S = 0.5
_ENTERS_WITHIN_S = 15.0
_MODELS_OWN = "hear you."
"""In all that parrot says; what is written to callers otherwise comes from the worker."""
_SCENARIOS = {
    "signal": SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT,
    "full": SimulateScenarioKind.SIMULATE_FULL_RECONNECT,
}


class Do(StrEnum):
    """What a caller is told to do."""

    SIGNAL = "signal"
    FULL = "full"
    AWAY = "away"
    """Leave without a word, and come back to the same room as the same person after some seconds."""
    CALL_AGAIN = "call again"
    """Hang up, and call anew, in another room."""
    END = "end"


@dataclass(frozen=True, slots=True)
class News:
    """`what` happened `at`, by time.monotonic: `in` a room (`text` is its name), `thrown out` of it, `kept
    out`, `told` something in text, or something `failed`.
    """

    at: float
    what: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Leave:
    for_s: float = 0.0
    hangs_up: bool = False
    for_good: bool = False


class Talker:
    """`run` it, and let it `do` things meanwhile. speech: seconds of sound, without end."""

    def __init__(
        self,
        settings: LiveKitSettings,
        number: int,
        speech: Iterator[NDArray[np.int16]],
        tape: Tape,
        tell: Callable[[News], None],
    ) -> None:
        self._settings = settings
        self._identity = f"caller-{number}"
        self._room = new_room()
        self._speech = speech
        self._tape = tape
        self._tell = tell
        self._caller: Caller | None = None
        self._leave: asyncio.Queue[_Leave] = asyncio.Queue()
        self._read = 0

    async def run(self) -> None:
        """Until told to end."""
        while True:
            leaving = _Leave(_TRIES_AGAIN_S)
            try:
                allowed = token(self._settings, self._room, self._identity)
                async with AsyncExitStack() as until_gone:
                    async with asyncio.timeout(_ENTERS_WITHIN_S):
                        entering = Caller.enter(self._settings.livekit_url, allowed)
                        caller = await until_gone.enter_async_context(entering)
                    self._say("in", self._room)
                    leaving = await self._be_there(caller)
            except (NoConnection, TimeoutError, rtc.participant.PublishTrackError) as error:
                self._say("kept out", str(error) or type(error).__name__)
            if leaving.for_good:
                return
            if leaving.hangs_up:
                self._room = new_room()
            await asyncio.sleep(leaving.for_s)

    async def do(self, what: Do, seconds: float = 0.0) -> None:
        """seconds: for how long to be away."""
        if what in _SCENARIOS:
            if self._caller is not None:
                # The SDK has no narrower error; what became of the call is seen in the call.
                try:
                    await self._caller.room.simulate_scenario(_SCENARIOS[what])
                except Exception as error:  # noqa: BLE001
                    self._say("failed", f"{what}: {error}")
            return
        leaves = {
            Do.AWAY: _Leave(seconds),
            Do.CALL_AGAIN: _Leave(hangs_up=True),
            Do.END: _Leave(hangs_up=True, for_good=True),
        }
        self._leave.put_nowait(leaves[what])

    async def _be_there(self, caller: Caller) -> _Leave:
        """Talk until told to leave, or thrown out; how to leave."""
        thrown_out = asyncio.Event()
        caller.room.on("disconnected", lambda _reason: thrown_out.set())
        self._caller, self._read = caller, 0
        tasks = [
            asyncio.create_task(work) for work in (self._talk(caller), self._leave.get(), thrown_out.wait())
        ]
        talking, told, out = tasks
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._caller = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not told.cancelled():
            leaving = told.result()
            assert isinstance(leaving, _Leave)
            if not leaving.hangs_up:
                await caller.room.disconnect()
            return leaving
        if out.cancelled():
            talking.result()
        self._say("thrown out")
        return _Leave(_TRIES_AGAIN_S)

    async def _talk(self, caller: Caller) -> None:
        while True:
            chunk = next(self._speech)
            try:
                await caller.say(chunk)
            finally:
                self._keep(caller, chunk)

    def _keep(self, caller: Caller, chunk: NDArray[np.int16]) -> None:
        """What was said of it, what came back meanwhile, and what was written."""
        # Twice what the model hears in a second; espeak-ng says nothing above half of that.
        pieces = chunk.reshape(-1, PIECE_SAMPLES * 2)[:, ::2]
        said = list(zip(caller.out_at, pieces, strict=False))
        self._tape.keep(said, caller.pieces)
        new, self._read = caller.segments[self._read :], len(caller.segments)
        for segment in new:
            if segment.text and _MODELS_OWN not in segment.text:
                self._say("told", segment.text)

    def _say(self, what: str, text: str = "") -> None:
        self._tell(News(time.monotonic(), what, text))
