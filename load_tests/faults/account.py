"""What became of everybody between a fault and the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from load_tests.faults.eye import Eye
from load_tests.faults.guest import Guest
from load_tests.faults.inject import Done
from load_tests.faults.kinds import Hits
from load_tests.faults.measured import CallerDuring, FaultMeasured, Kept
from load_tests.faults.schedule import Slot
from load_tests.faults.talker import News
from load_tests.faults.understand import understand

_ANEW = "new conversation"
"""What callers are told has these words in it."""


@dataclass(frozen=True, slots=True)
class Happened:
    """A fault as it was done: from `at` until `ended_at`, the next one. missed: as of FaultMeasured."""

    number: int
    slot: Slot
    done: Done
    at: float
    ended_at: float
    recovered: bool
    missed: int | None


def account(
    fault: Happened, began_at: float, delay_s: float, folder: Path, guests: Sequence[Guest], eye: Eye
) -> FaultMeasured:
    """Once the tapes, in `folder`, have all of it. delay_s: the model's own."""
    callers = tuple(_during(fault, guest, delay_s, folder, guests, eye) for guest in guests)
    return FaultMeasured(
        fault.number,
        fault.slot.kind.short,
        fault.at - began_at,
        fault.ended_at - fault.at,
        fault.done.failed,
        fault.recovered,
        eye.unready_after(fault.at, fault.ended_at),
        fault.missed,
        callers,
    )


def _during(
    fault: Happened, guest: Guest, delay_s: float, folder: Path, guests: Sequence[Guest], eye: Eye
) -> CallerDuring:
    end = fault.done.ended_at or fault.ended_at
    others = [other.number for other in guests if other is not guest]
    heard = understand(folder, guest.number, others, delay_s, fault.at, end)
    lengths = [to - at for at, to in heard.gaps]
    news = [each for each in guest.news if fault.at <= each.at < end]
    told = tuple(each.text for each in news if each.what == "told")
    room_before, room_after = (_room(guest.news, at) for at in (fault.at, end))
    before, after = eye.session_of(room_before, fault.at), eye.session_of(room_after, end)
    return CallerDuring(
        guest.number,
        hit=fault.slot.kind.hits is Hits.ALL or fault.slot.victim == guest.number,
        gap_s=max(lengths, default=0.0),
        gaps_s=sum(lengths),
        heard_last=not heard.gaps or heard.gaps[-1][1] < end - 0.5,
        alike=heard.alike,
        kept=_kept(before, after, told),
        told=told,
        came_in=sum(each.what == "in" for each in news),
        leaked=heard.leaked,
        compared=heard.compared,
        resumed_s=eye.back_after(room_before, fault.at, end),
        sessions=eye.sessions_in(room_after, end),
    )


def _room(news: Sequence[News], at: float) -> str:
    """Where they were."""
    return next((each.text for each in reversed(news) if each.what == "in" and each.at <= at), "")


def _kept(before: str | None, after: str | None, told: Sequence[str]) -> Kept:
    if after is None:
        return "none"
    if after == before:
        return "same"
    return "new, and said so" if any(_ANEW in text for text in told) else "new"
