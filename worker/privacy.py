"""What is kept of calls, and what callers are told: from the settings to the parts that do it."""

import logging

from engine.errors import UserError
from worker.keeping import files
from worker.keeping.kept import Keeping
from worker.modes import Mode
from worker.room.welcome import Welcome
from worker.settings import PrivacySettings
from worker.signs.attributes import NOTICE_TEXT
from worker.sound.clips import DISCLOSURE, RECORDED, Clip

log = logging.getLogger(__name__)


def keeping_in(settings: PrivacySettings, mode: Mode = Mode.MOSHI) -> Keeping:
    """What is kept of a call of this mode."""
    return Keeping(
        settings.worker_transcripts,
        settings.worker_recordings,
        redacted=settings.worker_redact_numbers,
        of_callers=mode is not Mode.MOSHI,
    )


def notice_in(settings: PrivacySettings, mode: Mode = Mode.MOSHI) -> str:
    """What every room is told in text: that it is a machine, and what is kept."""
    return f"{NOTICE_TEXT} {keeping_in(settings, mode).notice}".rstrip()


def welcome_in(settings: PrivacySettings, mode: Mode = Mode.MOSHI) -> Welcome:
    """How callers are greeted. An own clip that cannot be played is logged, and ours plays instead."""
    clips = (DISCLOSURE, RECORDED) if settings.worker_recordings else (DISCLOSURE,)
    if settings.worker_disclosure_clip is not None:
        try:
            # It says all that the operator wants said.
            clips = (_own(settings),)
        except UserError as fault:
            log.error("WORKER_DISCLOSURE_CLIP cannot be played", extra={"detail": str(fault)})
    return Welcome(settings.worker_disclosure, notice_in(settings, mode), clips)


def prepare(settings: PrivacySettings) -> None:
    """Make the folders, try the clip. Raises SettingError or AudioFileError for what would fail in a call."""
    for folder in keeping_in(settings).folders:
        files.prepare(folder)
    if settings.worker_disclosure_clip is not None:
        _own(settings)


def _own(settings: PrivacySettings) -> Clip:
    assert settings.worker_disclosure_clip is not None
    clip = Clip(settings.worker_disclosure_clip)
    # Read, and kept for when it is played.
    assert clip.frames
    return clip
