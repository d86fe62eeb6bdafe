"""`python -m worker dev|start|download-files|call|sip`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.logs import LogFormat
from engine.options import takes
from worker import logs
from worker.commands import SECRET_OPTIONS, run
from worker.phones import cli as phones
from worker.settings import SET_BY_COMMAND, LiveKitSettings, WorkerSettings

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(phones.app, name="sip")


@app.command("dev", help="Take calls; Ctrl-C ends them at once. Logs are for people.")
@app.command("start", help="Take calls; SIGTERM or Ctrl-C waits for those that are on. Logs are JSON lines.")
@takes(WorkerSettings, prefix="worker_", secrets=SECRET_OPTIONS, without=SET_BY_COMMAND)
def serve(context: typer.Context, **options: Any) -> None:
    """Run the worker until it is told to stop."""
    from worker.service import serve

    drains = context.command.name == "start"
    log_format: LogFormat = "json" if drains else "plain"
    logs.set_up(log_format)
    run(lambda: serve(WorkerSettings.load(**options, engine_log_format=log_format), drains=drains))


@app.command("download-files")
def download_files() -> None:
    """Fetch what LiveKit plugins need. The worker has none; the engine fetches its model when it starts."""
    from livekit.agents import Plugin

    for plugin in Plugin.registered_plugins:
        plugin.download_files()
    print(f"{len(Plugin.registered_plugins)} plugins: nothing more to download", file=sys.stderr)


@app.command()
@takes(LiveKitSettings, secrets=SECRET_OPTIONS)
def call(
    recording: Annotated[Path, typer.Argument(metavar="IN", help="What to say: any sound file.")],
    answer: Annotated[
        Path, typer.Argument(metavar="OUT", help="Where to put what comes back: WAV, 24 kHz mono.")
    ],
    room: Annotated[str | None, typer.Option(help="Room to call in; else a new one.")] = None,
    tail: Annotated[float, typer.Option(min=0, help="Seconds to go on listening after the end.")] = 3.0,
    **options: Any,
) -> None:
    """Join a room as a caller, play a recording in real time, and save what comes back."""
    from worker.caller.call_command import call

    run(lambda: call(recording, answer, LiveKitSettings.load(**options), room=room, tail_s=tail))


def main() -> None:
    """Run the command line."""
    app()
