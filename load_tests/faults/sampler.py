"""Something that is done beside all else, again and again."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Sampler:
    """Calls `sample` every `every_s` seconds while the block runs, in a thread of this name."""

    def __init__(self, name: str, every_s: float, sample: Callable[[], None]) -> None:
        self._every_s = every_s
        self._sample = sample
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            self._sample()
