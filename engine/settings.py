"""The service's settings, each once: environment variables ENGINE_*, each also an option of `serve`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.environment import ENV_FILE, is_loopback, reject_unknown
from engine.errors import SettingError
from engine.logs import LogFormat

Device = Literal["auto", "cpu", "cuda", "mps"]
ENV_PREFIX = "ENGINE_"

# Of the worker, which shares the prefix.
_WORKERS_OWN = ("URL",)


class EngineSettings(BaseSettings):
    """What `python -m engine serve` runs with."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_file=ENV_FILE, frozen=True, extra="ignore")

    checkpoint: str = "parrot"
    """`parrot`, a folder, a Hugging Face repository, `random:moshi-7b` or `random:tiny`."""
    device: Device = "auto"
    """Where the model runs; auto: CUDA if there is one, else the CPU."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the language model computes in; unset: as its files are, on the CPU float32."""
    slots: int = Field(default=8, ge=1, le=1024)
    """Sessions at the same time."""
    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs a token."""
    port: int = Field(default=8998, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    socket: Path | None = None
    """A Unix socket to listen on as well."""
    token: SecretStr | None = Field(default=None, min_length=16)
    """What clients send as `Authorization: Bearer`; at least 16 characters."""
    origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of web pages that may open sessions, separated by commas."""
    drain_seconds: float = Field(default=3600.0, ge=0)
    """How long a SIGTERM waits for the calls that are on."""
    log_format: LogFormat = "plain"
    """Log lines for people (`plain`) or for machines (`json`)."""

    @classmethod
    def load(cls, **options: Any) -> Self:
        """Options that are not None, else the environment, else defaults. Raises SettingError."""
        known = [name.upper() for name in (*cls.model_fields, *_WORKERS_OWN)]
        reject_unknown(ENV_PREFIX, known)
        try:
            return cls(**{name: value for name, value in options.items() if value is not None})
        except ValidationError as invalid:
            raise SettingError("; ".join(_fault(error) for error in invalid.errors())) from None

    @field_validator("origins", mode="before")
    @classmethod
    def _split(cls, origins: object) -> object:
        return tuple(filter(None, origins.split(","))) if isinstance(origins, str) else origins

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.token is None and not is_loopback(self.host):
            raise ValueError(
                f"ENGINE_HOST={self.host} can be reached from other machines: set ENGINE_TOKEN to a secret "
                "of 16 or more characters, or listen on 127.0.0.1"
            )
        return self


def _fault(error: ErrorDetails) -> str:
    if not error["loc"]:
        return error["msg"].removeprefix("Value error, ")
    name = f"{ENV_PREFIX}{error['loc'][0]}".upper()
    return (
        f"{name}={error['input']!r}: {error['msg']}" if name != "ENGINE_TOKEN" else f"{name}: {error['msg']}"
    )
