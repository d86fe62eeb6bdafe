"""Microphone and speakers, by PortAudio."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from engine.errors import SettingError
from engine.step.frames import SAMPLE_RATE

_PIECE_SAMPLES = SAMPLE_RATE // 50

Hear = Callable[[bytes], None]
"""Gets PCM s16le, 24 kHz mono, 20 ms at a time, on the card's thread."""
Play = Callable[[int], bytes]
"""Gives so many samples of the same, at once, on the card's thread."""


@contextmanager
def sound_card(microphone: str | None, speakers: str | None, hear: Hear, play: Play) -> Iterator[None]:
    """Both open within the block. Devices by number or part of their name; None: those of the system.

    Raises SettingError for a device that cannot be opened, or where PortAudio is missing.
    """
    portaudio = _portaudio()

    def heard(sound: Any, _frames: int, _time: Any, _status: Any) -> None:
        hear(bytes(sound))

    def wanted(sound: Any, frames: int, _time: Any, _status: Any) -> None:
        sound[:] = play(frames)

    with ExitStack() as streams:
        for kind, option, device, callback in (
            (portaudio.RawInputStream, "--microphone", microphone, heard),
            (portaudio.RawOutputStream, "--speakers", speakers, wanted),
        ):
            try:
                stream = kind(
                    samplerate=SAMPLE_RATE,
                    blocksize=_PIECE_SAMPLES,
                    device=int(device) if device and device.isdigit() else device,
                    channels=1,
                    dtype="int16",
                    latency="low",
                    callback=callback,
                )
                streams.enter_context(stream)
            except (portaudio.PortAudioError, ValueError) as error:
                named = f"{option} {device}" if device else f"no {option.removeprefix('--')} to be had"
                raise SettingError(
                    f"{named}: {error}; `python -m engine talk --devices` lists what there is"
                ) from None
        yield


def devices() -> str:
    """What there is, a line each. Raises SettingError where PortAudio is missing."""
    return str(_portaudio().query_devices()) or "no sound device on this machine"


def _portaudio() -> ModuleType:
    try:
        import sounddevice
    except ModuleNotFoundError:
        raise SettingError("`talk` needs sounddevice: pip install 'moshi-live[talk]'") from None
    except OSError:
        raise SettingError(
            "`talk` needs the PortAudio library: on Debian and Ubuntu, apt install libportaudio2"
        ) from None
    module: ModuleType = sounddevice
    return module
