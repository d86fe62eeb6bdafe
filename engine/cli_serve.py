"""What an operator types: `serve` and `empty`. Parse, build, call. No logic."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import SettingError
from engine.logs import LogFormat, log_to_stderr
from engine.models.config import KvPrecision, WeightPrecision
from engine.settings import AdminSettings, Device, Dtype, EngineSettings

DtypeOption = Annotated[Dtype | None, typer.Option(help="What the language model computes in.")]
WeightsOption = Annotated[
    WeightPrecision | None, typer.Option(help="Weights as they are, or rounded to 8 bits: exact, int8, fp8.")
]
KvOption = Annotated[
    KvPrecision | None, typer.Option(help="Keys and values as they are, or in 8 bits: exact, int8, e4m3.")
]


def serve(
    checkpoint: Annotated[str | None, typer.Option(help="parrot, a folder, a repository, random:...")] = None,
    device: Annotated[Device | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    dtype: DtypeOption = None,
    weights: WeightsOption = None,
    kv: KvOption = None,
    slots: Annotated[int | None, typer.Option(help="Sessions at the same time.")] = None,
    allow_slower_than_real_time: Annotated[
        bool | None,
        typer.Option(
            "--allow-slower-than-real-time", help="Offer all slots, even if answers will come late."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; not loopback: needs ENGINE_TOKEN.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    socket: Annotated[Path | None, typer.Option(help="A Unix socket to listen on as well.")] = None,
    origins: Annotated[str | None, typer.Option(help="Origins of web pages that may open sessions.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="A certificate: speak TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The key of that certificate.")] = None,
    room_share: Annotated[
        float | None, typer.Option(help="Share of the seats that /api/chat leaves to rooms.")
    ] = None,
    chat_line: Annotated[
        int | None, typer.Option(help="Callers of /api/chat who may wait for a seat.")
    ] = None,
    chat_line_seconds: Annotated[float | None, typer.Option(help="How long one of them waits.")] = None,
    chat_idle_seconds: Annotated[
        float | None, typer.Option(help="Silence that ends a call of /api/chat.")
    ] = None,
    chat_per_address: Annotated[
        int | None, typer.Option(help="Calls of /api/chat from one address; 0: any number.")
    ] = None,
    grace_seconds: Annotated[
        float | None, typer.Option(help="How long a session without a connection is held.")
    ] = None,
    held_sessions: Annotated[
        int | None, typer.Option(help="Of how many callers who are away the seat is given to others.")
    ] = None,
    admin_socket: Annotated[Path | None, typer.Option(help="A Unix socket for administration.")] = None,
    peers: Annotated[str | None, typer.Option(help="Engines that take calls over: name=url,...")] = None,
    step_timeout_seconds: Annotated[
        float | None, typer.Option(help="After how long a step counts as hung.")
    ] = None,
    drain_seconds: Annotated[float | None, typer.Option(help="How long SIGTERM waits for calls.")] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="Log lines for people or for machines.")
    ] = None,
) -> None:
    """Serve sessions. Every option is also a setting ENGINE_..., as are its two tokens."""
    settings = EngineSettings.load(
        checkpoint=checkpoint,
        device=device,
        dtype=dtype,
        weights=weights,
        kv=kv,
        slots=slots,
        allow_slower_than_real_time=allow_slower_than_real_time,
        host=host,
        port=port,
        socket=socket,
        origins=origins,
        tls_cert=tls_cert,
        tls_key=tls_key,
        room_share=room_share,
        chat_line=chat_line,
        chat_line_seconds=chat_line_seconds,
        chat_idle_seconds=chat_idle_seconds,
        chat_per_address=chat_per_address,
        grace_seconds=grace_seconds,
        held_sessions=held_sessions,
        admin_socket=admin_socket,
        peers=peers,
        step_timeout_seconds=step_timeout_seconds,
        drain_seconds=drain_seconds,
        log_format=log_format,
    )
    log_to_stderr(settings.log_format)
    # Until there are calls to wait for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from engine.service.server import Shutdown, bound, bound_admin
    from engine.service.server import serve as serve_sessions
    from engine.service.sessions import ServedModel
    from engine.start import start

    with bound(settings) as sockets, bound_admin(settings) as admin:
        started = start(settings)
        model = started.model
        served = ServedModel(model.name, model.lm.config.max_delay, model.sampling, model.tokenizer.piece)

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
            )

        well = asyncio.run(until_shut_down())
    if not well:
        # A device that hangs would hold up an ordinary end.
        logging.shutdown()
        os._exit(1)


def empty(
    to: Annotated[str, typer.Option(metavar="PEER", help="Who takes the calls, as ENGINE_PEERS names it.")],
    admin_socket: Annotated[
        Path | None, typer.Option(help="Of the engine that is emptied. [ENGINE_ADMIN_SOCKET]")
    ] = None,
) -> None:
    """Let an engine take no new calls, and move those that are on to another. Exit code 1: some stay."""
    from engine.empty import empty as move_all

    socket = AdminSettings.load(admin_socket=admin_socket).admin_socket
    if socket is None:
        raise SettingError("which engine? Give its ENGINE_ADMIN_SOCKET, or --admin-socket")
    if not asyncio.run(move_all(socket, to, sys.stdout)):
        sys.exit(1)
