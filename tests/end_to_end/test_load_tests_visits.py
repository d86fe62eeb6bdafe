"""`python -m load_tests ramp`, `churn` and `engine`, small, against engines that have nothing to do."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from load_tests.sockets.own_engine import OwnEngine, own_engine
from tests.end_to_end.conftest import StartWorker, environment
from tests.end_to_end.processes import ROOT, free_port, python
from worker.settings import LiveKitSettings

pytestmark = pytest.mark.timeout(600)
SEATS = 2
TAKES = 3


@pytest.fixture
async def engine() -> AsyncIterator[OwnEngine]:
    async with own_engine(SEATS, step_ms=2) as engine:
        yield engine


async def load_test(folder: Path, *options: str, **environment: str) -> tuple[dict[str, Any], str]:
    """The report, and what was shown."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("LIVEKIT_", "ENGINE_"))}
    done = await asyncio.to_thread(
        subprocess.run,
        python("load_tests", *options, "--json", "report.json", "--plot", "report.png"),
        cwd=folder,
        env=ours | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "report.png").stat().st_size > 0
    return json.loads((folder / "report.json").read_text()), done.stdout


def goal(report: dict[str, Any], begins: str) -> dict[str, Any]:
    (found,) = [goal for goal in report["goals"] if goal["name"].startswith(begins)]
    return dict(found)


async def test_who_asks_the_page_for_a_call_too_many_is_told_and_the_others_go_on(
    livekit: LiveKitSettings, start_worker: StartWorker, engine: OwnEngine, tmp_path: Path
) -> None:
    port = free_port()
    settings = {"ENGINE_URL": engine.url, "WORKER_WEB_PORT": str(port)}
    named = environment(livekit) | {"LIVEKIT_AGENT_NAME": "ramp", "ENGINE_URL": engine.url}
    with start_worker("start", "ramp", **settings):
        # On a machine that is busy with something else, an agent may come later than the page waits for it.
        for _ in range(TAKES):
            options = ("--callers", "3", "--every", "2", "--stay", "5", "--page", f"http://127.0.0.1:{port}")
            report, shown = await load_test(tmp_path, "ramp", *options, **named)
            (run,) = report["runs"]
            if [call["refused"] is None for call in run["calls"]] == [True] * SEATS + [False]:
                break
    *inside, refused = run["calls"]
    assert refused["refused"].startswith("503 full: all seats are taken")
    assert [call["refused"] for call in inside] == [call["lost"] for call in inside] == [None] * SEATS
    assert all(call["there_s"] is not None for call in inside)
    assert run["summary"]["leaked"] == 0
    assert [period["callers"] for period in run["periods"]] == [SEATS, 1]
    assert goal(report, "seats lost")["measured"] == 0
    assert goal(report, "refused callers know")["measured"] == refused["refused_after_s"] > 0
    assert "before the first refusal" in shown


async def test_callers_who_come_and_go_leave_no_seat_behind(engine: OwnEngine, tmp_path: Path) -> None:
    options = ("--sockets", "--engine", engine.url, "--rate", "30", "--talk", "5", "--minutes", "0.3")
    report, shown = await load_test(tmp_path, "churn", *options)
    (run,) = report["runs"]
    came = [period["callers"] for period in run["periods"]]
    assert sum(came) == len(run["calls"]) > SEATS
    assert run["summary"]["leaked"] == run["summary"]["lost"] == 0
    assert goal(report, "seats lost")["measured"] == 0
    assert "last third" in shown


async def test_both_sockets_of_an_engine_give_everybody_their_own_words_back(tmp_path: Path) -> None:
    options = ("--sessions", "2", "--chats", "1", "--step-ms", "2", "--minutes", "0.1")
    for _ in range(TAKES):
        report, _ = await load_test(tmp_path, "engine", *options)
        (run,) = report["runs"]
        if all(call["heard"] for call in run["calls"]):
            break
    assert [call["kind"] for call in run["calls"]] == ["session", "session", "chat"]
    assert all(call["heard"] > 0 and call["frames"] > 0 for call in run["calls"])
    assert run["summary"]["leaked"] == 0
    # A frame cannot be answered before all of it was said.
    assert min(lag for call in run["calls"] for lag in call["lags_ms"]) > 80
    assert "engine" in [process["name"] for process in run["processes"]]
    assert any("woke up later than asked" in note for note in run["notes"])
