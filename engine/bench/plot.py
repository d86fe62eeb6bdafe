"""The step over sessions and over context, beside the floor."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bench.options import positions
from engine.bench.results import Level, Report
from engine.errors import SettingError
from engine.step.frames import FRAME_S

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_INCHES = (5.5, 4.0)


def check_plotting() -> None:
    """Raise SettingError now if there is nothing to plot with later."""
    if find_spec("matplotlib") is None:
        raise SettingError("--plot needs matplotlib, which is not installed: pip install 'moshi-live[bench]'")


def plot(report: Report, capacity: int, path: Path) -> None:
    """Write a picture of `report` in the format that the name of `path` ends in.

    capacity: frames in a full context. Raises SettingError for a format that there is not.
    """
    from matplotlib.figure import Figure

    levels = [level for level in report.levels if level.full is not None]
    contexts = list(dict.fromkeys(level.context for level in levels))
    counts = list(dict.fromkeys(level.sessions for level in levels))
    panels = 2 if len(contexts) > 1 else 1
    figure = Figure(figsize=(panels * _PANEL_INCHES[0], _PANEL_INCHES[1]), layout="constrained")
    left, *right = figure.subplots(1, panels, squeeze=False)[0]
    left.set_xlabel("sessions in a step")
    for context in contexts:
        line = [level for level in levels if level.context == context]
        _draw(left, f"context {context}", line, lambda level: level.sessions)
    for axes in right:
        axes.set_xlabel("frames of context")
        for count in counts:
            line = [level for level in levels if level.sessions == count]
            _draw(axes, f"{count} sessions", line, lambda level: positions(level.context, capacity))
    for axes in (left, *right):
        axes.axhline(1000 * FRAME_S, color="0.6", linewidth=0.8, label="a frame lasts")
        axes.set_ylabel("full step, ms")
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize="small")
    figure.suptitle(
        f"{report.checkpoint}, weights {report.weights}, KV {report.kv}, {report.machine.device}",
        fontsize="medium",
    )
    try:
        figure.savefig(path)
    except ValueError as error:
        raise SettingError(f"--plot {path}: {error}") from None


def _draw(axes: "Axes", label: str, levels: list[Level], place: Callable[[Level], int]) -> None:
    """p50 as a line, up to p99 as its shade, and the floor under it in dashes."""
    levels = sorted(levels, key=place)
    steps = [level.full.step for level in levels if level.full is not None]
    places = [place(level) for level in levels]
    (line,) = axes.plot(places, [step.p50 for step in steps], marker="o", label=label)
    colour = line.get_color()
    axes.fill_between(
        places, [step.p50 for step in steps], [step.p99 for step in steps], color=colour, alpha=0.2
    )
    floors = [level.floor_ms for level in levels]
    axes.plot(places, floors, linestyle="--", linewidth=1.0, color=colour, label=f"floor, {label}")
