"""`make run`: a LiveKit server, and a worker with its engine, on this machine until Ctrl-C."""

import signal
import sys
from pathlib import Path

from deploy.stack import Part, Stack, StackError
from engine.errors import SettingError
from worker.settings import WorkerSettings

LOGS = Path(".cache/run")
LIVEKIT_PORT = 7880
LIVEKIT_READY_S = 60.0


def livekit_server() -> Part:
    """The development server: the one that `make setup` built, else the one on the PATH."""
    built = Path("bin/livekit-server")
    return Part(
        name="LiveKit server",
        command=[str(built) if built.exists() else "livekit-server", "--config", "livekit.yaml"],
        ready="starting LiveKit server",
        log=LOGS / "livekit-server.log",
        ports=[LIVEKIT_PORT],
        without="set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET to use another LiveKit server",
        ready_within_s=LIVEKIT_READY_S,
    )


def worker(settings: WorkerSettings) -> Part:
    """The worker, which starts an engine of its own unless ENGINE_URL names one.

    It has no time limit: a first run downloads a model, and what it does meanwhile is shown.
    """
    return Part(
        name="worker",
        command=[sys.executable, "-m", "worker", "dev"],
        ready="registered worker",
        log=LOGS / "worker.log",
        ports=[] if settings.engine_url else [settings.engine_port],
        without="set ENGINE_PORT to another port for the engine",
        shown=True,
    )


def introduction(settings: WorkerSettings) -> str:
    """What runs where, and how to talk to it."""
    checkpoint = settings.engine_checkpoint or "parrot"
    if settings.engine_url:
        engine = settings.engine_url
    elif settings.engine_port == 0:
        engine = f"any free port, see above; checkpoint {checkpoint}"
    else:
        address = f"http://127.0.0.1:{settings.engine_port}"
        engine = f"{address}, checkpoint {checkpoint}; {address}/metrics"
    return f"""
    LiveKit   {settings.livekit_url}
    engine    {engine}
    logs      {LOGS}/

Talk to it, from another terminal:

    .venv/bin/python -m worker call deploy/sample.wav out.wav

Ctrl-C stops all of it.
"""


def main() -> int:
    """Exit status: 0 after Ctrl-C, 2 for a bad setting, 1 when a part cannot start or ends by itself."""
    try:
        settings = WorkerSettings.load()
    except SettingError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 2
    parts = [worker(settings)]
    if "livekit_url" not in settings.model_fields_set:
        parts.insert(0, livekit_server())

    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: signals.append(received))
    stack = Stack(parts, show=lambda line: print(line, flush=True))
    try:
        stack.run(stop=lambda: bool(signals), on_ready=lambda: print(introduction(settings), flush=True))
    except StackError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    print("make run: stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
