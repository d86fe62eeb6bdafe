"""The edge to PortAudio, whose Python module is replaced: this machine may have no sound card."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from engine.errors import SettingError
from engine.talk.sound_card import devices, sound_card


class PortAudioError(Exception):
    pass


class FakeStream:
    """Keeps how it was opened; calls back when the test says so."""

    opened: "list[FakeStream]"
    missing: tuple[object, ...] = ("nowhere",)

    def __init__(self, **options: Any) -> None:
        if options["device"] in self.missing:
            raise ValueError(f"No device matching {options['device']!r}")
        if options["device"] == 9:
            raise PortAudioError("Invalid sample rate")
        self.options = SimpleNamespace(**options)
        self.is_running = False

    def __enter__(self) -> None:
        self.is_running = True
        self.opened.append(self)

    def __exit__(self, *_: object) -> None:
        self.is_running = False


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[FakeStream]:
    module = ModuleType("sounddevice")
    FakeStream.opened = []
    vars(module).update(
        RawInputStream=FakeStream,
        RawOutputStream=FakeStream,
        PortAudioError=PortAudioError,
        query_devices=lambda: "0 A microphone",
    )
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return FakeStream.opened


def test_both_directions_are_open_within_the_block_at_24_khz_mono(streams: list[FakeStream]) -> None:
    heard: list[bytes] = []
    with sound_card(None, None, heard.append, lambda samples: b"ab" * samples):
        microphone, speakers = streams
        for stream in streams:
            assert stream.is_running
            assert (stream.options.samplerate, stream.options.channels) == (24_000, 1)
            assert (stream.options.dtype, stream.options.blocksize) == ("int16", 480)
            assert stream.options.device is None
        microphone.options.callback(memoryview(b"hear"), 2, None, None)
        played = bytearray(6)
        speakers.options.callback(played, 3, None, None)
    assert heard == [b"hear"]
    assert played == b"ababab"
    assert not any(stream.is_running for stream in streams)


def test_a_device_is_a_number_or_a_name(streams: list[FakeStream]) -> None:
    with sound_card("3", "USB", lambda pcm: None, bytes):
        assert [stream.options.device for stream in streams] == [3, "USB"]


@pytest.mark.parametrize(
    ("microphone", "speakers", "says"),
    [
        ("nowhere", None, "--microphone nowhere: No device matching"),
        (None, "9", "--speakers 9: Invalid sample rate"),
    ],
)
def test_a_device_that_cannot_be_opened_is_named_and_the_other_is_closed(
    streams: list[FakeStream], microphone: str | None, speakers: str | None, says: str
) -> None:
    with (
        pytest.raises(SettingError, match=f"{says}.*--devices"),
        sound_card(microphone, speakers, lambda pcm: None, bytes),
    ):
        pass
    assert not any(stream.is_running for stream in streams)


def test_a_machine_without_a_microphone_is_told_so(
    streams: list[FakeStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeStream, "missing", (None,))
    with (
        pytest.raises(SettingError, match="no microphone to be had"),
        sound_card(None, None, lambda pcm: None, bytes),
    ):
        pass


def test_the_devices_are_listed(streams: list[FakeStream]) -> None:
    assert devices() == "0 A microphone"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SettingError, match=r"pip install 'moshi-live\[talk\]'"):
        devices()


def test_without_portaudio_the_systems_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoPortAudio:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoPortAudio(), *sys.meta_path])
    with pytest.raises(SettingError, match="apt install libportaudio2"):
        devices()
