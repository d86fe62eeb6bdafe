from pathlib import Path

import pytest
import yaml

from engine.errors import SettingError
from worker.phones.trunks_file import Encryption, Transport, read

DEPLOY = Path(__file__).parents[3] / "deploy" / "sip"
INBOUND = '[inbound]\nnumbers = ["+15550100"]\n'
OUTBOUND = '[outbound]\naddress = "sip.example.org"\nnumbers = ["+15550100"]\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "trunks.toml"
    path.write_text(text)
    return path


def test_both_ways_are_read(tmp_path: Path) -> None:
    trunks = read(
        written(tmp_path, INBOUND + 'allowed_addresses = ["192.0.2.7", "2001:db8::/32"]\n' + OUTBOUND)
    )
    assert trunks.inbound is not None
    assert trunks.inbound.allowed_addresses == ("192.0.2.7", "2001:db8::/32")
    assert trunks.outbound is not None
    assert trunks.outbound.transport is Transport.AUTO
    assert trunks.outbound.encryption is Encryption.DISABLE


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (INBOUND, "whoever finds the SIP port could call"),
        (INBOUND + 'allowed_addresses = ["0.0.0.0/0"]\n', "0.0.0.0/0 is everybody"),
        (INBOUND + 'allowed_addresses = ["::/0"]\n', "is everybody"),
        (INBOUND + 'allowed_addresses = ["sip.example.org"]\n', "is no address"),
        (INBOUND + 'username = "a"\nallowed_adresses = []\n', "inbound.allowed_adresses"),
        ('[inbound]\nnumbers = []\nusername = "a"\n', "inbound.numbers"),
        (
            '[inbound]\nnumbers = ["0170 1"]\nusername = "a"\n',
            "inbound.numbers.0: this is no telephone number",
        ),
        (OUTBOUND + 'transport = "pigeon"\n', "outbound.transport"),
        (OUTBOUND.replace("sip.example.org", "sip:sip.example.org;x"), "outbound.address"),
        ("", "neither"),
        ("inbound", "no TOML"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SettingError, match=fault.replace("/", "/").replace(".", r"\.")):
        read(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"nowhere\.toml cannot be read"):
        read(tmp_path / "nowhere.toml")


def test_the_example_is_one_that_can_be_filled_in() -> None:
    trunks = read(DEPLOY / "trunks.toml")
    assert trunks.inbound is not None
    assert trunks.outbound is not None


def test_the_bridges_configuration_meets_the_development_server() -> None:
    bridge = yaml.safe_load((DEPLOY / "livekit-sip.yaml").read_text())
    server = yaml.safe_load((DEPLOY.parents[1] / "livekit.yaml").read_text())
    assert bridge["ws_url"] == f"ws://127.0.0.1:{server['port']}"
    assert bridge["hide_inbound_port"] is True
    assert bridge["enable_jitter_buffer"] is True
    assert bridge["redis"]["address"]
    assert not {"api_key", "api_secret"} & bridge.keys(), "secrets are not for this file"
