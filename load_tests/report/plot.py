"""A report as a picture: mouth to ear as a whole, caller by caller, and where each millisecond goes."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import SettingError
from load_tests.measured import RunMeasured, Stage
from load_tests.report.report import Report
from load_tests.report.spread import spread
from load_tests.report.summary import conditions, lags_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = (11.0, 7.4)
_SERVICE, _ECHO, _QUIET = "#2f42d8", "#b4690a", "#586177"
_LABELLED = 0.022
_ENDS = "capture, playout"
_MOUTH_TO_EAR = "mouth to ear, ms"
# The caller's own ends in violet, parts of the line in grey blue, the frame in sand, the engine's in orange,
# the track in green.
_STAGES = {
    _ENDS: "#d9cfe6",
    "packets and codec": "#c9d2e3",
    "network": "#9fb0cf",
    "jitter buffer": "#6f86b5",
    "80 ms frame": "#e8d3b0",
    "queue": "#f0a35e",
    "step": "#d9622b",
    "between worker and step": "#f5c592",
    "reserve of the track": "#8fbf9f",
}


def check_plotting() -> None:
    """Raise SettingError now if there is nothing to plot with later."""
    if find_spec("matplotlib") is None:
        raise SettingError("--plot needs matplotlib, which is not installed: pip install 'moshi-live[bench]'")


def plot(report: Report, path: Path) -> None:
    """Write a picture of `report` in the format that the name of `path` ends in.

    Raises SettingError for a format that there is not.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 1.6))
    all_lags = figure.add_subplot(grid[0, 0])
    of_each = figure.add_subplot(grid[0, 1])
    budgets = figure.add_subplot(grid[1, :])
    _draw_shares(all_lags, report)
    _draw_callers(of_each, report)
    _draw_budgets(budgets, report)
    service = report.service
    figure.suptitle(
        f"{conditions(service)}; "
        f"{report.machine.processor}, {report.machine.cores} cores{_taken_off(service.model_delay_ms)}",
        fontsize="medium",
    )
    try:
        figure.savefig(path, dpi=120)
    except (ValueError, OSError) as error:
        raise SettingError(f"--plot {path}: {error}") from None


def _taken_off(model_delay_ms: float) -> str:
    return f"\nthe model's own {model_delay_ms:.0f} ms are taken off" if model_delay_ms else ""


def _colour(report: Report, run: RunMeasured) -> str:
    return _SERVICE if run is report.service else _ECHO


def _draw_shares(axes: "Axes", report: Report) -> None:
    """Which share of what was said came back within how long; every caller thin, all of them bold.

    Where words were lost, a line ends below 100 %.
    """
    for run in report.runs:
        colour = _colour(report, run)
        for call in run.calls:
            _draw_share(axes, lags_of(run, call), call.said, colour, linewidth=0.7, alpha=0.35)
        everything = [lag for call in run.calls for lag in lags_of(run, call)]
        of_all = spread(everything)
        if of_all is not None:
            label = f"{run.what}: p50 {of_all.p50:.0f}, p95 {of_all.p95:.0f} ms"
            said = sum(call.said for call in run.calls)
            _draw_share(axes, everything, said, colour, linewidth=2.2, label=label)
    for share in (50, 95):
        axes.axhline(share, color="0.75", linewidth=0.7, linestyle=(0, (4, 4)))
    axes.set(ylim=(0, 101), ylabel="of what was said, %", xlabel=_MOUTH_TO_EAR, yticks=(0, 25, 50, 75, 95))
    _finish(axes)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize="small", frameon=False)


def _draw_share(axes: "Axes", lags: Sequence[float], said: int, colour: str, **style: Any) -> None:
    if lags:
        shares = 100 * np.arange(1, len(lags) + 1) / max(said, len(lags))
        axes.step(sorted(lags), shares, where="post", color=colour, **style)


def _draw_callers(axes: "Axes", report: Report) -> None:
    """Each caller's middle half as a box, p95 as the whisker's end, and what is beyond as points."""
    runs = [run for run in report.runs if any(call.lags_ms for call in run.calls)]
    for place, run in enumerate(runs):
        colour = _colour(report, run)
        calls = [call for call in run.calls if call.lags_ms]
        shift = 0.36 * (place - (len(runs) - 1) / 2)
        axes.boxplot(
            [lags_of(run, call) for call in calls],
            positions=[call.number + shift for call in calls],
            widths=0.28,
            whis=(5, 95),
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": f"{colour}33", "edgecolor": colour},
            medianprops={"color": colour, "linewidth": 1.8},
            whiskerprops={"color": colour},
            capprops={"color": colour},
            flierprops={"marker": ".", "markersize": 4, "markeredgecolor": colour, "alpha": 0.6},
        )
    numbers = sorted({call.number for run in report.runs for call in run.calls})
    axes.set(xlabel="caller", ylabel=_MOUTH_TO_EAR)
    axes.set_xlim(min(numbers, default=0) - 0.7, max(numbers, default=0) + 0.7)
    if len(numbers) <= 16:
        axes.set_xticks(numbers)
    for call in report.service.calls:
        if call.refused is not None:
            axes.text(call.number, 0.5, "refused", rotation=90, va="center", ha="center", color=_QUIET,
                      transform=axes.get_xaxis_transform())  # fmt: skip
    _finish(axes)


def _draw_budgets(axes: "Axes", report: Report) -> None:
    """One bar a run, made of its stages at their medians."""
    runs = [run for run in report.runs if run.budget is not None]
    longest = max((_end_ms(run) for run in runs), default=0.0) or 1.0
    for height, run in enumerate(reversed(runs)):
        at = 0.0
        for stage in run.budget.stages if run.budget else ():
            _draw_stage(axes, height, at, stage, labelled=abs(stage.p50_ms) >= _LABELLED * longest)
            at += stage.p50_ms
        axes.text(
            _end_ms(run) + 0.01 * longest,
            height,
            f"{at:.0f} ms",
            va="center",
            fontweight="bold",
            color=_colour(report, run),
        )
    axes.set_yticks(range(len(runs)), [run.what for run in reversed(runs)])
    axes.set(xlabel="where each millisecond goes, medians", xlim=(0, 1.12 * longest))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    if runs:
        handles, labels = axes.get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))
        below = (0.5, -0.3)
        axes.legend(
            once.values(),
            once,
            loc="upper center",
            bbox_to_anchor=below,
            ncols=5,
            frameon=False,
            fontsize="small",
        )
    else:
        axes.set_axis_off()


def _end_ms(run: RunMeasured) -> float:
    """Where the bar of a run ends: all that its parts claim, be it more than there was."""
    stages = run.budget.stages if run.budget else ()
    return sum(stage.p50_ms for stage in stages if stage.p50_ms > 0)


def _draw_stage(axes: "Axes", height: int, at: float, stage: Stage, *, labelled: bool) -> None:
    """The rest in hatches: beyond the others where they leave something, over them where they do not."""
    name = next((name for name in _STAGES if stage.name.startswith(name)), stage.name)
    if name in ("capture", "playout"):
        name = _ENDS
    colour = _STAGES.get(name, "none")
    known = colour != "none"
    axes.barh(
        height,
        stage.p50_ms,
        left=at,
        height=0.6,
        facecolor=colour,
        edgecolor="white" if known else _QUIET,
        linewidth=0.8,
        hatch=None if known else "////",
        label=name,
    )
    if labelled:
        box = None if known else {"facecolor": "white", "edgecolor": "none", "pad": 1.2}
        ink = _ink(colour) if known else _QUIET
        middle = at + stage.p50_ms / 2
        axes.text(
            middle, height, f"{stage.p50_ms:.0f}", ha="center", va="center", fontsize=8.5, color=ink, bbox=box
        )


def _ink(colour: str) -> str:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return "#121827" if 0.3 * red + 0.59 * green + 0.11 * blue > 140 else "white"


def _finish(axes: "Axes") -> None:
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
