"""All faults of a kind in a few numbers, and what the goals say."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import mean, median

from load_tests.faults.kinds import KINDS, Keeps, Kind
from load_tests.faults.measured import CallerDuring, FaultMeasured, SoakMeasured
from load_tests.report.summary import Goal

BACK_WITHIN_S = 2.0
BURST_WITHIN_S = 1.0
UNREADY_WITHIN_S = 2.0
LESS_ALIKE_PERCENT = 5.0


@dataclass(frozen=True, slots=True)
class OfKind:
    """gap_*: of the callers whom it hit; neighbour_s: the longest of all others. kept: how many of those who
    were hit kept what. alike: how like what came back was, the mean of those who were hit; of all callers
    where nobody was. resumed_*: until the engine had their session again. unready_s: the latest.
    """

    kind: str
    count: int
    recovered: int
    failed: tuple[str, ...]
    gap_median_s: float | None
    gap_worst_s: float | None
    kept: Mapping[str, int]
    neighbour_s: float | None
    alike: float | None
    resumed_median_s: float | None
    resumed_worst_s: float | None
    unready_s: float | None
    missed: float | None
    came_in: int


def of_kinds(measured: SoakMeasured) -> list[OfKind]:
    """Those that there were, in the order of KINDS."""
    return [
        _of(kind, faults)
        for kind in KINDS
        if (faults := [fault for fault in measured.faults if fault.kind == kind.short])
    ]


def goals(measured: SoakMeasured) -> Iterator[Goal]:
    """What calls that survive real life are held to."""
    kinds = {each.kind: each for each in of_kinds(measured)}
    everything = [caller for fault in measured.faults for caller in fault.callers]
    heard = any(caller.compared for caller in everything)
    yield Goal("leaks between callers", 0, sum(one.leaked for one in everything) if heard else None, "")
    unrecovered = sum(not fault.recovered for fault in measured.faults)
    yield Goal("faults after which somebody had to call anew", 0, unrecovered, "")
    yield Goal("conversations lost that should have been kept", 0, _lost(measured), "")
    yield Goal("conversations that began anew without a word", 0, _unsaid(measured), "")
    nothing, job, bursts = (kinds.get(name) for name in ("nothing", "job", "bursts"))
    back_s = job.resumed_worst_s if job else None
    yield Goal("session of a killed job resumed, worst", BACK_WITHIN_S, back_s, "s")
    burst_s = bursts.gap_worst_s if bursts else None
    yield Goal("gap of bursts of 200 ms, worst", BURST_WITHIN_S, burst_s, "s")
    yield Goal("engine killed or hung, /readyz says so, latest", UNREADY_WITHIN_S, _unready(kinds), "s")
    five, ten = kinds.get("loss5"), kinds.get("loss10")
    less = missed = None
    if five and nothing and five.alike and nothing.alike:
        less = 100 * max(0.0, 1 - five.alike / nothing.alike)
    if five and nothing and five.missed is not None and nothing.missed is not None:
        missed = max(0.0, five.missed - nothing.missed)
    yield Goal("5 % loss, less alike than without", LESS_ALIKE_PERCENT, less, "%")
    yield Goal("5 % loss, more late frames than without", 0, missed, "")
    failed = None if ten is None else ten.count - min(ten.recovered, ten.kept.get("same", 0))
    yield Goal("10 % loss, sessions that failed", 0, failed, "")
    yield Goal("seats lost", 0, measured.seats_lost, "")
    yield Goal("processes left over", 0, len(measured.left_over), "")


def _of(kind: Kind, faults: list[FaultMeasured]) -> OfKind:
    hit = [caller for fault in faults for caller in fault.callers if caller.hit]
    others = [caller for fault in faults for caller in fault.callers if not caller.hit]
    alike = [caller.alike for caller in hit or others if caller.alike is not None]
    resumed = [caller.resumed_s for caller in hit if caller.resumed_s is not None]
    unready = [fault.unready_s for fault in faults if fault.unready_s is not None]
    missed = [fault.missed for fault in faults if fault.missed is not None]
    gaps = [caller.gap_s for caller in hit]
    return OfKind(
        kind.short,
        len(faults),
        sum(fault.recovered for fault in faults),
        tuple(fault.failed for fault in faults if fault.failed is not None),
        median(gaps) if gaps else None,
        max(gaps, default=None),
        dict(Counter(caller.kept for caller in hit)),
        max((caller.gap_s for caller in others), default=None),
        mean(alike) if alike else None,
        median(resumed) if resumed else None,
        max(resumed, default=None),
        max(unready, default=None),
        mean(missed) if missed else None,
        sum(caller.came_in for caller in hit),
    )


def _lost(measured: SoakMeasured) -> int:
    keeping = {kind.short for kind in KINDS if kind.keeps is Keeps.CONVERSATION}
    # Whoever a fault is not about keeps theirs whatever it is.
    return sum(
        caller.kept != "same"
        for fault, caller in _callers(measured)
        if fault.kind in keeping or not caller.hit
    )


def _unsaid(measured: SoakMeasured) -> int:
    return sum(caller.kept == "new" for _, caller in _callers(measured))


def _callers(measured: SoakMeasured) -> Iterable[tuple[FaultMeasured, CallerDuring]]:
    return ((fault, caller) for fault in measured.faults for caller in fault.callers)


def _unready(kinds: Mapping[str, OfKind]) -> float | None:
    latest = [kinds[name].unready_s for name in ("engine", "halt") if name in kinds and kinds[name].unready_s]
    return max((one for one in latest if one is not None), default=None)
