from pathlib import Path

import pytest

from engine.errors import AudioFileError
from engine.output_files import check_writable


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"cannot write .*out\.wav"):
        check_writable(tmp_path / "missing" / "out.wav")


def test_asking_whether_a_place_can_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old.wav").write_bytes(b"kept")
    check_writable(tmp_path / "old.wav")
    check_writable(tmp_path / "new.wav")
    assert (tmp_path / "old.wav").read_bytes() == b"kept"
    assert not (tmp_path / "new.wav").exists()
