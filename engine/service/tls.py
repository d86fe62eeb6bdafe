"""TLS from a certificate and its key in two files."""

import ssl
from pathlib import Path

from engine.errors import SettingError


def server_tls(certificate: Path | None, key: Path | None, prefix: str) -> ssl.SSLContext | None:
    """What a TCP socket speaks; None: no certificate is set. Raises SettingError for unusable files.

    `prefix`: of the settings that name them.
    """
    if certificate is None or key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(
            f"{prefix}TLS_CERT={certificate} and {prefix}TLS_KEY={key} cannot be used "
            f"({error.strerror or error}): give a certificate and its unencrypted key, both as PEM"
        ) from None
    return context


def _no_password() -> str:
    raise OSError(None, "the key is encrypted")
