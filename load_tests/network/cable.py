"""`python -m load_tests.network.cable PROFILE URL SEED`: a namespace, and a bad cable to it.

It is there from the line on its standard output, a `Place` as JSON, until its standard input ends: also when
whoever started it is killed. Then it takes away all that it made and prints a `Passage`. A line on its
standard input changes what it does: both directions as JSON, what is left out does nothing.

Packets are moved here and not by the kernel's netem, which many kernels come without: a seed decides which
are lost and how late the others are, and how exactly that was kept is known afterwards.
"""

import heapq
import json
import os
import select
import signal
import sys
import time
from array import array
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field

import numpy as np

from engine.errors import EngineError
from load_tests.network.addresses import DESTINATION, LOOPBACK, SOURCE, exchange
from load_tests.network.lane import Counts, Lane
from load_tests.network.namespace import Namespace
from load_tests.network.profile import Conditions, Profile

_MTU = 65_535
_MOST_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Passage:
    """What went through a cable, and how much later than it should have: p50, p99 and the worst."""

    up: Counts
    down: Counts
    late_ms: tuple[float, float, float]

    def __str__(self) -> str:
        lanes = [
            f"{name} {lane.passed} packets, {lane.lost} lost, {lane.overtaken} overtaken"
            for name, lane in (("up", self.up), ("down", self.down))
        ]
        p50, p99, worst = self.late_ms
        return f"{'; '.join(lanes)}; moved late by p50 {p50:.1f} p99 {p99:.1f} worst {worst:.1f} ms"


@dataclass(slots=True)
class Cable:
    """Both lanes between two descriptors, `inside` the namespace and `outside`, until `until` can be read."""

    inside: int
    outside: int
    up: Lane
    down: Lane
    loopback: bytes | None
    """The address that stands for this machine's 127.0.0.1 inside; None: none does."""
    _under_way: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    _sent: int = 0
    _late_s: "array[float]" = field(default_factory=lambda: array("f"))

    def run(self, until: int) -> Passage:
        """Move packets. Returns what was moved."""
        while True:
            wait_s = max(0.0, self._under_way[0][0] - time.monotonic()) if self._under_way else None
            ready, _, _ = select.select([self.inside, self.outside, until], [], [], wait_s)
            if until in ready:
                told = os.read(until, 65_536)
                if not told:
                    break
                # Shorter than a pipe's, so that lines come whole.
                for line in told.splitlines():
                    self._change(json.loads(line))
            if self.inside in ready:
                self._take(self.inside, self.outside, self.up)
            if self.outside in ready:
                self._take(self.outside, self.inside, self.down)
            self._deliver()
        late_ms = 1000 * np.asarray(self._late_s or [0.0])
        p50, p99, worst = (float(value) for value in np.percentile(late_ms, [50, 99, 100]))
        return Passage(self.up.counts, self.down.counts, (p50, p99, worst))

    def _change(self, told: Mapping[str, Mapping[str, float]]) -> None:
        self.up.change(Conditions(**told["up"]))
        self.down.change(Conditions(**told["down"]))

    def _take(self, source: int, target: int, lane: Lane) -> None:
        with suppress(BlockingIOError):
            for _ in range(_MOST_AT_ONCE):
                packet = os.read(source, _MTU)
                arrives = lane.arrival(time.monotonic(), len(packet))
                if arrives is not None:
                    self._sent += 1
                    heapq.heappush(self._under_way, (arrives, self._sent, target, packet))

    def _deliver(self) -> None:
        while self._under_way and self._under_way[0][0] <= time.monotonic():
            due, _, target, packet = heapq.heappop(self._under_way)
            self._late_s.append(time.monotonic() - due)
            if self.loopback is not None:
                packet = (
                    exchange(packet, DESTINATION, self.loopback, LOOPBACK)
                    if target == self.outside
                    else exchange(packet, SOURCE, LOOPBACK, self.loopback)
                )
            # A packet that the kernel does not want is lost there as on any machine.
            with suppress(OSError):
                os.write(target, packet)


def _hurry() -> None:
    """Before all others where we may: what we are late the network seems to be."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def main(profile_name: str, url: str, seed: int) -> None:
    # A Ctrl-C is for whoever started us: they still need the network to end properly.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ExitStack() as until_end:
        try:
            profile = Profile.load(profile_name)
            namespace = until_end.enter_context(Namespace.make(url))
        except EngineError as error:
            raise SystemExit(str(error)) from None
        print(json.dumps(asdict(namespace.place)), flush=True)
        _hurry()
        up, down = Lane(profile.up, 2 * seed), Lane(profile.down, 2 * seed + 1)
        cable = Cable(namespace.inside, namespace.outside, up, down, namespace.loopback)
        passage = cable.run(until=sys.stdin.fileno())
        print(json.dumps(asdict(passage)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
