"""`make setup` on a machine that lacks something says what, and what to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh clone, as far as setting up goes."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """To be the whole PATH: what every machine has, and neither Python nor Go nor a LiveKit server."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("bash", "sh", "make", "dirname", "sed", "touch", "env"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def make(
    checkout: Path, tools: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    environment["PATH"] = str(tools)
    return subprocess.run(["make", *arguments], cwd=checkout, env=environment, capture_output=True, text=True)


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!{shutil.which('bash')}\n{script}\n")
    path.chmod(0o755)


def finish_python_part(checkout: Path) -> None:
    """As if everything were installed already."""
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "ready").touch()


def finish_page(checkout: Path) -> None:
    """As if it were built already."""
    page = checkout / "worker" / "page" / "dist"
    page.mkdir(parents=True)
    (page / "index.html").touch()


def test_a_machine_without_python_is_told_so(checkout: Path, tools: Path) -> None:
    result = make(checkout, tools, "setup")
    assert result.returncode == 2
    assert "there is no python3: install Python 3.11 or newer" in result.stderr


def test_an_old_python_is_refused_by_name(checkout: Path, tools: Path) -> None:
    program(tools, "python3", '[ "$1" = --version ] && echo Python 3.9.2 || exit 1')
    result = make(checkout, tools, "setup")
    assert result.returncode == 2
    assert "Python 3.9.2 is too old: install Python 3.11 or newer" in result.stderr


def test_another_python_can_be_named(checkout: Path, tools: Path) -> None:
    program(tools, "python3.12", '[ "$1" = -c ]')
    result = make(checkout, tools, "setup", "PYTHON=python3.12")
    assert "python3.12 cannot make an environment in .venv" in result.stderr
    assert "apt install python3-venv" in result.stderr


def test_a_machine_without_node_is_told_so(checkout: Path, tools: Path) -> None:
    finish_python_part(checkout)
    (checkout / "worker" / "page").mkdir(parents=True)
    result = make(checkout, tools, "setup")
    assert result.returncode == 2
    assert "there is no Node.js to build worker/page with: install Node.js 20.19" in result.stderr


@pytest.mark.parametrize(
    ("version", "too_old"),
    [("v18.20.8", True), ("v20.18.3", True), ("v20.19.0", False), ("v22.11.0", True), ("v24.0.0", False)],
)
def test_a_node_that_cannot_build_the_page_is_refused(
    checkout: Path, tools: Path, version: str, too_old: bool
) -> None:
    finish_python_part(checkout)
    (checkout / "worker" / "page").mkdir(parents=True)
    program(tools, "node", f"echo {version}")
    result = make(checkout, tools, "setup")
    assert result.returncode == 2
    assert (f"Node.js {version} is too old to build worker/page with" in result.stderr) is too_old
    assert ("there is no npm" in result.stderr) is not too_old


def test_a_machine_without_go_and_livekit_server_is_told_its_choices(checkout: Path, tools: Path) -> None:
    finish_python_part(checkout)
    finish_page(checkout)
    result = make(checkout, tools, "setup")
    assert result.returncode == 2
    assert "there is no Go to build a LiveKit server with: install Go 1.21 or newer" in result.stderr
    assert "or set LIVEKIT_URL" in result.stderr


@pytest.mark.parametrize(
    ("version", "too_old"),
    [("go1.9", True), ("go1.19.8", True), ("go1.20", True), ("go1.21.0", False), ("go1.26.8", False)],
)
def test_a_go_that_cannot_fetch_a_newer_one_is_refused(
    checkout: Path, tools: Path, version: str, too_old: bool
) -> None:
    finish_python_part(checkout)
    finish_page(checkout)
    program(tools, "go", f'[ "$1" = version ] && echo go version {version} linux/amd64')
    result = make(checkout, tools, "setup")
    assert (f"{version} linux/amd64 is too old: install Go 1.21 or newer" in result.stderr) is too_old
    assert ("building livekit-server" in result.stderr) is not too_old


@pytest.mark.parametrize("place", ["PATH", "environment", ".env.local"])
def test_no_go_is_needed_where_there_is_a_livekit_server(checkout: Path, tools: Path, place: str) -> None:
    finish_python_part(checkout)
    finish_page(checkout)
    environment = {}
    if place == "PATH":
        program(tools, "livekit-server", "true")
    elif place == "environment":
        environment["LIVEKIT_URL"] = "ws://10.0.0.1:7880"
    else:
        (checkout / ".env.local").write_text("LIVEKIT_URL=ws://10.0.0.1:7880\n")
    result = make(checkout, tools, "setup", **environment)
    assert result.returncode == 0, result.stderr


def test_a_second_time_does_nothing_and_a_new_lock_sets_up_again(checkout: Path, tools: Path) -> None:
    finish_python_part(checkout)
    assert "up to date" in make(checkout, tools, ".venv/ready").stdout
    lock = checkout / "deploy" / "requirements" / "all.txt"
    os.utime(lock, (lock.stat().st_atime, (checkout / ".venv" / "ready").stat().st_mtime + 1))
    assert "there is no python3" in make(checkout, tools, ".venv/ready").stderr
