"""Real processes that look like ours: modules called `worker` and `engine` in a folder of their own."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from load_tests.measured import ProcessMeasured
from load_tests.report.gpu import GpuWatch, busiest
from load_tests.report.processes import WHOLE_MACHINE, ProcessWatch
from load_tests.report.roles import Role, Roles, program_of
from load_tests.report.watch import Watch
from tests.engine.fake_clock import FakeClock

# Each says that it is ready, and ends with its standard input.
SERVER = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); "
)
WAIT = "sys.stdin.read()"
WORKER = """
import socket, subprocess, sys
server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
engine = subprocess.Popen([sys.executable, "-m", "engine", "serve"], **pipes)
job = subprocess.Popen([sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"], **pipes)
engine.stdout.readline(), job.stdout.readline()
print(engine.pid, job.pid, flush=True)
sys.stdin.read()
engine.communicate(), job.communicate()
"""


@contextmanager
def started(*command: str, at: Path, executable: str = sys.executable) -> Iterator[tuple[int, list[int]]]:
    """A process, and the numbers that it says when it is ready."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, executable=executable, cwd=at, stdin=pipe, stdout=pipe, text=True) as made:
        assert made.stdout is not None
        yield made.pid, [int(word) for word in made.stdout.readline().split()]
        made.communicate()


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "engine.py").write_text(SERVER + WAIT)
    return tmp_path


def roles_of(roles: Roles) -> dict[int, Role]:
    return {process.pid: role for process, role in roles.processes().items()}


def test_every_process_of_a_stack_has_its_role_and_others_have_none(programs: Path) -> None:
    with (
        started("livekit-server", "-c", SERVER + WAIT, at=programs) as (server, [port]),
        started("livekit-server", "-c", SERVER + WAIT, at=programs) as (_, [port_of_others]),
        started("python", "-m", "worker", "dev", str(port), at=programs) as (worker, [engine, job]),
        started("python", "-m", "worker", "dev", str(port_of_others), at=programs) as (stranger, _),
    ):
        found = roles_of(Roles(port))
        assert found[server] is Role.LIVEKIT
        assert (found[worker], found[engine], found[job]) == (Role.WORKER, Role.ENGINE, Role.JOBS)
        assert list(found.values()).count(Role.LIVEKIT) == 1
        assert found[os.getpid()] is Role.LOAD_TEST
        # They are children of this process, whose role is the load test.
        assert found[stranger] is Role.LOAD_TEST


def test_an_engine_that_no_worker_started_is_known_by_its_port(programs: Path) -> None:
    with started("python", "-m", "engine", "serve", at=programs) as (engine, [port]):
        assert roles_of(Roles(1, port))[engine] is Role.ENGINE
        assert roles_of(Roles(1, port + 1))[engine] is not Role.ENGINE


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("/opt/bin/livekit-server --config livekit.yaml", ("livekit-server",)),
        ("/venv/bin/python -m worker start", ("worker", "start")),
        ("/venv/bin/python /venv/bin/moshi-worker dev", ("worker", "dev")),
        ("/venv/bin/moshi-engine serve --slots 4", ("engine", "serve")),
        ("python -X utf8 -m engine bench", ("engine", "bench")),
        ("python -m load_tests.echo room", ("load_tests.echo",)),
        ("", ()),
    ],
)
def test_what_a_command_line_runs(command: str, program: tuple[str, ...]) -> None:
    assert program_of(command.split()) == program


def used(by: tuple[ProcessMeasured, ...], name: str) -> ProcessMeasured:
    (found,) = [one for one in by if one.name == name]
    return found


def test_processor_time_is_of_one_core_and_of_the_time_that_passed() -> None:
    clock = FakeClock()
    us = psutil.Process()
    watch = ProcessWatch(lambda: {us: Role.LOAD_TEST}, clock)
    until_s = sum(us.cpu_times()[:2]) + 0.3
    while sum(us.cpu_times()[:2]) < until_s:
        pass
    clock.now = 1.0
    watch.sample()
    clock.now = 2.0
    found = watch.finish()
    ours = used(found, "load test")
    assert 25 <= ours.cpu_percent_max < 80
    assert ours.cpu_percent_mean < 0.9 * ours.cpu_percent_max
    assert ours.rss_mb_max >= ours.rss_mb_first > 1
    assert ours.own_mb is not None
    assert used(found, WHOLE_MACHINE).cpu_percent_mean > 0


def test_a_process_that_begins_late_counts_from_its_beginning_and_one_that_ends_is_let_go(
    programs: Path,
) -> None:
    clock = FakeClock()
    running: dict[psutil.Process, Role] = {}
    watch = ProcessWatch(lambda: running, clock)
    busy = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(1, flush=True); sys.stdin.read()"
    with started("python", "-c", busy, at=programs) as (pid, _):
        running[psutil.Process(pid)] = Role.JOBS
        clock.now = 1.0
        watch.sample()
    clock.now = 2.0
    found = used(watch.finish(), "worker's jobs")
    # The system counts in hundredths of a second.
    assert found.cpu_percent_max >= 25
    assert found.processes == 1


async def test_between_two_moments_everything_is_watched() -> None:
    watch = Watch("ws://127.0.0.1:1", "ws://127.0.0.1:1")
    now = time.monotonic()
    await asyncio.wait_for(watch.during(now, now + 0.2), 30)
    assert used(watch.processes, "load test").rss_mb_first > 0
    assert watch.engine is None
    (note,) = watch.notes
    assert "did not tell its part: no engine answers" in note


def test_an_engine_whose_address_is_not_known_is_not_asked() -> None:
    with Watch("ws://127.0.0.1:1") as watch:
        pass
    assert (watch.engine, watch.notes) == (None, ())


def test_the_gpu_is_asked_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, NVIDIA H100, 70, 20000'\necho ready >$0.ready\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with GpuWatch() as watch:
        while not program.with_suffix(".ready").exists():
            time.sleep(0.01)
    assert watch.measured is not None
    assert (watch.measured.name, watch.measured.busy_percent_max) == ("NVIDIA H100", 70)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with GpuWatch() as nowhere:
        pass
    assert nowhere.measured is None


def test_of_several_gpus_the_busiest_is_told() -> None:
    lines = ["0, A, 10, 100", "1, B, 90, 500", "0, A, 30, 200", "1, B, 70, 400", "2, C, [N/A], 1", "", "1, B"]
    gpu = busiest(lines)
    assert gpu is not None
    assert (gpu.name, gpu.busy_percent_mean, gpu.busy_percent_max, gpu.memory_mb_max) == ("B", 80, 90, 500)
    assert busiest([]) is None
