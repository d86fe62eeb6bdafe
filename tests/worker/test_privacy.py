"""From the settings to what callers are told."""

from pathlib import Path

import pytest

from engine.errors import AudioFileError, SettingError
from worker.privacy import keeping_in, notice_in, prepare, welcome_in
from worker.room.disclosure import Disclosure
from worker.settings import PrivacySettings
from worker.signs.attributes import NOTICE_TEXT
from worker.sound.clips import DISCLOSURE, GOODBYE, RECORDED


def test_by_default_nothing_is_kept_and_telephones_are_told_what_they_talk_to() -> None:
    settings = PrivacySettings()
    assert keeping_in(settings).folders == ()
    assert notice_in(settings) == NOTICE_TEXT
    welcome = welcome_in(settings)
    assert (welcome.who, welcome.sentence, welcome.clips) == (Disclosure.PHONE, NOTICE_TEXT, (DISCLOSURE,))


def test_who_is_recorded_is_told_so_aloud_and_in_text() -> None:
    settings = PrivacySettings(worker_recordings=Path("calls"))
    assert notice_in(settings).startswith(NOTICE_TEXT)
    assert "recorded" in notice_in(settings)
    assert welcome_in(settings).clips == (DISCLOSURE, RECORDED)


def test_an_operators_own_clip_says_it_all() -> None:
    settings = PrivacySettings(worker_disclosure_clip=GOODBYE.path, worker_recordings=Path("calls"))
    assert welcome_in(settings).clips == (GOODBYE,)


def test_what_cannot_be_played_or_kept_is_named_before_the_first_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no sound")
    with pytest.raises(AudioFileError, match="file"):
        prepare(PrivacySettings(worker_disclosure_clip=tmp_path / "file"))
    with pytest.raises(SettingError, match="file"):
        prepare(PrivacySettings(worker_transcripts=tmp_path / "file"))
    prepare(PrivacySettings(worker_transcripts=tmp_path / "texts", worker_disclosure_clip=GOODBYE.path))
    assert (tmp_path / "texts").is_dir()


def test_a_clip_that_is_gone_in_the_middle_of_it_all_is_no_reason_to_say_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert welcome_in(PrivacySettings(worker_disclosure_clip=tmp_path / "none")).clips == (DISCLOSURE,)
    assert "cannot be played" in caplog.text


def test_the_clips_come_with_the_worker() -> None:
    assert DISCLOSURE.frames
    assert RECORDED.frames
