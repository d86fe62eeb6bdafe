"""Rows of words as a table for a terminal."""

from collections.abc import Iterable, Sequence

UNKNOWN = "-"

Row = tuple[str, ...]


def table(rows: Iterable[Row], left: int = 1) -> str:
    """Rows as wide as they need, the first `left` columns and the last of a full row to the left."""
    cells = list(rows)
    columns = max(map(len, cells))
    widths = [max(len(row[n]) for row in cells if n < len(row)) for n in range(columns)]
    lines = []
    for row in cells:
        words = [
            word.ljust(width) if n < left or _is_remark(cells, n) else word.rjust(width)
            for n, (word, width) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join(words).rstrip())
    return "\n".join(lines)


def _is_remark(cells: Sequence[Row], column: int) -> bool:
    """A last column without a title is text."""
    return column == len(cells[0]) - 1 and cells[0][column] == ""


def number(value: float | None, digits: int, unit: str = "") -> str:
    """With so many digits; None is not known."""
    return UNKNOWN if value is None else f"{value:.{digits}f}{unit}"
