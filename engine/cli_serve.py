"""What an operator types: `serve` and `empty`. Parse, build, call. No logic."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.errors import SettingError
from engine.logs import log_to_stderr
from engine.options import help_of, takes
from engine.settings import AdminSettings, EngineSettings


@takes(EngineSettings)
def serve(**options: Any) -> None:
    """Serve sessions. Every option is also a setting ENGINE_..., as are its two tokens."""
    settings = EngineSettings.load(**options)
    log_to_stderr(settings.log_format)
    # Until there are calls to wait for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from engine.service.own_words import WordTokens
    from engine.service.server import Shutdown, Speaker, Transcriber, bound, bound_admin
    from engine.service.server import serve as serve_sessions
    from engine.service.sessions import ServedModel
    from engine.service.speeches import ServedTts
    from engine.service.transcription import ServedStt
    from engine.start import start

    with bound(settings) as sockets, bound_admin(settings) as admin:
        started = start(settings)
        model = started.model
        config, piece = model.lm.config, model.tokenizer.piece
        served = ServedModel(
            model.name,
            config.max_delay,
            model.sampling,
            piece,
            started.personas,
            WordTokens.of(model),
        )

        transcriber = None
        if started.stt is not None:
            stt = started.stt
            transcriber = Transcriber(ServedStt.of(stt.model), stt.runner, stt.sessions)
        speaker = None
        if started.tts is not None:
            tts = started.tts
            speaker = Speaker(ServedTts.of(tts.model, tts.runner, tts.voices), tts.runner, tts.sessions)

        async def until_shut_down() -> bool:
            shutdown = Shutdown()
            for name in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(name, shutdown.request)
            return await serve_sessions(
                settings,
                sockets,
                served,
                started.runner,
                started.seats,
                shutdown,
                started.times,
                admin,
                started.form,
                started.device,
                transcriber,
                speaker,
            )

        well = asyncio.run(until_shut_down())
    if not well:
        # A device that hangs would hold up an ordinary end.
        logging.shutdown()
        os._exit(1)


def empty(
    to: Annotated[str, typer.Option(metavar="PEER", help="Who takes the calls, as ENGINE_PEERS names it.")],
    admin_socket: Annotated[Path | None, typer.Option(help=help_of(AdminSettings, "admin_socket"))] = None,
) -> None:
    """Let an engine take no new calls, and move those that are on to another. Exit code 1: some stay."""
    from engine.empty import empty as move_all

    socket = AdminSettings.load(admin_socket=admin_socket).admin_socket
    if socket is None:
        raise SettingError("which engine? Give its ENGINE_ADMIN_SOCKET, or --admin-socket")
    if not asyncio.run(move_all(socket, to, sys.stdout)):
        sys.exit(1)
