"""Ogg-Opus to samples and back (RFC 6716, RFC 7845): one stream each way, mono, 24 kHz."""

import struct
from collections.abc import Sequence
from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.error import FFmpegError

from engine.errors import SessionError
from engine.service.ogg import OggReader, OggWriter
from engine.step.frames import SAMPLE_RATE

_OPUS_RATE = 48_000
_PACKET_SAMPLES = SAMPLE_RATE // 25
_BIT_RATE = 32_000
_LOOKAHEAD = 312  # of the encoder, in samples at _OPUS_RATE
_MAX_PACKET_S = 0.12
_HEAD, _TAGS = b"OpusHead", b"OpusTags"


class OpusReader:
    """A caller's stream. `feed` is cheap; `decode` is not, and may run on another thread."""

    def __init__(self) -> None:
        self._ogg = OggReader()
        self._decoder = _codec("r", _OPUS_RATE)
        self._to_ours = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)

    def feed(self, piece: bytes) -> list[bytes]:
        """The sound packets that `piece` completes. Raises SessionError for what is no Ogg."""
        return [packet for packet in self._ogg.feed(piece) if packet[:8] not in (_HEAD, _TAGS)]

    def decode(self, packets: Sequence[bytes]) -> bytes:
        """PCM s16le mono 24 kHz. Raises SessionError for a packet that is no Opus."""
        try:
            sound = [
                ours.to_ndarray()
                for packet in packets
                for frame in self._decoder.decode(av.Packet(packet))
                for ours in self._to_ours.resample(frame)
            ]
        except FFmpegError:
            raise SessionError("a packet of the sound is no Opus") from None
        return b"".join(part.astype("<i2").tobytes() for part in sound)


class OpusWriter:
    """An answer's stream: packets of 40 ms, one page for each call."""

    def __init__(self, serial: int) -> None:
        self._ogg = OggWriter(serial)
        self._encoder = _codec("w", SAMPLE_RATE)
        self._encoder.bit_rate = _BIT_RATE
        self._encoder.options = {"application": "voip", "frame_duration": "40"}
        self._samples = 0

    def encode(self, pcm: bytes) -> bytes:
        """The next page, in the first call behind the two that begin a stream.

        pcm: s16le, of a length that is a multiple of 40 ms.
        """
        begin = b"" if self._samples else self._headers()
        sound = np.frombuffer(pcm, "<i2").astype(np.int16)
        packets = []
        for at in range(0, len(sound), _PACKET_SAMPLES):
            frame = av.AudioFrame.from_ndarray(
                sound[None, at : at + _PACKET_SAMPLES], format="s16", layout="mono"
            )
            frame.sample_rate = SAMPLE_RATE
            frame.pts = self._samples
            self._samples += _PACKET_SAMPLES
            packets += [bytes(packet) for packet in self._encoder.encode(frame)]
        return begin + self._ogg.page(packets, self._samples * _OPUS_RATE // SAMPLE_RATE)

    def _headers(self) -> bytes:
        head = _HEAD + struct.pack("<BBHIHB", 1, 1, _LOOKAHEAD, SAMPLE_RATE, 0, 0)
        tags = _TAGS + struct.pack("<I4sI", 4, b"opus", 0)
        return self._ogg.page([head], 0) + self._ogg.page([tags], 0)


def duration_s(packet: bytes) -> float:
    """How long a packet sounds, from its first bytes (RFC 6716, 3.1). Raises SessionError."""
    count = 0
    if packet:
        code = packet[0] & 3
        count = 1 if code == 0 else 2 if code < 3 else packet[1] & 63 if len(packet) > 1 else 0
    seconds = count * _frame_s(packet[0] >> 3) if count else 0.0
    if not 0 < seconds <= _MAX_PACKET_S + 1e-9:
        raise SessionError("a packet of the sound is no Opus")
    return seconds


def _frame_s(configuration: int) -> float:
    """The length of an Opus frame: SILK 10 to 60 ms, hybrid 10 or 20 ms, CELT 2.5 to 20 ms."""
    if configuration < 12:
        return (0.01, 0.02, 0.04, 0.06)[configuration % 4]
    if configuration < 16:
        return (0.01, 0.02)[configuration % 2]
    return (0.0025, 0.005, 0.01, 0.02)[configuration % 4]


def _codec(mode: Literal["r", "w"], rate: int) -> AudioCodecContext:
    codec = av.CodecContext.create("libopus", mode)
    codec.sample_rate = rate
    codec.layout = "mono"
    codec.format = "s16"
    return codec
