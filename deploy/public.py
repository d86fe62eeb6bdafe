"""`make run PUBLIC_IP=...`: what it takes to be called from elsewhere, on top of the development server.

The page and LiveKit's signalling are behind TLS on one port, media goes over UDP, or TCP where UDP cannot
pass; the LiveKit server gets a key of its own, and calls take a secret. The engine stays on this machine.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from deploy.certificate import self_signed
from engine.errors import SettingError
from worker.settings import WorkerSettings

FOLDER = Path(".cache/public")
PAGE_PORT = 8443
MEDIA_UDP_PORT = 7882
MEDIA_TCP_PORT = 7881
_EVERYWHERE = {4: "0.0.0.0", 6: "::"}


@dataclass(frozen=True, slots=True)
class Public:
    """`environment`: settings of the worker, all that nobody has chosen; `ip`: what the caller types."""

    ip: str
    environment: Mapping[str, str]

    @classmethod
    def prepare(cls, ip: str, chosen: WorkerSettings, folder: Path = FOLDER) -> "Public":
        """Make up what `chosen` leaves open. Raises SettingError."""
        try:
            address = ip_address(ip)
        except ValueError:
            raise SettingError(
                f"PUBLIC_IP={ip!r} is no IP address: give the one that callers reach"
            ) from None
        if address.is_loopback or address.is_unspecified:
            raise SettingError(
                f"PUBLIC_IP={ip} cannot be reached from elsewhere: give this machine's address"
            )
        given = chosen.model_fields_set
        environment = {}
        if "worker_web_host" not in given:
            environment["WORKER_WEB_HOST"] = _EVERYWHERE[address.version]
        if "worker_web_port" not in given:
            environment["WORKER_WEB_PORT"] = str(PAGE_PORT)
        if chosen.worker_tls_cert is None:
            certificate, key = self_signed(folder, str(address))
            environment |= {"WORKER_TLS_CERT": str(certificate), "WORKER_TLS_KEY": str(key)}
        if chosen.worker_call_secret is None and not chosen.worker_calls_checked_upstream:
            environment["WORKER_CALL_SECRET"] = _kept_secret(folder / "call-secret")
        if not {"livekit_url", "livekit_api_secret"} & given:
            environment |= {"LIVEKIT_API_KEY": "run", "LIVEKIT_API_SECRET": secrets.token_urlsafe(32)}
        return cls(str(address), environment)

    def livekit_config(self, settings: WorkerSettings, folder: Path = FOLDER) -> Path:
        """The LiveKit server's configuration, written where only we can read it: it holds the key."""
        config = folder / "livekit.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        config.touch(mode=0o600)
        config.write_text(
            "port: 7880\n"
            "bind_addresses: [127.0.0.1]  # the worker passes signalling on, behind TLS\n"
            "rtc:\n"
            f"  udp_port: {MEDIA_UDP_PORT}\n"
            f"  tcp_port: {MEDIA_TCP_PORT}\n"
            "  use_external_ip: false\n"
            f'  node_ip: "{self.ip}"\n'
            "keys:\n"
            f'  "{settings.livekit_api_key}": "{settings.livekit_api_secret.get_secret_value()}"\n'
        )
        return config


def _kept_secret(file: Path) -> str:
    """The same one each time: the address of the page stays."""
    if not (file.exists() and file.read_text().strip()):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(16))
    return file.read_text().strip()
