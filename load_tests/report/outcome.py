"""What every command does: find out what would go wrong, hand over what was found, say errors."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from engine.errors import EngineError, Refused, UserError
from engine.output_files import check_writable
from load_tests.report.plot import check_plotting, plot
from load_tests.report.report import Report
from load_tests.report.table import text


class NobodyLetIn(Refused):
    """There is a report, but no call in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"every caller was refused: {reason}")


def check_outputs(result: Path | None, picture: Path | None) -> None:
    """Find out now what would go wrong after minutes. Raises UserError."""
    if picture is not None:
        check_plotting()
    for path in (result, picture):
        if path is not None:
            check_writable(path)


def hand_over(
    report: Report,
    result: Path | None,
    picture: Path | None,
    draw: Callable[[Report, Path], None] = plot,
) -> None:
    """Show it, write it, draw it. Raises NobodyLetIn, SettingError."""
    print(text(report))
    if result is not None:
        report.write(result)
    if picture is not None:
        draw(report, picture)
    refusals = [call.refused for call in report.service.calls]
    if refusals[0] is not None and None not in refusals:
        raise NobodyLetIn(refusals[0])


@contextmanager
def errors_told() -> Iterator[None]:
    """An error is one line and an exit code: 2 for what its user can put right, 3 for refusals."""
    try:
        yield
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2 if isinstance(error, UserError) else 3 if isinstance(error, Refused) else 1
        raise typer.Exit(code) from None
