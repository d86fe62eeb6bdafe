from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from worker import preflight
from worker.cli import app

NOBODY = "ws://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "RETRY_S", 0.01)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def assert_refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    assert result.stderr.count("\n") <= 2
    for word in words:
        assert word in result.stderr


def test_the_development_secret_does_not_leave_this_machine() -> None:
    server = ["--livekit-url", "wss://calls.example.org", "--livekit-api-key", "devkey"]
    assert_refused(run("start", *server, "--livekit-api-secret", "secret"), "calls.example.org")


def test_a_recording_that_is_none_is_named(tmp_path: Path) -> None:
    Path("in.wav").write_bytes(b"no sound")
    server = ["--livekit-url", NOBODY, "--livekit-api-key", "key", "--livekit-api-secret", "k" * 32]
    assert_refused(run("call", "in.wav", "out.wav", *server), "in.wav")
    assert_refused(run("call", "missing.wav", "out.wav", *server), "missing.wav")


def test_an_unknown_option_is_an_error_of_the_user() -> None:
    assert run("start", "--slots", "3").exit_code == 2


def test_there_is_nothing_to_download() -> None:
    result = run("download-files")
    assert result.exit_code == 0
    assert "nothing more" in result.stderr


@pytest.mark.parametrize("mode", ["hybrid", "pipeline"])
def test_a_mode_whose_models_are_not_named_is_refused_before_anything_is_started(mode: str) -> None:
    server = ["--livekit-url", NOBODY, "--livekit-api-key", "key", "--livekit-api-secret", "k" * 32]
    refused = run("start", *server, "--mode", mode, "--llm-url", "http://127.0.0.1:9/v1")
    assert_refused(refused, f"mode {mode} needs WORKER_LLM_MODEL", "WORKER_TTS_URL", "docs/hybrid.md")
