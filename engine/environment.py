"""What the settings of engine and worker have in common: their file, their names, who is on this machine."""

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Any, TypeVar

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.errors import SettingError

ENV_FILE = ".env.local"

Settings = TypeVar("Settings", bound=BaseSettings)

FROM_ENVIRONMENT = SettingsConfigDict(
    env_file=ENV_FILE,
    frozen=True,
    extra="ignore",
    env_ignore_empty=True,
    use_attribute_docstrings=True,
    allow_inf_nan=False,
)
"""The `model_config` of all settings.

The text below a field is its description: in the help of the commands, and on docs/settings.md, which
`make fix` writes.
"""


def reject_unknown(prefix: str, known: Iterable[str]) -> None:
    """Raise SettingError for every name with `prefix`, in the environment or ENV_FILE, but not `known`.

    `known` are names without the prefix.
    """
    links = [name for name in os.environ if name.startswith(prefix) and name.endswith("_SERVICE_HOST")]
    if links:
        raise SettingError(
            f"{links[0]} and others like it, which read as settings, are what Kubernetes tells a pod of the "
            "Services beside it: give the pod enableServiceLinks: false"
        )
    names = sorted(prefix + name for name in known)
    faults = []
    for name in sorted({*os.environ, *dotenv_values(ENV_FILE)}):
        if name.startswith(prefix) and name not in names:
            near = get_close_matches(name, names)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
            faults.append(f"no setting is called {name}: {hint}")
    if faults:
        raise SettingError("; ".join(faults))


def load_settings(kind: type[Settings], options: Mapping[str, Any]) -> Settings:
    """`kind` with the options that are not None. Raises SettingError that names each fault, and no secret."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return kind(**given)
    except ValidationError as invalid:
        raise SettingError("; ".join(_fault(kind, error) for error in invalid.errors())) from None


def _fault(kind: type[BaseSettings], error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    field = str(error["loc"][0])
    name = (kind.model_config.get("env_prefix", "") + field).upper()
    secret = "Secret" in str(kind.model_fields[field].annotation)
    return f"{name}: {message}" if secret else f"{name}={error['input']!r}: {message}"


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
