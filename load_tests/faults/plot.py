"""What callers heard of each fault, as a picture."""

from pathlib import Path

from engine.errors import SettingError
from load_tests.faults.kinds import KINDS
from load_tests.faults.measured import SoakMeasured
from load_tests.report.machine import Machine

_INCHES = (11.0, 6.0)
_HIT, _OTHERS, _LOST = "#2f42d8", "#9aa3b8", "#c62f2f"
_LEAST_S = 0.05


def plot(machine: Machine, measured: SoakMeasured, path: Path) -> None:
    """A row for each kind, a point for each caller and fault, by how long they heard nothing of themselves.

    Written in the format that the name of `path` ends in. Raises SettingError.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.subplots()
    there = [kind for kind in KINDS if any(fault.kind == kind.short for fault in measured.faults)]
    for row, kind in enumerate(there):
        callers = [one for fault in measured.faults if fault.kind == kind.short for one in fault.callers]
        for hit, kept, colour, off in (
            (True, True, _HIT, 0.12),
            (True, False, _LOST, 0.12),
            (False, True, _OTHERS, -0.12),
            (False, False, _LOST, -0.12),
        ):
            gaps = [
                max(_LEAST_S, one.gap_s) for one in callers if one.hit is hit and (one.kept == "same") is kept
            ]
            axes.scatter(gaps, [row + off] * len(gaps), s=16, color=colour, alpha=0.7, linewidths=0)
    axes.set_xscale("log")
    axes.set(xlabel="longest time without an echo, s", yticks=range(len(there)))
    axes.set_yticklabels([kind.name for kind in there])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(
        "blue: whom it hit, grey: all others, red: whose conversation did not go on", fontsize="small"
    )
    figure.suptitle(
        f"{measured.callers} callers, {len(measured.faults)} faults, {measured.seconds:.0f} s; "
        f"{machine.processor}, {machine.cores} cores",
        fontsize="medium",
    )
    try:
        figure.savefig(path, dpi=120)
    except (ValueError, OSError) as error:
        raise SettingError(f"--plot {path}: {error}") from None
