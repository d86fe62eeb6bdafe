"""Which engine somebody's own program talks to, and how the model is to speak there."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.client import EngineClient
from engine.connection import check_address
from engine.environment import load_settings
from engine.errors import SettingError
from engine.protocol import SessionRequest
from worker.conversation import session_parameters
from worker.settings import WorkerSettings, open_engine


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine by its settings, and what each of its sessions asks for."""

    settings: WorkerSettings
    wanted: SessionRequest

    def open(self) -> EngineClient:
        """A client of it, inside a running event loop."""
        return open_engine(self.settings)


def choose_engine(
    user: str, engine: Mapping[str, str | None], parameters: Mapping[str, object]
) -> EngineChoice:
    """From the arguments of `user`, a class of ours; None leaves one out.

    engine: `engine_url`, `engine_token`, `engine_peers`; left out, ENGINE_URL and the others say it
    (environment, then `.env.local`). parameters: as in docs/protocol.md. Raises SettingError, SessionError.
    """
    settings = load_settings(WorkerSettings, engine)
    if settings.engine_url is None:
        raise SettingError(
            f"{user} needs an engine: give engine_url, or set ENGINE_URL; "
            "`python -m engine serve` starts one at ws://127.0.0.1:8998"
        )
    check_address(settings.engine_url, "ENGINE_URL")
    return EngineChoice(settings, session_parameters.parse(parameters))
