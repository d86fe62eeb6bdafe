"""Processor and memory of a service of our own, whose processes come and go."""

from collections.abc import Callable, Mapping
from types import TracebackType

import psutil

from load_tests.faults.sampler import Sampler
from load_tests.measured import ProcessMeasured
from load_tests.report.processes import ProcessWatch
from load_tests.report.roles import Role

_EVERY_S = 1.0


class ProcessesWatched(Sampler):
    """While the block runs; after it, `measured`. parts: which processes that we started have which role."""

    def __init__(self, parts: Callable[[], Mapping[int, Role]]) -> None:
        self.measured: tuple[ProcessMeasured, ...] = ()
        self._watch = ProcessWatch(lambda: roles(parts()))
        super().__init__("processes", _EVERY_S, self._watch.sample)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.measured = self._watch.finish()


def roles(parts: Mapping[int, Role]) -> dict[psutil.Process, Role]:
    """Of us and all that descends from us: what a worker starts are its jobs; else a child has its parent's
    role.
    """
    me = psutil.Process()
    known = {me.pid: me, **{process.pid: process for process in me.children(recursive=True)}}
    found: dict[psutil.Process, Role] = {}
    for process in known.values():
        try:
            found[process] = _role(process, known, parts, me.pid)
        except psutil.Error:
            continue
    return found


def _role(
    process: psutil.Process, known: Mapping[int, psutil.Process], parts: Mapping[int, Role], ours: int
) -> Role:
    if process.pid in parts:
        return parts[process.pid]
    above = known.get(process.ppid())
    if process.pid == ours or above is None:
        return Role.LOAD_TEST
    of_above = _role(above, known, parts, ours)
    return Role.JOBS if of_above is Role.WORKER else of_above
