"""`make run`: a LiveKit server, and a worker with its engine, on this machine until Ctrl-C."""

import os
import signal
import sys
from pathlib import Path

from dotenv import dotenv_values

from deploy.stack import Part, Stack, StackError
from engine.errors import SettingError
from worker.settings import ENV_FILE, WorkerSettings

LOGS = Path(".cache/run")
LIVEKIT_PORT = 7880

# As in livekit.yaml.
DEVELOPMENT_SERVER = {
    "LIVEKIT_URL": f"ws://127.0.0.1:{LIVEKIT_PORT}",
    "LIVEKIT_API_KEY": "devkey",
    "LIVEKIT_API_SECRET": "secret",
}


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
    )


def worker(settings: WorkerSettings, environment: dict[str, str]) -> Part:
    """The worker, which starts an engine of its own unless ENGINE_URL names one."""
    return Part(
        name="worker",
        command=[sys.executable, "-m", "worker", "dev"],
        ready="registered worker",
        log=LOGS / "worker.log",
        ports=[] if settings.engine_url else [settings.engine_port],
        without="set ENGINE_PORT to another port for the engine",
        environment=environment,
        shown=True,
    )


def introduction(settings: WorkerSettings, environment: dict[str, str]) -> str:
    """What runs where, and how to talk to it."""
    if settings.engine_url:
        engine = settings.engine_url
    else:
        address = f"http://127.0.0.1:{settings.engine_port}"
        engine = f"{address}, checkpoint {settings.engine_checkpoint or 'parrot'}; {address}/metrics"
    given = " ".join(f"{name}={value}" for name, value in environment.items())
    prefix = f"{given} \\\n        " if given else ""
    return f"""
    LiveKit   {settings.livekit_url}
    engine    {engine}
    logs      {LOGS}/

Talk to it, from another terminal:

    {prefix}.venv/bin/python -m worker call deploy/sample.wav out.wav

Ctrl-C stops all of it.
"""


def main() -> int:
    """Exit status: 0 after Ctrl-C, 2 for a bad setting, 1 when a part cannot start or ends by itself."""
    given = {**dotenv_values(ENV_FILE), **os.environ}
    environment = {} if given.get("LIVEKIT_URL") else DEVELOPMENT_SERVER
    try:
        settings = WorkerSettings.load(**{name.lower(): value for name, value in environment.items()})
    except SettingError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 2
    parts = [worker(settings, environment)]
    if environment:
        parts.insert(0, livekit_server())

    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: signals.append(received))
    stack = Stack(parts, show=lambda line: print(line, flush=True))
    try:
        stack.run(
            stop=lambda: bool(signals),
            on_ready=lambda: print(introduction(settings, environment), flush=True),
        )
    except StackError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    print("make run: stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
