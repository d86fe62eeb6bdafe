"""Other engines by name, as the operator has named them: `rose=ws://10.0.0.2:8998,lily=wss://lily.example`."""

import re

from engine.connection import check_address
from engine.errors import SettingError

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def parse_peers(text: str) -> dict[str, str]:
    """Address by name. Raises SettingError that says what is wrong."""
    peers: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, url = part.partition("=")
        if not is_peer_name(name) or not url or name in peers:
            raise SettingError(
                f"ENGINE_PEERS has {part!r}: give name=url of each engine once, separated by commas, with "
                "names of up to 64 characters of A-Z a-z 0-9 . _ -"
            )
        check_address(url, "ENGINE_PEERS")
        peers[name] = url
    return peers


def is_peer_name(name: str) -> bool:
    """Whether an engine can be called so."""
    return _NAME.fullmatch(name) is not None
