"""`python -m load_tests.faults.process NUMBER SEED FOLDER`: one caller who talks all the time.

Reads what to do from its standard input, a `Do` and seconds as JSON on a line; its end is the end of the
call. Tells news as JSON on its standard output. The LiveKit server is in the environment.
"""

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from engine.errors import UserError
from load_tests.callers.crowd import USER_ERROR
from load_tests.faults.speech import endless
from load_tests.faults.talker import Do, News, Talker
from load_tests.faults.tape import Tape
from worker.settings import LiveKitSettings


def _tell(news: News) -> None:
    print(json.dumps(asdict(news)), flush=True)


async def _run(number: int, seed: int, folder: Path) -> None:
    settings = LiveKitSettings.load()
    speech = endless(seed, number)
    with Tape(folder, number) as tape:
        talker = Talker(settings, number, speech, tape, _tell)
        talking = asyncio.create_task(talker.run())
        obeying = asyncio.create_task(_obey(talker))
        await asyncio.wait([talking, obeying], return_when=asyncio.FIRST_COMPLETED)
        if not talking.done():
            await talker.do(Do.END)
        await talking
        obeying.cancel()


async def _obey(talker: Talker) -> None:
    """Until there is nobody any more who tells us what to do."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await reader.readline():
        told = json.loads(line)
        await talker.do(Do(told["do"]), told["seconds"])


if __name__ == "__main__":
    # A Ctrl-C is for whoever started us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(_run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(USER_ERROR) from None
