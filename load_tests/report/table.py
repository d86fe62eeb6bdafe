"""A report for a terminal."""

from collections.abc import Iterator, Sequence

from load_tests.measured import CallMeasured, RunMeasured
from load_tests.report.report import Report
from load_tests.report.rows import UNKNOWN, Row, number, table
from load_tests.report.spread import Spread, spread
from load_tests.report.summary import Goal, Summary, added, conditions, lags_of

MOST_CALLERS = 16


def text(report: Report) -> str:
    """Everything, the goals last."""
    service = report.service
    machine = report.machine
    parts = [
        f"{conditions(service)}\n"
        f"{machine.processor}, {machine.cores} cores, load average {machine.load_average} before; "
        f"{machine.date}, commit {machine.commit or 'unknown'}",
        table(_over_all(report)),
        table(_callers(service), left=2),
        *(table(_periods(run)) for run in report.runs if run.periods),
        *(table(_processes(run)) for run in report.runs if run.processes),
        table(_budget(report)) if any(run.budget for run in report.runs) else "",
        "\n".join(f"note, {run.what}: {note}" for run in report.runs for note in run.notes),
        "\n".join(f"doubt: {doubt}" for doubt in report.doubts),
        "\n".join(_verdict(report)),
    ]
    return "\n\n".join(part for part in parts if part)


def _over_all(report: Report) -> Iterator[Row]:
    sums = [Summary.of(run) for run in report.runs]
    yield ("", *(run.what for run in report.runs))
    yield (
        "callers, refused, broken off",
        *(f"{one.callers}, {one.refused}, {one.lost}" for one in sums),
    )
    yield ("heard and hears after, p50 / worst", *(_ends(one.join_s, 2, " s") for one in sums))
    yield ("first sound after, p50 / worst", *(_ends(one.first_audio_s, 2, " s") for one in sums))
    yield ("said, came back", *(f"{one.said}, {one.heard}" for one in sums))
    yield ("the model's own delay", *(f"{run.model_delay_ms:.0f} ms" for run in report.runs))
    for name in ("p50", "p95", "p99", "worst"):
        values = (getattr(one.lag_ms, name, None) for one in sums)
        yield (f"mouth to ear beyond it, {name}", *(number(value, 1, " ms") for value in values))
    if any(one.estimate_ms for one in sums):
        yield ("estimated: p50, p95, p99", *(_estimate(one.estimate_ms) for one in sums))
    yield ("holes of 40, 80, 200 ms", *(", ".join(map(str, one.gaps)) for one in sums))
    yield ("likeness, mean / least", *(_likeness(one) for one in sums))
    yield ("words of other callers heard", *(str(one.leaked) for one in sums))
    if any(one.answer_ms for one in sums):
        yield ("frame answered after p50, p95, p99", *(_numbers(one.answer_ms) for one in sums))
    yield ("frames, missed", *(f"{one.frames}, {one.missed}" if one.frames else UNKNOWN for one in sums))
    yield ("sent late, p99 of the worst caller", *(number(one.send_late_p99_ms, 1, " ms") for one in sums))


def _callers(run: RunMeasured) -> Iterator[Row]:
    """All callers, or the worst and the first of them if there are many."""
    worst = Summary.of(run).worst
    yield (
        *(f"{run.what}: caller", "kind", "joined s", "p50 ms", "p95", "p99", "came back", "alike"),
        *("holes", "jitter buffer ms", "round trip ms", "invented %", ""),
    )
    shown = sorted(run.calls, key=lambda call: (call.number != worst, call.refused is None, call.number))
    for call in sorted(shown[:MOST_CALLERS], key=lambda call: call.number):
        yield _caller(run, call, "<- worst" if call.number == worst else "")
    if len(shown) > MOST_CALLERS:
        yield (f"and {len(shown) - MOST_CALLERS} more",)


def _caller(run: RunMeasured, call: CallMeasured, remark: str) -> Row:
    lags = spread(lags_of(run, call))
    concealed = None if call.concealed_share is None else 100 * call.concealed_share
    if call.refused is not None:
        remark = f"refused after {number(call.refused_after_s, 1, ' s')}: {call.refused}"
    elif call.lost is not None:
        remark = f"{call.lost} {remark}"
    return (
        f"{call.number} {call.room}",
        call.kind,
        number(call.join_s, 2),
        *(_lags(lags, call.lag_estimate_ms)),
        f"{call.heard}/{call.said}",
        number(min(call.similarity, default=None), 2),
        str(len(call.gaps_ms)),
        number(call.jitter_buffer_ms, 1),
        number(call.rtt_ms, 1),
        number(concealed, 2),
        remark,
    )


def _periods(run: RunMeasured) -> Iterator[Row]:
    yield (
        *("callers came", "seconds", "number", "refused", "broken off", "joined s, p50", "said", "came back"),
        *("p50 ms", "p95", "p99"),
    )
    for one in run.periods:
        yield (
            one.name,
            f"{one.begins_s:.0f} to {one.ends_s:.0f}",
            *(str(count) for count in (one.callers, one.refused, one.lost)),
            number(one.join_p50_s, 2),
            *(str(count) for count in (one.said, one.heard)),
            *(number(value, 1) for value in (one.lag_p50_ms, one.lag_p95_ms, one.lag_p99_ms)),
        )


def _processes(run: RunMeasured) -> Iterator[Row]:
    sessions = sum(call.refused is None for call in run.calls)
    yield (
        f"{run.what}: processes",
        "number",
        "% of a core",
        "at most",
        "a session",
        "MB first",
        "last",
        "own",
    )
    for one in run.processes:
        yield (
            one.name,
            str(one.processes),
            number(one.cpu_percent_mean, 1),
            number(one.cpu_percent_max, 1),
            number(one.cpu_percent_mean / sessions if sessions else None, 1),
            number(one.rss_mb_first, 0),
            number(one.rss_mb_last, 0),
            number(one.own_mb, 0),
        )
    if run.gpu:
        yield (run.gpu.name, "", number(run.gpu.busy_percent_mean, 1), number(run.gpu.busy_percent_max, 1))


def _budget(report: Report) -> Iterator[Row]:
    runs = [run for run in report.runs if run.budget]
    titles = [title for run in runs for title in (f"{run.what} p50", "p95")]
    yield ("mouth to ear, ms", *titles, "")
    names: dict[str, str] = {}
    for run in reversed(runs):
        for stage in run.budget.stages if run.budget else ():
            names.setdefault(stage.name, stage.how)
    for name, how in names.items():
        values: list[str] = []
        for run in runs:
            found = [stage for stage in run.budget.stages if stage.name == name] if run.budget else []
            values += (
                [number(found[0].p50_ms, 1), number(found[0].p95_ms, 1)] if found else [UNKNOWN, UNKNOWN]
            )
        yield (name, *values, how)


def _verdict(report: Report) -> Iterator[str]:
    p50, p95 = added(report.service, report.baseline)
    if p50 is not None and p95 is not None:
        yield f"worker and engine add {p50:.1f} ms at p50 and {p95:.1f} ms at p95 to a bare echo"
    for goal in report.goals:
        yield verdict(goal)


def verdict(goal: Goal) -> str:
    """A line."""
    word = {True: "met", False: "MISSED", None: "not measured"}[goal.met]
    measured = number(goal.measured, 1 if goal.unit else 0, f" {goal.unit}".rstrip())
    return f"{word}: {goal.name} {measured} (at most {goal.most:g})"


def _lags(heard: Spread | None, estimated: Sequence[float] | None) -> tuple[str, ...]:
    """p50, p95 and p99, marked where they are estimated."""
    if heard is not None or estimated is None:
        return tuple(number(getattr(heard, name, None), 1) for name in ("p50", "p95", "p99"))
    return tuple(f"~{value:.1f}" for value in estimated)


def _estimate(millis: Sequence[float] | None) -> str:
    return ", ".join(f"~{value:.0f}" for value in millis) + " ms" if millis else UNKNOWN


def _numbers(millis: Sequence[float] | None) -> str:
    return ", ".join(f"{value:.0f}" for value in millis) + " ms" if millis else UNKNOWN


def _likeness(one: Summary) -> str:
    return f"{number(one.similarity_mean, 2)} / {number(one.similarity_least, 2)}"


def _ends(of: Spread | None, digits: int, unit: str) -> str:
    return f"{of.p50:.{digits}f} / {of.worst:.{digits}f}{unit}" if of else UNKNOWN
