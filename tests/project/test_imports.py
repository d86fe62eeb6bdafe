"""Imports point one way, and each side can be installed without the other's libraries."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lacking import lacking

ROOT = Path(__file__).parents[2]

# Bottom first. A module may import from its own unit and from the lines before its own.
LAYERS = (
    ("engine.errors", "engine.level", "engine.logs", "engine.step.frames"),
    ("engine.cgroup", "engine.connection", "engine.json_messages"),
    ("engine.peers",),
    (
        "engine.environment",
        "engine.options",
        "engine.protocol",
        "engine.audio_files",
        "engine.output_files",
        "engine.models.config",
        "engine.parrot",
        "engine.trim",
        "engine.latency_window",
    ),
    ("engine.transcript_protocol", "engine.speech_protocol"),
    (
        "engine.settings",
        "engine.client",
        "engine.transcript_client",
        "engine.speech_client",
        "engine.admin_protocol",
        "engine.state",
        "engine.kernels",
    ),
    ("engine.models", "engine.talk", "engine.admin"),
    ("engine.empty",),
    ("engine.checkpoint",),
    ("engine.step",),
    ("engine.persona",),
    ("engine.service",),
    ("engine.device", "engine.memory", "engine.recordings", "engine.parrot.measure"),
    ("engine.start_stt", "engine.start_tts", "engine.start_personas"),
    ("engine.bench", "engine.library", "engine.quality", "engine.start"),
    ("engine.kernel_report", "engine.plan"),
    ("engine.cli_options",),
    ("engine.cli_measure", "engine.cli_serve", "engine.parrot.build"),
    ("engine.cli",),
    ("engine.__main__",),
)
HEIGHT = {unit: height for height, units in enumerate(LAYERS) for unit in units}

PIPECAT = "worker.pipecat"

WITHOUT_TORCH = (
    "engine",
    "engine.admin",
    "engine.admin_protocol",
    "engine.audio_files",
    "engine.client",
    "engine.connection",
    "engine.empty",
    "engine.environment",
    "engine.errors",
    "engine.latency_window",
    "engine.level",
    "engine.logs",
    "engine.models.config",
    "engine.options",
    "engine.output_files",
    "engine.peers",
    "engine.protocol",
    "engine.service.error_answers",
    "engine.service.network_rates",
    "engine.service.rate_limit",
    "engine.service.tls",
    "engine.settings",
    "engine.speech_client",
    "engine.speech_protocol",
    "engine.step.frames",
    "engine.talk.command",
    "engine.talk.conversation",
    "engine.talk.latency",
    "engine.talk.microphone",
    "engine.talk.playout",
    "engine.talk.screen",
    "engine.talk.sound_card",
    "engine.transcript_client",
    "engine.transcript_protocol",
    "engine.trim",
)


def modules(package: str) -> list[str]:
    paths = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / package).rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def source(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(module: str) -> Iterator[str]:
    """Every module that this one imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(source(module).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import in line {node.lineno}"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if source(submodule).exists() else str(node.module)


def unit(module: str) -> str:
    """The unit of LAYERS that the module belongs to, the closest if there are several."""
    own = [unit for unit in HEIGHT if module == unit or module.startswith(unit + ".")]
    assert own, f"{module} has no place in LAYERS: give it one"
    return max(own, key=len)


@pytest.mark.parametrize("module", [name for name in modules("engine") if name != "engine"])
def test_a_module_of_the_engine_imports_only_what_lies_below_it(module: str) -> None:
    for imported in imports(module):
        if imported.startswith("engine.") and unit(imported) != unit(module):
            assert HEIGHT[unit(imported)] < HEIGHT[unit(module)], f"{module} imports {imported}"
        assert imported.split(".")[0] not in ("worker", "livekit"), f"{module} imports {imported}"


@pytest.mark.parametrize("module", modules("worker"))
def test_a_module_of_the_worker_takes_nothing_of_the_engine_that_needs_torch(module: str) -> None:
    for imported in imports(module):
        if imported.split(".")[0] == "engine":
            assert imported in WITHOUT_TORCH, f"{module} imports {imported}"
        assert imported.split(".")[0] != "torch", f"{module} imports torch"


def import_without(library: str, names: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Imports the modules where importing `library` fails, with a traceback that says who did it."""
    code = f"import sys; sys.modules[{library!r}] = None; import {', '.join(names)}"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
    )


def test_the_client_side_of_the_engine_imports_without_torch() -> None:
    result = import_without("torch", list(WITHOUT_TORCH))
    assert result.returncode == 0, result.stderr


def test_the_whole_worker_imports_without_torch_and_without_pipecat() -> None:
    names = [name for name in modules("worker") if not name.endswith("__main__")]
    result = import_without("torch", [name for name in names if not name.startswith(PIPECAT)])
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("library", ["torch", "livekit"])
def test_the_service_for_pipecat_imports_without_torch_and_without_livekit(library: str) -> None:
    apart = ROOT / ".pipecat"
    if not apart.is_dir():
        lacking(f"{apart} is missing: make setup")
    names = [name for name in modules("worker") if name.startswith(PIPECAT)]
    result = import_without(library, names, PYTHONPATH=str(apart))
    assert result.returncode == 0, result.stderr


def test_the_whole_engine_imports_without_livekit() -> None:
    result = import_without("livekit", [name for name in modules("engine") if not name.endswith("__main__")])
    assert result.returncode == 0, result.stderr
