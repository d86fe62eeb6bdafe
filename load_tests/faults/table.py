"""What became of calls, for a terminal: lines while it runs, and a table of all kinds of faults."""

from collections.abc import Iterator

from load_tests.faults.kinds import KINDS
from load_tests.faults.measured import FaultMeasured, SoakMeasured
from load_tests.faults.schedule import Slot
from load_tests.faults.summary import OfKind, goals, of_kinds
from load_tests.measured import ProcessMeasured
from load_tests.report.machine import Machine
from load_tests.report.rows import UNKNOWN, Row, number, table
from load_tests.report.table import verdict

_NAMES = {kind.short: kind.name for kind in KINDS}


def text(machine: Machine, measured: SoakMeasured) -> str:
    """Everything, the goals last."""
    parts = [
        f"{measured.callers} callers, {measured.seconds:.0f} s, {len(measured.faults)} faults "
        f"{measured.every_s:g} s apart, seed {measured.seed}\n"
        f"{machine.processor}, {machine.cores} cores, load average {machine.load_average} before; "
        f"{machine.date}, commit {machine.commit or 'unknown'}",
        table(_kinds(measured)) if measured.faults else "",
        table(_processes(measured.processes)) if measured.processes else "",
        "\n".join(_notes(measured)),
        "\n".join(verdict(goal) for goal in goals(measured)),
    ]
    return "\n\n".join(part for part in parts if part)


def beginning(index: int, slot: Slot, at_s: float) -> str:
    """A line before a fault."""
    whom = "" if slot.victim is None else f" (caller {slot.victim})"
    return f"{at_s:6.0f} s  {index + 1}: {slot.kind.name}{whom}"


def progress(slot: Slot, fault: FaultMeasured) -> str:
    """A line once it is known what became of it."""
    hit = [caller for caller in fault.callers if caller.hit]
    others = [caller for caller in fault.callers if not caller.hit]
    gaps = ", ".join(f"{caller.gap_s:.2f} s {caller.kept}" for caller in hit)
    said = [f"gap {gaps}"] if hit else []
    if others:
        said.append(f"others' gap {max(caller.gap_s for caller in others):.2f} s")
    if fault.failed:
        said.append(fault.failed)
    if not fault.recovered:
        said.append("NOT RECOVERED")
    if leaked := sum(caller.leaked for caller in fault.callers):
        said.append(f"LEAKED {leaked}")
    return f"          {fault.number + 1}: {slot.kind.short}: {'; '.join(said)}"


def _kinds(measured: SoakMeasured) -> Iterator[Row]:
    yield (
        "fault",
        *("times", "recovered", "gap s, median", "worst", "resumed s", "worst", "not ready after s"),
        *("alike", "others' worst gap", "kept"),
    )
    for each in of_kinds(measured):
        yield _kind(each)


def _kind(each: OfKind) -> Row:
    kept = ", ".join(f"{what} {count}" for what, count in each.kept.items())
    return (
        _NAMES[each.kind],
        str(each.count),
        str(each.recovered),
        *(
            number(value, 2)
            for value in (
                each.gap_median_s,
                each.gap_worst_s,
                each.resumed_median_s,
                each.resumed_worst_s,
                each.unready_s,
                each.alike,
                each.neighbour_s,
            )
        ),
        kept or UNKNOWN,
    )


def _processes(processes: tuple[ProcessMeasured, ...]) -> Iterator[Row]:
    yield ("processes", "number", "% of a core", "MB first", "middle", "last", "most")
    for one in processes:
        yield (
            one.name,
            str(one.processes),
            number(one.cpu_percent_mean, 1),
            *(
                number(value, 0)
                for value in (one.rss_mb_first, one.rss_mb_middle, one.rss_mb_last, one.rss_mb_max)
            ),
        )


def _notes(measured: SoakMeasured) -> Iterator[str]:
    if measured.stopped:
        yield f"note: {measured.stopped}"
    for name in measured.skipped:
        yield f"note: left out, because it needs root, iproute2 and /dev/net/tun: {name}"
    for fault in measured.faults:
        if fault.failed:
            yield f"note: fault {fault.number + 1}, {fault.kind}: {fault.failed}"
    for process in measured.left_over:
        yield f"note: left over: {process}"
