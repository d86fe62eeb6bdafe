"""Two lines at the bottom of a terminal: the words being said, and how loud both sides are."""

import shutil
from collections.abc import Callable
from typing import TextIO

_CELLS = 12
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_QUIETEST_DB = -60.0
_CLEAR_TWO_LINES = "\r\x1b[1A\x1b[J"


def bar(level_db: float) -> str:
    """A level from -60 dB to full scale as 12 cells, to an eighth of one."""
    eighths = round(8 * _CELLS * min(1.0, max(0.0, 1 - level_db / _QUIETEST_DB)))
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(_CELLS)


def terminal_columns() -> int:
    """The width of this terminal."""
    return shutil.get_terminal_size().columns


class Screen:
    """Writes to `out`; without a terminal there only the words, as they come."""

    def __init__(self, out: TextIO, columns: Callable[[], int] = terminal_columns) -> None:
        self._out = out
        self._columns = columns
        self._live = out.isatty()
        self._words = ""
        self._status = ""
        if self._live:
            self._out.write("\n")

    def word(self, piece: str) -> None:
        """A piece of what the model says, with its leading space. A full line moves up."""
        piece = piece if self._words else piece.lstrip()
        self._words += piece
        if not self._live:
            self._out.write(piece)
            self._out.flush()
            return
        while len(self._words) >= self._columns():
            end = self._words.rfind(" ", 1, self._columns())
            end = end if end > 0 else self._columns() - 1
            self._above(self._words[:end])
            self._words = self._words[end:].lstrip()
        self._draw()

    def pause(self) -> None:
        """What is said next begins a line."""
        if not self._words:
            return
        if self._live:
            self._above(self._words)
        else:
            self._out.write("\n")
        self._words = ""

    def status(self, text: str) -> None:
        """The bottom line, anew."""
        self._status = text
        if self._live:
            self._draw()

    def line(self, text: str) -> None:
        """A line of its own, after what was said."""
        self.pause()
        if self._live:
            self._above(text)
            self._draw()
        else:
            self._out.write(f"{text}\n")
            self._out.flush()

    def close(self) -> None:
        """Leave the words, take the levels away."""
        self.pause()
        if self._live:
            self._out.write(_CLEAR_TWO_LINES)
        self._out.flush()

    def _above(self, text: str) -> None:
        self._out.write(f"{_CLEAR_TWO_LINES}{text}\n\n")

    def _draw(self) -> None:
        # One column less, where some terminals would wrap.
        status = self._status[: self._columns() - 1]
        self._out.write(f"{_CLEAR_TWO_LINES}{self._words}\n{status}")
        self._out.flush()
