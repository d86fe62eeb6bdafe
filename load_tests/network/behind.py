"""A bad network for as long as a block lasts."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO

from engine.errors import SettingError
from load_tests.network.cable import Passage
from load_tests.network.lane import Counts
from load_tests.network.namespace import Place
from load_tests.network.profile import Profile

_END_TIMEOUT_S = 10.0


@dataclass(slots=True)
class Behind:
    """`place` is where to run callers; `passage` is what went through, known after the block.

    cable: the standard input of its process.
    """

    profile: Profile
    place: Place
    cable: IO[str]
    passage: Passage | None = None

    def change(self, profile: Profile) -> None:
        """From now on the network does this. Raises OSError if there is none any more."""
        self.cable.write(json.dumps({"up": asdict(profile.up), "down": asdict(profile.down)}) + "\n")
        self.cable.flush()

    def __str__(self) -> str:
        return f"{self.profile} ({self.passage})" if self.passage else str(self.profile)


@contextmanager
def behind(profile_name: str, url: str, seed: int = 0) -> Iterator[Behind]:
    """A namespace with this network between it and the server at `url`. Raises SettingError.

    What runs in there has to have ended before the block does.
    """
    profile = Profile.load(profile_name)
    command = [sys.executable, "-m", "load_tests.network.cable", profile_name, url, str(seed)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as cable:
        assert cable.stdin is not None
        assert cable.stdout is not None
        told = cable.stdout.readline()
        if not told:
            _, said = cable.communicate()
            raise SettingError(said.strip() or f"the cable ended with code {cable.returncode}")
        here = Behind(profile, Place(**json.loads(told)), cable.stdin)
        try:
            yield here
        finally:
            # The end of its standard input is what it waits for.
            report, _ = cable.communicate(timeout=_END_TIMEOUT_S)
            if report:
                here.passage = _passage(json.loads(report))


def _passage(told: dict[str, object]) -> Passage:
    up, down, late_ms = told["up"], told["down"], told["late_ms"]
    assert isinstance(up, dict)
    assert isinstance(down, dict)
    assert isinstance(late_ms, list)
    return Passage(Counts(**up), Counts(**down), (late_ms[0], late_ms[1], late_ms[2]))
