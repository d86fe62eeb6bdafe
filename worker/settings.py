"""Every setting of the worker, once: environment, `.env.local`, and options of the commands."""

from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.client import EngineClient
from engine.environment import ENV_FILE, is_loopback, load_settings, reject_unknown
from engine.errors import SettingError
from engine.logs import LogFormat
from engine.peers import parse_peers
from engine.settings import ENV_PREFIX as ENGINE_PREFIX
from engine.settings import NAMES as ENGINE_NAMES
from engine.settings import checked_peers
from worker.room.disclosure import Disclosure
from worker.room.room_policy import RoomPolicy

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

    @property
    def _has_development_secret(self) -> bool:
        return self.livekit_api_secret.get_secret_value() == _DEVELOPMENT_SECRET

    def _check_livekit(self) -> None:
        address = urlsplit(self.livekit_url)
        if address.scheme not in ("ws", "wss", "http", "https") or not address.hostname:
            raise SettingError(
                f"LIVEKIT_URL={self.livekit_url!r} is not an address: give ws://host:port or wss://host"
            )
        if self._has_development_secret and not is_loopback(address.hostname):
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


class WebSettings(BaseSettings):
    """The worker's web page, and the endpoint that lets a caller in."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, frozen=True, extra="ignore", env_ignore_empty=True)

    worker_web_host: str = "127.0.0.1"
    """Address of the page. Anything but loopback needs a secret, or a proxy that checks callers."""
    worker_web_port: int | None = Field(default=None, ge=0, le=65535)
    """Port of the page; unset: 8080 for `dev`, for `start` there is none; 0 takes a free one."""
    worker_call_secret: SecretStr | None = None
    """What callers send as `Authorization: Bearer`; at least 16 characters."""
    worker_calls_checked_upstream: bool = False
    """A proxy in front of the page lets in only those who may call."""
    worker_tls_cert: Path | None = None
    """Certificate of the page, PEM with its chain; unset: no TLS."""
    worker_tls_key: Path | None = None
    """The certificate's key, PEM."""

    @field_validator("worker_call_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < 16:
            raise ValueError("give a secret of 16 characters or more")
        return secret

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        open_to_all = self.worker_call_secret is None and not self.worker_calls_checked_upstream
        if open_to_all and not is_loopback(self.worker_web_host):
            raise ValueError(
                f"WORKER_WEB_HOST={self.worker_web_host} can be reached from other machines: set "
                "WORKER_CALL_SECRET to a secret of 16 or more characters, or "
                "WORKER_CALLS_CHECKED_UPSTREAM=true where a proxy checks callers, or listen on 127.0.0.1"
            )
        if (self.worker_tls_cert is None) != (self.worker_tls_key is None):
            raise ValueError("TLS takes a certificate and its key: set WORKER_TLS_CERT and WORKER_TLS_KEY")
        return self


class PrivacySettings(BaseSettings):
    """What stays of a call, and what callers are told."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, frozen=True, extra="ignore", env_ignore_empty=True)

    worker_transcripts: Path | None = None
    """Folder in which the model's words are kept, a file for each call; unset: they are not."""
    worker_redact_numbers: bool = True
    """Numbers of three digits or more are left out of what is kept."""
    worker_recordings: Path | None = None
    """Folder in which the sound of both sides is kept, a file for each call; unset: it is not."""
    worker_keep_days: float = Field(default=30.0, ge=0)
    """What is kept of a call is deleted after this time; 0: never."""
    worker_disclosure: Disclosure = Disclosure.PHONE
    """Who is told aloud, before the model speaks, that it is a machine."""
    worker_disclosure_clip: Path | None = None
    """What they are told: any sound file; unset: the one that comes with the worker."""


class WorkerSettings(LiveKitSettings, HealthSettings, WebSettings, PrivacySettings):
    """What `python -m worker dev` and `start` run with."""

    engine_url: str | None = None
    """The engine: ws://host:port, wss://host:port or unix:/path; unset: the worker starts one."""
    engine_token: SecretStr | None = None
    """What the engine wants to see of its clients."""
    engine_peers: str = ""
    """Engines to which calls may be moved: name=url of each, separated by commas. To others none follows."""
    engine_admin_socket: Path | None = None
    """The engine's socket for administration: calls that were lost with their job are brought back by it."""
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
    worker_grace_seconds: float = Field(default=15.0, ge=0)
    """For so long a caller who is gone, by a reload or a lost network, may come back to the conversation."""
    worker_room_policy: RoomPolicy = RoomPolicy.FIRST
    """Whom the model listens to where several people are in a room."""
    worker_idle_seconds: float = Field(default=0.0, ge=0)
    """A caller who has said nothing for so long is hung up on; 0: nobody is."""
    worker_half_duplex: bool = False
    """The model hears silence while it can be heard itself."""

    @field_validator("engine_peers")
    @classmethod
    def _named(cls, peers: str) -> str:
        return checked_peers(peers)

    @model_validator(mode="after")
    def _own_key(self) -> Self:
        if not is_loopback(self.worker_web_host) and self._has_development_secret:
            raise ValueError(
                "LIVEKIT_API_SECRET is the development secret that everybody knows, and through "
                f"WORKER_WEB_HOST={self.worker_web_host} others reach the LiveKit server: give it a key "
                "of its own"
            )
        return self

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
        settings.engine_url,
        settings.engine_token.get_secret_value() if settings.engine_token else None,
        parse_peers(settings.engine_peers),
    )


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
