"""What one caller said and heard, piece by piece with its time, in two files that grow while they talk."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import SAMPLE_RATE
from load_tests.callers.recorded import PIECE_S, PIECE_SAMPLES
from load_tests.callers.times import CAPTURE_S, Ear

_PIECE = np.dtype([("at", "<f8"), ("pcm", "<i2", (PIECE_SAMPLES,))])
_APART_S = 0.1
"""Pieces that come further apart belong to two streams, each with a clock of its own."""

Piece = tuple[float, NDArray[np.int16]]


class Tape:
    """Open for writing. Times are of time.monotonic; sound is int16 [480] at 24 kHz, PIECE_S long."""

    def __init__(self, folder: Path, number: int) -> None:
        self._said = said_in(folder, number).open("ab")
        self._heard = heard_in(folder, number).open("ab")

    def keep(self, said: Iterable[Piece], heard: Iterable[Piece]) -> None:
        """said: with the times when the pieces went out; heard: when they came."""
        for file, pieces in ((self._said, said), (self._heard, heard)):
            file.write(np.array(list(pieces), _PIECE).tobytes())
            file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._said.close()
        self._heard.close()


def said_in(folder: Path, number: int) -> Path:
    """Where a caller's own words are."""
    return folder / f"said-{number}.tape"


def heard_in(folder: Path, number: int) -> Path:
    """Where what they heard is."""
    return folder / f"heard-{number}.tape"


def ends_at(path: Path) -> float | None:
    """When the last piece came; None if none did."""
    pieces = _pieces(path)
    return float(pieces["at"][-1]) if len(pieces) else None


def said(path: Path, begin: float, end: float) -> NDArray[np.int16]:
    """Every moment between two times as the caller's mouth had it, silence where they said nothing."""
    pieces = _between(path, begin, end)
    return _laid(pieces["at"] - CAPTURE_S, pieces["pcm"], begin, end)


def heard(path: Path, begin: float, end: float) -> NDArray[np.int16]:
    """The same as the caller's ear had it. What came in a clump is where it belongs."""
    pieces = _between(path, begin, end)
    at_s = pieces["at"]
    # Where nothing came for a while, what comes then has another clock.
    runs = np.split(np.arange(len(at_s)), np.flatnonzero(np.diff(at_s) > _APART_S) + 1)
    ears = [_placed(at_s[run]) for run in runs]
    return _laid(np.concatenate([np.zeros(0), *ears]), pieces["pcm"], begin, end)


def _placed(arrived_at: NDArray[np.float64]) -> NDArray[np.float64]:
    """When each piece of one stream begins to be heard."""
    ear = Ear.of_arrivals(arrived_at)
    return np.array([ear.at(PIECE_S * piece) for piece in range(len(arrived_at))])


def _between(path: Path, begin: float, end: float) -> NDArray[np.void]:
    pieces = _pieces(path)
    first, last = np.searchsorted(pieces["at"], [begin - 1.0, end + 1.0])
    return pieces[first:last]


def _pieces(path: Path) -> NDArray[np.void]:
    """All of a file that may just be written to."""
    whole = path.stat().st_size // _PIECE.itemsize if path.exists() else 0
    return np.memmap(path, _PIECE, "r", shape=(whole,)) if whole else np.zeros(0, _PIECE)


def _laid(at: NDArray[np.float64], pcm: NDArray[np.int16], begin: float, end: float) -> NDArray[np.int16]:
    sound = np.zeros(round((end - begin) * SAMPLE_RATE), np.int16)
    for first, piece in zip(np.round((at - begin) * SAMPLE_RATE).astype(int), pcm, strict=True):
        if -len(piece) < first < len(sound):
            low = max(first, 0)
            part = piece[low - first : len(sound) - first]
            sound[low : low + len(part)] = part
    return sound
