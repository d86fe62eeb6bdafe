"""The sound of a call, kept in a file: WAV, the caller on the left, the model on the right."""

import struct
from collections import deque
from pathlib import Path
from typing import BinaryIO

import numpy as np

from engine.protocol import FRAME_BYTES
from engine.step.frames import SAMPLE_RATE
from worker.keeping import files
from worker.keeping.writer import Writer

MARK = b"The right channel is synthetic speech, made by a model.\0"
_SILENCE = bytes(FRAME_BYTES)
_CHANNELS, _SAMPLE_BYTES = 2, 2


class Recording:
    """Frame by frame as the model heard and said it. What was announced in its place is not on it.

    A call that goes on in another job has another file there.
    """

    def __init__(self, folder: Path, call_id: str) -> None:
        self._folder = folder
        self._id = call_id
        self._bytes = 0
        self._heard: deque[bytes] = deque()
        self._writer = Writer(self._begin, call_id)

    def heard(self, pcm: bytes) -> None:
        """The model was sent this frame."""
        self._heard.append(pcm)

    def said(self, pcm: bytes) -> None:
        """The model answered the oldest frame that it had not answered."""
        heard = self._heard.popleft() if self._heard else _SILENCE
        self._writer.do(lambda file: self._add(file, heard, pcm))

    def break_off(self) -> None:
        """What has no answer now gets none any more."""
        self._heard.clear()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    def _begin(self) -> BinaryIO:
        for number in range(1, 1000):
            more = f"-{number}" if number > 1 else ""
            path = self._folder / files.file_name(self._id + more, files.RECORDING)
            try:
                file = files.open_private(path, anew=True)
            except FileExistsError:
                continue
            file.write(_header(0))
            return file
        raise FileExistsError(17, "a thousand files of one call")

    def _add(self, file: BinaryIO, heard: bytes, said: bytes) -> None:
        both = np.stack([np.frombuffer(side, "<i2") for side in (heard, said)], axis=1)
        file.write(both.tobytes())
        self._bytes += both.nbytes
        # A job that is killed leaves a file that can be played.
        file.seek(0)
        file.write(_header(self._bytes))
        file.seek(0, 2)


def _header(data_bytes: int) -> bytes:
    """Of a file with this much sound: its format, and a mark that machines can read (LIST INFO, ICMT)."""
    frame_bytes = _CHANNELS * _SAMPLE_BYTES
    rate = SAMPLE_RATE * frame_bytes
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, _CHANNELS, SAMPLE_RATE, rate, frame_bytes, 8 * _SAMPLE_BYTES
    )
    marked = struct.pack("<4sI", b"ICMT", len(MARK)) + MARK
    info = struct.pack("<4sI4s", b"LIST", 4 + len(marked), b"INFO") + marked
    data = struct.pack("<4sI", b"data", data_bytes)
    body = b"WAVE" + form + info + data
    return struct.pack("<4sI", b"RIFF", len(body) + data_bytes) + body
