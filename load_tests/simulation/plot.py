"""Predictions as pictures."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import SettingError
from engine.step.frames import FRAME_S
from load_tests.simulation.check import Comparison, Range
from load_tests.simulation.fleet import Outlook
from load_tests.simulation.scheduler import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import ColorType

Corner = Literal["upper left", "upper right"]

_INCHES = (11.0, 4.0)


def check_plotting() -> None:
    """Raise SettingError now if there is nothing to plot with later."""
    if find_spec("matplotlib") is None:
        raise SettingError("--plot needs matplotlib, which is not installed: pip install 'moshi-live[bench]'")


def plot_scheduler(
    levels: Sequence[Prediction], compared: Sequence[Comparison], title: str, path: Path
) -> None:
    """Answers and misses over sessions; what was measured as circles, the range of runs as long as bars.

    Raises SettingError for a format that there is not.
    """
    figure, (left, right) = _figure(title, "sessions")
    sessions = [level.sessions for level in levels]
    for name in ("p50", "p95", "p99"):
        (line,) = left.plot(sessions, [getattr(level.answer, name) for level in levels], label=name)
        for one in compared:
            _measured(left, one, getattr(one, name), getattr(one.measured.answer, name), line.get_color())
    left.axhline(1000 * FRAME_S, color="0.6", linewidth=0.8, label="a frame lasts")
    left.set_ylabel("answer, ms")
    left.set_ylim(0, min(left.get_ylim()[1], 2000 * FRAME_S))
    (line,) = right.plot(sessions, [100 * level.missed for level in levels], label="all sessions")
    if compared:
        for one in compared:
            in_percent = Range(100 * one.missed.low, 100 * one.missed.high)
            _measured(right, one, in_percent, 100 * one.measured.missed, line.get_color())
        right.plot([], [], "o", color="0.4", fillstyle="none", label="measured")
        right.plot([], [], "-", color="0.4", linewidth=6, alpha=0.25, label="simulated runs as long")
    else:
        right.plot(sessions, [100 * level.missed_worst for level in levels], label="the worst session")
    right.set_ylabel("missed, %")
    right.set_ylim(bottom=0)
    _save(figure, (left, right), "upper left", path)


def _measured(axes: "Axes", one: Comparison, runs: Range, measured: float, colour: "ColorType") -> None:
    at = one.expected.sessions
    axes.vlines(at, runs.low, runs.high, color=colour, linewidth=6, alpha=0.25)
    axes.plot(at, measured, "o", color=colour, fillstyle="none")


def plot_fleet(outlooks: Sequence[Outlook], title: str, path: Path) -> None:
    """Refused and interrupted calls over engines. Raises SettingError for the format."""
    figure, (left, right) = _figure(title, "engines")
    engines = [outlook.fleet.engines for outlook in outlooks]
    _with_errors(left, outlooks, "refused", "refused")
    left.plot(engines, [100 * outlook.erlang_b for outlook in outlooks], "--", color="0.4", label="Erlang B")
    left.set_ylabel("of all calls, %")
    _with_errors(right, outlooks, "interrupted", "interrupted")
    _with_errors(right, outlooks, "lost", "found no seat when they called again")
    right.set_ylabel("of all calls, %")
    for axes in (left, right):
        axes.set_xticks(engines)
        axes.set_ylim(bottom=0)
    _save(figure, (left, right), "upper right", path)


def _with_errors(axes: "Axes", outlooks: Sequence[Outlook], name: str, label: str) -> None:
    shares = [getattr(outlook, name) for outlook in outlooks]
    axes.errorbar(
        [outlook.fleet.engines for outlook in outlooks],
        [100 * share.mean for share in shares],
        yerr=[100 * share.error for share in shares],
        marker="o",
        capsize=3,
        label=label,
    )


def _figure(title: str, over: str) -> "tuple[Figure, Sequence[Axes]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    panels = figure.subplots(1, 2)
    figure.suptitle(title, fontsize="medium")
    for axes in panels:
        axes.set_xlabel(over)
        axes.grid(visible=True, alpha=0.3)
        # Room for the legend.
        axes.margins(y=0.25)
    return figure, panels


def _save(figure: "Figure", panels: "Sequence[Axes]", legend: Corner, path: Path) -> None:
    for axes in panels:
        axes.legend(fontsize="small", loc=legend)
    try:
        figure.savefig(path)
    except ValueError as error:
        raise SettingError(f"--plot {path}: {error}") from None
