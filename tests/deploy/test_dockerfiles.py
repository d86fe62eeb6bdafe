"""The Dockerfiles, without building them: `make images` does that."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "deploy" / "docker").glob("*.Dockerfile"))
OURS = [ROOT / "engine", ROOT / "worker", ROOT / "pyproject.toml"]


@pytest.fixture(scope="module")
def hadolint() -> Path:
    subprocess.run([ROOT / "deploy" / "tools.sh", "python"], check=True)
    return ROOT / ".cache" / "tools" / "python" / "bin" / "hadolint"


def instructions(dockerfile: Path) -> list[str]:
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    return [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line]


def test_there_is_one_for_the_engine_and_one_for_the_worker() -> None:
    assert [file.name for file in DOCKERFILES] == ["engine.Dockerfile", "worker.Dockerfile"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: file.name)
def test_hadolint_finds_nothing(hadolint: Path, dockerfile: Path) -> None:
    found = subprocess.run([hadolint, dockerfile], capture_output=True, text=True)
    assert found.stdout == ""
    assert found.returncode == 0


def test_hadolint_finds_what_is_wrong(hadolint: Path, tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python\nCMD python -m worker\n")
    found = subprocess.run([hadolint, bad], capture_output=True, text=True)
    assert found.returncode == 1
    assert {"DL3006", "DL3025"} <= set(re.findall(r"DL\d{4}", found.stdout))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: file.name)
def test_whatever_is_copied_is_there_and_let_through(dockerfile: Path) -> None:
    let_through = [
        ROOT / line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for line in instructions(dockerfile):
        if line.startswith("COPY") and "--from" not in line:
            for name in line.split()[1:-1]:
                source = ROOT / name
                assert source.exists(), name
                assert any(source.is_relative_to(whole) for whole in let_through), name


def test_the_workers_image_has_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = {line for line in instructions(ROOT / "deploy/docker/worker.Dockerfile") if "--from" not in line}
    for package in packages:
        folder = package.split(".")[0].rstrip("*")
        assert f"COPY {folder} {folder}" in copied


def test_nothing_else_is_let_through() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*"
    assert not [line for line in rules if line.startswith("!") and "env" in line]
    assert {"**/__pycache__", "worker/page/node_modules", "worker/page/dist"} <= set(rules)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: file.name)
def test_the_image_runs_as_nobody_in_particular_and_gets_its_signals(dockerfile: Path) -> None:
    last_stage = "\n".join(instructions(dockerfile)).rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last_stage, re.MULTILINE) == ["10001:10001"]
    assert re.search(rf'^ENTRYPOINT \["python", "-m", "{dockerfile.stem}"\]$', last_stage, re.MULTILINE)
    assert "PYTHONUNBUFFERED=1" in last_stage


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: file.name)
def test_a_base_image_can_be_given_and_the_usual_one_is_pinned(dockerfile: Path) -> None:
    bases = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", dockerfile.read_text(), re.MULTILINE))
    assert "BASE_IMAGE" in bases
    assert all(re.search(r":\d", image) for image in bases.values()), bases
    stages = re.findall(r"^FROM (\S+)", dockerfile.read_text(), re.MULTILINE)
    assert all(stage.startswith("${") or stage == "python" for stage in stages), stages
