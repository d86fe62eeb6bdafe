"""From tapes to what one caller heard between two moments."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from load_tests.callers import hearing
from load_tests.callers.hearing import HOP_S
from load_tests.callers.measure import LEAKED, LONGEST_S
from load_tests.faults import tape
from load_tests.faults.echo_track import WINDOW_S, EchoTrack, track

_LATEST_S = 15.0
"""An echo may be as late as a caller was away: the conversation goes on where it was."""
_EDGE_S = WINDOW_S
_SOONER_S = 0.1
_SENTENCE_S = 2.5
_EVERY = 4


@dataclass(frozen=True, slots=True)
class Heard:
    """gaps_s: [from, to] of every time without an echo, by time.monotonic, those of less than 0.25 s left
    out. alike: the mean where there was one. leaked of compared stretches of others were found.
    """

    gaps: tuple[tuple[float, float], ...]
    alike: float | None
    leaked: int
    compared: int


def understand(
    folder: Path, caller: int, others: Sequence[int], delay_s: float, begin: float, end: float
) -> Heard:
    """One caller between two moments. The tapes have to go on for a second after the last."""
    from_s, to_s = begin - _LATEST_S - delay_s, end + _EDGE_S
    found = _track(folder, caller, delay_s, from_s, to_s)
    first, last = round((begin - from_s) / HOP_S), round((end - from_s) / HOP_S)
    gaps = tuple(
        (from_s + low * HOP_S, from_s + high * HOP_S)
        for low, high in found.gaps(first, last)
        if (high - low) * HOP_S >= WINDOW_S / 2
    )
    alike = found.alike[first:last]
    there = alike[alike > 0]
    leaks = [_leaks(folder, caller, other, delay_s, found, from_s, begin, end) for other in others]
    return Heard(
        gaps,
        float(there.mean()) if len(there) else None,
        sum(leaked for leaked, _ in leaks),
        sum(compared for _, compared in leaks),
    )


def hears_now(folder: Path, caller: int, delay_s: float, now: float, within_s: float) -> bool:
    """Whether the newest that this caller heard, not older than `within_s`, is what they had said."""
    newest = tape.ends_at(tape.heard_in(folder, caller))
    if newest is None or newest < now - within_s:
        return False
    begin = newest - 2 * WINDOW_S - 1.0
    from_s = begin - _LATEST_S
    found = _track(folder, caller, delay_s, from_s, newest)
    rows = found.heard[round((begin - from_s) / HOP_S) : -round(WINDOW_S / 2 / HOP_S)]
    return bool(rows[-round(WINDOW_S / HOP_S) :].mean() > 0.5)


def _track(folder: Path, caller: int, delay_s: float, begin: float, end: float) -> EchoTrack:
    said = tape.said(tape.said_in(folder, caller), begin, end)
    heard = tape.heard(tape.heard_in(folder, caller), begin, end)
    return track(said, heard, delay_s, _LATEST_S)


def _leaks(
    folder: Path,
    caller: int,
    other: int,
    delay_s: float,
    own: EchoTrack,
    from_s: float,
    begin: float,
    end: float,
) -> tuple[int, int]:
    """How many stretches of what another one said can be heard, apart from what is this caller's own; and how
    many were looked for.
    """
    said = hearing.features(tape.said(tape.said_in(folder, other), from_s, end))[::_EVERY]
    heard = hearing.features(tape.heard(tape.heard_in(folder, caller), from_s, end + _EDGE_S))[::_EVERY]
    mine = own.own[::_EVERY][: len(heard)]
    hop_s = HOP_S * _EVERY
    length = round(_SENTENCE_S / hop_s)
    soonest, latest = (round((delay_s + by) / hop_s) for by in (-_SOONER_S, LONGEST_S))
    first = round((begin - from_s) / hop_s)
    leaked = compared = 0
    for at in range(first, len(said) - length + 1, length):
        pattern = said[at : at + length]
        if not np.all(pattern.reshape(5, -1).any(axis=1)):
            continue
        rows = slice(at + soonest, at + latest + length)
        compared += 1
        found = hearing.find(pattern, heard[rows], mine[rows])
        leaked += found.similarity >= LEAKED
    return leaked, compared
