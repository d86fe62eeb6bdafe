"""`make run`: a LiveKit server, and a worker with its engine, on this machine until Ctrl-C.

`make run PUBLIC_IP=...` lets callers in from elsewhere.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from deploy.public import MEDIA_TCP_PORT, MEDIA_UDP_PORT, Public
from deploy.stack import Part, Stack, StackError
from engine.errors import SettingError
from worker.settings import WorkerSettings
from worker.web.server import DEV_PORT

LOGS = Path(".cache/run")
LIVEKIT_PORT = 7880
LIVEKIT_READY_S = 60.0
_OWN_LIVEKIT = "set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET to use another LiveKit server"


def livekit_server(config: Path = Path("livekit.yaml"), *media_ports: int) -> Part:
    """The LiveKit server that `make setup` built, else the one on the PATH."""
    built = Path("bin/livekit-server")
    return Part(
        name="LiveKit server",
        command=[str(built) if built.exists() else "livekit-server", "--config", str(config)],
        ready="starting LiveKit server",
        log=LOGS / "livekit-server.log",
        ports=dict.fromkeys((LIVEKIT_PORT, *media_ports), _OWN_LIVEKIT),
        ready_within_s=LIVEKIT_READY_S,
    )


def livekit_configuration(text: str, port: int, udp_port: int, key: str, secret: str) -> str:
    """That of livekit.yaml with other ports and another key. Raises StackError if it is not as it was."""
    for ours, theirs in (
        ("port: 7880", f"port: {port}"),
        ("udp_port: 7882", f"udp_port: {udp_port}"),
        ("devkey: secret", f"{key}: {secret}"),
    ):
        if ours not in text:
            raise StackError(f"livekit.yaml has no line {ours!r} that another could take the place of")
        text = text.replace(ours, theirs)
    return text


def web_port(settings: WorkerSettings) -> int:
    """Where the page will be."""
    return DEV_PORT if settings.worker_web_port is None else settings.worker_web_port


def worker(settings: WorkerSettings, environment: Mapping[str, str] | None = None) -> Part:
    """The worker, which starts an engine of its own unless ENGINE_URL names one.

    It has no time limit: a first run downloads a model, and what it does meanwhile is shown.
    """
    ports = {web_port(settings): "set WORKER_WEB_PORT to another port for the web page"}
    if not settings.engine_url:
        ports[settings.engine_port] = "set ENGINE_PORT to another port for the engine"
    return Part(
        name="worker",
        command=[sys.executable, "-m", "worker", "dev"],
        ready="registered worker",
        log=LOGS / "worker.log",
        ports={port: without for port, without in ports.items() if port},
        shown=True,
        environment=environment or {},
    )


def page(settings: WorkerSettings, public: Public | None = None) -> str:
    """The address to open in a browser."""
    if web_port(settings) == 0:
        return "any free port, see above: web page url=..."
    host = public.ip if public else settings.worker_web_host
    scheme = "https" if settings.worker_tls_cert else "http"
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{web_port(settings)}/"
    secret = settings.worker_call_secret
    # Behind the #, where no server and no log gets to see it.
    return f"{address}#{urlencode({'secret': secret.get_secret_value()})}" if secret else address


def introduction(settings: WorkerSettings, public: Public | None = None) -> str:
    """What runs where, and how to talk to it."""
    checkpoint = settings.engine_checkpoint or "parrot"
    if settings.engine_url:
        engine = settings.engine_url
    elif settings.engine_port == 0:
        engine = f"any free port, see above; checkpoint {checkpoint}"
    else:
        address = f"http://127.0.0.1:{settings.engine_port}"
        engine = f"{address}, checkpoint {checkpoint}; {address}/metrics"
    said = f"""
    LiveKit   {settings.livekit_url}
    engine    {engine}
    logs      {LOGS}/
"""
    if public:
        said += f"    {_openings(settings, public)}\n"
    else:
        said += """
Talk to it from another terminal:

    .venv/bin/python -m worker call deploy/sample.wav out.wav
"""
    return f"""{said}
Talk to it in a browser:

    {page(settings, public)}

Ctrl-C stops all of it.
"""


def _openings(settings: WorkerSettings, public: Public) -> str:
    """What a firewall has to let through, and what the browser will say."""
    ports = f"TCP {web_port(settings)}"
    if "livekit_url" not in settings.model_fields_set:
        ports += f" and {MEDIA_TCP_PORT}, UDP {MEDIA_UDP_PORT}"
    warning = ""
    if "WORKER_TLS_CERT" in public.environment:
        warning = "\n    warning   the certificate is our own: the browser asks once whether you trust it"
    return f"open      {ports} from wherever calls come{warning}"


def main() -> int:
    """Exit status: 0 after Ctrl-C, 2 for a bad setting, 1 when a part cannot start or ends by itself."""
    public = None
    try:
        settings = WorkerSettings.load()
        if public_ip := os.environ.get("PUBLIC_IP"):
            public = Public.prepare(public_ip, settings)
            settings = WorkerSettings.load(
                **{name.lower(): value for name, value in public.environment.items()}
            )
    except SettingError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 2
    parts = [worker(settings, public.environment if public else None)]
    if "livekit_url" not in settings.model_fields_set:
        config = (public.livekit_config(settings), MEDIA_TCP_PORT) if public else ()
        parts.insert(0, livekit_server(*config))

    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: signals.append(received))
    stack = Stack(parts, show=lambda line: print(line, flush=True))
    try:
        stack.run(
            stop=lambda: bool(signals), on_ready=lambda: print(introduction(settings, public), flush=True)
        )
    except StackError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    print("make run: stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
