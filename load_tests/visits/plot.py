"""A run of callers who come and go as a picture: how late each sentence was, and how many were there."""

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import SettingError
from load_tests.report.report import Report
from load_tests.report.summary import conditions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = (11.0, 6.0)
_SERVICE, _REFUSED, _QUIET = "#2f42d8", "#c62f2f", "#586177"


def plot(report: Report, path: Path) -> None:
    """Write a picture in the format that the name of `path` ends in. Raises SettingError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    lags, there = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    _draw_lags(lags, report)
    _draw_callers(there, report)
    machine = report.machine
    figure.suptitle(
        f"{conditions(report.service)}; {machine.processor}, {machine.cores} cores", fontsize="medium"
    )
    try:
        figure.savefig(path, dpi=120)
    except (ValueError, OSError) as error:
        raise SettingError(f"--plot {path}: {error}") from None


def _draw_lags(axes: "Axes", report: Report) -> None:
    """A point a sentence, p50 and p99 of each period as lines."""
    run = report.service
    points = [
        (at_s, lag_ms - run.model_delay_ms)
        for call in run.calls
        for at_s, lag_ms in zip(call.heard_said_at_s, call.lags_ms, strict=True)
    ]
    if points:
        at_s, lag_ms = zip(*points, strict=True)
        axes.scatter(at_s, lag_ms, s=11, color=_SERVICE, alpha=0.45, linewidths=0)
    for part in run.periods:
        for name, value, style in (("p50", part.lag_p50_ms, "-"), ("p99", part.lag_p99_ms, "--")):
            if value is not None:
                axes.hlines(value, part.begins_s, part.ends_s, color=_QUIET, linewidth=1.3, linestyle=style)
                axes.annotate(
                    f"{name} {value:.0f}",
                    (part.begins_s, value),
                    (3, 3),
                    textcoords="offset points",
                    fontsize="small",
                    color=_QUIET,
                )
    axes.set(ylabel="mouth to ear, ms", ylim=(0, None))
    _finish(axes)


def _draw_callers(axes: "Axes", report: Report) -> None:
    """How many were there, and who was turned away when."""
    from matplotlib.ticker import MaxNLocator

    run = report.service
    stays = [call.there_s for call in run.calls if call.there_s is not None]
    changes = sorted([(begins_s, 1) for begins_s, _ in stays] + [(ends_s, -1) for _, ends_s in stays])
    times_s, counts = [0.0], [0]
    for at_s, change in changes:
        times_s.append(at_s)
        counts.append(counts[-1] + change)
    axes.step([*times_s, run.seconds], [*counts, counts[-1]], where="post", color=_SERVICE, linewidth=1.6)
    refused_s = [call.said_at_s[0] for call in run.calls if call.refused is not None and call.said_at_s]
    axes.plot(refused_s, [0.0] * len(refused_s), "x", color=_REFUSED, label="refused", clip_on=False)
    if refused_s:
        axes.legend(loc="upper left", frameon=False, fontsize="small")
    axes.set(xlabel="seconds since the beginning", ylabel="callers", ylim=(0, None))
    axes.set_xlim(0, run.seconds)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(axes)


def _finish(axes: "Axes") -> None:
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
