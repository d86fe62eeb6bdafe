"""`python -m worker dev|start|download-files|call`."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.errors import EngineError, Refused, UserError
from engine.logs import LogFormat
from worker import logs
from worker.room.room_policy import RoomPolicy
from worker.settings import LiveKitSettings, WorkerSettings
from worker.tokens import accept_development_secret

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Url = Annotated[str | None, typer.Option(help="LiveKit server, ws:// or wss://. [LIVEKIT_URL]")]
ApiKey = Annotated[str | None, typer.Option(help="Its key. [LIVEKIT_API_KEY]")]
ApiSecret = Annotated[str | None, typer.Option(help="The key's secret. [LIVEKIT_API_SECRET]")]
AgentName = Annotated[str | None, typer.Option(help="Take calls for this name only. [LIVEKIT_AGENT_NAME]")]


@app.command("dev", help="Take calls; Ctrl-C ends them at once. Logs are for people.")
@app.command("start", help="Take calls; SIGTERM or Ctrl-C waits for those that are on. Logs are JSON lines.")
def serve(
    context: typer.Context,
    livekit_url: Url = None,
    livekit_api_key: ApiKey = None,
    livekit_api_secret: ApiSecret = None,
    livekit_agent_name: AgentName = None,
    engine_url: Annotated[
        str | None,
        typer.Option(help="Engine to use, ws://, wss:// or unix:PATH; else one is started. [ENGINE_URL]"),
    ] = None,
    engine_token: Annotated[
        str | None, typer.Option(help="Token that the engine wants. [ENGINE_TOKEN]")
    ] = None,
    engine_admin_socket: Annotated[
        Path | None,
        typer.Option(
            help="The engine's socket for administration, to bring lost calls back by. [ENGINE_ADMIN_SOCKET]"
        ),
    ] = None,
    engine_port: Annotated[
        int | None, typer.Option(help="Port of the started engine: 8998. [ENGINE_PORT]")
    ] = None,
    engine_checkpoint: Annotated[
        str | None, typer.Option(help="Model of the started engine. [ENGINE_CHECKPOINT]")
    ] = None,
    engine_slots: Annotated[
        int | None, typer.Option(help="Seats of the started engine. [ENGINE_SLOTS]")
    ] = None,
    engine_device: Annotated[
        str | None, typer.Option(help="Device of the started engine. [ENGINE_DEVICE]")
    ] = None,
    max_call_seconds: Annotated[
        float | None, typer.Option(help="End a call after this time: 3600. [WORKER_MAX_CALL_SECONDS]")
    ] = None,
    grace_seconds: Annotated[
        float | None,
        typer.Option(help="Wait so long for a caller who is gone: 15. [WORKER_GRACE_SECONDS]"),
    ] = None,
    room_policy: Annotated[
        RoomPolicy | None, typer.Option(help="Whom the model listens to: first. [WORKER_ROOM_POLICY]")
    ] = None,
    idle_seconds: Annotated[
        float | None,
        typer.Option(help="Hang up on who says nothing for so long; 0: on nobody. [WORKER_IDLE_SECONDS]"),
    ] = None,
    half_duplex: Annotated[
        bool | None, typer.Option(help="The model does not listen while it speaks. [WORKER_HALF_DUPLEX]")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address of the health check: 127.0.0.1. [WORKER_HOST]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of the health check: 8081, for dev any free one. [WORKER_PORT]")
    ] = None,
    web_host: Annotated[
        str | None, typer.Option(help="Address of the web page: 127.0.0.1. [WORKER_WEB_HOST]")
    ] = None,
    web_port: Annotated[
        int | None,
        typer.Option(help="Port of the web page: for dev 8080, else there is none. [WORKER_WEB_PORT]"),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate of the web page, PEM. [WORKER_TLS_CERT]")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM. [WORKER_TLS_KEY]")] = None,
    calls_checked_upstream: Annotated[
        bool | None,
        typer.Option(
            "--calls-checked-upstream",
            help="A proxy in front checks who may call. [WORKER_CALLS_CHECKED_UPSTREAM]",
        ),
    ] = None,
) -> None:
    """Run the worker until it is told to stop."""
    from worker.service import serve

    drains = context.command.name == "start"
    log_format: LogFormat = "json" if drains else "plain"
    logs.set_up(log_format)
    _run(
        lambda: serve(
            WorkerSettings.load(
                livekit_url=livekit_url,
                livekit_api_key=livekit_api_key,
                livekit_api_secret=livekit_api_secret,
                livekit_agent_name=livekit_agent_name,
                engine_url=engine_url,
                engine_token=engine_token,
                engine_admin_socket=engine_admin_socket,
                engine_port=engine_port,
                engine_checkpoint=engine_checkpoint,
                engine_slots=engine_slots,
                engine_device=engine_device,
                engine_log_format=log_format,
                worker_max_call_seconds=max_call_seconds,
                worker_grace_seconds=grace_seconds,
                worker_room_policy=room_policy,
                worker_idle_seconds=idle_seconds,
                worker_half_duplex=half_duplex,
                worker_host=host,
                worker_port=port,
                worker_web_host=web_host,
                worker_web_port=web_port,
                worker_tls_cert=tls_cert,
                worker_tls_key=tls_key,
                worker_calls_checked_upstream=calls_checked_upstream,
            ),
            drains=drains,
        )
    )


@app.command("download-files")
def download_files() -> None:
    """Fetch what LiveKit plugins need. The worker has none; the engine fetches its model when it starts."""
    from livekit.agents import Plugin

    for plugin in Plugin.registered_plugins:
        plugin.download_files()
    print(f"{len(Plugin.registered_plugins)} plugins: nothing more to download", file=sys.stderr)


@app.command()
def call(
    recording: Annotated[Path, typer.Argument(metavar="IN", help="What to say: any sound file.")],
    answer: Annotated[
        Path, typer.Argument(metavar="OUT", help="Where to put what comes back: WAV, 24 kHz mono.")
    ],
    room: Annotated[str | None, typer.Option(help="Room to call in; else a new one.")] = None,
    tail: Annotated[float, typer.Option(min=0, help="Seconds to go on listening after the end.")] = 3.0,
    livekit_url: Url = None,
    livekit_api_key: ApiKey = None,
    livekit_api_secret: ApiSecret = None,
    livekit_agent_name: AgentName = None,
) -> None:
    """Join a room as a caller, play a recording in real time, and save what comes back."""
    from worker.caller.call_command import call

    _run(
        lambda: call(
            recording,
            answer,
            LiveKitSettings.load(
                livekit_url=livekit_url,
                livekit_api_key=livekit_api_key,
                livekit_api_secret=livekit_api_secret,
                livekit_agent_name=livekit_agent_name,
            ),
            room=room,
            tail_s=tail,
        )
    )


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a command to its end and turn our errors into their exit codes."""
    accept_development_secret()
    try:
        asyncio.run(work())
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(
            2 if isinstance(error, UserError) else 3 if isinstance(error, Refused) else 1
        ) from None


def main() -> None:
    """Run the command line."""
    app()
