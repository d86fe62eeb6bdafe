"""What a telephone provider gave you, as a TOML file: the numbers, the addresses, the names to log in with.

Passwords are not in it: WORKER_SIP_INBOUND_PASSWORD and WORKER_SIP_OUTBOUND_PASSWORD.
"""

import tomllib
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import SettingError
from worker.phones.e164 import checked_number


class Transport(StrEnum):
    """How signalling goes to the provider."""

    AUTO = "auto"
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class Encryption(StrEnum):
    """Whether the sound itself is encrypted (SRTP)."""

    DISABLE = "disable"
    ALLOW = "allow"
    REQUIRE = "require"


def _checked_address(address: str) -> str:
    # LiveKit compares nothing but addresses: a name would let nobody in.
    try:
        network = ip_network(address)
    except ValueError:
        raise ValueError(f"{address!r} is no address: write 203.0.113.7 or 203.0.113.0/24") from None
    if not network.prefixlen:
        raise ValueError(f"{address} is everybody: write the addresses that the provider calls from")
    return address


Number = Annotated[str, AfterValidator(checked_number)]
Address = Annotated[str, AfterValidator(_checked_address)]


class Inbound(BaseModel):
    """Calls to us: the numbers that are ours, and who may bring calls for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    numbers: tuple[Number, ...] = Field(min_length=1)
    allowed_addresses: tuple[Address, ...] = ()
    username: str = ""
    allowed_numbers: tuple[Number, ...] = ()
    encryption: Encryption = Encryption.DISABLE

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not (self.allowed_addresses or self.username):
            raise ValueError(
                "whoever finds the SIP port could call: give allowed_addresses, those of the provider, or a "
                "username (with WORKER_SIP_INBOUND_PASSWORD), or both"
            )
        return self


class Outbound(BaseModel):
    """Calls of ours: where the provider takes them, and the numbers that those who are called see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(pattern=r"^[A-Za-z0-9.\[\]:-]+$")
    transport: Transport = Transport.AUTO
    numbers: tuple[Number, ...] = Field(min_length=1)
    username: str = ""
    encryption: Encryption = Encryption.DISABLE


class Trunks(BaseModel):
    """Both ways, or one of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inbound: Inbound | None = None
    outbound: Outbound | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.inbound is None and self.outbound is None:
            raise ValueError("there is neither [inbound] nor [outbound]: `sip remove` takes all away")
        return self


def read(path: Path) -> Trunks:
    """Raises SettingError that names every fault."""
    try:
        return Trunks.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} is no TOML: {error}") from None
    except ValidationError as invalid:
        faults = (
            f"{'.'.join(map(str, error['loc'])) or 'file'}: {error['msg'].removeprefix('Value error, ')}"
            for error in invalid.errors()
        )
        raise SettingError(f"{path}: {'; '.join(faults)}") from None
