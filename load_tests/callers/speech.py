"""What callers say: sentences of common words, spoken by espeak-ng, kept in a folder for the next run."""

import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from worker.caller import sound_files
from worker.caller.microphone import SPEAKING_RATE

_WORDS = """
able apple autumn basket bench bicycle bottle bridge butter candle castle chapter cherry circle coffee
corner cotton county daily danger dinner doctor double early eastern eleven engine evening family farmer
finger fishing flower forest fourteen garden gentle golden hammer harbour holiday hundred island jacket
journey kitchen ladder lemon letter library listen little machine market meadow middle minute monday morning
mountain narrow never northern number october office orange painter paper people pepper pilot pocket pretty
purple question quiet rabbit railway raining river saddle sailor saturday seven silver simple sister spider
station summer sunday table teacher thirty thunder ticket tiger tomorrow travel twenty under valley village
visit wagon water weather window winter wonder yellow yesterday zebra
"""
_LANGUAGES = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp")
_VARIANTS = ("", "+f1", "+f2", "+f3", "+f4", "+m1", "+m2", "+m3", "+m4", "+m5")
_PEAK = 0.35
_AUDIBLE = 0.01
_VOICE_MISSING = (
    "callers speak with espeak-ng, and it is not installed: apt install espeak-ng (brew install espeak-ng)"
)


@dataclass(frozen=True, slots=True)
class Voice:
    """How espeak-ng speaks: pitch 0 to 99, speed in words a minute."""

    name: str
    pitch: int
    speed: int

    @classmethod
    def any(cls, random: np.random.Generator) -> "Voice":
        """One of many."""
        name = str(random.choice(_LANGUAGES)) + str(random.choice(_VARIANTS))
        return cls(name, int(random.integers(25, 76)), int(random.integers(130, 191)))


def sentence(random: np.random.Generator) -> str:
    """Five to eight words that nobody has said in this order."""
    return " ".join(str(word) for word in random.choice(_WORDS.split(), random.integers(5, 9), replace=False))


def spoken(text: str, voice: Voice, folder: Path | None = None) -> NDArray[np.int16]:
    """`text`, int16 [N] at SPEAKING_RATE, without silence around it. Raises UserError without espeak-ng."""
    folder = folder or Path(tempfile.gettempdir()) / f"load-test-speech-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = hashlib.sha256(f"{text}|{voice}".encode()).hexdigest()[:24]
    recording = folder / f"{name}.wav"
    if not recording.exists():
        _record(text, voice, recording)
    return _trimmed(sound_files.read(recording, SPEAKING_RATE))


def _record(text: str, voice: Voice, recording: Path) -> None:
    # Several processes may want the same one.
    unfinished = recording.with_suffix(f".{os.getpid()}")
    options = ["-v", voice.name, "-p", str(voice.pitch), "-s", str(voice.speed), "-w", str(unfinished)]
    try:
        subprocess.run(["espeak-ng", *options, text], capture_output=True, check=True)
    except FileNotFoundError:
        raise UserError(_VOICE_MISSING) from None
    except subprocess.CalledProcessError as failed:
        raise UserError(f"espeak-ng could not say {text!r}: {failed.stderr.decode().strip()}") from None
    unfinished.replace(recording)


def _trimmed(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    sound = pcm.astype(np.float64) / np.abs(pcm).max()
    loud = np.flatnonzero(np.abs(sound) > _AUDIBLE)
    return np.asarray(_PEAK * 32767 * sound[loud[0] : loud[-1] + 1], np.int16)
