"""The screen as a terminal would show it: the escape codes are carried out."""

import io
import math

from engine.talk.screen import Screen, bar


class Terminal(io.StringIO):
    """A terminal that understands what the screen sends: up a line, clear to the end."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        lines, row, column = [""], 0, 0
        text = self.getvalue()
        while text:
            if text.startswith("\x1b[1A"):
                row, text = row - 1, text[4:]
            elif text.startswith("\x1b[J"):
                lines[row:] = [lines[row][:column]]
                text = text[3:]
            elif text[0] == "\r":
                column, text = 0, text[1:]
            elif text[0] == "\n":
                row, column, text = row + 1, 0, text[1:]
                lines += [""] * (row + 1 - len(lines))
            else:
                lines[row] = lines[row][:column] + text[0]
                column, text = column + 1, text[1:]
            assert row >= 0
        return lines


def test_words_grow_on_their_line_above_the_levels() -> None:
    terminal = Terminal()
    screen = Screen(terminal, lambda: 80)
    screen.line("You talk to a machine.")
    screen.status("you ███")
    for piece in (" I", " hear", " you"):
        screen.word(piece)
    assert terminal.lines == ["You talk to a machine.", "I hear you", "you ███"]
    screen.pause()
    screen.word(" Yes")
    assert terminal.lines == ["You talk to a machine.", "I hear you", "Yes", "you ███"]


def test_a_full_line_breaks_between_words() -> None:
    terminal = Terminal()
    screen = Screen(terminal, lambda: 12)
    for piece in (" one", " two", " three", " four", "teen"):
        screen.word(piece)
    assert terminal.lines == ["one two", "three", "fourteen", ""]


def test_a_word_longer_than_the_terminal_is_cut() -> None:
    terminal = Terminal()
    Screen(terminal, lambda: 10)
    Screen(terminal, lambda: 10).word(" " + "a" * 25)
    assert [len(line) for line in terminal.lines if line] == [9, 9, 7]


def test_the_status_never_wraps() -> None:
    terminal = Terminal()
    Screen(terminal, lambda: 20).status("x" * 50)
    assert terminal.lines[-1] == "x" * 19


def test_at_the_end_the_words_stay_and_the_levels_go() -> None:
    terminal = Terminal()
    screen = Screen(terminal, lambda: 80)
    screen.word(" bye")
    screen.status("you ███")
    screen.close()
    assert terminal.lines == ["bye", ""]


def test_a_file_gets_the_words_alone() -> None:
    file = io.StringIO()
    screen = Screen(file, lambda: 5)
    screen.line("hello")
    screen.status("you ███")
    screen.word(" I")
    screen.word(" hear")
    screen.pause()
    screen.word(" you")
    screen.close()
    assert file.getvalue() == "hello\nI hear\nyou\n"


def test_a_bar_is_full_at_full_scale_and_empty_at_60_db_below() -> None:
    assert bar(0.0) == "█" * 12
    assert bar(6.0) == "█" * 12
    assert bar(-60.0) == bar(-math.inf) == " " * 12
    assert bar(-30.0) == "██████      "
    assert bar(-29.4)[6] == "▏"
