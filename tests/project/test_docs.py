"""What the pages name exists: files, modules, commands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("deploy", "docs", "engine", "examples", "load_tests", "tests", "worker", ".ci")


def code_spans(page: Path) -> list[str]:
    """The words between backticks, and those of the indented and fenced blocks."""
    text = page.read_text()
    blocks = re.findall(r"^```(?s:.*?)^```|^ {4}.*", text, re.M)
    return re.findall(r"`([^`\n]+)`", text) + [word for block in blocks for word in block.split()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named = [word.rstrip(".,:;") for span in code_spans(page) for word in span.split()]
    paths = [word for word in named if word.split("/")[0] in FOLDERS and "/" in word]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    files = [link for link in links if "://" not in link]
    assert [link for link in files if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_command_that_a_page_names_is_in_the_makefile(page: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    named = re.findall(r"\bmake ([a-z]+)\b", " ".join(code_spans(page)))
    assert set(named) <= set(targets)


def test_the_readme_gives_the_two_commands_that_are_enough() -> None:
    spans = " ".join(code_spans(ROOT / "README.md"))
    for command in ("make run", "make test", "-m worker call"):
        assert command in spans


@pytest.mark.parametrize("package", ["engine", "worker"])
def test_the_structure_page_has_a_word_on_every_module(package: str) -> None:
    page = (ROOT / "docs" / "structure.md").read_text()
    modules = [path for path in (ROOT / package).rglob("*.py") if not path.name.startswith("__")]
    assert [str(path.relative_to(ROOT)) for path in modules if path.name not in page] == []


def test_the_check_of_a_change_is_lint_and_the_readmes_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    lines = [line for line in script.read_text().splitlines() if line.startswith("make ")]
    assert lines == ["make lint", "make test"]
