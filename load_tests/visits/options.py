"""What the commands for callers who come and go have in common, beyond `load_tests.options`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from engine.errors import SettingError
from engine.settings import ClientSettings
from load_tests.visits.ways import ByPage, ByRoom, BySocket, Way
from worker.settings import LiveKitSettings
from worker.tokens import accept_development_secret

Engine = Annotated[
    str, typer.Option(help="The engine, whose seats are counted and whose metrics read.", envvar="ENGINE_URL")
]
Page = Annotated[
    str, typer.Option(help="A worker's web page, http://...: callers ask there, and not for a room.")
]
Secret = Annotated[
    str, typer.Option(help="What that page wants to be told.", envvar="WORKER_CALL_SECRET", show_envvar=True)
]
Sockets = Annotated[bool, typer.Option("--sockets", help="Call the engine's /v1/session, without rooms.")]
Seed = Annotated[int, typer.Option(min=0, help="Who comes when, and what is said.")]


@dataclass(frozen=True, slots=True)
class Service:
    """Whom callers call, and the engine behind that, "" if it is not known."""

    way: Way
    engine_url: str
    engine_token: str

    @classmethod
    def of(
        cls, url: str | None, agent: str | None, engine: str, page: str, secret: str, *, sockets: bool
    ) -> "Service":
        """Raises SettingError."""
        accept_development_secret()
        token = ClientSettings.load(url=engine or None).token
        known = token.get_secret_value() if token else ""
        if sockets:
            if page:
                raise SettingError("--sockets calls the engine itself: leave out --page")
            if not engine:
                raise SettingError("--sockets calls an engine: say which, with --engine or ENGINE_URL")
            return cls(BySocket(engine, known), engine, known)
        settings = LiveKitSettings.load(livekit_url=url, livekit_agent_name=agent)
        if page:
            return cls(ByPage(page, secret, settings.livekit_url), engine, known)
        return cls(ByRoom(settings), engine, known)
