"""A network by name or from a file; what is wrong in a file is said."""

from pathlib import Path

import pytest

from engine.errors import SettingError
from load_tests.network.profile import Conditions, Profile


@pytest.mark.parametrize("name", ["lte", "wifi", "bad"])
def test_three_networks_have_names(name: str) -> None:
    profile = Profile.load(name)
    assert profile.name == name
    assert profile.up.delay_ms > 0 < profile.down.delay_ms
    assert str(profile).startswith(f"{name}: up delay_ms ")


def test_a_file_gives_any_other(tmp_path: Path) -> None:
    file = tmp_path / "train.toml"
    file.write_text("[up]\ndelay_ms = 40\nloss_percent = 2.5\nloss_burst = 4\n[down]\nrate_kbit = 300\n")
    profile = Profile.load(str(file))
    assert profile == Profile(
        "train", Conditions(delay_ms=40, loss_percent=2.5, loss_burst=4), Conditions(rate_kbit=300)
    )
    assert str(profile) == (
        "train: up delay_ms 40, loss_percent 2.5, loss_burst 4; down rate_kbit 300, queue_ms 200"
    )


def test_a_direction_that_is_not_named_does_nothing(tmp_path: Path) -> None:
    file = tmp_path / "uphill.toml"
    file.write_text("[up]\ndelay_ms = 40\n")
    assert str(Profile.load(str(file))) == "uphill: up delay_ms 40; down as it is"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[up]\nlatency = 3\n", r"'latency' in \[up\] is not known: delay_ms, "),
        ("[sideways]\n", r"'sideways' is not known: a network has the tables \[up\] and \[down\]"),
        ("up = 3\n", r"'up' is not known"),
        ("[up]\ndelay_ms = -1\n", "delay_ms = -1: give a number from 0"),
        ("[up]\ndelay_ms = nan\n", "delay_ms = nan: give a number"),
        ("[up]\nloss_percent = 101\n", "loss_percent = 101: give a number from 0 to 100"),
        ("[up]\nloss_percent = true\n", "loss_percent = True: give a number"),
        ("[up]\nloss_burst = 0.5\n", "loss_burst = 0.5: give a number from 1"),
        ("[up]\nloss_percent = 80\nloss_burst = 2\n", r"loss_burst = 2: give 4\.0 or more"),
        ("[up\n", "line 1"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(SettingError, match=rf"wrong\.toml: .*{complaint}"):
        Profile.load(str(file))


def test_a_network_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingError, match=r"'5g' is no network: give lte, wifi, bad, .*, or a TOML file"):
        Profile.load("5g")
