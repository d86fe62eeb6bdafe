"""`python -m load_tests engine`: callers of an engine's own sockets, to tell transport from model."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Annotated, Literal

import typer

from engine.client import EngineClient
from engine.errors import SettingError
from engine.settings import ClientSettings
from load_tests import options
from load_tests.report.machine import Machine
from load_tests.report.outcome import check_outputs, errors_told, hand_over
from load_tests.report.report import Report
from load_tests.sockets.own_engine import OwnEngine, own_engine
from load_tests.sockets.run import Crowd, run


def main(
    sessions: Annotated[int, typer.Option(min=0, help="Callers of /v1/session at the same time.")] = 1,
    chats: Annotated[int, typer.Option(min=0, help="Callers of /api/chat at the same time.")] = 0,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long each speaks.")] = 1.0,
    url: Annotated[str | None, typer.Option(help="The engine. [ENGINE_URL]")] = None,
    step_ms: Annotated[
        float | None,
        typer.Option(
            min=0, help="Call an engine of our own, whose model waits for so long and repeats what it hears."
        ),
    ] = None,
    piece_ms: Annotated[
        Literal["20", "40", "80"], typer.Option(help="Sound in a message to /v1/session.")
    ] = "80",
    repeats: options.Repeats = None,
    seed: Annotated[int, typer.Option(min=0, help="What is said.")] = 0,
    result: options.Json = None,
    picture: options.Plot = None,
) -> None:
    """Call an engine without any room; say how soon and how well everybody heard themselves again."""
    with errors_told():
        if not sessions + chats:
            raise SettingError("nobody calls: give --sessions, --chats or both")
        if url is not None and step_ms is not None:
            raise SettingError("--step-ms starts an engine of its own: leave out --url")
        check_outputs(result, picture)
        settings = ClientSettings.load(url=url)
        people = Crowd(sessions, chats, seed, 60 * minutes, int(piece_ms) / 1000)
        machine = Machine.now()
        report = asyncio.run(_measure(machine, people, settings, step_ms, repeats))
        hand_over(report, result, picture)


async def _measure(
    machine: Machine, people: Crowd, settings: ClientSettings, step_ms: float | None, repeats: bool | None
) -> Report:
    url, token = settings.url, settings.token.get_secret_value() if settings.token else ""
    own: OwnEngine | None = None
    async with AsyncExitStack() as until_end:
        if step_ms is not None:
            seats = people.sessions + people.chats
            own = await until_end.enter_async_context(own_engine(seats, step_ms))
            url, token = own.url, ""
        async with EngineClient(url, token or None) as engine:
            card = await engine.model()
        measured = await run(people, url, token, card, repeats)
    if own is not None:
        measured = replace(measured, notes=(*measured.notes, own.note))
    return Report(machine, measured)
