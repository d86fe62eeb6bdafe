"""Stands in for a sound card: a microphone that plays the WAV MICROPHONE, speakers that write SPEAKERS.

Ends its program, as Ctrl-C does, some seconds after the recording.
"""

import os
import signal
import time
import wave
from collections.abc import Callable
from threading import Thread
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Callback = Callable[[NDArray[np.float32], int, object, object], None]
_TAIL_S = 5.0
# A program that is started in the background may be told to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)


class _Stream:
    def __init__(self, samplerate: float, channels: int, blocksize: int, callback: Callback) -> None:
        assert channels == 1
        self._rate = int(samplerate)
        self._block = blocksize
        self._callback = callback
        self._stopped = False
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopped:
            self._pass_block()
            due += self._block / self._rate
            time.sleep(max(0.0, due - time.monotonic()))

    def _pass_block(self) -> None:
        raise NotImplementedError


class InputStream(_Stream):
    """The microphone; silent after the recording."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        with wave.open(os.environ["MICROPHONE"]) as file:
            assert file.getframerate() == self._rate
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        self._left = (pcm / 32768).astype(np.float32)
        self._silent_blocks = 0

    def _pass_block(self) -> None:
        if self._silent_blocks * self._block >= _TAIL_S * self._rate:
            self._stopped = True
            os.kill(os.getpid(), signal.SIGINT)
            return
        block = np.zeros((self._block, 1), np.float32)
        said, self._left = self._left[: self._block], self._left[self._block :]
        block[: len(said), 0] = said
        self._callback(block, self._block, None, None)
        self._silent_blocks += not len(said)


class OutputStream(_Stream):
    """The speakers; all that they played is written at the end."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._played: list[NDArray[np.float32]] = []

    def _pass_block(self) -> None:
        block = np.zeros((self._block, 1), np.float32)
        self._callback(block, self._block, None, None)
        self._played.append(block[:, 0])

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        with wave.open(os.environ["SPEAKERS"], "wb") as file:
            file.setparams((1, 2, self._rate, 0, "NONE", ""))
            sound = np.concatenate([np.zeros(0, np.float32), *self._played])
            file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
