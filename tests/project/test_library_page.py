"""The examples of docs/library.md, as a reader would run them."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.end_to_end.processes import ROOT, free_port, get, python, running, wait_for

PAGE = (ROOT / "docs" / "library.md").read_text()
EXAMPLES = re.findall(r"^```python\n((?s:.*?))^```", PAGE, re.M)
DEFAULT_ADDRESS = "ws://127.0.0.1:8998"


@pytest.fixture
def engine_address(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    serve = python("engine", "serve", "--port", str(port), "--slots", "1", "--allow-slower-than-real-time")
    with running(serve, tmp_path / "engine.log") as engine:
        wait_for(engine, lambda: get(f"http://127.0.0.1:{port}/readyz") is not None)
        yield f"ws://127.0.0.1:{port}"


def run_all(address: str) -> dict[str, Any]:
    """Every example one after the other, each with the names of those before it."""
    names: dict[str, Any] = {}
    for code in EXAMPLES:
        exec(compile(code.replace(DEFAULT_ADDRESS, address), "docs/library.md", "exec"), names)
    return names


def test_every_example_runs_and_does_what_it_says(
    engine_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "deploy" / "sample.wav", tmp_path / "hello.wav")
    monkeypatch.chdir(tmp_path)
    names = run_all(engine_address)

    frames = len(names["sound"])
    assert names["codes"].shape == (8, frames)
    assert np.array_equal(names["heard"], names["codes"][:, -1])
    for file in ("decoded.wav", "answer.wav"):
        sound, rate = soundfile.read(file, dtype="int16")
        assert (sound.shape, rate) == ((frames * 1920,), 24_000)
        assert sound.any()
    assert [len(pcm) for pcm in names["spoken"].values()] == [frames] * 3
    # From the engine with the same seed comes the same answer as in the process.
    in_process = np.concatenate([answer.pcm for answer in names["answers"]])
    assert names["answer"] == in_process.tobytes()
    assert capsys.readouterr().out.count("I hear you") >= 2
