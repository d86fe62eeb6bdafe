import os
from pathlib import Path

import pytest

from engine.errors import SettingError
from worker.keeping import files

DAY_S = 86400.0
NOW = 1_800_000_000.0


def old(path: Path, days: float) -> Path:
    path.write_text("kept")
    os.utime(path, (NOW - days * DAY_S,) * 2)
    return path


def test_a_new_folder_and_its_files_are_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "calls" / "texts"
    files.prepare(folder)
    with files.open_private(folder / "a", anew=True) as file:
        file.write(b"words")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "a").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_none_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="nothing can be kept"):
        files.prepare(tmp_path / "file")


def test_no_file_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        files.open_private(tmp_path / "link", anew=False)


def test_a_file_is_named_after_its_call_and_stays_in_the_folder() -> None:
    assert files.file_name("AJ_a-b", files.TRANSCRIPT) == "AJ_a-b.transcript.jsonl"
    assert files.file_name("../a/b", files.RECORDING) == "---a-b.recording.wav"


def test_what_is_old_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    gone = [old(tmp_path / name, 30.1) for name in ("AJ_1.transcript.jsonl", "AJ_1-2.recording.wav")]
    stay = [
        old(tmp_path / "AJ_2.transcript.jsonl", 29.9),
        old(tmp_path / "thesis.txt", 300),
        old(tmp_path / "songs.wav", 300),
    ]
    assert files.delete_old(tmp_path, 30, NOW) == len(gone)
    assert sorted(tmp_path.iterdir()) == sorted(stay)
