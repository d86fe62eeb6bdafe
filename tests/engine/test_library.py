"""What `import engine` offers, and what it costs."""

import subprocess
import sys
from pathlib import Path

import pytest

import engine

ROOT = Path(__file__).parents[2]


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_the_surface_is_three_classes() -> None:
    assert engine.__all__ == ["EngineClient", "Mimi", "Moshi"]
    assert all(getattr(engine, name).__name__ == name for name in engine.__all__)


def test_a_client_never_imports_torch() -> None:
    result = run("import sys; from engine import EngineClient; sys.exit('torch' in sys.modules)")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["Mimi", "Moshi"])
def test_a_model_without_torch_names_the_extra(name: str) -> None:
    result = run(f"import sys; sys.modules['torch'] = None; from engine import {name}")
    assert f"engine.{name} needs torch" in result.stderr
    assert "pip install 'moshi-live[engine]'" in result.stderr


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'engine' has no attribute 'Mossi'"):
        engine.Mossi  # noqa: B018
