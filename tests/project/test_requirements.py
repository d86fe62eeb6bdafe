"""The requirement files: complete, hashed, for every platform, and silent about where packages come from."""

import re
import tomllib
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy" / "requirements").glob("*.txt"))
PLATFORMS = {
    "linux x86-64": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    "linux aarch64": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
    "macos arm64": {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
}
PYTHONS = ("3.11", "3.12", "3.13")


def entries(file: Path) -> list[str]:
    """The file's logical lines, without comments."""
    text = re.sub(r"\s*\\\n\s*", " ", file.read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(file: Path) -> list[Requirement]:
    return [Requirement(line.split(" --hash")[0]) for line in entries(file)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_entry_is_one_version_with_its_hashes(file: Path) -> None:
    assert entries(file)
    for line in entries(file):
        assert re.fullmatch(r"[\w.-]+==[\w.+]+( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+", line), line[:80]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_says_where_packages_come_from(file: Path) -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host|file:|^/", file.read_text(), re.M)


@pytest.mark.parametrize(("platform", "python"), list(product(PLATFORMS, PYTHONS)))
def test_every_dependency_is_pinned_once_on_each_platform_at_a_version_the_project_takes(
    platform: str, python: str
) -> None:
    environment = {
        **PLATFORMS[platform],
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    both = (*project["dependencies"], *extras["engine"], *extras["worker"], *extras["talk"])
    wanted = [Requirement(line) for line in both]
    pinned: dict[str, list[str]] = {}
    for pin in pins(ROOT / "deploy" / "requirements" / "all.txt"):
        if pin.marker is None or pin.marker.evaluate(environment):
            version = str(pin.specifier).removeprefix("==")
            pinned.setdefault(canonicalize_name(pin.name), []).append(version)
    assert [name for name, versions in pinned.items() if len(versions) > 1] == []
    for requirement in wanted:
        (version,) = pinned.get(canonicalize_name(requirement.name), ["none"])
        assert version != "none", f"{requirement.name} is not in all.txt: make lock"
        assert requirement.specifier.contains(version), f"{requirement} but all.txt has {version}: make lock"


def test_the_tools_leave_the_products_own_versions_alone() -> None:
    folder = ROOT / "deploy" / "requirements"
    product_pins = {(pin.name, str(pin.specifier)) for pin in pins(folder / "all.txt")}
    names = {name for name, _ in product_pins}
    for pin in pins(folder / "dev.txt"):
        assert pin.name not in names or (pin.name, str(pin.specifier)) in product_pins, pin.name


@pytest.mark.parametrize("image", ["engine", "worker"])
def test_an_image_takes_what_its_part_asks_for_at_the_versions_that_all_have(image: str) -> None:
    folder = ROOT / "deploy" / "requirements"
    product = {(pin.name, str(pin.specifier)) for pin in pins(folder / "all.txt")}
    of_image = pins(folder / f"{image}.txt")
    assert {(pin.name, str(pin.specifier)) for pin in of_image} <= product
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = (*project["dependencies"], *project["optional-dependencies"][image])
    names = {canonicalize_name(pin.name) for pin in of_image}
    assert {canonicalize_name(Requirement(line).name) for line in wanted} <= names


def test_the_workers_image_has_no_torch_and_the_engines_has_it_with_cuda() -> None:
    folder = ROOT / "deploy" / "requirements"
    heavy = ("torch", "triton", "nvidia-cublas")
    assert not {pin.name for pin in pins(folder / "worker.txt")} & set(heavy)
    for platform in ("linux x86-64", "linux aarch64"):
        environment = {**PLATFORMS[platform], "python_full_version": "3.12.0", "python_version": "3.12"}
        taken = {
            pin.name
            for pin in pins(folder / "engine.txt")
            if pin.marker is None or pin.marker.evaluate(environment)
        }
        assert set(heavy) <= taken, platform


def test_what_the_benchmark_plots_with_is_among_the_tools() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    tools = {pin.name: pin for pin in pins(ROOT / "deploy" / "requirements" / "dev.txt")}
    for requirement in map(Requirement, extras["bench"]):
        version = str(tools[requirement.name].specifier).removeprefix("==")
        assert requirement.specifier.contains(version), f"{requirement} but dev.txt has {version}: make lock"


def test_pipecat_is_tried_at_a_version_that_its_extra_takes() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (asked,) = map(Requirement, extras["pipecat"])
    apart = {pin.name: pin for pin in pins(ROOT / "deploy" / "requirements" / "pipecat.txt")}
    version = str(apart[asked.name].specifier).removeprefix("==")
    assert asked.specifier.contains(version), f"{asked} but pipecat.txt has {version}: make lock"


def test_the_reference_is_the_version_that_parity_is_claimed_with() -> None:
    assert "moshi==0.2.13" in [str(pin) for pin in pins(ROOT / "deploy" / "requirements" / "reference.txt")]
