from pathlib import Path

import pytest
from typer.testing import CliRunner

from load_tests.__main__ import app


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("churn --sockets", "--sockets calls an engine: say which"),
        ("ramp --sockets --page http://x", "--sockets calls the engine itself"),
        ("ramp --url nowhere", "LIVEKIT_URL='nowhere' is not an address"),
        ("churn --url ws://127.0.0.1:9 --minutes 0.1", "nobody comes in 0.1 minutes"),
        ("ramp --url ws://127.0.0.1:9", "no LiveKit server answers at LIVEKIT_URL"),
        ("churn --json /nowhere/report.json", "/nowhere"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    command: str, error: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "ENGINE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    words = command.split()
    result = CliRunner().invoke(app(words[0]), words)
    assert result.exit_code == 2, result.output
    assert error in result.stderr
    assert result.stderr.count("error: ") == 1
