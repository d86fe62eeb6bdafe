import pytest

from engine.errors import SettingError
from worker.phones.keys import KeyAction, checked_target, parse_keys
from worker.settings import WorkerSettings


def test_each_key_does_what_is_said_of_it() -> None:
    assert parse_keys("0=transfer, #=hang_up,*=mute") == {
        "0": KeyAction.TRANSFER,
        "#": KeyAction.HANG_UP,
        "*": KeyAction.MUTE,
    }
    assert parse_keys("") == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x=mute", "no key"),
        ("12=mute", "no key"),
        ("=mute", "no key"),
        ("mute", "no key"),
        ("1=dance", "'dance' is nothing"),
        ("1=", "nothing that a key can do"),
        ("1=mute,1=hang_up", "two things"),
    ],
)
def test_what_is_no_key_or_no_action_is_refused(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_keys(text)


def test_callers_are_put_through_to_a_number_or_an_address() -> None:
    assert checked_target("+15550100") == "+15550100"
    assert checked_target("sip:desk@example.org:5061") == "sip:desk@example.org:5061"
    for nowhere in ("desk", "sip:desk", "tel:+15550100", "sip:a@b;x=y"):
        with pytest.raises(ValueError, match="no telephone number"):
            checked_target(nowhere)


def test_a_key_that_leads_nowhere_is_no_setting() -> None:
    with pytest.raises(SettingError, match="set WORKER_TRANSFER_TO"):
        WorkerSettings.load(worker_dtmf="0=transfer")
    settings = WorkerSettings.load(worker_dtmf="0=transfer", worker_transfer_to="+15550100")
    assert settings.to_environment()["WORKER_TRANSFER_TO"] == "+15550100"
