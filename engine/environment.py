"""What the settings of engine and worker have in common: their file, their names, who is on this machine."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import ip_address

from dotenv import dotenv_values

from engine.errors import SettingError

ENV_FILE = ".env.local"


def reject_unknown(prefix: str, known: Iterable[str]) -> None:
    """Raise SettingError for every name with `prefix`, in the environment or ENV_FILE, but not `known`.

    `known` are names without the prefix.
    """
    names = sorted(prefix + name for name in known)
    faults = []
    for name in sorted({*os.environ, *dotenv_values(ENV_FILE)}):
        if name.startswith(prefix) and name not in names:
            near = get_close_matches(name, names)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
            faults.append(f"no setting is called {name}: {hint}")
    if faults:
        raise SettingError("; ".join(faults))


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
