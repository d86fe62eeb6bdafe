"""The two ways in which sound travels on `/api/chat`: Moshi's own protocol, and plain float32."""

import asyncio
import json
import secrets
from concurrent.futures import Executor
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import SessionError
from engine.service.ogg import is_ogg
from engine.service.opus import OpusReader, OpusWriter, duration_s
from engine.service.pace import Pace
from engine.step.frames import SAMPLE_RATE, Sampling

_MAX_OPUS_BYTES = 16 * 1024
_FLOAT_BYTES = 4
_FULL_SCALE = 32768.0


class Kind(IntEnum):
    """The first byte of a message of Moshi's protocol."""

    HANDSHAKE = 0
    AUDIO = 1
    TEXT = 2
    CONTROL = 3
    METADATA = 4
    ERROR = 5
    PING = 6


class Wire(Protocol):
    """Messages to sound and back. None: this wire has no such message."""

    async def hear(self, message: bytes, *, wanted: bool) -> bytes | None:
        """PCM s16le of a caller's message; None where it is no sound, or nobody wants it yet.

        Raises SessionError for a message that breaks the rules.
        """

    async def audio(self, pcm: bytes) -> bytes:
        """A frame of the answer, PCM s16le."""

    def text(self, piece: str) -> bytes | None:
        """A piece of the answer's words."""

    def ping(self) -> bytes | None:
        """A sign of life."""

    def error(self, sentence: str) -> bytes | None:
        """Why the call ends."""


class MoshiWire:
    """Tagged messages, sound as Ogg-Opus, which is coded on `codecs`, away from the event loop."""

    def __init__(self, pace: Pace, codecs: Executor) -> None:
        self._pace = pace
        self._codecs = codecs
        self._reader = OpusReader()
        self._writer = OpusWriter(secrets.randbits(32))

    async def hear(self, message: bytes, *, wanted: bool) -> bytes | None:
        """The sound of a message; other kinds are passed over, as Moshi's own server does."""
        if not message or message[0] != Kind.AUDIO:
            return None
        if len(message) > _MAX_OPUS_BYTES:
            raise SessionError(
                f"a message of Ogg-Opus has up to {_MAX_OPUS_BYTES // 1024} KiB: send 20 to 100 ms"
            )
        packets = self._reader.feed(message[1:])
        # Counted before it is decoded: a few bytes can claim minutes.
        self._pace.sound(2 * SAMPLE_RATE * sum(map(duration_s, packets)))
        if not packets or not wanted:
            return None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._codecs, self._reader.decode, packets)

    async def audio(self, pcm: bytes) -> bytes:
        """One page, the first time behind the stream's headers."""
        loop = asyncio.get_running_loop()
        return _message(Kind.AUDIO, await loop.run_in_executor(self._codecs, self._writer.encode, pcm))

    def text(self, piece: str) -> bytes:
        """UTF-8."""
        return _message(Kind.TEXT, piece.encode())

    def ping(self) -> bytes:
        """The tag alone."""
        return _message(Kind.PING)

    def error(self, sentence: str) -> bytes:
        """UTF-8."""
        return _message(Kind.ERROR, sentence.encode())


class PlainWire:
    """Float32 little endian both ways and nothing else; why a call ends is in the close message."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    async def hear(self, message: bytes, *, wanted: bool) -> bytes | None:
        """Samples from -1 to 1; louder ones are clipped."""
        if len(message) % _FLOAT_BYTES:
            raise SessionError(
                f"a message of {len(message)} bytes is no float32 sound: send samples of 4 bytes each, "
                "24000 a second, or Ogg-Opus behind a byte 1"
            )
        self._pace.sound(len(message) // 2)
        if not wanted:
            return None
        samples = np.clip(np.nan_to_num(np.frombuffer(message, "<f4")), -1, 1)
        pcm: NDArray[np.int16] = np.minimum(np.rint(samples * _FULL_SCALE), _FULL_SCALE - 1).astype("<i2")
        return pcm.tobytes()

    async def audio(self, pcm: bytes) -> bytes:
        """Samples from -1 to 1."""
        return (np.frombuffer(pcm, "<i2") / _FULL_SCALE).astype("<f4").tobytes()

    def text(self, _piece: str) -> None:
        """Has no place: clients take every message for sound."""

    def ping(self) -> None:
        """Has no place."""

    def error(self, _sentence: str) -> None:
        """Has no place."""


def speaks_plain(first: bytes) -> bool:
    """Whether a caller whose first message is `first` sends plain float32.

    Ogg-Opus behind its tag is Moshi's protocol, and so is what cannot be float32.
    """
    opus = first[:1] == bytes([Kind.AUDIO]) and is_ogg(first[1:])
    return bool(first) and not opus and len(first) % _FLOAT_BYTES == 0


def handshake() -> bytes:
    """The conversation begins."""
    return _message(Kind.HANDSHAKE)


def metadata(model: str, sampling: Sampling) -> bytes:
    """What a session draws with, in the form that Moshi's web client checks; what we lack is neutral."""
    build = (
        "build_timestamp", "build_date", "git_branch", "git_timestamp", "git_date", "git_hash",
        "git_describe", "rustc_host_triple", "rustc_version", "cargo_target_triple",
    )  # fmt: skip
    body = {
        "text_temperature": sampling.temperature_text,
        "text_topk": sampling.top_k_text,
        "audio_temperature": sampling.temperature,
        "audio_topk": sampling.top_k,
        "pad_mult": 0,
        "repetition_penalty_context": 0,
        "repetition_penalty": 1,
        "lm_model_file": model,
        "instance_name": "moshi-live",
        "build_info": dict.fromkeys(build, ""),
    }
    return _message(Kind.METADATA, json.dumps(body).encode())


def _message(kind: Kind, payload: bytes = b"") -> bytes:
    return bytes([kind]) + payload
