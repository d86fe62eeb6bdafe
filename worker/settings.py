"""Every setting of the worker, once: environment, `.env.local`, and options of the commands."""

from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.client import EngineClient
from engine.environment import ENV_FILE, is_loopback, load_settings, reject_unknown
from engine.errors import SettingError
from engine.logs import LogFormat
from engine.settings import ENV_PREFIX as ENGINE_PREFIX
from engine.settings import NAMES as ENGINE_NAMES

_PREFIX = "WORKER_"
_DEVELOPMENT_SECRET = "secret"


class LiveKitSettings(BaseSettings):
    """Where the LiveKit server is and how to show it who we are: callers need that as the worker does."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, frozen=True, extra="ignore", env_ignore_empty=True)

    livekit_url: str = "ws://127.0.0.1:7880"
    """Address of the LiveKit server, ws:// or wss://; unset, as its key and secret: that of livekit.yaml."""
    livekit_api_key: str = "devkey"
    """Name of the key that signs tokens."""
    livekit_api_secret: SecretStr = SecretStr(_DEVELOPMENT_SECRET)
    """The key itself."""
    livekit_agent_name: str = ""
    """Name that a dispatch has to give; empty: every room gets an agent."""

    @classmethod
    def load(cls, **options: Any) -> Self:
        """Options that are not None, then environment, then `.env.local`. Raises SettingError."""
        names = [name.upper() for name in WorkerSettings.model_fields]
        own = [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]
        reject_unknown(_PREFIX, own)
        reject_unknown(ENGINE_PREFIX, ENGINE_NAMES)
        settings = load_settings(cls, options)
        settings._check_livekit()
        return settings

    def _check_livekit(self) -> None:
        address = urlsplit(self.livekit_url)
        if address.scheme not in ("ws", "wss", "http", "https") or not address.hostname:
            raise SettingError(
                f"LIVEKIT_URL={self.livekit_url!r} is not an address: give ws://host:port or wss://host"
            )
        if self.livekit_api_secret.get_secret_value() == _DEVELOPMENT_SECRET and not is_loopback(
            address.hostname
        ):
            raise SettingError(
                f"LIVEKIT_API_SECRET is the development secret that everybody knows, and {address.hostname} "
                "is not this machine: give that server a key of its own"
            )


class HealthSettings(BaseSettings):
    """Where the worker answers `GET /`: 200 while it is connected to LiveKit."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, frozen=True, extra="ignore", env_ignore_empty=True)

    worker_host: str = "127.0.0.1"
    """Address of the health check."""
    worker_port: int | None = Field(default=None, ge=0, le=65535)
    """Port of the health check; unset: 8081 for `start`, any free one for `dev`."""


class WorkerSettings(LiveKitSettings, HealthSettings):
    """What `python -m worker dev` and `start` run with."""

    engine_url: str | None = None
    """The engine: ws://host:port, wss://host:port or unix:/path; unset: the worker starts one."""
    engine_token: SecretStr | None = None
    """What the engine wants to see of its clients."""
    engine_port: int = Field(default=8998, ge=0, le=65535)
    """Port of the engine that the worker starts."""
    engine_checkpoint: str | None = None
    """Model of the engine that the worker starts."""
    engine_slots: int | None = Field(default=None, ge=1)
    """Seats of the engine that the worker starts."""
    engine_device: str | None = None
    """Device of the engine that the worker starts."""
    engine_log_format: LogFormat | None = None
    """Log lines of the engine that the worker starts: as its own."""
    worker_max_call_seconds: float = Field(default=3600.0, gt=0)
    """A call is ended after this time."""

    def to_environment(self) -> dict[str, str]:
        """These settings as the environment that gives them again: job processes read them from there."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name.upper(): _plain(value) for name, value in given.items() if value is not None}


def open_engine(settings: WorkerSettings) -> EngineClient:
    """A client of the engine that the settings name, inside a running event loop. Raises SettingError."""
    if settings.engine_url is None:
        raise SettingError(
            "ENGINE_URL is not set: where is the engine? `python -m worker start` brings one of its own"
        )
    return EngineClient(
        settings.engine_url, settings.engine_token.get_secret_value() if settings.engine_token else None
    )


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
