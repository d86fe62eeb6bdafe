import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from engine.errors import SettingError
from tests.fake_engine import FakeEngine, serving
from tests.worker.waiting import until
from worker import engine_child
from worker.engine_child import ATTEMPTS, EngineChild, EngineDied, KeptEngine, engine_arguments
from worker.settings import WorkerSettings

SETTINGS = WorkerSettings.model_construct(engine_token=None, engine_port=1234, engine_slots=3)


async def child(program: str, url: str = "unix:/nowhere") -> EngineChild:
    return EngineChild(await asyncio.create_subprocess_exec(sys.executable, "-c", program), url)


def test_the_engine_gets_what_was_set_and_no_secret() -> None:
    settings = SETTINGS.model_copy(update={"engine_checkpoint": "folder", "engine_token": "hidden"})
    arguments = engine_arguments(settings, Path("/run/x.sock"), Path("/run/a.sock"))
    assert " ".join(arguments) == (
        "-m engine serve --socket /run/x.sock --host 127.0.0.1 --port 1234 --admin-socket /run/a.sock "
        "--checkpoint folder --slots 3"
    )


async def test_an_engine_that_rejects_its_settings_is_the_users_error() -> None:
    with pytest.raises(SettingError, match="it says why above"):
        await (await child("raise SystemExit(2)")).wait_until_ready(SETTINGS)


async def test_an_engine_that_fails_at_start_is_an_error() -> None:
    with pytest.raises(EngineDied, match="ended with code 7"):
        await (await child("raise SystemExit(7)")).wait_until_ready(SETTINGS)


async def test_an_engine_that_answers_is_ready() -> None:
    async with serving(FakeEngine()) as fake:
        living = await child("import time; time.sleep(60)", fake.url)
        await living.wait_until_ready(SETTINGS)
        await living.stop()


async def test_an_engine_that_waits_for_promised_calls_is_told_that_nobody_comes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engine_child, "HURRY_AFTER_S", 0.1)
    monkeypatch.setattr(engine_child, "STOP_TIMEOUT_S", 60.0)
    ready = tmp_path / "ready"
    patient = await child(
        "import pathlib, signal, sys, time\n"
        "asked = []\n"
        "def end(*_): asked.append(1); len(asked) < 2 or sys.exit(5)\n"
        "signal.signal(15, end)\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "time.sleep(60)"
    )
    await until(ready.exists)
    await patient.stop()
    assert "code 5" in str(await patient.died())


async def test_an_engine_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    for patience in ("HURRY_AFTER_S", "STOP_TIMEOUT_S"):
        monkeypatch.setattr(engine_child, patience, 0.1)
    deaf = await child("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
    await asyncio.sleep(0.2)
    await deaf.stop()
    assert isinstance(await deaf.died(), EngineDied)


class Engines:
    """Starts one program after the other; the last one again and again."""

    def __init__(self, url: str, *programs: str) -> None:
        self.started: list[EngineChild] = []
        self._url = url
        self._programs = programs

    async def __call__(self) -> EngineChild:
        program = self._programs[min(len(self.started), len(self._programs) - 1)]
        self.started.append(await child(program, self._url))
        return self.started[-1]


SERVES = "import time; time.sleep(60)"
SOON_DIES = "import time; time.sleep(0.5); raise SystemExit(1)"


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_child, "FIRST_DELAY_S", 0.0)


@pytest.mark.usefixtures("_impatient")
async def test_an_engine_that_is_gone_is_started_again() -> None:
    async with serving(FakeEngine()) as fake:
        engines = Engines(fake.url, SOON_DIES, SERVES)
        kept = KeptEngine(engines, SETTINGS)
        await kept.start()
        keeping = asyncio.create_task(kept.keep())
        await until(lambda: len(engines.started) == 2, 20)
        assert not keeping.done()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await kept.stop()
        assert isinstance(await engines.started[-1].died(), EngineDied)


@pytest.mark.usefixtures("_impatient")
async def test_an_engine_that_comes_up_no_more_is_given_up() -> None:
    async with serving(FakeEngine()) as fake:
        engines = Engines(fake.url, SOON_DIES, "raise SystemExit(7)")
        kept = KeptEngine(engines, SETTINGS)
        await kept.start()
        assert "ended with code 7" in str(await kept.keep())
        assert len(engines.started) == 1 + ATTEMPTS


@pytest.mark.usefixtures("_impatient")
async def test_an_engine_that_rejects_its_settings_is_not_started_again() -> None:
    async with serving(FakeEngine()) as fake:
        engines = Engines(fake.url, SOON_DIES, "raise SystemExit(2)")
        kept = KeptEngine(engines, SETTINGS)
        await kept.start()
        assert isinstance(await kept.keep(), SettingError)
        assert len(engines.started) == 2


@pytest.mark.usefixtures("_impatient")
async def test_an_engine_that_has_served_long_enough_has_all_its_attempts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_child, "ATTEMPTS", 1)
    hours = iter(range(0, 10**9, 3600))
    async with serving(FakeEngine()) as fake:
        engines = Engines(fake.url, SOON_DIES, SOON_DIES, SOON_DIES, "raise SystemExit(2)")
        kept = KeptEngine(engines, SETTINGS, clock=lambda: next(hours))
        await kept.start()
        assert isinstance(await kept.keep(), SettingError)
        assert len(engines.started) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="the system cannot tell a child of its parent's end")
async def test_a_killed_worker_leaves_no_engine_behind() -> None:
    program = (
        "import subprocess, sys, time\n"
        "from worker.engine_child import end_with_parent\n"
        "code = 'import time; time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', code], preexec_fn=end_with_parent())\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=root
    )
    assert worker.stdout is not None
    pid = int(await worker.stdout.readline())
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    async with asyncio.timeout(60):
        while _runs(pid):
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z" and os.getpgid(pid) > 0
        )
    except (FileNotFoundError, ProcessLookupError):
        return False
