"""A certificate that nobody vouches for, for a machine that has an address and no name."""

import subprocess
import tempfile
from pathlib import Path

from engine.errors import SettingError

# Longer, and some browsers do not take it at all.
VALID_DAYS = 397
_DAY_S = 24 * 3600


def self_signed(folder: Path, address: str) -> tuple[Path, Path]:
    """Certificate and key for an IP address, in `folder`; those that are there are kept while they are valid.

    Raises SettingError where there is no openssl.
    """
    certificate, key = folder / f"{address}.crt", folder / f"{address}.key"
    try:
        if not (key.exists() and _is_valid(certificate)):
            folder.mkdir(parents=True, exist_ok=True)
            _make(certificate, key, address)
    except FileNotFoundError:
        raise SettingError(
            "there is no openssl to make a certificate with: install it, or give a certificate of your own "
            "in WORKER_TLS_CERT and WORKER_TLS_KEY"
        ) from None
    except subprocess.CalledProcessError as failed:
        raise SettingError(f"openssl made no certificate: {failed.stderr.strip()}") from None
    return certificate.absolute(), key.absolute()


def _is_valid(certificate: Path) -> bool:
    check = ["openssl", "x509", "-noout", "-checkend", str(_DAY_S), "-in", str(certificate)]
    return certificate.exists() and not subprocess.run(check, capture_output=True).returncode


def _make(certificate: Path, key: Path, address: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as config:
        config.write(
            "[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = use\n"
            f"[name]\nCN = {address}\n"
            f"[use]\nsubjectAltName = IP:{address}\nbasicConstraints = critical, CA:FALSE\n"
            "extendedKeyUsage = serverAuth\n"
        )
        config.flush()
        key.touch(mode=0o600)
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        files = ["-config", config.name, "-keyout", str(key), "-out", str(certificate)]
        command = ["openssl", "req", "-x509", "-sha256", "-days", str(VALID_DAYS), *curve, *files]
        subprocess.run(command, check=True, capture_output=True, text=True)
