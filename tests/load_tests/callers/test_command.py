from pathlib import Path

import pytest
from typer.testing import CliRunner

from load_tests.__main__ import app

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "ENGINE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--phones", "2", "--browsers", "1", "--rooms", "2"], "--phones 2 and --browsers 1 are more than"),
        (["--url", "nowhere"], "LIVEKIT_URL='nowhere' is not an address"),
        (["--url", "ws://127.0.0.1:9", "--minutes", "0.1"], "no LiveKit server answers at LIVEKIT_URL"),
        (["--network", "no-such-network"], "no-such-network"),
        (["--json", "/nowhere/report.json"], "/nowhere"),
        (["--plot", "/nowhere/report.png"], "/nowhere"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(options: list[str], error: str) -> None:
    result = RUNNER.invoke(app("callers"), ["callers", *options])
    assert result.exit_code == 2, result.output
    assert error in result.stderr
    assert result.stderr.count("error: ") == 1
    assert "Traceback" not in result.output


def test_the_help_shows_every_command_and_imports_none() -> None:
    result = RUNNER.invoke(app(""), ["--help"])
    assert result.exit_code == 0
    assert "callers" in result.output
    assert "simulate" in result.output
