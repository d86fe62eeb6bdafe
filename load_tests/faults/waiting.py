"""`python -m load_tests.faults.waiting SEATS STEP_MS`: an engine whose model only waits, with administration.

Its port and its socket for administration are in the environment, as those of any engine. A killed one is
gone as any other is; no machine is too slow for it.
"""

import asyncio
import signal
import sys

from engine.logs import log_to_stderr
from engine.service.server import Shutdown, bound, bound_admin, serve
from engine.service.sessions import ServedModel
from engine.settings import EngineSettings
from engine.step.frames import Sampling
from load_tests.sockets import WAITING
from load_tests.sockets.waiting import WaitingRunner


async def main(seats: int, step_ms: float) -> None:
    """Serve until SIGTERM, and then until all calls are over."""
    settings, shutdown = EngineSettings.load(), Shutdown()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, shutdown.request)
    model, runner = ServedModel(WAITING, 0, Sampling(), lambda _token: ""), WaitingRunner(step_ms / 1000)
    with bound(settings) as sockets, bound_admin(settings) as admin:
        await serve(settings, sockets, model, runner, seats, shutdown, admin=admin)


if __name__ == "__main__":
    log_to_stderr("plain")
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
