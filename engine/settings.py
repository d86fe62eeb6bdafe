"""The service's settings, each once: environment variables ENGINE_*, options of `serve`, docs/settings.md."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.environment import FROM_ENVIRONMENT, is_loopback, load_settings, reject_unknown
from engine.errors import SettingError
from engine.logs import LogFormat
from engine.models.config import KvPrecision, WeightPrecision
from engine.peers import parse_peers
from engine.protocol import MAX_PROMPT_CHARACTERS

Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["float32", "bfloat16"]
ENV_PREFIX = "ENGINE_"


class EngineSettings(BaseSettings):
    """What `python -m engine serve` runs with."""

    model_config = SettingsConfigDict(**FROM_ENVIRONMENT, env_prefix=ENV_PREFIX)

    checkpoint: str = "parrot"
    """`parrot`, a folder, a Hugging Face repository, `random:moshi-7b` or `random:tiny`."""
    lora: str | None = None
    """A [LoRA adapter](lora.md) to fuse into it: a file, a folder or a Hugging Face repository."""
    device: Device = "auto"
    """Where the model runs: `auto` (CUDA if there is one, else the CPU), `cpu`, `cuda`, `mps`."""
    dtype: Dtype | None = None
    """What the language model computes in: `float32` or `bfloat16`; unset: float32 on the CPU, elsewhere
    bfloat16. Mimi is always float32."""
    weights: WeightPrecision = "exact"
    """The language model's weights: `exact` as the checkpoint has them, or rounded as they are loaded:
    `int8`, or `fp8` on GPUs of compute capability 8.9 and higher."""
    kv: KvPrecision = "exact"
    """The language model's keys and values: `exact`, `int8` with a scale for each token and head, `e4m3`."""
    slots: int | None = Field(default=None, ge=1, le=1024)
    """Sessions at the same time; unset: as many as fit into the GPU's memory, without a GPU at most 8."""
    stt_checkpoint: str | None = None
    """A model of [speech to text](transcribe.md) beside it, a folder or a Hugging Face repository such as
    `kyutai/stt-1b-en_fr`; `random:stt-1b`, `random:tiny-stt`; unset: none."""
    stt_sessions: int = Field(default=8, ge=1, le=1024)
    """Transcriptions at the same time."""
    tts_checkpoint: str | None = None
    """A model of [text to speech](speech.md) beside it, a folder or a Hugging Face repository such as
    `kyutai/tts-1.6b-en_fr`; `random:tts-1.6b`, `random:tiny-tts`; unset: none."""
    tts_sessions: int = Field(default=4, ge=1, le=1024)
    """Voices of that model at the same time."""
    tts_voices: Path | None = None
    """A folder of its [voices](speech.md#voices); unset: it has none to choose from."""
    voices: Path | None = None
    """A folder of [voices](personas.md), for models that have them: recordings, and what `voices convert` has
    made; unset: none."""
    voice: str | None = None
    """The voice of a session that asks for none."""
    prompt: str | None = Field(default=None, max_length=MAX_PROMPT_CHARACTERS)
    """The role of a session that asks for none."""
    prompt_cache_mib: int = Field(default=2048, ge=0)
    """Host memory, MiB, for what prompts leave behind, so that only the first two callers of a voice and a
    role wait for them; those used last stay. 0: none."""
    allow_slower_than_real_time: bool = False
    """Offer every slot, even if answers will come late."""
    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs a token."""
    port: int = Field(default=8998, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    socket: Path | None = None
    """A Unix socket to listen on as well."""
    token: SecretStr | None = None
    """What clients send as `Authorization: Bearer`; 16 characters or more."""
    origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of web pages that may open sessions, separated by commas."""
    tls_cert: Path | None = None
    """A certificate with its chain, as a PEM file: the port speaks TLS (`wss://`, `https://`), the Unix
    socket does not."""
    tls_key: Path | None = None
    """The key of that certificate, as a PEM file."""
    room_share: float = Field(default=0.0, ge=0, le=1)
    """The share of the seats, 0 to 1, that callers of `/api/chat` leave to rooms."""
    chat_line: int = Field(default=32, ge=0, le=1000)
    """How many callers of `/api/chat` may wait for a seat."""
    chat_line_seconds: float = Field(default=300.0, ge=0)
    """How long one of them waits at most."""
    chat_idle_seconds: float = Field(default=60.0, gt=0)
    """After how long without sound a call of `/api/chat` is ended."""
    chat_per_address: int = Field(default=8, ge=0)
    """Calls of `/api/chat` from one address at a time, on or waiting; 0: any number. Behind a proxy all
    callers have its address: set 0 and let it limit them."""
    grace_seconds: float = Field(default=15.0, ge=0, le=3600)
    """How long a session is [held](protocol.md#sessions-that-survive) that has lost its connection; 0: not at
    all."""
    held_sessions: int | None = Field(default=None, ge=0)
    """Of how many sessions whose callers are away others get the seat. Each takes as much host memory as a
    slot takes on the device (`plan` says how much); unset: as many as there are seats; 0: none."""
    admin_socket: Path | None = None
    """A Unix socket for [administration](protocol.md#administration), which the engine's user alone can
    open."""
    peers: str = ""
    """Engines to which [calls may be moved](protocol.md#sessions-that-move): `name=url` of each, separated by
    commas, with addresses as `ENGINE_URL` has them."""
    peer_token: SecretStr | None = None
    """What engines show each other to move calls, 16 characters or more, the same for all. Without it no call
    arrives or leaves."""
    room_hash_key: SecretStr | None = None
    """A key, 16 characters or more: [`moshi_session_info`](metrics.md#which-room) then tells in which room a
    session is, by a hash of its name under this key; unset: no page tells."""
    step_timeout_seconds: float = Field(default=5.0, gt=0)
    """A step that takes longer has hung: every session is told, and the process ends with code 1. Never less
    than ten of the longest, of any model, as they were measured at start."""
    drain_seconds: float = Field(default=3600.0, ge=0)
    """How long a SIGTERM waits for the calls that are on; a second one does not."""
    log_format: LogFormat = "plain"
    """Log lines for people (`plain`) or for machines (`json`)."""

    @classmethod
    def load(cls, **options: Any) -> Self:
        """Options that are not None, else the environment, else defaults. Raises SettingError."""
        reject_unknown(ENV_PREFIX, NAMES)
        return load_settings(cls, options)

    @field_validator("origins", mode="before")
    @classmethod
    def _split(cls, origins: object) -> object:
        return (
            tuple(filter(None, (origin.strip() for origin in origins.split(","))))
            if isinstance(origins, str)
            else origins
        )

    @field_validator("peers")
    @classmethod
    def _named(cls, peers: str) -> str:
        return checked_peers(peers)

    @field_validator("token", "peer_token", "room_hash_key")
    @classmethod
    def _long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < 16:
            raise ValueError("give a secret of 16 characters or more")
        return token

    @model_validator(mode="after")
    def _certified(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "ENGINE_TLS_KEY" if self.tls_key is None else "ENGINE_TLS_CERT"
            raise ValueError(f"TLS needs a certificate and its key: set {missing} as well")
        return self

    @model_validator(mode="after")
    def _voiced(self) -> Self:
        if self.tts_voices is not None and self.tts_checkpoint is None:
            raise ValueError(
                "ENGINE_TTS_VOICES is for a model of text to speech: set ENGINE_TTS_CHECKPOINT as well"
            )
        return self

    @model_validator(mode="after")
    def _known_to_peers(self) -> Self:
        if self.peers and self.peer_token is None:
            raise ValueError(
                "ENGINE_PEERS names engines that calls may be moved to: set ENGINE_PEER_TOKEN, the secret "
                "that they all have, as well"
            )
        return self

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.token is None and not is_loopback(self.host):
            raise ValueError(
                f"ENGINE_HOST={self.host} can be reached from other machines: set ENGINE_TOKEN to a secret "
                "of 16 or more characters, or listen on 127.0.0.1"
            )
        return self


def checked_peers(peers: str) -> str:
    """As `ENGINE_PEERS` may be. Raises ValueError."""
    try:
        parse_peers(peers)
    except SettingError as error:
        raise ValueError(str(error)) from None
    return peers


class ClientSettings(BaseSettings):
    """Where a client of the engine finds it, and how it is let in. The worker has both names as well."""

    model_config = SettingsConfigDict(**FROM_ENVIRONMENT, env_prefix=ENV_PREFIX)

    url: str = "ws://127.0.0.1:8998"
    """The engine: `ws://host:port`, `wss://host:port` or `unix:/path`."""
    token: SecretStr | None = None
    """What the engine wants to see."""

    @classmethod
    def load(cls, **options: Any) -> Self:
        """As `EngineSettings.load`."""
        reject_unknown(ENV_PREFIX, NAMES)
        return load_settings(cls, options)


class AdminSettings(BaseSettings):
    """Where an engine is administered."""

    model_config = ClientSettings.model_config

    admin_socket: Path | None = None
    """The engine's Unix socket for administration."""

    @classmethod
    def load(cls, **options: Any) -> Self:
        """As `EngineSettings.load`."""
        reject_unknown(ENV_PREFIX, NAMES)
        return load_settings(cls, options)


NAMES = tuple(name.upper() for name in (*EngineSettings.model_fields, "url"))
"""Every setting that begins with ENV_PREFIX, without it."""
