"""What the commands have in common."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import typer

from engine.errors import EngineError, Refused, UserError
from worker.tokens import accept_development_secret

SECRET_OPTIONS = ("livekit_api_secret", "engine_token")
"""That may be given as an option for all the machine to see, as LiveKit's own commands take them."""


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a command to its end and turn our errors into their exit codes."""
    accept_development_secret()
    try:
        asyncio.run(work())
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # for whoever gave the command
        raise typer.Exit(
            2 if isinstance(error, UserError) else 3 if isinstance(error, Refused) else 1
        ) from None
