"""`python -m load_tests callers`: N people call, speak and listen, and it is told what became of it."""

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import SettingError
from load_tests import options
from load_tests.browser import chromium
from load_tests.callers.echoes import NOBODY, echoing
from load_tests.callers.run import ECHO, SERVICE, Crowd, Where, new_rooms, run, tell
from load_tests.network.behind import behind
from load_tests.network.profile import Profile
from load_tests.report.machine import Machine
from load_tests.report.outcome import check_outputs, errors_told, hand_over
from load_tests.report.report import Report
from worker.preflight import check_livekit
from worker.settings import LiveKitSettings
from worker.tokens import accept_development_secret

_LIVEKIT_PATIENCE_S = 2.0


def main(
    rooms: Annotated[int, typer.Option(min=1, help="Callers at the same time, each in a room.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long each speaks.")] = 1.0,
    url: options.Url = None,
    agent: options.Agent = None,
    engine: Annotated[
        str, typer.Option(help="The engine, whose metrics show where the time goes.", envvar="ENGINE_URL")
    ] = "",
    baseline: Annotated[bool, typer.Option("--baseline", help="Call a bare LiveKit echo first.")] = False,
    network: Annotated[
        str | None,
        typer.Option(
            help="Network of the callers: lte, wifi, bad, loss-5 or another, or a file. Needs root."
        ),
    ] = None,
    phones: Annotated[int, typer.Option(min=0, help="How many of the callers call by telephone.")] = 0,
    browsers: Annotated[int, typer.Option(min=0, help="How many of the callers call from Chromium.")] = 0,
    repeats: options.Repeats = None,
    seed: Annotated[int, typer.Option(min=0, help="What is said, and what the network does.")] = 0,
    result: options.Json = None,
    picture: options.Plot = None,
) -> None:
    """Call a LiveKit server's agents; say how soon and how well everybody heard themselves again."""
    accept_development_secret()
    with errors_told():
        settings = LiveKitSettings.load(livekit_url=url, livekit_agent_name=agent)
        if phones + browsers > rooms:
            raise SettingError(f"--phones {phones} and --browsers {browsers} are more than --rooms {rooms}")
        _check(network, browsers, result, picture)
        machine = Machine.now()
        people = Crowd.of(rooms, seed, 60 * minutes, phones, browsers)
        report = asyncio.run(_measure(machine, people, settings, baseline, network, engine, repeats))
        hand_over(report, result, picture)


def _check(network: str | None, browsers: int, result: Path | None, picture: Path | None) -> None:
    """Find out now what would go wrong after minutes. Raises UserError."""
    if network is not None:
        Profile.load(network)
    if browsers:
        chromium.check()
    check_outputs(result, picture)


async def _measure(
    machine: Machine,
    people: Crowd,
    settings: LiveKitSettings,
    baseline: bool,
    network: str | None,
    engine_url: str,
    repeats: bool | None,
) -> Report:
    await check_livekit(settings, _LIVEKIT_PATIENCE_S)
    count = len(people.scripts)
    with ExitStack() as until_end:
        where, away = Where(settings.livekit_url), None
        if network is not None:
            away = until_end.enter_context(behind(network, settings.livekit_url, people.seed))
            where = Where(away.place.url, str(away), lambda command: away.place.command(*command))
            tell(f"callers are behind {away}")
        floor = None
        if baseline:
            without_worker = settings.model_copy(update={"livekit_agent_name": NOBODY})
            rooms = new_rooms(count)
            async with echoing(without_worker, rooms):
                floor = await run(ECHO, people, without_worker, rooms, where)
        service = await run(SERVICE, people, settings, new_rooms(count), where, engine_url, repeats)
    if away is not None and away.passage is not None:
        service = replace(service, notes=(*service.notes, f"the network let through: {away.passage}"))
    return Report(machine, service, floor)
