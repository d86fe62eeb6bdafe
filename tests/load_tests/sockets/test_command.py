from pathlib import Path

import pytest
from typer.testing import CliRunner

from load_tests.__main__ import app


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--sessions", "0"], "nobody calls: give --sessions, --chats or both"),
        (["--url", "ws://127.0.0.1:9", "--step-ms", "5"], "--step-ms starts an engine of its own"),
        (["--url", "nowhere"], "is not an address"),
        (["--json", "/nowhere/report.json"], "/nowhere"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    options: list[str], error: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ENGINE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app("engine"), ["engine", *options])
    assert result.exit_code == 2, result.output
    assert error in result.stderr
    assert result.stderr.count("error: ") == 1
