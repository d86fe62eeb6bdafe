"""A caller's process and the cable it is behind, as whoever runs the test has them."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from os import environ
from pathlib import Path

from engine.errors import UserError
from load_tests.callers.crowd import USER_ERROR, CallersFailed
from load_tests.faults.talker import Do, News
from load_tests.network.behind import Behind, behind
from load_tests.network.profile import Profile
from worker.engine_child import end_with_parent

_ENDS_WITHIN_S = 20.0


class Guest:
    """Made by `invite`. `news`: all that its process has told. cable: None without a network of our own."""

    def __init__(self, number: int, folder: Path, process: Process, cable: Behind | None) -> None:
        self.number = number
        self.folder = folder
        self.news: list[News] = []
        self._process = process
        self._cable = cable

    @classmethod
    @asynccontextmanager
    async def invite(
        cls, number: int, seed: int, folder: Path, environment: Mapping[str, str], *, cabled: bool
    ) -> AsyncIterator["Guest"]:
        """Calls and talks until the block is left. Raises UserError, CallersFailed."""
        with ExitStack() as until_gone:
            command = [sys.executable, "-m", "load_tests.faults.process", str(number), str(seed), str(folder)]
            cable = None
            if cabled:
                cable = until_gone.enter_context(behind("plain", environment["LIVEKIT_URL"], seed + number))
                command = cable.place.command(*command)
                environment = {**environment, "LIVEKIT_URL": cable.place.url}
            complaints = folder / f"caller-{number}.log"
            with complaints.open("wb") as file:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=file,
                    env={**environ, **environment},
                    start_new_session=True,
                    preexec_fn=end_with_parent(),
                )
            guest = cls(number, folder, process, cable)
            listening = asyncio.create_task(guest._listen())
            try:
                yield guest
            finally:
                await guest._end()
                await listening

    @property
    def room(self) -> str:
        """Where it is, or was last; "" before."""
        return next((news.text for news in reversed(self.news) if news.what == "in"), "")

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def check(self) -> None:
        """Raises CallersFailed, UserError if the process is gone."""
        if self._process.returncode is not None:
            complaint = (self.folder / f"caller-{self.number}.log").read_text(errors="replace").strip()
            if self._process.returncode == USER_ERROR:
                raise UserError(complaint)
            raise CallersFailed(complaint or f"it ended with code {self._process.returncode}")

    def tell(self, what: Do, seconds: float = 0.0) -> None:
        """Let it do this. Raises CallersFailed, UserError."""
        self.check()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, "seconds": seconds}).encode() + b"\n")

    def network(self, name: str) -> None:
        """From now on its network is this one. Raises SettingError."""
        assert self._cable is not None
        self._cable.change(Profile.load(name))

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            with suppress(ValueError, TypeError):
                self.news.append(News(**json.loads(line)))

    async def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
