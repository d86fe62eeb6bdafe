"""Every setting of the worker, once: environment, `.env.local`, options of the commands, docs/settings.md."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from engine.client import EngineClient
from engine.environment import FROM_ENVIRONMENT, is_loopback, load_settings, reject_unknown
from engine.errors import SettingError
from engine.logs import LogFormat
from engine.peers import parse_peers
from engine.settings import ENV_PREFIX as ENGINE_PREFIX
from engine.settings import NAMES as ENGINE_NAMES
from engine.settings import checked_peers
from engine.transcript_client import TranscriptClient
from worker.modes import Mode
from worker.phones.e164 import checked_prefixes
from worker.phones.keys import KeyAction, checked_target, parse_keys
from worker.room.disclosure import Disclosure
from worker.room.room_policy import RoomPolicy

_PREFIX = "WORKER_"
_DEVELOPMENT_SECRET = "secret"


class LiveKitSettings(BaseSettings):
    """Where the LiveKit server is, and how to show it who we are."""

    model_config = FROM_ENVIRONMENT

    livekit_url: str = "ws://127.0.0.1:7880"
    """The LiveKit server, `ws://` or `wss://`. Where this, its key and its secret are unset, they are those
    of `livekit.yaml`."""
    livekit_api_key: str = "devkey"
    """The name of the key that signs tokens."""
    livekit_api_secret: SecretStr = SecretStr(_DEVELOPMENT_SECRET)
    """The key itself. The default everybody knows: it is refused for a server that is not on this machine."""
    livekit_agent_name: str = ""
    """The name that a dispatch has to give; unset: every new room gets an agent."""

    @classmethod
    def load(cls, **options: Any) -> Self:
        """Options that are not None, then environment, then `.env.local`. Raises SettingError."""
        names = [name.upper() for name in (*WorkerSettings.model_fields, *DialSettings.model_fields)]
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
    """The worker's health."""

    model_config = FROM_ENVIRONMENT

    worker_host: str = "127.0.0.1"
    """Address of the health check: there `GET /` is 503 once the worker has given up on LiveKit, and 200
    while it still tries. Whether calls should come here, `WORKER_METRICS_PORT` says."""
    worker_port: int | None = Field(default=None, ge=0, le=65535)
    """Port of the health check; unset: 8081 for `start`, any free one for `dev`."""
    worker_metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Port of `/metrics`, the worker's [own numbers](metrics.md#the-worker), and of `/readyz`, 200 while
    calls should come here: LiveKit has its registration, its engine answers, and it is not draining; else
    503 and why. At the address of the health check; unset: there is none; 0 takes a free one."""


class WebSettings(BaseSettings):
    """The worker's web page, and the endpoint that lets a caller in."""

    model_config = FROM_ENVIRONMENT

    worker_web_host: str = "127.0.0.1"
    """Address of the page and of `POST /api/call`. Anything but loopback needs a secret, or a proxy that
    checks callers."""
    worker_web_port: int | None = Field(default=None, ge=0, le=65535)
    """Port of the page; unset: 8080 for `dev`, for `start` there is none; 0 takes a free one."""
    worker_call_secret: SecretStr | None = None
    """What callers send as `Authorization: Bearer`; 16 characters or more."""
    worker_calls_checked_upstream: bool = False
    """A proxy in front of the page lets in only those who may call; its `X-Forwarded-For` and
    `X-Forwarded-Proto` are believed then."""
    worker_tls_cert: Path | None = None
    """The page's certificate with its chain, as a PEM file; unset: no TLS."""
    worker_tls_key: Path | None = None
    """The key of that certificate, as a PEM file."""

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

    model_config = FROM_ENVIRONMENT

    worker_transcripts: Path | None = None
    """A folder in which the model's words are [kept](privacy.md#what-is-kept), a file for each call; unset:
    they are not."""
    worker_redact_numbers: bool = True
    """Numbers of three digits or more are left out of what is kept."""
    worker_recordings: Path | None = None
    """A folder in which the sound of both sides is kept, a file for each call; unset: it is not."""
    worker_keep_days: float = Field(default=30.0, ge=0)
    """What is kept of a call is deleted after so many days; 0: never."""
    worker_disclosure: Disclosure = Disclosure.PHONE
    """Who is [told aloud](privacy.md#what-callers-are-told), before the model begins, that it is a machine:
    `off`, `phone`, `all`."""
    worker_disclosure_clip: Path | None = None
    """What they are told: any sound file; unset: an English sentence."""


class PhoneSettings(BaseSettings):
    """Who calls by telephone."""

    model_config = FROM_ENVIRONMENT

    worker_dtmf: str = ""
    """What the keys of a telephone [do](phones.md#keys), `key=action` of each, separated by commas:
    `hang_up`, `mute` and `transfer`, as in `*=mute,#=hang_up,0=transfer`; unset: they do nothing."""
    worker_transfer_to: str = ""
    """Where the key for `transfer` leads: a number, `+15550100`, or an address, `sip:desk@example.org`.
    Callers are transferred nowhere else."""

    @field_validator("worker_dtmf")
    @classmethod
    def _keys(cls, keys: str) -> str:
        parse_keys(keys)
        return keys

    @field_validator("worker_transfer_to")
    @classmethod
    def _reachable(cls, to: str) -> str:
        return checked_target(to) if to else to

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if KeyAction.TRANSFER in parse_keys(self.worker_dtmf).values() and not self.worker_transfer_to:
            raise ValueError("WORKER_DTMF has a key for transfer: set WORKER_TRANSFER_TO to where it leads")
        return self


class DialSettings(BaseSettings):
    """What `python -m worker sip` needs beside the LiveKit server."""

    model_config = FROM_ENVIRONMENT

    worker_sip_inbound_password: SecretStr | None = None
    """What the provider says with the `username` of `[inbound]`."""
    worker_sip_outbound_password: SecretStr | None = None
    """What we say with the `username` of `[outbound]`."""
    worker_dial_prefixes: str = ""
    """How the numbers begin that `sip call` may dial, separated by commas, as in `+1415,+4930`; unset: none
    may be dialled."""
    worker_dial_per_hour: int = Field(default=20, ge=0)
    """How many calls may be dialled within an hour with one outbound trunk, from wherever."""
    worker_dial_seconds: float = Field(default=600.0, ge=1, le=86_400)
    """A call that was dialled is ended by livekit-sip after this time, at most a day."""

    @field_validator("worker_dial_prefixes")
    @classmethod
    def _beginnings(cls, prefixes: str) -> str:
        return checked_prefixes(prefixes)


class LengthSettings(BaseSettings):
    """How long calls may last."""

    model_config = FROM_ENVIRONMENT

    worker_max_call_seconds: float = Field(default=3600.0, gt=0, le=31_536_000)
    """A call is ended after this time; a line on `lk.transcription` says so 60 s before."""


class SipSettings(LiveKitSettings, DialSettings, LengthSettings):
    """What `python -m worker sip` runs with."""


class ModeSettings(BaseSettings):
    """Who answers, and the models of an LLM's answer."""

    model_config = FROM_ENVIRONMENT

    worker_mode: Mode = Mode.MOSHI
    """[Who answers](hybrid.md): `moshi`, `hybrid`, `pipeline`, unless a dispatch says otherwise. The last two
    need what follows."""
    worker_instructions: str = "You help on the phone. Answer in one or two short sentences."
    """What the LLM is told before the conversation."""
    worker_llm_url: str | None = None
    """The LLM, behind OpenAI's HTTP interface: `http://host:11434/v1`."""
    worker_llm_model: str = ""
    """What that server calls it."""
    worker_llm_key: SecretStr | None = None
    """What that server wants to see."""
    worker_stt_url: str | None = None
    """The recogniser, behind OpenAI's HTTP interface; unset: the engine's own, where it has
    [one](transcribe.md)."""
    worker_stt_model: str = "whisper-1"
    """What that server calls it."""
    worker_stt_language: str = ""
    """The callers' language, as `de`; unset: the recogniser finds out."""
    worker_stt_key: SecretStr | None = None
    """What that server wants to see."""
    worker_tts_url: str | None = None
    """The voice, behind OpenAI's HTTP interface. It has to send `pcm` at 24 kHz, or say what it sends. Unset:
    the engine's own, where it has [one](speech.md)."""
    worker_tts_model: str = "tts-1"
    """What that server calls it."""
    worker_tts_voice: str = ""
    """Which of its voices; unset: `alloy`, or the first of the engine's."""
    worker_tts_key: SecretStr | None = None
    """What that server wants to see."""
    worker_mcp_servers: str = ""
    """Where the LLM finds its tools: addresses of MCP servers, separated by commas, that end in `/mcp`, or in
    `/sse` for the older transport; unset: it has none."""
    worker_bridge_seconds: float = Field(default=2.0, ge=0, le=60)
    """For so long Moshi may speak in mode `hybrid` while an answer is on its way."""
    worker_pipeline_calls: int = Field(default=8, ge=1)
    """So many calls of mode `pipeline` are taken at a time: they need no seat of an engine."""

    @property
    def mcp_addresses(self) -> list[str]:
        """Those of the MCP servers."""
        return [url for part in self.worker_mcp_servers.split(",") if (url := part.strip())]


SET_BY_COMMAND = ("engine_log_format",)
"""What nobody sets: it follows from the command."""


class WorkerSettings(
    LiveKitSettings,
    HealthSettings,
    WebSettings,
    LengthSettings,
    PrivacySettings,
    PhoneSettings,
    ModeSettings,
):
    """The engine, and the calls."""

    engine_url: str | None = None
    """The engine: `ws://host:port`, `wss://host:port` or `unix:/path`; unset: the worker starts one of its
    own, in mode `pipeline` none."""
    engine_token: SecretStr | None = None
    """What the engine wants to see."""
    engine_peers: str = ""
    """Engines to which calls may be moved, `name=url` of each, separated by commas; they take the same
    `ENGINE_TOKEN`. To others no call follows."""
    engine_admin_socket: Path | None = None
    """The engine's socket for administration, by which calls that lost their process are [brought
    back](remote.md#calls-that-outlive-their-worker); an engine that the worker starts has one of its own."""
    engine_port: int = Field(default=8998, ge=0, le=65535)
    """Port of the engine that the worker starts, on 127.0.0.1: sessions of other programs, and `/metrics`."""
    engine_checkpoint: str | None = None
    """Model of the engine that the worker starts."""
    engine_slots: int | None = Field(default=None, ge=1)
    """Seats of the engine that the worker starts."""
    engine_device: str | None = None
    """Device of the engine that the worker starts."""
    engine_log_format: LogFormat | None = None
    """Log lines of the engine that the worker starts: as its own."""
    worker_grace_seconds: float = Field(default=15.0, ge=0, le=86_400)
    """For so long a caller who is gone may come back to the conversation: a reload, another network. Less in
    rooms that close sooner by themselves: it stays 2 s below a room's departure timeout. 0: whoever is gone
    has hung up."""
    worker_room_policy: RoomPolicy = RoomPolicy.FIRST
    """Whom the model listens to where [several people](apps.md#several-people-in-a-room) are in a room:
    `first`, `mix`, `each`."""
    worker_idle_seconds: float = Field(default=0.0, ge=0)
    """A caller who has said nothing for so long is hung up on; a line on `lk.transcription` says so 30 s
    before, or at half of the time. 0: nobody is."""
    worker_captions: bool = False
    """What callers say appears on `lk.transcription` under their identities, by the engine's [speech to
    text](transcribe.md), where it has one."""
    worker_half_duplex: bool = False
    """While the model can be heard, and 0.4 s longer, it hears silence. For loudspeakers whose echo nobody
    takes out: it would talk to itself. Nobody can interrupt it then."""

    @property
    def has_no_engine(self) -> bool:
        """Whether there is none, and none is started: nobody who answers needs one."""
        return self.engine_url is None and self.worker_mode is Mode.PIPELINE

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


SECRETS = tuple(
    name.upper()
    for kind in (WorkerSettings, DialSettings)
    for name, field in kind.model_fields.items()
    if field.annotation is SecretStr or SecretStr in get_args(field.annotation)
)
"""The names of those settings that nobody may read."""


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


def captions_in(settings: WorkerSettings) -> Callable[[], TranscriptClient] | None:
    """How callers are written down; None: they are not."""
    url, token = settings.engine_url, settings.engine_token
    if not settings.worker_captions or url is None:
        return None
    return lambda: TranscriptClient(url, token.get_secret_value() if token else None)


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
