"""The web page as it is built: small, complete in itself, and from packages that cannot change."""

import gzip
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "worker" / "page"
FOLDERS = (PAGE, ROOT / "tests" / "end_to_end" / "livekit_app")
CODE_BYTES = 20_000
FONT_BYTES = 50_000
LIVEKIT_BYTES = 160_000


@pytest.fixture
def dist() -> Path:
    folder = PAGE / "dist"
    assert (folder / "index.html").exists(), "the page is not built: make setup"
    return folder


def compressed(*files: Path) -> int:
    return sum(len(gzip.compress(file.read_bytes())) for file in files)


def named_by(page: Path) -> list[Path]:
    """The files that a browser asks for before it draws anything."""
    return [page.parent / name for name in re.findall(r'(?:src|href)="\./(assets/[^"]+)"', page.read_text())]


def test_what_is_loaded_before_the_page_can_be_seen_is_small(dist: Path) -> None:
    first = named_by(dist / "index.html")
    assert {file.suffix for file in first} == {".js", ".css"}
    assert compressed(dist / "index.html", *first) < CODE_BYTES
    assert sum(font.stat().st_size for font in dist.rglob("*.woff2")) < FONT_BYTES


def test_the_livekit_client_is_a_file_of_its_own_and_no_more_than_it_was(dist: Path) -> None:
    later = [file for file in dist.rglob("*.js") if file not in named_by(dist / "index.html")]
    assert later
    assert compressed(*later) < LIVEKIT_BYTES


def test_it_loads_nothing_from_elsewhere(dist: Path) -> None:
    for file in (dist / "index.html", *dist.glob("assets/*.css")):
        assert "//" not in re.sub(r"http://www\.w3\.org/\S+", "", file.read_text()), file.name


def test_the_licences_of_what_it_contains_are_with_it(dist: Path) -> None:
    texts = {file.stem: file.read_text() for file in (dist / "licenses").iterdir()}
    assert "livekit-client" in texts["code"]
    assert "SIL Open Font License" in texts["spectral"]
    assert "SIL Open Font License" in texts["familjen-grotesk"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_package_is_pinned_by_its_content_and_not_by_where_it_was_found(folder: Path) -> None:
    lock = json.loads((folder / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, f"{name}: remove the address, it is that of one machine"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_it_asks_for_is_one_version_each(folder: Path) -> None:
    package = json.loads((folder / "package.json").read_text())
    wanted = package["dependencies"] | package["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
