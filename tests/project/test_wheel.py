"""What somebody gets who installs the project as a package."""

import shutil
import subprocess
import sys
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "livekit", "worker")
BESIDE_THE_PACKAGES = ("tests", "load_tests", "deploy", "docs", "examples")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """Built from a copy, because setuptools leaves its own files in the tree and takes them up again."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for file in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / file, source)
    for folder in (*PACKAGES, *BESIDE_THE_PACKAGES):
        shutil.copytree(
            ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
        )
    build = "from setuptools.build_meta import build_wheel; import sys; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(out)], cwd=source, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return ZipFile(built)


@pytest.fixture(scope="module")
def metadata(wheel: ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_it_holds_the_packages_and_nothing_else(wheel: ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)


def test_of_livekits_namespace_it_holds_the_plugin_alone(wheel: ZipFile) -> None:
    # An __init__.py above it would hide all that others have there.
    assert [name for name in wheel.namelist() if name.startswith("livekit/")] == [
        "livekit/plugins/moshi/__init__.py"
    ]


def test_it_holds_every_module(wheel: ZipFile) -> None:
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert {str(path.relative_to(ROOT)) for path in modules} <= set(wheel.namelist())


def test_the_embedded_checkpoint_comes_with_it(wheel: ZipFile) -> None:
    folder = ROOT / "engine" / "parrot" / "checkpoint"
    files = {str(path.relative_to(ROOT)) for path in folder.iterdir()}
    assert "engine/parrot/checkpoint/config.json" in files
    assert files <= set(wheel.namelist())


def test_the_built_page_comes_with_it_and_nothing_of_what_builds_it(wheel: ZipFile) -> None:
    built = ROOT / "worker" / "page" / "dist"
    files = {str(path.relative_to(ROOT)) for path in built.rglob("*") if path.is_file()}
    assert "worker/page/dist/index.html" in files, "the page is not built: make setup"
    assert {name for name in wheel.namelist() if name.startswith("worker/page/")} == files


def test_licence_and_notice_come_with_it(wheel: ZipFile) -> None:
    texts = {Path(name).name: wheel.read(name) for name in wheel.namelist() if ".dist-info/licenses/" in name}
    assert texts == {name: (ROOT / name).read_bytes() for name in ("LICENSE", "NOTICE")}
    assert b"Apache License" in texts["LICENSE"]
    assert b"CC-BY 4.0" in texts["NOTICE"]


def test_both_commands_are_installed(wheel: ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    scripts = ConfigParser()
    scripts.read_string(wheel.read(name).decode())
    assert dict(scripts["console_scripts"]) == {
        "moshi-engine": "engine.cli:main",
        "moshi-worker": "worker.cli:main",
    }


def test_torch_livekit_and_pipecat_are_asked_for_by_their_own_extras_only(metadata: Message) -> None:
    extras_told = {"engine", "worker", "hybrid", "pipecat", "talk", "bench", "all"}
    assert set(metadata.get_all("Provides-Extra") or ()) == extras_told
    requirements = metadata.get_all("Requires-Dist") or []
    extras = {(line.split(";")[0].strip(), line.partition("extra == ")[2]) for line in requirements}
    assert {extra for name, extra in extras if name.startswith("torch")} == {'"engine"'}
    assert {extra for name, extra in extras if name.startswith("livekit")} == {'"worker"', '"hybrid"'}
    assert {extra for name, extra in extras if name.startswith("pipecat")} == {'"pipecat"'}
