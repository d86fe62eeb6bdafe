"""Files that a command is to write: better refused before the work than after it."""

from pathlib import Path

from engine.errors import AudioFileError


def check_writable(*paths: Path | None) -> None:
    """Raise AudioFileError now for what could not be written later. Leaves everything as it is."""
    for path in paths:
        if path is None:
            continue
        existed = path.exists()
        try:
            path.open("ab").close()
            if not existed:
                path.unlink()
        except OSError as error:
            raise AudioFileError(f"cannot write {path}: {error.strerror}") from None
