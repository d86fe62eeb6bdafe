import asyncio
import os
from pathlib import Path

import pytest

from tests.worker.waiting import until
from worker.keeping import retention
from worker.keeping.retention import Retention, keep_for


async def test_what_is_old_goes_at_start_and_what_becomes_old_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "EVERY_S", 0.01)
    old = tmp_path / "AJ_1.transcript.jsonl"
    old.write_text("words")
    os.utime(old, (0, 0))
    # Where nothing can be deleted, the others are not kept for ever.
    keeping = asyncio.create_task(keep_for(30, (tmp_path / "none", tmp_path)))
    await until(lambda: not old.exists())
    old.write_text("words")
    await asyncio.sleep(0.05)
    assert old.exists()
    os.utime(old, (0, 0))
    await until(lambda: not old.exists())
    keeping.cancel()


@pytest.mark.parametrize(("days", "kept"), [("1", False), ("0", True)])
async def test_the_settings_say_for_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: str, kept: bool
) -> None:
    monkeypatch.setenv("WORKER_RECORDINGS", str(tmp_path))
    monkeypatch.setenv("WORKER_KEEP_DAYS", days)
    old = tmp_path / "AJ_1.recording.wav"
    old.write_text("sound")
    os.utime(old, (0, 0))
    begun = Retention()
    begun.start()
    await asyncio.sleep(0.1)
    await begun.stop()
    assert old.exists() is kept
