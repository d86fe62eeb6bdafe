"""Processor and memory of each role, from samples."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from load_tests.measured import ProcessMeasured
from load_tests.report.roles import Role

WHOLE_MACHINE = "whole machine"
_MB = 2**20


@dataclass(slots=True)
class _Use:
    """Of one role so far."""

    cpu_s: float = 0.0
    most: float = 0.0
    rss_mb: list[float] = field(default_factory=list)
    processes: int = 0
    own_mb: float | None = None

    def add(self, cpu_s: float, passed_s: float, rss_mb: float, processes: int) -> None:
        self.cpu_s += cpu_s
        self.most = max(self.most, cpu_s / passed_s if passed_s else 0.0)
        self.rss_mb.append(rss_mb)
        self.processes = max(self.processes, processes)


class ProcessWatch:
    """Call `sample` about once a second, and `finish` at the end.

    A process that begins meanwhile counts from its beginning; of one that ends, what it did since the last
    sample is lost.
    """

    def __init__(
        self,
        processes: Callable[[], Mapping[psutil.Process, Role]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._processes = processes
        self._clock = clock
        self._uses: defaultdict[str, _Use] = defaultdict(_Use)
        self._cpu_s = {process: _cpu_s(process) for process in processes()}
        self._machine_cpu_s = _machine_cpu_s()
        self._began_at = self._sampled_at = clock()

    def sample(self) -> None:
        """Add what every role has used since the last sample."""
        now = self._clock()
        passed_s, self._sampled_at = now - self._sampled_at, now
        cpu_s: dict[psutil.Process, float] = {}
        of_role: dict[Role, list[tuple[float, float]]] = {}
        for process, role in self._processes().items():
            try:
                with process.oneshot():
                    cpu_s[process], rss = _cpu_s(process), process.memory_info().rss
            except psutil.Error:
                continue
            used_s = cpu_s[process] - self._cpu_s.get(process, 0.0)
            of_role.setdefault(role, []).append((used_s, rss / _MB))
        self._cpu_s = cpu_s
        for role, used in of_role.items():
            role_cpu_s, role_rss_mb = (sum(values) for values in zip(*used, strict=True))
            self._uses[role].add(role_cpu_s, passed_s, role_rss_mb, len(used))
        before_s, self._machine_cpu_s = self._machine_cpu_s, _machine_cpu_s()
        used_mb = psutil.virtual_memory().used / _MB
        self._uses[WHOLE_MACHINE].add(self._machine_cpu_s - before_s, passed_s, used_mb, len(psutil.pids()))

    def finish(self) -> tuple[ProcessMeasured, ...]:
        """All roles that there were, in the order of Role, and the whole machine."""
        self.sample()
        seconds = self._sampled_at - self._began_at
        for process, role in self._processes().items():
            # Once, at the end: it halts the process for as long as its page tables take.
            with suppress(psutil.Error):
                own_mb = process.memory_full_info().uss / _MB
                self._uses[role].own_mb = own_mb + (self._uses[role].own_mb or 0.0)
        return tuple(
            ProcessMeasured(
                name=str(name),
                cpu_percent_mean=100 * use.cpu_s / seconds if seconds else 0.0,
                cpu_percent_max=100 * use.most,
                rss_mb_first=use.rss_mb[0],
                rss_mb_last=use.rss_mb[-1],
                rss_mb_max=max(use.rss_mb),
                own_mb=use.own_mb,
                processes=use.processes,
                rss_mb_middle=use.rss_mb[len(use.rss_mb) // 2],
            )
            for name in (*Role, WHOLE_MACHINE)
            if (use := self._uses[name]).rss_mb
        )


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _machine_cpu_s() -> float:
    """Seconds that all cores together have worked for anybody."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "steal", 0.0)
    counted_twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - counted_twice)
