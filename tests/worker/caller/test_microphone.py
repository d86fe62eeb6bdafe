import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.caller.microphone import PIECE_S, PIECE_SAMPLES, Microphone

RESERVE_S = 0.04
BEGIN = 1000.0


class Over(Exception):
    pass


@dataclass
class Track:
    """A clock that moves when somebody sleeps, and a track that notes what comes when.

    `stalls`: after how many pieces the process stands still for how long.
    """

    seconds: float
    stalls: dict[int, float] = field(default_factory=dict)
    oversleeps_s: float = 0.0
    now: float = BEGIN
    put: list[tuple[float, NDArray[np.int16]]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self.oversleeps_s if seconds > 0 else 0.0

    async def take(self, piece: NDArray[np.int16]) -> None:
        self.put.append((self.now, piece))
        self.now += self.stalls.get(len(self.put), 0.0)
        if self.now > BEGIN + self.seconds:
            raise Over

    def speak(self, pcm: NDArray[np.int16], at: float) -> Microphone:
        async def run() -> Microphone:
            microphone = Microphone(self.take, self.clock, self.sleep)
            microphone.say(pcm, at)
            with pytest.raises(Over):
                await microphone.run()
            return microphone

        return asyncio.run(run())


def recording(*loud: int) -> NDArray[np.int16]:
    """Stretches of sound and silence in turns, by their pieces."""
    pieces = [np.full(count * PIECE_SAMPLES, 1000 * (1 - n % 2)) for n, count in enumerate(loud)]
    return np.concatenate(pieces).astype(np.int16)


def late_s(microphone: Microphone) -> NDArray[np.float64]:
    due_at = microphone.due_at + PIECE_S * np.arange(len(microphone.out_at))
    return np.asarray(np.array(microphone.out_at) - due_at, np.float64)


def test_a_recording_begins_when_it_was_to_and_keeps_to_its_schedule() -> None:
    track = Track(seconds=3)
    microphone = track.speak(recording(50), BEGIN + 1)
    assert 0 <= microphone.out_at[0] - (BEGIN + 1) < PIECE_S
    assert len(microphone.out_at) == 50
    assert np.diff(microphone.out_at) == pytest.approx(PIECE_S)
    assert sum(piece.any() for _, piece in track.put) == 50


def test_a_process_that_wakes_up_a_little_late_is_not_late_to_speak() -> None:
    microphone = Track(seconds=3, oversleeps_s=0.03).speak(recording(50), BEGIN + 1)
    assert late_s(microphone).max() < 1e-6


def test_what_a_stall_delayed_is_said_late_but_whole_and_the_next_silence_makes_up_for_it() -> None:
    stalled = Track(seconds=6, stalls={70: 0.5})
    microphone = stalled.speak(recording(50, 40, 50), BEGIN + 1)
    late = late_s(microphone)
    assert sum(piece.any() for _, piece in stalled.put) == 100
    assert 0.4 < late[49] < 0.5
    assert late[90:].max() < PIECE_S


def test_the_track_never_holds_more_than_the_reserve() -> None:
    track = Track(seconds=6, stalls={70: 0.5, 90: 0.2})
    track.speak(recording(100, 20, 50), BEGIN + 1)
    ends_at, most_s = BEGIN, 0.0
    for now, piece in track.put:
        ends_at = max(ends_at, now) + len(piece) / PIECE_SAMPLES * PIECE_S
        most_s = max(most_s, ends_at - now)
    assert most_s < RESERVE_S + PIECE_S + 1e-6


def test_a_stall_of_nobody_who_speaks_delays_nothing() -> None:
    microphone = Track(seconds=3, stalls={10: 0.7}).speak(recording(20), BEGIN + 1)
    assert abs(microphone.out_at[0] - (BEGIN + 1)) < 2 * PIECE_S
