"""`python -m load_tests simulate scheduler|check|fleet|seats`: from options to tables, files and pictures."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import SettingError, UserError
from load_tests.simulation import table
from load_tests.simulation.bench_file import BenchFile
from load_tests.simulation.check import compare
from load_tests.simulation.erlang import erlangs_at
from load_tests.simulation.files import check_files, write_json
from load_tests.simulation.fleet import Fleet, Lengths, foresee
from load_tests.simulation.options import parse_counts, parse_line
from load_tests.simulation.plot import plot_fleet, plot_scheduler
from load_tests.simulation.scheduler import Load, Phases, predict
from load_tests.simulation.step_times import StepTimes

app = typer.Typer(help="Predict misses and refusals in virtual time, without a GPU.", no_args_is_help=True)

JsonOption = Annotated[Path | None, typer.Option("--json", help="Write all numbers.")]
PlotOption = Annotated[Path | None, typer.Option("--plot", help="Draw them.")]
ContextOption = Annotated[str, typer.Option(help="Which of the results: full, empty or frames.")]
SpellOption = Annotated[
    float | None,
    typer.Option(min=0, help="How long steps stay as slow as they are; unset: what the results say."),
]
SeedOption = Annotated[int, typer.Option(min=0, help="The same seed gives the same numbers.")]


@app.command()
def scheduler(
    results: Annotated[
        Path | None, typer.Option(help="What `python -m engine bench --json FILE` wrote.")
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="Instead of results: BASE,EACH, milliseconds of a step and a session.")
    ] = None,
    context: ContextOption = "full",
    sessions: Annotated[str, typer.Option(help="Numbers of sessions, separated by commas.")] = "1,8,16,32",
    seconds: Annotated[float, typer.Option(min=1, help="How long they speak at each number.")] = 60.0,
    phases: Annotated[Phases, typer.Option(help="How their frames lie to each other.")] = "random",
    jitter_ms: Annotated[float, typer.Option(min=0, max=1000, help="Frames come up to so much late.")] = 0.0,
    spell_s: SpellOption = None,
    seed: SeedOption = 0,
    json_file: JsonOption = None,
    plot_file: PlotOption = None,
) -> None:
    """How late the engine's answers are and how many are missed, by the number of sessions."""
    with _told():
        check_files(json_file, plot_file)
        if results is not None and step is None:
            bench = BenchFile.read(results, context)
            times, title = StepTimes.of(bench), bench.title
            spell_s = bench.spell_s if spell_s is None else spell_s
        elif results is None and step is not None:
            times, title = parse_line(step), f"steps of {step} ms (base, each session)"
        else:
            raise SettingError("say how long steps take: either --results FILE or --step BASE,EACH")
        counts = parse_counts("--sessions", sessions)
        loads = [Load(count, seconds, phases, jitter_ms / 1000, spell_s or 0.0) for count in counts]
        print(title)
        print(table.SCHEDULER_HEADER)
        levels = []
        for load in loads:
            levels.append(predict(load, times, seed))
            print(table.scheduler_row(levels[-1]))
        write_json(
            json_file,
            {
                "steps": title,
                "loads": [asdict(load) for load in loads],
                "levels": [{**asdict(level), "solved": level.solved} for level in levels],
            },
        )
        if plot_file is not None:
            plot_scheduler(levels, [], title, plot_file)


@app.command()
def check(
    results: Annotated[Path, typer.Option(help="What `python -m engine bench --json FILE` wrote.")],
    context: ContextOption = "full",
    spell_s: SpellOption = None,
    runs: Annotated[int, typer.Option(min=1, help="Simulated runs as long as the measured one.")] = 20,
    seed: SeedOption = 0,
    json_file: JsonOption = None,
    plot_file: PlotOption = None,
) -> None:
    """The simulation beside the engine: predict the benchmark's own open loop from its full steps."""
    with _told():
        check_files(json_file, plot_file)
        bench = BenchFile.read(results, context)
        times = StepTimes.of(bench)
        spell_s = bench.spell_s if spell_s is None else spell_s
        print(f"{bench.title}; in service {1000 * times.in_service_s:.1f} ms more, spells of {spell_s:.2f} s")
        print(table.SCHEDULER_HEADER)
        compared = []
        for comparison in compare(bench, times, spell_s, runs, seed):
            compared.append(comparison)
            print(table.comparison_rows(comparison))
        write_json(
            json_file,
            {
                "results": bench.name,
                "steps": bench.title,
                "context": context,
                "in_service_s": times.in_service_s,
                "spell_s": spell_s,
                "levels": [asdict(comparison) for comparison in compared],
            },
        )
        if plot_file is not None:
            expected = [comparison.expected for comparison in compared]
            plot_scheduler(expected, compared, bench.title, plot_file)


@app.command()
def fleet(
    engines: Annotated[str, typer.Option(help="Numbers of engines, separated by commas.")] = "1,2,4,8",
    seats: Annotated[int, typer.Option(min=1, help="Of each engine.")] = 8,
    calls_per_hour: Annotated[float, typer.Option(min=0.001, help="On average.")] = 120.0,
    minutes: Annotated[float, typer.Option(min=0.01, help="Mean length of a call.")] = 5.0,
    lengths: Annotated[Lengths, typer.Option(help="How lengths are spread.")] = "exponential",
    release_s: Annotated[
        float, typer.Option(min=0, help="A seat stays taken so long after its call.")
    ] = 20.0,
    failure_hours: Annotated[
        float | None, typer.Option(min=0.01, help="An engine fails so often on average; unset: never.")
    ] = None,
    update_hours: Annotated[
        float | None, typer.Option(min=0.01, help="All are updated so often, in turn; unset: never.")
    ] = None,
    drain_minutes: Annotated[float, typer.Option(min=0, help="To finish calls before an update.")] = 60.0,
    restart_s: Annotated[float, typer.Option(min=0, help="Until a failed or updated engine serves.")] = 60.0,
    hours: Annotated[float, typer.Option(min=0.1, help="Length of a run.")] = 24.0,
    runs: Annotated[int, typer.Option(min=2, help="Runs, for the mean and its error.")] = 10,
    seed: SeedOption = 0,
    json_file: JsonOption = None,
    plot_file: PlotOption = None,
) -> None:
    """How many calls a fleet refuses and cuts off, by the number of its engines."""
    with _told():
        check_files(json_file, plot_file)
        plans = [
            Fleet(
                engines=count,
                seats=seats,
                calls_per_hour=calls_per_hour,
                call_s=60 * minutes,
                lengths=lengths,
                release_s=release_s,
                failure_every_s=math.inf if failure_hours is None else 3600 * failure_hours,
                update_every_s=math.inf if update_hours is None else 3600 * update_hours,
                drain_s=60 * drain_minutes,
                restart_s=restart_s,
            )
            for count in parse_counts("--engines", engines)
        ]
        title = (
            f"{calls_per_hour:g} calls an hour of {minutes:g} minutes, {lengths}; "
            f"{plans[0].erlangs:.1f} seats taken on average if nobody is refused"
        )
        print(title)
        print(table.FLEET_HEADER)
        outlooks = []
        for plan in plans:
            outlooks.append(foresee(plan, 3600 * hours, runs, seed))
            print(table.fleet_row(outlooks[-1]))
        write_json(
            json_file, {"hours": hours, "runs": runs, "outlooks": [asdict(found) for found in outlooks]}
        )
        if plot_file is not None:
            plot_fleet(outlooks, title, plot_file)


@app.command()
def seats(
    engines: Annotated[str, typer.Option(help="Numbers of engines, separated by commas.")] = "1,10,100,1000",
    seats: Annotated[int, typer.Option(min=1, help="Of each engine.")] = 40,
    refused: Annotated[
        float, typer.Option(min=0.0001, max=99, help="Percent of the callers who may find no seat.")
    ] = 0.1,
    json_file: JsonOption = None,
) -> None:
    """How many calls so many seats carry, where nobody waits for one: Erlang's formula B."""
    with _told():
        check_files(json_file, None)
        print(table.SEATS_HEADER)
        found = []
        for count in parse_counts("--engines", engines):
            calls = erlangs_at(refused / 100, count * seats)
            found.append({"engines": count, "seats": count * seats, "calls": calls})
            print(table.seats_row(count, count * seats, calls))
        write_json(json_file, {"refused_percent": refused, "seats_each": seats, "fleets": found})


@contextmanager
def _told() -> Iterator[None]:
    """What the user got wrong ends the command in one line."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
