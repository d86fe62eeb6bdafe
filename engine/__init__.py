"""The engine: one process that owns the model and serves many sessions of it. Knows nothing of LiveKit.

As a library: `Mimi` and `Moshi` run here and need torch; `EngineClient` talks to an engine that is somewhere
else, and does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.client import EngineClient
    from engine.library.mimi import Mimi
    from engine.library.moshi import Moshi

__all__ = ["EngineClient", "Mimi", "Moshi"]

_HOMES = {"EngineClient": "engine.client", "Mimi": "engine.library.mimi", "Moshi": "engine.library.moshi"}


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for, so that a client never waits for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as missing:
        raise ImportError(
            f"engine.{name} needs {missing.name}, which is not installed: pip install 'moshi-live[engine]'"
        ) from missing
